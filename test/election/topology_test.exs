defmodule Muster.Election.TopologyTest do
  # The commander of real nodes with their C nodes.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Election
  alias Muster.Test.Keeper

  @moduletag timeout: 120_000

  test "a node alone commands" do
    node = start_node(monitor: nil)
    start_topology(node)
    assert await_commander([node], 2_000) == node
    assert topology(node, :get_role) == :commander
    assert topology(node, :list_nodes) == [{node.node, :commander}]
    {:ok, _, {term, _}} = topology(node, :get_command)
    assert term > 0
  end

  test "who asks right after the start waits for the first commander, but not for ever" do
    [a, b] = for _ <- 1..2, do: start_node(monitor: nil)
    eventually(fn -> match?({:ok, _}, call(a, :muster, :info, [])) end)
    start_topology(a)
    assert topology(a, :get_commander) == {:ok, a.node}
    start_topology(b, quorum_size: 2)
    assert topology(b, :promote, [b.node, :relay]) == {:error, :no_commander}
    assert topology(b, :get_commander) == {:error, :no_commander}
  end

  test "three nodes give the same answers; promotion; the commander's end" do
    nodes = start_mesh(3)
    for node <- nodes, do: start_topology(node, quorum_size: 2)
    commander = await_commander(nodes)

    for node <- nodes do
      role = if node == commander, do: :commander, else: :wingmate
      assert topology(node, :get_role) == role
      assert topology(node, :node_count) == 3
    end

    [b, c] = nodes -- [commander]

    for node <- nodes,
        do: call(node, Keeper, :collect_from, [:muster_topology, [], :swarm_event, :topo_events])

    :ok = topology(b, :promote, [c.node, :relay])
    assert topology(b, :get_role, [:muster_topology, c.node]) == {:ok, :relay}
    assert topology(b, :promote, [:ghost@nowhere, :relay]) == {:error, :unknown_node}

    for node <- nodes do
      eventually(fn ->
        {:role_changed, c.node, :relay} in call(node, Keeper, :events, [:topo_events])
      end)
    end

    :ok = topology(c, :request_role, [:wingmate])
    :ok = topology(c, :promote, [b.node, :commander])
    eventually(fn -> await_commander(nodes) == b end)
    {:ok, _, token} = topology(c, :get_command)

    stop(b)

    eventually(fn ->
      match?({:ok, n} when n != b.node, topology(c, :get_commander)) and
        topology(c, :get_commander) == topology(commander, :get_commander)
    end)

    {:ok, next, later} = topology(c, :get_command)
    assert later > token

    eventually(fn ->
      changes =
        for {:commander_changed, _, to} <- call(c, Keeper, :events, [:topo_events]), do: to

      List.last(changes) == next
    end)

    # One more, and there is no quorum.
    survivor = Enum.find([c, commander], &(&1.node == next))
    [other] = [c, commander] -- [survivor]
    stop(other)
    eventually(fn -> topology(survivor, :get_commander) == {:error, :no_commander} end)
  end

  test "who has commanded only itself leaves a cluster's commander and roles alone" do
    nodes = [_, b, c] = start_mesh(3)
    for node <- nodes, do: start_topology(node)
    await_commander(nodes)
    # A pin, so that no seniority moves the command meanwhile.
    :ok = topology(b, :promote, [b.node, :commander])
    eventually(fn -> await_commander(nodes) == b end)
    :ok = topology(b, :promote, [c.node, :relay])

    newcomer = start_node(monitor: nil)
    start_topology(newcomer)
    assert await_commander([newcomer]) == newcomer
    call(c, Keeper, :collect_from, [:muster_topology, [], :swarm_event, :meeting])
    for node <- nodes, do: connect(newcomer, node)
    assert await_commander([newcomer | nodes]) == b
    assert topology(newcomer, :get_role, [:muster_topology, c.node]) == {:ok, :relay}
    events = call(c, Keeper, :events, [:meeting])

    refute Enum.any?(
             events,
             &match?({:commander_changed, _, node} when node == newcomer.node, &1)
           )

    refute {:role_changed, c.node, :wingmate} in events
  end

  test "the documented section on two nodes, an injected one, and the Elixir face" do
    [a, b] = start_mesh(2)
    elixir = fn node, what, args -> call(node, Raxol.Swarm.Topology, what, args) end
    {:ok, _} = start_in(a, Raxol.Swarm.Topology, :start_link, [[quorum_size: 2]])

    assert elixir.(a, :get_commander, []) == {:error, :no_commander}
    # The other member is Erlang's: the same topology.
    start_topology(b, quorum_size: 2)
    eventually(fn -> match?({:ok, _}, elixir.(a, :get_commander, [])) end)
    {:ok, commander} = elixir.(a, :get_commander, [])
    eventually(fn -> topology(b, :get_commander) == {:ok, commander} end)
    assert elixir.(a, :get_role, []) in [:commander, :wingmate]

    :ok = elixir.(a, :node_joined, [:app@host2])
    eventually(fn -> elixir.(a, :node_count, []) == 3 end)
    eventually(fn -> topology(b, :node_count) == 3 end)
    :ok = elixir.(a, :promote, [:app@host2, :wingmate])
    :ok = topology(b, :promote, [:app@host2, :commander])
    eventually(fn -> elixir.(a, :get_commander, []) == {:ok, :app@host2} end)
    eventually(fn -> topology(b, :get_commander) == {:ok, :app@host2} end)
    :ok = elixir.(a, :node_left, [:app@host2])
    eventually(fn -> elixir.(a, :node_count, []) == 2 end)
    eventually(fn -> match?({:ok, n} when n != :app@host2, topology(b, :get_commander)) end)
  end

  test "eight nodes started at once have one commander, the oldest in the end" do
    nodes = start_mesh(8)
    for node <- nodes, do: start_topology(node, quorum_size: 5)
    await_commander(nodes)

    # They were started one after the other, some within the second that counts as the same age.
    ages =
      for node <- nodes do
        started = call(node, :erlang, :system_info, [:start_time])
        now = call(node, :erlang, :monotonic_time, [])
        {call(node, :erlang, :convert_time_unit, [now - started, :native, :millisecond]), node}
      end

    {oldest, _} = Enum.max_by(ages, &elem(&1, 0))
    senior = for {age, node} <- ages, age > oldest - 1_500, do: node
    eventually(fn -> await_commander(nodes) in senior end, 60_000)
  end

  test "a topology that crashes comes back as what it was; one that ends in order has left" do
    senior = start_node(monitor: nil)

    # Older by more than the second that counts as the same age.
    eventually(fn ->
      {since_start, _} = call(senior, :erlang, :statistics, [:wall_clock])
      since_start > 1_500
    end)

    [b, c] = start_mesh(2)
    nodes = [senior, b, c]
    for node <- [b, c], do: connect(senior, node)
    child = call(c, :muster_topology, :child_spec, [[quorum_size: 2]])
    [_, _, supervisor] = for node <- nodes, do: supervise(node, [child])
    eventually(fn -> await_commander(nodes) == senior end)
    :ok = topology(b, :promote, [c.node, :relay])

    kill_process(c, :muster_topology)
    eventually(fn -> topology(c, :get_role) == :relay end)
    eventually(fn -> topology(b, :list_nodes) == topology(c, :list_nodes) end)
    assert topology(b, :get_role, [:muster_topology, c.node]) == {:ok, :relay}
    assert topology(b, :node_count) == 3

    # The others follow at once, and give the command back.
    {:ok, _, before} = topology(b, :get_command)
    kill_process(senior, :muster_topology)
    eventually(fn -> match?({:ok, _, token} when token > before, topology(b, :get_command)) end)
    eventually(fn -> await_commander(nodes) == senior end)

    # Ended in order it has left for good, so that it begins anew.
    :ok = call(c, :supervisor, :terminate_child, [supervisor, :muster_topology])
    eventually(fn -> topology(b, :node_count) == 2 end)
    {:ok, _} = call(c, :supervisor, :restart_child, [supervisor, :muster_topology])
    eventually(fn -> {c.node, :wingmate} in topology(b, :list_nodes) end)
  end

  test "a member that is stopped holds nobody up" do
    [a, b] = start_mesh(2)
    for node <- [a, b], do: start_topology(node)
    await_commander([a, b])
    signal(b.os_pid, :stop)
    call(a, Muster.Test.Election, :fill, [b.node])

    # Its member on the other node would be told of the new C node.
    os_pid = cnode_os_pid(a)
    signal(os_pid, :kill)
    restarted? = &match?({:ok, %{os_pid: new}} when new != os_pid, &1)
    eventually(fn -> restarted?.(call(a, :muster, :info, [])) end)
    eventually(fn -> match?({:ok, _}, topology(a, :get_commander)) end)
    signal(b.os_pid, :cont)
    await_commander([a, b])
  end

  test "a node without a C node asks one that has" do
    [a, b] = start_mesh(2)
    c = start_node(monitor: nil, app_env: [cnode: :disabled])
    for node <- [a, b], do: start_topology(node, quorum_size: 2)
    commander = await_commander([a, b])
    start_topology(c, quorum_size: 2)
    assert topology(c, :get_commander) == {:error, :no_commander}
    for node <- [a, b], do: connect(c, node)
    eventually(fn -> topology(c, :get_commander) == {:ok, commander.node} end)
    eventually(fn -> {c.node, :wingmate} in topology(a, :list_nodes) end)
    :ok = topology(c, :request_role, [:observer])
    eventually(fn -> {c.node, :observer} in topology(b, :list_nodes) end)
    assert topology(c, :get_role) == :observer
    stop(c)
    eventually(fn -> topology(a, :node_count) == 2 end)
  end
end
