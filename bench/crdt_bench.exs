# OR-Set against the textbook's, in one run. JSON lines on stdout, a table on stderr.
#
#     mix run --no-start bench/crdt_bench.exs [SIZE ...]
Code.require_file("support/textbook_or_set.ex", __DIR__)

defmodule Muster.Bench.CRDT do
  alias Muster.Bench.TextbookORSet, as: Textbook
  alias Raxol.Swarm.CRDT.ORSet

  # Elements of the sample that the single-element operations go through.
  @sample 2_000
  @rounds 7
  @differing 200

  def run(sizes) do
    header()
    Enum.each(sizes, &at_size/1)
    removed_words()
    neighbour(Enum.max(sizes))
  end

  defp at_size(n) do
    :rand.seed(:exsss, {1, 2, 3})
    elements = for i <- 1..n, do: <<i::64>>
    fresh = for i <- 1..@sample, do: <<n + i::64>>
    present = for _ <- 1..@sample, do: <<:rand.uniform(n)::64>>
    absent = for i <- 1..@sample, do: <<2 * n + i::64>>
    textbook = Textbook.from_list(elements)
    muster = ORSet.from_list(elements)
    map = Map.new(elements, &{&1, []})

    per_element("add", n, fresh, &adds(ORSet, muster, &1), &adds(Textbook, textbook, &1))
    per_element("re-add", n, present, &adds(ORSet, muster, &1), &adds(Textbook, textbook, &1))

    for {name, sample} <- [{"member? (present)", present}, {"member? (absent)", absent}] do
      per_element(name, n, sample, &members(muster, &1), &textbook_members(textbook, &1))

      per_element(
        name <> " vs bare map",
        n,
        sample,
        &members(muster, &1),
        &map_members(map, &1)
      )
    end

    whole("to_list", n, fn -> ORSet.to_list(muster) end, fn -> Textbook.to_list(textbook) end)
    whole("size", n, fn -> ORSet.size(muster) end, fn -> Textbook.size(textbook) end)

    whole("from_list", n, fn -> ORSet.from_list(elements) end, fn ->
      Textbook.from_list(elements)
    end)

    merge_difference(n, muster, textbook)
    merge_disjoint(n, elements)
    footprint(n, muster, textbook)
    delta_bytes(n, muster)
  end

  # Two branches of one base, each with half of the difference.
  defp merge_difference(n, muster, textbook) do
    {left, right} = Enum.split(for(i <- 1..@differing, do: <<3 * n + i::64>>), div(@differing, 2))
    a = adds(ORSet, muster, left)
    b = adds(ORSet, muster, right)
    c = adds(Textbook, textbook, left)
    d = adds(Textbook, textbook, right)
    @differing = ORSet.size(ORSet.merge(a, b)) - n
    whole("merge, 200 differ", n, fn -> ORSet.merge(a, b) end, fn -> Textbook.merge(c, d) end)
  end

  defp merge_disjoint(n, elements) do
    others = for i <- 1..n, do: <<5 * n + i::64>>
    a = ORSet.from_list(elements, :a)
    b = ORSet.from_list(others, :b)
    c = Textbook.from_list(elements)
    d = Textbook.from_list(others)
    whole("merge, disjoint", n, fn -> ORSet.merge(a, b) end, fn -> Textbook.merge(c, d) end)
  end

  defp footprint(n, muster, textbook) do
    sixteen = ORSet.from_list(for i <- 1..n, do: <<i::128>>)
    textbook_sixteen = Textbook.from_list(for i <- 1..n, do: <<i::128>>)

    for {name, ours, theirs} <- [
          {"8-byte", muster, textbook},
          {"16-byte", sixteen, textbook_sixteen}
        ] do
      report("words per #{name} element", "words", n, words(ours) / n, words(theirs) / n)
      report("bytes per #{name} element", "bytes", n, bytes(ours) / n, bytes(theirs) / n)
    end
  end

  defp delta_bytes(n, muster) do
    delta = :muster_crdt_delta.delta(muster, ORSet.add(muster, <<0::64>>))
    report("delta after one change", "bytes", n, bytes(delta), bytes(muster))
  end

  defp removed_words do
    elements = for i <- 1..100_000, do: <<i::64>>
    add_all = fn module -> Enum.reduce(elements, module.new(), &module.add(&2, &1)) end
    remove_all = fn module -> Enum.reduce(elements, add_all.(module), &module.remove(&2, &1)) end
    left = fn module -> :erts_debug.flat_size(remove_all.(module)) end
    report("words left after removing all", "words", 100_000, left.(ORSet), left.(Textbook))
  end

  # How long another process on the only scheduler waits while disjoint sets are merged. Whatever
  # else runs on the machine makes it wait, too: the least disturbed of some attempts counts.
  @attempts 7
  defp neighbour(n) do
    split = fn module ->
      {module.from_list(Enum.to_list(1..n)), module.from_list(Enum.to_list(-n..-1))}
    end

    wait = fn module ->
      {a, b} = split.(module)
      Enum.min(for _ <- 1..@attempts, do: neighbours_wait(fn -> module.merge(a, b) end))
    end

    ours = wait.(ORSet)
    theirs = wait.(Textbook)
    report("neighbour's longest wait in a disjoint merge", "us", n, ours, theirs)
  end

  defp neighbours_wait(fun) do
    online = :erlang.system_flag(:schedulers_online, 1)
    neighbour = spawn_link(fn -> tick(now(), 0) end)
    {_, reference} = spawn_monitor(fun)

    receive do
      {:DOWN, ^reference, _, _, _} -> send(neighbour, {:stop, self()})
    end

    :erlang.system_flag(:schedulers_online, online)

    receive do
      {:longest, wait} -> wait
    end
  end

  defp tick(before, longest) do
    receive do
      {:stop, from} -> send(from, {:longest, longest})
    after
      0 ->
        :erlang.yield()
        after_yield = now()
        tick(after_yield, max(longest, after_yield - before))
    end
  end

  defp now, do: System.monotonic_time(:microsecond)

  defp adds(module, set, elements), do: add_each(elements, module, set)
  defp add_each([element | rest], ORSet, set), do: add_each(rest, ORSet, ORSet.add(set, element))

  defp add_each([element | rest], Textbook, set),
    do: add_each(rest, Textbook, Textbook.add(set, element))

  defp add_each([], _module, set), do: set

  defp members(set, [element | rest]) do
    ORSet.member?(set, element)
    members(set, rest)
  end

  defp members(_set, []), do: :ok

  defp textbook_members(set, [element | rest]) do
    Textbook.member?(set, element)
    textbook_members(set, rest)
  end

  defp textbook_members(_set, []), do: :ok

  defp map_members(map, [element | rest]) do
    seen(map, element)
    map_members(map, rest)
  end

  defp map_members(_map, []), do: :ok

  # A function of its own, so that the bare lookup is a call, too, and is not optimised away.
  @compile {:no_inline, seen: 2}
  def seen(map, element), do: is_map_key(map, element)

  defp per_element(metric, n, sample, ours, theirs) do
    {a, b} = measure(fn -> ours.(sample) end, fn -> theirs.(sample) end)
    report(metric, "ns", n, a / @sample, b / @sample)
  end

  defp whole(metric, n, ours, theirs) do
    {a, b} = measure(ours, theirs)
    report(metric, "us", n, a / 1000, b / 1000)
  end

  # In turn, so that both meet the same noise; the least disturbed round, each in a clean heap.
  # Short operations are repeated, so that a round takes a while.
  defp measure(ours, theirs) do
    ours_times = repetitions(ours)
    theirs_times = repetitions(theirs)

    rounds = for _ <- 1..rounds(theirs), do: {time(ours, ours_times), time(theirs, theirs_times)}

    {ours, theirs} = Enum.unzip(rounds)
    {Enum.min(ours), Enum.min(theirs)}
  end

  defp rounds(fun), do: if(time(fun, 1) > 300_000_000, do: 3, else: @rounds)

  defp repetitions(fun) do
    once = time(fun, 1)
    max(1, min(10_000, div(2_000_000, max(1, once))))
  end

  defp time(fun, times) do
    :erlang.garbage_collect()
    start = System.monotonic_time(:nanosecond)
    repeat(fun, times)
    div(System.monotonic_time(:nanosecond) - start, times)
  end

  defp repeat(_fun, 0), do: :ok

  defp repeat(fun, times) do
    fun.()
    repeat(fun, times - 1)
  end

  # No part of these values is shared; erts_debug.size, which looks, takes minutes.
  defp words(term), do: :erts_debug.flat_size(term)
  defp bytes(term), do: byte_size(:erlang.term_to_binary(term))

  defp header do
    IO.puts(:stderr, "OR-Set vs textbook; ratio = baseline / ours: above 1, ours is better\n")
  end

  defp report(metric, unit, n, value, baseline) do
    ratio = Float.round(baseline / max(value, 1.0e-9), 2)

    IO.puts(
      ~s({"bench":"crdt","metric":"#{metric} [#{unit}]","value":#{number(value)},) <>
        ~s("baseline":"#{baseline_name(metric)}","baseline_value":#{number(baseline)},"ratio":#{ratio},"n":#{n}})
    )

    IO.puts(
      :stderr,
      :io_lib.format("~9w  ~-46ts ~14.2f ~14.2f ~-5ts  x ~.2f", [
        n,
        metric,
        value * 1.0,
        baseline * 1.0,
        unit,
        ratio * 1.0
      ])
    )
  end

  defp baseline_name(metric) do
    cond do
      String.contains?(metric, "bare map") -> "map lookup"
      String.contains?(metric, "delta") -> "full state"
      true -> "textbook OR-Set"
    end
  end

  defp number(value) when is_integer(value), do: Integer.to_string(value)
  defp number(value), do: :erlang.float_to_binary(value, decimals: 2)
end

sizes =
  case System.argv() do
    [] -> [1_000, 10_000, 100_000, 1_000_000]
    given -> Enum.map(given, &String.to_integer/1)
  end

Muster.Bench.CRDT.run(sizes)
