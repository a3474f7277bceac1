defmodule Raxol.Swarm.NodeMonitorTest do
  # The Elixir face in a VM without distribution; real clusters are in test/cluster.
  use ExUnit.Case

  alias Raxol.Swarm.NodeMonitor

  doctest NodeMonitor

  defp start(opts) do
    start_supervised!({NodeMonitor, opts})
  end

  test "without distribution everything is empty, nothing fails" do
    start([])
    assert Node.self() == :nonode@nohost
    assert NodeMonitor.list_healthy() == []
    assert NodeMonitor.list_suspect() == []
    assert NodeMonitor.list_all() == []
    assert NodeMonitor.get_health(:nobody@nowhere) == {:error, :unknown}
    assert NodeMonitor.subscribe() == :ok
    assert NodeMonitor.unsubscribe() == :ok
  end

  test "events of nodes that come and go" do
    pid = start([])
    :ok = NodeMonitor.subscribe()
    send(pid, {:nodeup, :test@host})
    assert_receive {:swarm_event, {:node_up, :test@host}}
    assert NodeMonitor.list_healthy() == [:test@host]
    assert {:ok, %{node: :test@host, status: :healthy}} = NodeMonitor.get_health(:test@host)
    send(pid, {:nodedown, :test@host})
    assert_receive {:swarm_event, {:node_down, :test@host}}
    assert [%{node: :test@host, status: :down}] = NodeMonitor.list_all()
  end

  test "several monitors, each function with the server first" do
    start([])
    pid = start(name: :another, ping_interval_ms: 60_000)
    send(pid, {:nodeup, :test@host})
    assert NodeMonitor.list_healthy(:another) == [:test@host]
    assert NodeMonitor.list_suspect(:another) == []
    assert [%{node: :test@host}] = NodeMonitor.list_all(pid)
    assert NodeMonitor.list_all() == []
    assert NodeMonitor.subscribe(:another) == :ok
    assert NodeMonitor.unsubscribe(:another) == :ok
  end

  test "a wrong option is named with its value and what is expected" do
    assert {:error, {:invalid_option, :down_after_ms, 10, "more than suspect_after_ms"}} =
             NodeMonitor.start_link(down_after_ms: 10)
  end
end
