defmodule Muster.Swarm.SupervisorTest do
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.{Keeper, Script}
  alias Raxol.Swarm

  doctest Raxol.Swarm.Supervisor

  @moduletag timeout: 300_000
  @members [
    Swarm.Discovery,
    Swarm.NodeMonitor,
    Swarm.CommsManager,
    Swarm.Topology,
    Swarm.TacticalOverlay
  ]

  # In the order in which they were started.
  defp children(supervisor),
    do: for({id, _, _, _} <- Supervisor.which_children(supervisor), do: id) |> Enum.reverse()

  describe "in single-node mode" do
    test "all start in order; discovery is left out unless it has options" do
      {:ok, supervisor} = Swarm.Supervisor.start_link()
      assert children(supervisor) == @members -- [Swarm.Discovery]
      assert Process.whereis(Swarm.Supervisor) == supervisor
      assert Swarm.Topology.get_role() == :commander
      Supervisor.stop(supervisor)

      {:ok, supervisor} = Swarm.Supervisor.start_link(discovery: [strategy: :gossip])
      assert children(supervisor) == @members
      Supervisor.stop(supervisor)

      {:ok, supervisor} = Swarm.Supervisor.start_link(discovery: nil, node_monitor: nil)
      assert children(supervisor) == @members -- [Swarm.Discovery]
      Supervisor.stop(supervisor)
    end

    test "false leaves one out" do
      for member <- [:node_monitor, :comms_manager, :topology, :tactical_overlay] do
        {:ok, supervisor} = Swarm.Supervisor.start_link([{member, false}])
        assert length(children(supervisor)) == 3
        Supervisor.stop(supervisor)
      end

      none =
        for member <- [:node_monitor, :comms_manager, :topology, :tactical_overlay],
            do: {member, false}

      {:ok, supervisor} = Swarm.Supervisor.start_link(none)
      assert children(supervisor) == []
      Supervisor.stop(supervisor)
    end

    test "under other names, beside another" do
      names = [
        node_monitor: [name: :nm, ping_interval_ms: 60_000],
        comms_manager: [name: :cm, flush_interval_ms: 60_000],
        topology: [name: :tp, node_id: :test@host],
        tactical_overlay: [name: :ov, node_id: :test@host]
      ]

      start_supervised!({Swarm.Supervisor, []})
      start_supervised!({Swarm.Supervisor, [name: :other] ++ names})
      assert children(:other) == children(Swarm.Supervisor)
      for name <- [:nm, :cm, :tp, :ov], do: assert(Process.whereis(name))
    end

    test "the Erlang face" do
      {:ok, supervisor} = :muster_swarm.start_link(%{topology: %{quorum_size: 2}})

      assert children(supervisor) ==
               [:muster_node_monitor, :muster_comms, :muster_topology, :muster_overlay]

      assert :muster_topology.get_commander() == {:error, :no_commander}
      Supervisor.stop(supervisor)
    end

    test "wrong options" do
      assert {:error, {:invalid_option, :comms, [], _}} = Swarm.Supervisor.start_link(comms: [])

      assert {:error, {:invalid_option, :topology, true, "the member's options, or false"}} =
               Swarm.Supervisor.start_link(topology: true)

      assert {:error, {:invalid_option, :name, nil, _}} = Swarm.Supervisor.start_link(name: nil)
      Process.flag(:trap_exit, true)

      assert {:error, {:shutdown, {:failed_to_start_child, Swarm.CommsManager, invalid}}} =
               Swarm.Supervisor.start_link(comms_manager: [hold_ms: -1])

      assert {:invalid_option, :hold_ms, -1, _} = invalid
    end

    test "every member by itself under a supervisor of the user's, in any order" do
      for order <- [@members, Enum.reverse(@members)] do
        children = for module <- order, do: {module, []}
        {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
        assert children(supervisor) == order
        assert Swarm.CommsManager.send_msg(node(), :hello) == :ok
        Supervisor.stop(supervisor)
      end

      erlang = [
        :muster_discovery,
        :muster_node_monitor,
        :muster_comms,
        :muster_topology,
        :muster_overlay
      ]

      children = for module <- erlang, do: module.child_spec([])
      {:ok, supervisor} = :supervisor.start_link(Keeper, children)
      assert children(supervisor) == erlang
      Supervisor.stop(supervisor)

      start_supervised!({Swarm.Supervisor, topology: false})
      # The default overlay is the same one under either name: a node runs it once.
      erlangs = %{name: :erlangs, topology: false, tactical_overlay: [name: :another]}
      start_supervised!(:muster_swarm.child_spec(erlangs))
      assert Process.whereis(:erlangs)
    end
  end

  test "two nodes: each member is killed, and everything recovers" do
    [a, b] = nodes = for _ <- 1..2, do: start_node(monitor: nil)

    for node <- nodes do
      Script.start(node)

      # Other names than the defaults: the members are told each other's.
      {:ok, _} =
        start_in(node, Swarm.Supervisor, :start_link, [
          [
            discovery: [strategy: :epmd, hosts: Enum.map(nodes, & &1.node)],
            node_monitor: [name: :monitor, ping_interval_ms: 20],
            comms_manager: [name: :comms, poll_interval_ms: 20],
            topology: [name: :topology, quorum_size: 2],
            tactical_overlay: [name: :overlay, sync_interval_ms: 50]
          ]
        ])
    end

    works(a, b, 0)

    for {member, n} <- Enum.with_index(@members, 1) do
      before = pids(a)
      call(a, Process, :exit, [before[member], :kill])
      eventually(fn -> is_pid(pids(a)[member]) and pids(a)[member] != before[member] end)
      # That one alone.
      assert Map.delete(pids(a), member) == Map.delete(before, member)
      works(a, b, n)
    end
  end

  defp pids(node) do
    for {id, pid, _, _} <- call(node, Supervisor, :which_children, [Swarm.Supervisor]),
        into: %{},
        do: {id, pid}
  end

  defp works(a, b, n) do
    eventually(fn -> call(a, :erlang, :nodes, []) == [b.node] end)

    # Measured, by the monitor of that name: else it were only :good.
    eventually(
      fn ->
        call(a, Swarm.CommsManager, :get_link_quality, [:comms, b.node]) == :excellent
      end,
      60_000
    )

    eventually(fn ->
      match?({:ok, _}, call(a, Swarm.Topology, :get_commander, [:topology])) and
        call(a, Swarm.Topology, :get_commander, [:topology]) ==
          call(b, Swarm.Topology, :get_commander, [:topology])
    end)

    for {from, to} <- [{a, b}, {b, a}] do
      :ok = Script.eval(to, "Raxol.Swarm.CommsManager.subscribe(:comms)")
      :ok = call(from, Swarm.CommsManager, :send_msg, [:comms, to.node, n, :low])
      eventually(fn -> {:swarm_msg, n} in Script.messages(to) end)
    end

    for {from, to} <- [{a, b}, {b, a}] do
      id = :"#{from.node}_#{n}"
      :ok = call(from, Swarm.TacticalOverlay, :update_entity, [:overlay, id, %{n: n}])

      eventually(fn ->
        id in for(e <- call(to, Swarm.TacticalOverlay, :get_all_entities, [:overlay]), do: e.id)
      end)
    end
  end
end
