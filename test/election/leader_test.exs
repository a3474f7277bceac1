defmodule Muster.Election.LeaderTest do
  # Leader groups of real nodes with their C nodes.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Election
  alias Muster.Test.Election.Member

  @moduletag timeout: 120_000

  test "three nodes elect one leader, all agree, and its end brings the next" do
    nodes = start_group(3)
    leader = await_leader(nodes)
    others = nodes -- [leader]

    for node <- nodes do
      assert ask(node, :is_leader) == (node == leader)
      eventually(fn -> ask(node, :peer_count) == 2 end)
      assert Enum.sort(ask(node, :voters)) == nodes |> Enum.map(& &1.node) |> Enum.sort()
      assert ask(node, :observers) == []
    end

    {:ok, {term, _} = token} = ask(leader, :token)
    for node <- nodes, do: assert(ask(node, :term) == term)
    for node <- others, do: assert(ask(node, :token) == {:error, :not_leader})

    stop(leader)
    next = await_leader(others)
    {:ok, later} = ask(next, :token)
    assert later > token

    for node <- others do
      eventually(fn -> {:left, leader.node} in calls(node) end)
      assert Enum.any?(calls(node), &match?({:term, ^term, _}, &1))
    end

    %{missing: 0, quorum: 2, missing_voters: missing} = ask(next, :inspect)
    assert missing == [leader.node]

    # A minority has no leader, and says whom it misses.
    stop(hd(others -- [next]))
    eventually(fn -> not ask(next, :is_leader) end)
    eventually(fn -> ask(next, :leader) == nil end)
    eventually(fn -> List.last(calls(next)) != :leader end)
    %{missing: 1, reason: reason, missing_voters: missing} = ask(next, :inspect)
    assert length(missing) == 2
    assert reason =~ "1 of the 2 voters"
  end

  test "what is called, in order" do
    [a, b] = nodes = start_group(2)
    leader = await_leader(nodes)
    [other] = nodes -- [leader]
    eventually(fn -> {:follower, leader.node} in calls(other) end)

    # A follower hears of the leader only once it knows the process.
    calls = calls(other)
    joined = Enum.find_index(calls, &(&1 == {:joined, leader.node}))
    assert joined < Enum.find_index(calls, &(&1 == {:follower, leader.node}))
    assert Enum.count(calls(leader), &(&1 == :leader)) == 1

    :ok = ask(a, :broadcast, [:to_peers])
    :ok = ask(b, :broadcast_bootstrap, [:to_bootstrap])
    eventually(fn -> {:message, a.node, :to_peers} in calls(b) end)
    eventually(fn -> {:message, b.node, :to_bootstrap} in calls(a) end)
    refute {:message, a.node, :to_peers} in calls(a)

    # Asked from elsewhere.
    assert call(a, Muster.Leader, :is_leader, [{Member, leader.node}])
    refute call(a, Muster.Leader, :is_leader, [{Member, other.node}])
    assert call(b, Muster.Leader, :cluster_id, [{Member, a.node}]) == :group
    assert {:ok, _} = call(b, Muster.Leader, :token, [{Member, leader.node}])
  end

  test "a transfer makes the target lead; an orderly stop hands over" do
    nodes = start_group(3)
    leader = await_leader(nodes)
    [target, third] = nodes -- [leader]
    assert ask(third, :transfer, [target.node]) == {:error, :not_leader}

    eventually(fn -> ask(leader, :transfer, [target.node]) == :ok end)
    eventually(fn -> ask(target, :is_leader) end)
    assert await_leader(nodes) == target
    eventually(fn -> {:follower, target.node} in calls(leader) end)

    # The process alone is stopped, its node and C node live on.
    :ok = call(target, GenServer, :stop, [Member])
    next = await_leader(nodes -- [target])
    assert next in [leader, third]
    eventually(fn -> ask(next, :peer_count) == 1 end)

    # It comes back as a follower.
    start_member(target, nodes)
    assert await_leader(nodes) == next
  end

  test "an error from a callback ends the process and its leadership" do
    nodes = start_group(3)
    leader = await_leader(nodes)
    assert ask(leader, :call, [{:fail, :disk_full}]) == :failing
    assert await_leader(nodes -- [leader]) != leader
  end

  test "a process that is killed hands over, and is a voter again once it is restarted" do
    nodes = start_mesh(3)
    bootstrap = for v <- nodes, do: {Member, v.node}
    options = [cluster_id: :group, bootstrap: bootstrap]
    for node <- nodes, do: supervise(node, [call(node, Member, :child_spec, [options])])
    leader = await_leader(nodes)
    {:ok, token} = ask(leader, :token)

    kill_process(leader, Member)
    next = await_leader(nodes)
    {:ok, later} = ask(next, :token)
    assert later > token
    assert Enum.sort(ask(leader, :voters)) == nodes |> Enum.map(& &1.node) |> Enum.sort()
    eventually(fn -> ask(next, :inspect).missing_voters == [] end)

    # Its vote counts: with another member gone, two of three still have a leader.
    [third | _] = nodes -- [leader, next]
    stop(third)
    eventually(fn -> await_leader([leader, next]) in [leader, next] end)
  end

  test "groups on the same nodes do not touch each other" do
    nodes = start_group(2)

    for node <- nodes do
      options = [cluster_id: "other", bootstrap: Enum.map(nodes, & &1.node)]
      {:ok, _} = start_in(node, :muster_leader, :start_link, [:other, Member, options, []])
    end

    leader = await_leader(nodes)
    other = fn node, what -> call(node, :muster_leader, what, [:other]) end
    eventually(fn -> Enum.count(nodes, &other.(&1, :is_leader)) == 1 end)
    for node <- nodes, do: :ok = call(node, GenServer, :stop, [:other])
    assert ask(leader, :is_leader)
    assert Enum.count(calls(leader), &(&1 == :leader)) == 1
    for node <- nodes, do: assert(ask(node, :peer_count) == 1)
  end

  test "a node that is not declared takes part without a vote" do
    [guest | voters] = start_mesh(4)
    for node <- voters, do: start_member(node, voters)
    leader = await_leader(voters)
    start_member(guest, voters, observer: true)
    assert await_leader([guest | voters]) == leader
    assert Enum.map(ask(guest, :observers), &node/1) == [guest.node]
    eventually(fn -> Enum.map(ask(leader, :observers), &node/1) == [guest.node] end)
    :ok = ask(leader, :broadcast, [:news])
    eventually(fn -> {:message, leader.node, :news} in calls(guest) end)
    refute ask(guest, :is_leader)
  end

  test "a leader whose BEAM is stopped loses the leadership to the others" do
    nodes = start_group(3)
    leader = await_leader(nodes)
    signal(leader.os_pid, :stop)
    next = await_leader_known_to(nodes -- [leader])
    assert next != leader
    signal(leader.os_pid, :cont)
    assert await_leader(nodes) == next
    eventually(fn -> {:follower, next.node} in calls(leader) end)
  end

  test "a C node that is killed: the group is started again, the lost leadership is told" do
    nodes = start_group(3)
    leader = await_leader(nodes)
    signal(cnode_os_pid(leader), :kill)
    eventually(fn -> {:follower, nil} in calls(leader) end)
    await_leader(nodes)
    assert Enum.count(nodes, &ask(&1, :is_leader)) == 1
  end

  test "with a data directory terms go on, and a node that joins becomes a voter" do
    dir = Path.join(System.tmp_dir!(), unique_name("muster_leader"))
    on_exit(fn -> File.rm_rf!(dir) end)
    [newcomer | voters] = nodes = start_mesh(3)

    for node <- nodes do
      own = Path.join(dir, Atom.to_string(node.node))
      File.mkdir_p!(own)
      start_member(node, voters, data_dir: own)
    end

    leader = await_leader(voters)
    :ok = ask(leader, :join, [{Member, newcomer.node}])
    eventually(fn -> newcomer.node in ask(leader, :voters) end)
    eventually(fn -> newcomer.node in ask(newcomer, :voters) end)
    [other] = voters -- [leader]
    eventually(fn -> ask(leader, :leave, [other.node]) == :ok end)
    eventually(fn -> other.node not in ask(leader, :voters) end)
  end

  test "a BEAM that gets its name later: the only voter leads before and after" do
    node = start_node(named: false, monitor: nil)
    {:ok, _} = start_in(node, Member, :start_link, [[cluster_id: :group]])
    {:ok, _} = start_in(node, :muster_topology, :start_link, [[]])
    assert ask(node, :is_leader)
    assert topology(node, :get_commander) == {:ok, :nonode@nohost}
    {:ok, {term, _}} = ask(node, :token)

    name = :"#{unique_name("late")}@127.0.0.1"
    {:ok, _} = call(node, :net_kernel, :start, [[name, :longnames]])
    eventually(fn -> ask(node, :inspect)[:leader_node] == name and ask(node, :is_leader) end)
    {:ok, {later, _}} = ask(node, :token)
    assert later >= term
    assert ask(node, :voters) == [name]
    assert [:leader, {:follower, nil}, :leader] = calls(node) |> Enum.reject(&is_term/1)
    eventually(fn -> topology(node, :get_commander) == {:ok, name} end)
    assert topology(node, :list_nodes) == [{name, :commander}]
  end

  defp is_term(call), do: match?({:term, _, _}, call)

  defp await_leader_known_to(nodes), do: await_leader(nodes, 5_000)
end
