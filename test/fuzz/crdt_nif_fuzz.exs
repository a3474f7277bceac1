# Feeds arbitrary terms to every CRDT function of the NIF library, in this VM: none may crash it,
# loop, or raise anything but badarg.
#
#     mix run --no-start test/fuzz/crdt_nif_fuzz.exs [SECONDS [SEED]]
#
# Terms are made in external format, as a peer would send them: valid values, of which bytes were
# changed, cut, doubled or spliced, then decoded. What does not decode is tried again.
defmodule Muster.Fuzz.CRDT do
  import Bitwise

  def run(seconds, seed) do
    IO.puts("crdt_nif_fuzz: seed #{seed}, #{seconds} s")
    :rand.seed(:exsss, {seed, 1, 2})
    deadline = System.monotonic_time(:second) + seconds
    {calls, refused} = loop(corpus(), deadline, 0, 0)
    IO.puts("crdt_nif_fuzz: #{calls} calls, #{refused} refused with badarg, none crashed")
  end

  defp loop(corpus, deadline, calls, refused) do
    if System.monotonic_time(:second) >= deadline do
      {calls, refused}
    else
      outcomes = for _ <- 1..200, do: call(corpus)
      refusals = Enum.count(outcomes, &(&1 == :badarg))
      loop(corpus, deadline, calls + length(outcomes), refused + refusals)
    end
  end

  # Parts of real values: nodes of all depths, buckets, siblings, groups, lists of them, integers.
  defp corpus do
    set =
      Enum.reduce(1..150, :muster_or_set.from_list(colliding()), fn i, set ->
        :muster_or_set.add(set, rem(i, 90), rem(i, 3))
      end)

    forked = :muster_or_set.merge(set, :muster_or_set.from_list(Enum.to_list(1..40), 1))

    map =
      Enum.reduce(1..40, :muster_lww_map.new(), fn i, map ->
        other = :muster_lww_map.put(map, rem(i, 9), {:other, i}, :b)
        :muster_lww_map.merge(other, :muster_lww_map.put(map, rem(i, 9), i, :a))
      end)

    tries = for %{root: root} <- [set, forked, map, :muster_or_set.new()], do: root

    groups =
      for %{context: context} <- [set, forked, map], group <- Map.values(context), do: group

    lists = [groups, [], Enum.to_list(1..50), [{1, 2}, {1, 3}], [{1, 1, 5, :v}]]
    integers = [0, 1, 7, (1 <<< 27) - 1, (1 <<< 59) - 1, 1 <<< 59, -1, 1.5]
    %{tries: tries, groups: groups, lists: lists, integers: integers}
  end

  defp colliding do
    1..400_000
    |> Enum.group_by(&:erlang.phash2/1)
    |> Enum.filter(&match?({_, [_, _ | _]}, &1))
    |> Enum.take(4)
    |> Enum.flat_map(&elem(&1, 1))
  end

  @functions [:trie_add, :trie_put, :trie_find, :trie_remove, :trie_merge, :trie_build, :dot_hash]

  defp call(corpus) do
    name = pick(@functions)
    arguments = arguments(name, corpus)

    try do
      apply(:muster_nif, name, arguments)
      :ok
    rescue
      ArgumentError -> :badarg
    end
  end

  defp arguments(:trie_add, c) do
    stamped = pick([[], [integer(c), any(c)]])
    [trie(c), group(c), any(c), hash(c)] ++ stamped
  end

  defp arguments(:trie_put, c) do
    [head, tail] = pick([[integer(c), integer(c)], [list(c), []], [any(c), any(c)]])
    [trie(c), group(c), any(c), hash(c), head, tail]
  end

  defp arguments(name, c) when name in [:trie_find, :trie_remove], do: [trie(c), any(c), hash(c)]
  defp arguments(:trie_merge, c), do: [trie(c), list(c), trie(c), list(c)]
  defp arguments(:trie_build, c), do: [list(c)]
  defp arguments(:dot_hash, c), do: [integer(c), integer(c)]

  # Mostly well-formed, so that the fault is found deep inside; a fault in each now and then.
  defp trie(c), do: maybe_spoil(pick(c.tries), c)
  defp group(c), do: maybe_spoil(pick(c.groups), c)
  defp list(c), do: maybe_spoil(pick(c.lists), c)
  defp integer(c), do: maybe_spoil(pick(c.integers), c)

  defp any(c),
    do: pick([:rand.uniform(90), pick(c.tries), pick(c.groups), integer(c), pick(c.lists)])

  defp hash(c), do: pick([:rand.uniform(1 <<< 27) - 1, :erlang.phash2(any(c)), integer(c)])

  defp maybe_spoil(term, c) do
    case :rand.uniform(3) do
      1 -> term
      2 -> term |> :erlang.term_to_binary() |> spoil(20)
      3 -> spoil_within(term, any_part(c))
    end
  end

  defp any_part(c),
    do: pick([pick(c.integers), {}, [], {0, 0, 0}, pick(c.tries), [:x | :y], :atom])

  # Replaces one part, at any depth, by another term.
  defp spoil_within(term, other) when is_tuple(term) and tuple_size(term) > 0 do
    if :rand.uniform(4) == 1 do
      other
    else
      index = :rand.uniform(tuple_size(term)) - 1
      put_elem(term, index, spoil_within(elem(term, index), other))
    end
  end

  defp spoil_within(_term, other), do: other

  defp spoil(_binary, 0), do: :undecodable

  defp spoil(binary, tries) do
    try do
      binary |> mutate() |> :erlang.binary_to_term([:safe])
    rescue
      ArgumentError -> spoil(binary, tries - 1)
    end
  end

  defp mutate(binary) do
    at = 1 + :rand.uniform(byte_size(binary) - 1) - 1
    <<before::binary-size(at), byte, rest::binary>> = binary

    case :rand.uniform(4) do
      1 -> <<before::binary, :rand.uniform(256) - 1, rest::binary>>
      2 -> <<before::binary, bxor(byte, 1 <<< (:rand.uniform(8) - 1)), rest::binary>>
      3 -> <<before::binary, rest::binary>>
      4 -> <<before::binary, byte, byte, rest::binary>>
    end
  end

  defp pick(list), do: Enum.at(list, :rand.uniform(length(list)) - 1)
end

{seconds, seed} =
  case Enum.map(System.argv(), &String.to_integer/1) do
    [] -> {20, :erlang.unique_integer([:positive]) + System.os_time(:second)}
    [seconds] -> {seconds, System.os_time(:second)}
    [seconds, seed] -> {seconds, seed}
  end

Muster.Fuzz.CRDT.run(seconds, seed)
