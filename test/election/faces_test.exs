defmodule Muster.Election.FacesTest do
  # In a VM without distribution: single-node mode.
  use ExUnit.Case
  alias Muster.Test.Cluster

  doctest Muster.Leader
  doctest Raxol.Swarm.Topology

  defmodule Scheduler do
    use Muster.Leader, restart: :transient

    @impl true
    def init(nodes) do
      options = [cluster_id: :scheduler, bootstrap: for(n <- nodes, do: {Scheduler, n})]
      {:ok, options, %{working: false, leaders: [], messages: []}}
    end

    @impl true
    def handle_become_leader(state), do: {:ok, %{state | working: true}}

    @impl true
    def handle_become_follower(leader, state),
      do: {:ok, %{state | working: false, leaders: [leader | state.leaders]}}

    @impl true
    def handle_message(from, message, state),
      do: {:ok, %{state | messages: [{from, message} | state.messages]}}

    @impl true
    def handle_call(:working?, _from, state), do: {:reply, state.working, state}
    def handle_call(:state, _from, state), do: {:reply, state, state}

    def handle_call(:ask_inside, _from, state) do
      inside = {Muster.Leader.is_leader(self()), Muster.Leader.leader(self()) == self()}
      {:reply, inside, state}
    end
  end

  test "the moduledoc's example" do
    children = [{Scheduler, []}]
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    assert Muster.Leader.is_leader(Scheduler)
    assert Muster.Leader.call(Scheduler, :working?)
    assert Muster.Leader.call(Scheduler, :ask_inside) == {true, true}
    assert {:ok, {term, _}} = Muster.Leader.token(Scheduler)
    assert term == Muster.Leader.term(Scheduler)
    send(Scheduler, :plain)
    :ok = Muster.Leader.send(Scheduler, :sent)
    pid = Process.whereis(Scheduler)
    :ok = Muster.Leader.send(Scheduler, pid, :from_itself)

    assert [{^pid, :from_itself}, {nil, :sent}, {nil, :plain}] =
             Muster.Leader.call(Scheduler, :state).messages

    assert %{reason: "", is_leader: true, cluster: "scheduler", missing: 0} =
             Muster.Leader.inspect(Scheduler)

    assert %{restart: :transient, id: Scheduler} = Scheduler.child_spec([])
    :ok = Supervisor.stop(supervisor)
  end

  test "a voter among others without a name has no leader, and says why" do
    {:ok, _} = Scheduler.start_link([:n1@h, :n2@h, :n3@h])
    refute Muster.Leader.is_leader(Scheduler)
    assert Muster.Leader.leader(Scheduler) == nil
    assert Muster.Leader.token(Scheduler) == {:error, :not_leader}
    assert Muster.Leader.transfer(Scheduler, :n2@h) == {:error, :not_leader}
    inspection = Muster.Leader.inspect(Scheduler)
    assert %{reason: reason, missing: 2, quorum: 2, leader: nil, leader_node: nil} = inspection
    assert reason =~ "no name"
    assert Muster.Leader.call(Scheduler, :state).leaders == []
  end

  test "topology: the documented section, on one node" do
    {:ok, _} = Raxol.Swarm.Topology.start_link(quorum_size: 1)
    :ok = Raxol.Swarm.Topology.node_joined(:app@host2)
    role = Raxol.Swarm.Topology.get_role()
    {:ok, commander} = Raxol.Swarm.Topology.get_commander()
    nodes = Raxol.Swarm.Topology.list_nodes()
    count = Raxol.Swarm.Topology.node_count()
    :ok = Raxol.Swarm.Topology.promote(:app@host2, :wingmate)
    assert role == :commander
    assert commander == node()
    assert nodes == [{:app@host2, :wingmate}, {node(), :commander}]
    assert count == 2
  end

  test "topology: events, with nil for nobody" do
    {:ok, _} = Raxol.Swarm.Topology.start_link(name: :events, node_id: :self@host)
    :ok = Raxol.Swarm.Topology.subscribe(:events)
    :ok = Raxol.Swarm.Topology.node_joined(:events, :wing@host)
    assert_receive {:swarm_event, {:role_changed, :wing@host, :wingmate}}
    :ok = Raxol.Swarm.Topology.request_role(:events, :relay)
    assert_receive {:swarm_event, {:role_changed, :self@host, :relay}}
    assert_receive {:swarm_event, {:commander_changed, :self@host, nil}}
    assert Raxol.Swarm.Topology.get_role(:events) == :relay
    :ok = Raxol.Swarm.Topology.promote(:events, :wing@host, :commander)
    assert_receive {:swarm_event, {:commander_changed, nil, :wing@host}}
    {:ok, :wing@host, token} = Raxol.Swarm.Topology.get_command(:events)
    :ok = Raxol.Swarm.Topology.node_left(:events, :wing@host)
    assert_receive {:swarm_event, {:role_changed, :wing@host, nil}}
    assert_receive {:swarm_event, {:commander_changed, :wing@host, nil}}
    :ok = Raxol.Swarm.Topology.request_role(:events, :wingmate)
    assert_receive {:swarm_event, {:commander_changed, nil, :self@host}}
    {:ok, :self@host, later} = Raxol.Swarm.Topology.get_command(:events)
    assert later > token
    :ok = Raxol.Swarm.Topology.unsubscribe(:events)
  end

  test "topology: it subscribes to the node monitor by itself, also to one that comes later" do
    {:ok, _} =
      Raxol.Swarm.Topology.start_link(name: :watcher, node_id: :self@host, node_monitor: :later)

    {:ok, _} = Raxol.Swarm.NodeMonitor.start_link(name: :later)

    # Until it has found the monitor, it misses what happens.
    Cluster.eventually(fn ->
      for kind <- [:nodedown, :nodeup], do: send(:later, {kind, :wing@host})
      [:wing@host] = Raxol.Swarm.NodeMonitor.list_healthy(:later)
      Raxol.Swarm.Topology.node_count(:watcher) == 2
    end)

    :ok = Raxol.Swarm.Topology.promote(:watcher, :wing@host, :commander)
    send(:later, {:nodedown, :wing@host})

    Cluster.eventually(fn ->
      Raxol.Swarm.Topology.get_commander(:watcher) == {:ok, :self@host}
    end)
  end
end
