# The overlay with many entities and waypoints on three nodes, against sending the full state. JSON
# lines on stdout, a table on stderr.
#
#     mix run --no-start bench/overlay_bench.exs [SIZE]
[{module, code}] = Code.require_file("support/bench_nodes.ex", __DIR__)
module.keep(code)

defmodule Muster.Bench.Overlay do
  alias Muster.Bench.Nodes

  @sync_ms 500
  @anti_entropy_ms 5_000
  @updates 10
  @missed 100

  def run(n) do
    epmd = Nodes.start_epmd()
    nodes = [a, b, c] = for i <- 1..3, do: Nodes.start(~c"overlay#{i}_#{System.pid()}", epmd)
    dir = Path.join(System.tmp_dir!(), "muster_overlay_bench_#{System.pid()}")
    start(a, nodes, [])
    Nodes.run(a, :fill, [n])
    {full_bytes, full_us} = Nodes.run(a, :full_state, [])

    fresh(n, a, b, nodes, [], full_us)
    Nodes.connect(c, b)
    fresh(n, a, c, nodes, [data_dir: dir], full_us)
    settle(nodes)

    idle = idle_bytes(n, a, b, full_bytes)
    latency(n, nodes)
    update_bytes(n, a, b, c, idle, full_bytes)
    cut_off(n, nodes, full_bytes)
    restarted(n, nodes, dir, full_bytes)
    File.rm_rf!(dir)
    for node <- nodes, do: :peer.stop(node.peer)
  end

  defp start(node, nodes, more) do
    peers = for other <- nodes, other != node, do: other.node

    options =
      [
        peers: peers,
        node_monitor: :none,
        sync_interval_ms: @sync_ms,
        anti_entropy_interval_ms: @anti_entropy_ms
      ] ++ more

    Nodes.run(node, :keep_started, [:muster_overlay, options])
  end

  # A node without anything loads it all: how long that takes, and who waits how long meanwhile.
  defp fresh(n, a, node, nodes, more, full_us) do
    Nodes.run(a, :start_probe, [])
    Nodes.connect(node, a)
    began = Nodes.now()
    start(node, nodes, more)
    Nodes.run(node, :start_probe, [])
    await(fn -> same?([a, node]) end)
    ms = (Nodes.now() - began) / 1000
    report("fresh node has all [ms]", ms, "full state encoded", full_us / 1000, n)

    for {who, which} <- [{a, "giver"}, {node, "fresh node"}] do
      longest = Nodes.run(who, :end_probe, []) / 1000

      report(
        "longest answer meanwhile, #{which} [ms]",
        longest,
        "full state encoded",
        full_us / 1000,
        n
      )
    end
  end

  defp idle_bytes(n, a, b, full_bytes) do
    rounds = 4
    before = Nodes.run(a, :wire, [[b.node]])
    Process.sleep(rounds * @anti_entropy_ms)
    bytes = Nodes.run(a, :wire, [[b.node]]) - before
    report("idle anti-entropy round [bytes]", bytes / rounds, "full state", full_bytes, n)
    bytes / (rounds * @anti_entropy_ms)
  end

  # From the update to the event at the last of the others.
  defp latency(n, [a | others]) do
    times =
      for i <- 1..@updates do
        Process.sleep(Enum.random(1..@sync_ms))
        for node <- others, do: Nodes.run(node, :start_watch, [2 * i, :"watch#{i}"])
        began = Nodes.now()
        Nodes.run(a, :change, [[2 * i]])
        Enum.max(for node <- others, do: (Nodes.run(node, :seen, [:"watch#{i}"]) - began) / 1000)
      end

    report(
      "update is everywhere, longest of #{@updates} [ms]",
      Enum.max(times),
      "sync interval",
      @sync_ms,
      n
    )
  end

  # What one update moves between its author and one peer; and all that this peer hears.
  defp update_bytes(n, a, b, c, idle, full_bytes) do
    windows =
      for i <- 1..@updates do
        before = Nodes.run(a, :wire, [[b.node]])
        all_before = Nodes.run(b, :wire, [[a.node, c.node]])
        began = Nodes.now()
        Nodes.run(a, :change, [[1000 + 2 * i]])
        Process.sleep(3 * @sync_ms)
        idle_bytes = idle * (Nodes.now() - began) / 1000

        {Nodes.run(a, :wire, [[b.node]]) - before - idle_bytes,
         Nodes.run(b, :wire, [[a.node, c.node]]) - all_before - 2 * idle_bytes}
      end

    {to_peer, all} = Enum.unzip(windows)

    report(
      "one update, author and one peer [bytes]",
      median(to_peer),
      "full state",
      full_bytes,
      n
    )

    report(
      "one update, all to and from one node [bytes]",
      median(all),
      "full state",
      full_bytes,
      n
    )
  end

  defp median(list), do: list |> Enum.sort() |> Enum.at(div(length(list), 2))

  # The others still know what the node has.
  defp cut_off(n, [a, b, c] = nodes, full_bytes) do
    for other <- [a, b], do: Nodes.disconnect(c, other)
    Nodes.run(a, :change, [missed()])
    settle([a, b])
    catch_up(n, nodes, "cut off for #{@missed} changes", full_bytes)
  end

  # Nobody knows what the node has.
  defp restarted(n, [a, b, c] = nodes, dir, full_bytes) do
    pid = Nodes.call(c, :erlang, :whereis, [:muster_overlay])
    :ok = Nodes.call(c, :gen_server, :stop, [pid])
    for other <- [a, b], do: Nodes.disconnect(c, other)
    Nodes.run(a, :change, [missed()])
    settle([a, b])
    start(c, nodes, data_dir: dir)
    catch_up(n, nodes, "read from disk, #{@missed} changes behind", full_bytes)
  end

  defp missed, do: for(i <- 1..@missed, do: 997 * i + 1)

  defp catch_up(n, [a, b, c] = nodes, metric, full_bytes) do
    began = Nodes.now()
    for other <- [a, b], do: Nodes.connect(c, other)
    await(fn -> same?(nodes) end)
    ms = (Nodes.now() - began) / 1000
    # What still comes: acknowledgements, and what two peers say at once.
    Process.sleep(2 * @sync_ms)

    report(
      "#{metric} [bytes]",
      Nodes.run(c, :wire, [[a.node, b.node]]),
      "full state",
      full_bytes,
      n
    )

    report("#{metric} [ms]", ms, "sync interval", @sync_ms, n)
  end

  # All hold the same, and nothing is under way any more.
  defp settle(nodes) do
    await(fn -> same?(nodes) end)
    Process.sleep(4 * @sync_ms)
  end

  defp same?(nodes) do
    digests = for node <- nodes, do: Nodes.run(node, :digest, [])
    length(Enum.uniq(digests)) == 1
  end

  defp await(fun, left \\ 3000) do
    cond do
      fun.() -> :ok
      left == 0 -> raise "nodes do not agree"
      true -> Process.sleep(20) && await(fun, left - 1)
    end
  end

  defp report(metric, value, baseline, baseline_value, n) do
    IO.puts(
      ~s({"bench":"overlay","metric":"#{metric}","value":#{number(value)},"baseline":"#{baseline}",) <>
        ~s("baseline_value":#{number(baseline_value)},"ratio":#{number(baseline_value / max(value, 1.0e-9))},"n":#{n}})
    )

    IO.puts(
      :stderr,
      :io_lib.format("~9w  ~-52ts ~14.2f  (~ts ~.2f)", [
        n,
        metric,
        value * 1.0,
        baseline,
        baseline_value * 1.0
      ])
    )
  end

  defp number(value), do: :erlang.float_to_binary(value * 1.0, decimals: 2)
end

size =
  case System.argv() do
    [] -> 100_000
    [given] -> String.to_integer(given)
  end

Muster.Bench.Overlay.run(size)
