defmodule Muster.Overlay.CommsManagerTest do
  # An overlay whose messages a comms manager carries, on real nodes.
  use ExUnit.Case
  import Muster.Test.Cluster

  @moduletag timeout: 120_000
  @options [
    sync_interval_ms: 50,
    anti_entropy_interval_ms: 500,
    comms_manager: :muster_comms
  ]

  setup do
    [a, b] = nodes = for _ <- 1..2, do: start_node()

    for node <- nodes,
        do: {:ok, _} = start_in(node, :muster_comms, :start_link, [[hold_ms: :infinity]])

    connect(a, b)
    for node <- nodes, do: {:ok, _} = start_in(node, :muster_overlay, :start_link, [@options])
    %{a: a, b: b}
  end

  test "a poor link is kept in sync, and a fresh node loads over it", %{a: a, b: b} do
    for {x, y} <- [{a, b}, {b, a}], do: :ok = call(x, :muster_comms, :update_link, [y.node, 500])
    assert call(a, :muster_comms, :get_link_quality, [b.node]) == :poor
    big = String.duplicate("x", 2_000)
    for i <- 1..3_000, do: overlay(a, :update_entity, [i, %{text: big}])
    overlay(b, :add_waypoint, [%{id: 1}])
    assert overlay(b, :await_sync, [:muster_overlay, 30_000]) == :ok
    await_equal([a, b])

    for {x, y} <- [{a, b}, {b, a}] do
      assert %{sent_messages: n, sent_bytes: _} = overlay(x, :status).peers[y.node]
      assert n > 0
      assert call(x, :muster_comms, :stats, [])[y.node].normal.sent == 0
    end
  end

  test "a manager that hangs, ends or is not there yet holds up nobody", %{a: a, b: b} do
    overlay(a, :update_entity, [:u, %{n: 0}])
    await_equal([a, b])
    :ok = call(a, :sys, :suspend, [:muster_comms])

    # The server answers, however long that takes; what the manager is asked for is bounded.
    for i <- 1..200 do
      overlay(a, :update_entity, [:u, %{n: i}])
      overlay(b, :update_entity, [:v, %{n: i}])
    end

    eventually(fn -> overlay(a, :status).peers[b.node].lost_messages > 10 end)
    manager = call(a, :erlang, :whereis, [:muster_comms])
    {:message_queue_len, waiting} = call(a, :erlang, :process_info, [manager, :message_queue_len])
    assert waiting < 40
    assert {:ok, %{n: 200}} = overlay(a, :get_entity, [:u])
    assert {:error, {:timeout, [_]}} = overlay(a, :await_sync, [:muster_overlay, 100])

    :ok = call(a, :sys, :resume, [:muster_comms])
    await_equal([a, b])

    call(a, Process, :exit, [manager, :kill])
    eventually(fn -> call(a, :erlang, :whereis, [:muster_comms]) == :undefined end)
    overlay(a, :update_entity, [:u, %{n: :later}])
    assert {:error, {:timeout, [_]}} = overlay(a, :await_sync, [:muster_overlay, 100])
    {:ok, _} = start_in(a, :muster_comms, :start_link, [[]])
    await_equal([a, b])
    assert {:ok, %{n: :later}} = overlay(b, :get_entity, [:u])
  end

  test "a manager that hangs while a peer loads", %{a: a, b: b} do
    :ok = call(a, :sys, :suspend, [:muster_comms])
    for i <- 1..3_000, do: overlay(a, :add_waypoint, [%{id: i}])
    eventually(fn -> overlay(b, :status).peers[a.node].sent_messages > 0 end)
    assert %{waypoints: 3_000} = overlay(a, :status)
    :ok = call(a, :sys, :resume, [:muster_comms])
    await_equal([a, b])
  end

  defp overlay(node, function, args \\ []), do: call(node, :muster_overlay, function, args)

  defp await_equal([a, b]) do
    eventually(
      fn ->
        overlay(a, :export_state) == overlay(b, :export_state) and
          overlay(a, :status).peers[b.node].in_sync and
          overlay(b, :status).peers[a.node].in_sync
      end,
      40_000
    )
  end
end
