defmodule Muster.Discovery.PartitionTest do
  # Three hosts, one cable cut: what OTP's prevent_overlapping_partitions (on, its default) and the
  # reconnecting make of the two links that are healthy.
  #
  # MUSTER_MEASURE=1 runs longer, and with other policies beside, and prints the figures.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Discovery
  alias Muster.Test.{Keeper, Netns}

  @moduletag timeout: 600_000
  if (reason = Netns.available()) != :ok, do: @moduletag(skip: elem(reason, 1))

  @measure System.get_env("MUSTER_MEASURE") != nil
  @ticktime String.to_integer(System.get_env("MUSTER_TICKTIME", "4"))
  @policies if @measure,
              do: [
                eager: [backoff_min_ms: 100, backoff_max_ms: 100, consult: false],
                waits: [consult: false],
                default: []
              ],
              else: [default: []]

  defp start_hosts(policy, count \\ 3) do
    hosts = Netns.create(count)

    nodes =
      for host <- hosts do
        start_node(
          monitor: nil,
          netns: host.name,
          host: host.address,
          prevent_overlapping_partitions: true,
          args: [~c"-kernel", ~c"net_ticktime", ~c"#{@ticktime}"]
        )
      end

    for node <- nodes do
      discover(node, static(nodes, policy))
      call(node, Keeper, :watch_nodes, [:nodes_seen])
    end

    for node <- nodes, do: await_peers(node, count - 1, 30_000)
    {hosts, nodes}
  end

  # {ups, downs} that a node saw of another since a time.
  defp seen(node, of, since) do
    events = for {kind, n, at} <- events(node, :nodes_seen), n == of.node, at >= since, do: kind
    {Enum.count(events, &(&1 == :nodeup)), Enum.count(events, &(&1 == :nodedown))}
  end

  defp node_now(node), do: call(node, :erlang, :monotonic_time, [:millisecond])

  defp healthy_links([a, b, c], since) do
    for {one, other} <- [{c, a}, {c, b}],
        do: {other.node, seen(one, other, Map.fetch!(since, one.node))}
  end

  defp report(title, figures) do
    if @measure, do: IO.puts("#{title}: #{inspect(figures)}")
  end

  defp await_mesh(nodes, ms) do
    began = now()
    others = length(nodes) - 1
    for node <- nodes, do: await_peers(node, others, ms)
    eventually(fn -> Enum.all?(nodes, &(length(peers(&1)) == others)) end, ms)
    now() - began
  end

  defp mark(nodes), do: Map.new(nodes, &{&1.node, node_now(&1)})

  # Waits, looking now and then, so that nothing depends on how long one look takes.
  defp watch_for(ms), do: Process.sleep(ms)

  for {name, policy} <- @policies do
    test "one link cut (#{name})" do
      {[ha, hb, _], [a, b, _] = nodes} = start_hosts(unquote(policy))
      since = mark(nodes)
      Netns.cut(ha, hb)

      eventually(fn -> b.node not in call(a, :erlang, :nodes, []) end, 30_000 + 2_000 * @ticktime)
      # OTP has torn what it tears by then; from here on the reconnecting is at it.
      watch_for(if @measure, do: 60_000, else: 15_000)
      figures = healthy_links(nodes, since)
      downs = for({_, {_, downs}} <- figures, do: downs) |> Enum.sum()
      pairs = for n <- nodes, do: length(call(n, :erlang, :nodes, []))
      settled = mark(nodes)
      watch_for(if @measure, do: 30_000, else: 5_000)
      later = healthy_links(nodes, settled)
      Netns.restore(ha, hb)
      healed = await_mesh(nodes, 120_000)

      report("cut #{unquote(name)}", %{
        ups_downs: figures,
        last_part: later,
        connected: pairs,
        healed_ms: healed,
        metrics: for(n <- nodes, do: call(n, :muster_discovery, :metrics, []))
      })

      if unquote(name) == :default do
        # OTP itself leaves the node between with one of the two at least; it keeps that one.
        assert Enum.sum(pairs) >= 2
        assert downs <= 6
        assert for({_, {_, downs}} <- later, do: downs) |> Enum.sum() <= 1
      end
    end

    test "one link flaps (#{name})" do
      {[ha, hb, _], nodes} = start_hosts(unquote(policy))
      since = mark(nodes)

      for _ <- 1..if(@measure, do: 6, else: 2) do
        Netns.cut(ha, hb)
        watch_for(7_000)
        Netns.restore(ha, hb)
        watch_for(3_000)
      end

      healed = await_mesh(nodes, 120_000)
      figures = healthy_links(nodes, since)
      report("flap #{unquote(name)}", %{ups_downs: figures, healed_ms: healed})

      if unquote(name) == :default,
        do: assert(for({_, {_, downs}} <- figures, do: downs) |> Enum.sum() <= 12)
    end
  end

  test "a cluster split in halves heals, and the halves stay whole meanwhile" do
    {[ha, hb, hc, hd], [a, b, c, d] = nodes} = start_hosts([], 4)
    since = mark(nodes)
    cables = for left <- [ha, hb], right <- [hc, hd], do: {left, right}
    for {left, right} <- cables, do: Netns.cut(left, right)

    eventually(
      fn ->
        Enum.all?([{a, b}, {b, a}, {c, d}, {d, c}], fn {one, half} ->
          call(one, :erlang, :nodes, []) == [half.node]
        end)
      end,
      60_000
    )

    for {left, right} <- cables, do: Netns.restore(left, right)
    healed = await_mesh(nodes, 60_000)
    halves = [a_b: seen(a, b, since[a.node]), c_d: seen(c, d, since[c.node])]
    report("split in halves", %{healed_ms: healed, ups_downs: halves})
  end
end
