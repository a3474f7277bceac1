defmodule Muster.Cluster.CnodeCrashTest do
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.Keeper

  @quick [ping_interval_ms: 50, suspect_after_ms: 1_500, down_after_ms: 60_000]
  @limit 600
  # Beyond what is promised, for a machine that is busy with other tests.
  @slack 500

  setup do
    a = start_node(monitor: @quick, app_env: [heartbeat_ms: 100, heartbeat_limit: @limit])
    b = start_node(muster: false)
    call(a, Keeper, :collect, [:muster_node_monitor, :collector])
    connect(a, b)
    await_health(a, b, status: :healthy, connection: :connected)
    {:ok, a: a, b: b}
  end

  defp await_samples(a, b) do
    eventually(fn ->
      match?({:ok, %{connection: :connected, rtt_history: [_ | _]}}, health(a, b))
    end)
  end

  defp await_new_cnode(a, old) do
    eventually(fn ->
      case call(a, :muster, :info, []) do
        {:ok, %{os_pid: new}} when new != old -> {:found, new}
        other -> other
      end
    end)
  end

  defp assert_only_node_up(a, b),
    do: assert(call(a, Keeper, :events, [:collector]) == [node_up: b.node])

  test "a killed C node is back within 1 s, and nobody heard of it", %{a: a, b: b} do
    old = cnode_os_pid(a)
    killed = now()
    signal(old, :kill)
    await_new_cnode(a, old)
    await_samples(a, b)
    assert now() - killed < 1_000 + @slack
    assert_only_node_up(a, b)

    # Still subscribed.
    signal(b.os_pid, :stop)
    await_health(a, b, status: :suspect)
    signal(b.os_pid, :cont)
    await_health(a, b, status: :healthy)
    node = b.node

    assert call(a, Keeper, :events, [:collector]) == [
             {:node_up, node},
             {:status_change, node, :healthy, :suspect},
             {:status_change, node, :suspect, :healthy}
           ]
  end

  test "a stopped C node is replaced within the heartbeat limit + 1 s", %{a: a, b: b} do
    old = cnode_os_pid(a)
    stopped = now()
    signal(old, :stop)
    await_new_cnode(a, old)
    await_samples(a, b)
    assert now() - stopped < @limit + 1_000 + @slack
    refute alive?(old)
    assert_only_node_up(a, b)
  end

  test "a C node killed again and again", %{a: a, b: b} do
    for _ <- 1..4 do
      old = cnode_os_pid(a)
      signal(old, :kill)
      await_new_cnode(a, old)
    end

    await_samples(a, b)
    assert_only_node_up(a, b)
  end

  test "a node that is suspect stays so over a C node's crash", %{a: a, b: b} do
    signal(b.os_pid, :stop)
    await_health(a, b, status: :suspect)
    old = cnode_os_pid(a)
    signal(old, :kill)
    await_new_cnode(a, old)
    assert {:ok, %{status: :suspect}} = health(a, b)
    signal(b.os_pid, :cont)
    await_health(a, b, status: :healthy)
    node = b.node

    assert call(a, Keeper, :events, [:collector]) == [
             {:node_up, node},
             {:status_change, node, :healthy, :suspect},
             {:status_change, node, :suspect, :healthy}
           ]
  end

  test "a node that leaves while the C node is away is told once", %{a: a, b: b} do
    old = cnode_os_pid(a)
    signal(old, :stop)
    signal(b.os_pid, :kill)
    await_health(a, b, status: :down)
    await_new_cnode(a, old)
    assert {:ok, %{status: :down}} = health(a, b)
    assert call(a, Keeper, :events, [:collector]) == [node_up: b.node, node_down: b.node]
  end

  test "the server of the C node crashes", %{a: a, b: b} do
    old = cnode_os_pid(a)
    true = call(a, Process, :exit, [call(a, Process, :whereis, [:muster_cnode]), :kill])
    await_new_cnode(a, old)
    await_samples(a, b)
    eventually(fn -> not alive?(old) end)
    assert_only_node_up(a, b)
  end

  test "a BEAM that was suspended keeps its C node", %{a: a, b: b} do
    c = cnode_os_pid(a)
    signal(a.os_pid, :stop)
    Process.sleep(3 * @limit)
    signal(a.os_pid, :cont)
    await_samples(a, b)
    assert cnode_os_pid(a) == c
    assert_only_node_up(a, b)
  end

  test "a machine that was suspended accuses nobody", %{a: a, b: b} do
    c = cnode_os_pid(a)
    for os_pid <- [a.os_pid, c], do: signal(os_pid, :stop)
    Process.sleep(@quick[:suspect_after_ms] + 2 * @limit)
    for os_pid <- [c, a.os_pid], do: signal(os_pid, :cont)
    await_samples(a, b)
    assert cnode_os_pid(a) == c
    assert_only_node_up(a, b)
  end
end
