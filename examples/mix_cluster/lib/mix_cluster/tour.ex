defmodule MixCluster.Tour do
  @moduledoc "Shows, on one of two nodes, that they are a cluster. What does not come true is raised."
  alias MixCluster.GuestBook
  alias Raxol.Swarm.{Discovery, NodeMonitor, Topology}

  @deadline_ms 30_000

  def run do
    :ok = Discovery.await(1, @deadline_ms)
    [%{node: peer}] = Discovery.snapshot()
    say("found #{short(peer)} by gossip; discovery is #{inspect(Discovery.health())}")

    rtt_ms = until("a healthy peer with a measured round trip", fn -> rtt_of_healthy(peer) end)
    say("#{short(peer)} is healthy, #{round(rtt_ms * 1000)} us away")

    commander = until("a commander that both name", fn -> agreed_commander(peer) end)
    say("#{short(commander)} commands, both say; this node is #{Topology.get_role()}")

    :ok = GuestBook.sign({:here, short(node())})
    guests = until("both in the shared set", fn -> signed_by_both(:here) end)
    say("the shared set holds #{Enum.join(guests, " and ")}")

    # Whoever has seen all of it stays until the other has too.
    :ok = GuestBook.sign({:done, short(node())})
    until("the other to be done", fn -> signed_by_both(:done) end)
    GuestBook.hand_to(peer)
  end

  defp rtt_of_healthy(peer) do
    with {:ok, %{status: :healthy, rtt_history: [rtt_ms | _]}} <- NodeMonitor.get_health(peer),
         do: {:found, rtt_ms}
  end

  defp agreed_commander(peer) do
    with {:ok, node} <- Topology.get_commander(),
         {:ok, ^node} <- :rpc.call(peer, Topology, :get_commander, []),
         do: {:found, node}
  end

  defp signed_by_both(what) do
    names = for {^what, name} <- GuestBook.entries(), do: name
    if length(names) == 2, do: {:found, names}, else: names
  end

  defp until(what, fun), do: until(what, fun, System.monotonic_time(:millisecond) + @deadline_ms)

  defp until(what, fun, deadline) do
    case fun.() do
      {:found, value} ->
        value

      other ->
        if System.monotonic_time(:millisecond) > deadline,
          do: raise("waited for #{what} in vain; last seen: #{inspect(other)}")

        Process.sleep(20)
        until(what, fun, deadline)
    end
  end

  defp say(text), do: IO.puts("#{String.pad_trailing(short(node()), 4)} #{text}")

  defp short(node), do: node |> Atom.to_string() |> String.split("-") |> hd()
end
