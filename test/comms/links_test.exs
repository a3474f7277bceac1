defmodule Muster.Comms.LinksTest do
  # Messages between real nodes: what arrives, what is dropped, and how good a link counts as.
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.Keeper

  @moduletag timeout: 120_000

  defp comms(node, what, args \\ []), do: call(node, :muster_comms, what, args)

  defp start_comms(node, options \\ []) do
    {:ok, pid} = start_in(node, :muster_comms, :start_link, [options])
    call(node, Keeper, :collect_from, [:muster_comms, [], :swarm_msg, :received])
    pid
  end

  defp pair(options \\ []) do
    [a, b] = nodes = for _ <- 1..2, do: start_node()
    for node <- nodes, do: start_comms(node, options)
    connect(a, b)
    nodes
  end

  defp received(node), do: call(node, Keeper, :events, [:received])

  test "delivery, by default as normal, to the subscribers and to a named process" do
    [a, b] = pair()
    :ok = comms(a, :send_msg, [b.node, 1])
    :ok = comms(a, :send_msg, [b.node, 2, :low])
    :ok = comms(a, :send_msg, [:muster_comms, b.node, 3, :critical])
    :ok = comms(a, :send_msg, [a.node, :to_itself])
    eventually(fn -> received(b) == [1, 2, 3] end)
    eventually(fn -> received(a) == [:to_itself] end)

    # As it is, to any process: the collector takes what has this tag.
    :ok = comms(a, :route, [:muster_comms, {:received, b.node}, {:swarm_msg, :routed}, :normal])
    eventually(fn -> received(b) == [1, 2, 3, :routed] end)

    assert %{normal: %{sent: 2, dropped: 0, queued: 0}, low: %{sent: 1}, critical: %{sent: 1}} =
             comms(a, :stats)[b.node]
  end

  test "what is dropped, by the link's quality" do
    [a, b] = pair(hold_ms: :infinity)

    for {rtt, quality, taken} <- [
          {9.9, :excellent, [:critical, :high, :normal, :low]},
          {10, :good, [:critical, :high, :normal, :low]},
          {50.0, :degraded, [:critical, :high, :normal]},
          {200, :poor, [:critical, :high]}
        ] do
      before = length(received(b))
      :ok = comms(a, :update_link, [b.node, rtt])
      assert comms(a, :get_link_quality, [b.node]) == quality
      assert comms(a, :get_all_links) == %{b.node => quality}

      for priority <- [:low, :normal, :high, :critical] do
        # The caller is not told, as documented; route/4 tells.
        assert comms(a, :send_msg, [b.node, {rtt, priority}, priority]) == :ok
        told = comms(a, :route, [:muster_comms, {:nobody, b.node}, :x, priority])
        assert told == if(priority in taken, do: :ok, else: {:error, :dropped})
      end

      eventually(fn ->
        Enum.drop(received(b), before) == for(p <- Enum.reverse(taken), do: {rtt, p})
      end)
    end

    stats = comms(a, :stats)[b.node]
    assert stats.low == %{sent: 4, dropped: 4, queued: 0}
    assert stats.normal == %{sent: 6, dropped: 2, queued: 0}
    assert stats.critical == %{sent: 8, dropped: 0, queued: 0}

    :ok = comms(a, :mark_disconnected, [b.node])
    assert comms(a, :get_link_quality, [b.node]) == :disconnected
    assert comms(a, :send_msg, [b.node, :never, :critical]) == {:error, :disconnected}
    assert comms(a, :stats)[b.node].critical.dropped == 1
  end
end
