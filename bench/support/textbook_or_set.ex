defmodule Muster.Bench.TextbookORSet do
  @moduledoc """
  The OR-Set of the textbooks, in plain maps and MapSets: the baseline of the benchmarks.

  Each element has the set of dots it was added with; removed dots become tombstones.
  """
  defstruct entries: %{}, tombstones: MapSet.new(), counter: 0

  def new, do: %__MODULE__{}

  def add(set, element, replica \\ node()) do
    counter = set.counter + 1
    dot = {replica, counter}
    entries = Map.update(set.entries, element, MapSet.new([dot]), &MapSet.put(&1, dot))
    %{set | entries: entries, counter: counter}
  end

  def from_list(list, replica \\ node()), do: Enum.reduce(list, new(), &add(&2, &1, replica))

  def remove(set, element) do
    case Map.pop(set.entries, element) do
      {nil, _} -> set
      {dots, entries} -> %{set | entries: entries, tombstones: MapSet.union(set.tombstones, dots)}
    end
  end

  def member?(set, element), do: Map.has_key?(set.entries, element)
  def to_list(set), do: Map.keys(set.entries)
  def size(set), do: length(to_list(set))

  def merge(a, b) do
    tombstones = MapSet.union(a.tombstones, b.tombstones)

    entries =
      Map.merge(a.entries, b.entries, fn _element, dots_a, dots_b ->
        MapSet.union(dots_a, dots_b)
      end)
      |> Enum.flat_map(fn {element, dots} ->
        live = MapSet.difference(dots, tombstones)
        if MapSet.size(live) == 0, do: [], else: [{element, live}]
      end)
      |> Map.new()

    %{a | entries: entries, tombstones: tombstones, counter: max(a.counter, b.counter)}
  end
end
