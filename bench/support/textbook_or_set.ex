defmodule Muster.Bench.TextbookORSet do
  @moduledoc """
  The OR-Set of the textbooks, in plain maps and MapSets: the baseline of the benchmarks.

  Every add gives the element a unique tag; a removal makes all tags it has seen tombstones. An
  element is in the set if one of its tags is no tombstone, and merging unites tags and tombstones
  (Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types",
  2011, section 3.3.5, state-based).
  """
  defstruct tags: %{}, tombstones: MapSet.new(), counter: 0

  def new, do: %__MODULE__{}

  def add(set, element, replica \\ node()) do
    counter = set.counter + 1
    tag = {replica, counter}
    tags = Map.update(set.tags, element, MapSet.new([tag]), &MapSet.put(&1, tag))
    %{set | tags: tags, counter: counter}
  end

  def from_list(list, replica \\ node()), do: Enum.reduce(list, new(), &add(&2, &1, replica))

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
        tombstones: MapSet.union(a.tombstones, b.tombstones),
        counter: max(a.counter, b.counter)
    }
  end

  defp live?(tags, tombstones), do: not MapSet.subset?(tags, tombstones)
end
