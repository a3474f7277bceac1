defmodule Muster.Cluster.MonitorTest do
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.Keeper

  @quick [ping_interval_ms: 50, suspect_after_ms: 400, down_after_ms: 60_000]

  test "two nodes with muster see each other healthy, with RTTs as floats" do
    [a, b] = [start_node(monitor: @quick), start_node(monitor: @quick)]
    connect(a, b)

    for {one, other} <- [{a, b}, {b, a}] do
      health =
        eventually(fn ->
          case health(one, other) do
            {:ok, %{rtt_history: [_, _, _ | _]} = health} -> {:found, health}
            other -> other
          end
        end)

      assert %{status: :healthy, connection: :connected, node: node} = health
      assert node == other.node
      assert Enum.all?(health.rtt_history, &(is_float(&1) and &1 > 0.0 and &1 < 10_000.0))
      assert health.min_rtt_ms <= health.avg_rtt_ms and health.avg_rtt_ms <= health.max_rtt_ms
      assert_in_delta health.avg_rtt_ms, average(health.rtt_history), 0.001
      assert is_float(health.jitter_ms) and health.jitter_ms >= 0.0
      assert health.last_seen >= health.joined_at
      assert call(one, :muster_node_monitor, :list_healthy, []) == [other.node]
      assert [%{node: ^node, status: :healthy}] = call(one, :muster_node_monitor, :list_all, [])
    end
  end

  test "the history holds 60 samples, and a value below a millisecond is not 0" do
    [a, b] = [start_node(monitor: [ping_interval_ms: 10]), start_node(muster: false)]
    connect(a, b)

    health =
      eventually(fn ->
        {:ok, health} = health(a, b)
        length(health.rtt_history) >= 60 and {:found, health}
      end)

    assert length(health.rtt_history) == 60
    assert health.min_rtt_ms > 0.0
  end

  test "a node that has no muster is watched, and one that was there before the monitor" do
    [a, plain] = [start_node(monitor: nil), start_node(muster: false)]
    connect(a, plain)
    {:ok, _} = start_in(a, Raxol.Swarm.NodeMonitor, :start_link, [[]])

    eventually(fn ->
      match?(
        {:ok, %{rtt_history: [_ | _], connection: :connected}},
        call(a, Raxol.Swarm.NodeMonitor, :get_health, [plain.node])
      )
    end)
  end

  @tag :ipv6
  test "a cluster over IPv6" do
    [a, b] =
      for _ <- 1..2 do
        start_node(host: "::1", args: [~c"-proto_dist", ~c"inet6_tcp"], monitor: @quick)
      end

    connect(a, b)
    await_health(a, b, status: :healthy, connection: :connected)
    eventually(fn -> match?({:ok, %{rtt_history: [_ | _]}}, health(a, b)) end)
    assert call(b, :net_adm, :ping, [cnode(a)]) == :pong
  end

  test "a stopped node turns suspect and back, a killed one is down, each told once" do
    [a, b] = [start_node(monitor: @quick), start_node(muster: false)]
    node = b.node
    call(a, Keeper, :collect, [:muster_node_monitor, :collector])
    connect(a, b)
    await_health(a, b, status: :healthy, connection: :connected)

    signal(b.os_pid, :stop)
    await_health(a, b, status: :suspect)
    assert call(a, :muster_node_monitor, :list_suspect, []) == [node]
    assert call(a, :muster_node_monitor, :list_healthy, []) == []

    signal(b.os_pid, :cont)
    await_health(a, b, status: :healthy)

    signal(b.os_pid, :kill)
    await_health(a, b, status: :down)

    assert call(a, Keeper, :events, [:collector]) == [
             {:node_up, node},
             {:status_change, node, :healthy, :suspect},
             {:status_change, node, :suspect, :healthy},
             {:node_down, node}
           ]

    assert {:ok, %{rtt_history: [_ | _]}} = health(a, b)
  end

  test "a node that stays silent goes from suspect to down, and comes back" do
    monitor = [ping_interval_ms: 50, suspect_after_ms: 200, down_after_ms: 600]
    [a, b] = [start_node(monitor: monitor), start_node(muster: false)]
    node = b.node
    connect(a, b)
    await_health(a, b, status: :healthy, connection: :connected)
    call(a, Keeper, :collect, [:muster_node_monitor, :collector])

    signal(b.os_pid, :stop)
    %{last_seen: last_seen} = await_health(a, b, status: :down)
    assert call(a, :erlang, :monotonic_time, [:millisecond]) - last_seen >= 500
    # The BEAM still believes in it.
    assert call(a, :erlang, :nodes, []) == [node]

    signal(b.os_pid, :cont)
    await_health(a, b, status: :healthy)

    assert call(a, Keeper, :events, [:collector]) == [
             {:status_change, node, :healthy, :suspect},
             {:status_change, node, :suspect, :down},
             {:status_change, node, :down, :healthy}
           ]
  end

  test "a node that leaves and returns has a fresh record" do
    [a, b] = [start_node(monitor: @quick), start_node(muster: false)]
    connect(a, b)
    %{joined_at: joined} = await_health(a, b, status: :healthy, connection: :connected)
    call(a, Keeper, :collect, [:muster_node_monitor, :collector])

    true = call(a, :erlang, :disconnect_node, [b.node])
    await_health(a, b, status: :down)
    connect(a, b)
    health = await_health(a, b, status: :healthy, connection: :connected)
    assert health.joined_at > joined
    assert call(a, Keeper, :events, [:collector]) == [node_down: b.node, node_up: b.node]
  end

  test "monitors side by side have intervals and thresholds of their own" do
    a = start_node(monitor: @quick)
    slow = [name: :slow, ping_interval_ms: 1_000, suspect_after_ms: 30_000, down_after_ms: 60_000]
    {:ok, slow_pid} = start_in(a, :muster_node_monitor, :start_link, [slow])
    rare = [name: :rare, ping_interval_ms: 60_000]
    {:ok, _} = start_in(a, :muster_node_monitor, :start_link, [rare])
    b = start_node(muster: false)
    connect(a, b)
    await_health(a, b, status: :healthy, connection: :connected)

    for monitor <- [:slow, :rare],
        do: eventually(fn -> match?({:ok, %{connection: :connected}}, health(a, b, monitor)) end)

    signal(b.os_pid, :stop)
    await_health(a, b, status: :suspect)
    assert {:ok, %{status: :healthy}} = health(a, b, :slow)
    signal(b.os_pid, :cont)

    # What the C node holds for a monitor goes with it.
    monitors = fn ->
      {:ok, maps} = call(a, :muster_cnode, :call, [:monitor, :list, %{monitor: "slow"}])
      maps
    end

    assert [_] = monitors.()
    true = call(a, Process, :exit, [slow_pid, :kill])

    eventually(fn ->
      match?(
        {:error, _},
        call(a, :muster_cnode, :call, [:monitor, :list, %{monitor: "slow"}])
      )
    end)

    await_health(a, b, status: :healthy)
  end

  defp average(list), do: Enum.sum(list) / length(list)
end
