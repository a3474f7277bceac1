defmodule Muster.Bench.TextbookORSet do
  @moduledoc """
  The OR-Set of the textbooks, in plain maps and MapSets: the baseline of the benchmarks.

  Every add gives the element a unique tag; a removal makes all tags it has seen tombstones. An
  element is in the set if one of its tags is no tombstone, and merging unites tags and tombstones
  (Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types",
  2011, section 3.3.5, state-based).

  A tag has to be unique wherever and whenever it is made: `make_ref/0` is what Erlang has for that
  (node, creation and a number). A counter in the set would not do: two branches of one set would
  use the same tags, and removing the element of one would remove that of the other.
  """
  defstruct tags: %{}, tombstones: MapSet.new()

  def new, do: %__MODULE__{}

  def add(set, element) do
    tag = make_ref()
    %{set | tags: Map.update(set.tags, element, MapSet.new([tag]), &MapSet.put(&1, tag))}
  end

  def from_list(list), do: Enum.reduce(list, new(), &add(&2, &1))

  def remove(set, element) do
    case Map.pop(set.tags, element) do
      {nil, _} -> set
      {seen, tags} -> %{set | tags: tags, tombstones: MapSet.union(set.tombstones, seen)}
    end
  end

  def member?(set, element) do
    case set.tags do
      %{^element => tags} -> live?(tags, set.tombstones)
      %{} -> false
    end
  end

  def to_list(set),
    do: for({element, tags} <- set.tags, live?(tags, set.tombstones), do: element)

  def size(set), do: Enum.count(set.tags, fn {_, tags} -> live?(tags, set.tombstones) end)

  def merge(a, b) do
    %{
      a
      | tags: Map.merge(a.tags, b.tags, fn _element, x, y -> MapSet.union(x, y) end),
        tombstones: MapSet.union(a.tombstones, b.tombstones)
    }
  end

  defp live?(tags, tombstones), do: not MapSet.subset?(tags, tombstones)
end
