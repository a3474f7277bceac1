defmodule Raxol.Swarm.CRDT.ORSet do
  @moduledoc """
  An observed-remove set: a set that many nodes change without asking each other.

  Where one node adds an element and another removes it at the same time, the element stays.
  Removal leaves nothing behind: there are no tombstones. Elements are any terms, told apart
  by `===`.

      iex> alias Raxol.Swarm.CRDT.ORSet
      iex> set = ORSet.new() |> ORSet.add("item_a") |> ORSet.add("item_b")
      iex> set = ORSet.remove(set, "item_a")
      iex> ORSet.member?(set, "item_a")
      false
      iex> ORSet.to_list(set)
      ["item_b"]
      iex> ORSet.size(set)
      1

  Values are plain terms: they can be sent, stored and compared, and they may fork. Two updates
  of one value, a value restored from disk, a node restarted under its old name: whatever
  branches there are, merging them loses nothing.

      iex> alias Raxol.Swarm.CRDT.ORSet
      iex> base = ORSet.from_list([1, 2])
      iex> added = ORSet.add(base, 3)
      iex> removed = ORSet.remove(base, 2)
      iex> Enum.sort(ORSet.merge(added, removed))
      [1, 3]

  Two sets with the same history are `==`; two that merely hold the same elements are not, which
  is what `equal?/2` asks. A malformed set, such as another node may send, raises `ArgumentError`.

  `Enum` functions and `Enum.into/2` work on sets. The same value is used by the Erlang module
  `:muster_or_set`.
  """

  @behaviour Raxol.Swarm.CRDT

  @empty :muster_trie.empty()
  defstruct root: @empty, context: %{}

  @type t :: t(term())
  @opaque t(_element) :: %__MODULE__{root: :muster_nif.trie(), context: :muster_causal.context()}

  @doc "The empty set."
  @spec new() :: t()
  defdelegate new(), to: :muster_or_set

  @doc """
  The set of the elements of a list, added by `replica`. Much faster than adding one by one.

      iex> Raxol.Swarm.CRDT.ORSet.size(Raxol.Swarm.CRDT.ORSet.from_list([1, 1, 1.0]))
      2
  """
  @spec from_list([element], term()) :: t(element) when element: term()
  def from_list(list, replica \\ node()), do: :muster_or_set.from_list(list, replica)

  @doc """
  Adds an element on behalf of a replica.

  An element that is there already is added anew, so that it outlives a concurrent removal.
  """
  @spec add(t(element), element, term()) :: t(element) when element: term()
  def add(set, element, replica \\ node()), do: :muster_or_set.add(set, element, replica)

  @doc """
  Removes an element: all that this set has seen of it, not what others add meanwhile.

  The same set if the element is not there.

      iex> alias Raxol.Swarm.CRDT.ORSet
      iex> mine = ORSet.from_list([:a])
      iex> yours = ORSet.add(mine, :a)
      iex> ORSet.to_list(ORSet.merge(ORSet.remove(mine, :a), yours))
      [:a]
  """
  @spec remove(t(element), element) :: t(element) when element: term()
  defdelegate remove(set, element), to: :muster_or_set

  @doc "Whether the element is in the set."
  @spec member?(t(element), element) :: boolean() when element: term()
  defdelegate member?(set, element), to: :muster_or_set, as: :is_member

  @doc "The elements, in no particular order."
  @spec to_list(t(element)) :: [element] when element: term()
  defdelegate to_list(set), to: :muster_or_set

  @doc "How many elements there are, in constant time."
  @spec size(t()) :: non_neg_integer()
  defdelegate size(set), to: :muster_or_set

  @doc """
  What either has added and neither has removed. The cost follows the difference, not the size.

      iex> alias Raxol.Swarm.CRDT.ORSet
      iex> a = ORSet.add(ORSet.new(), "x")
      iex> b = ORSet.add(ORSet.new(), "y")
      iex> Enum.sort(ORSet.merge(a, b))
      ["x", "y"]
      iex> ORSet.merge(a, b) == ORSet.merge(b, a)
      true
  """
  @impl true
  @spec merge(t(element), t(element)) :: t(element) when element: term()
  defdelegate merge(a, b), to: :muster_or_set

  @doc """
  Whether both hold the same elements, whatever their histories.

      iex> alias Raxol.Swarm.CRDT.ORSet
      iex> ORSet.equal?(ORSet.from_list([1, 2]), ORSet.from_list([2, 1]))
      true
  """
  @spec equal?(t(), t()) :: boolean()
  defdelegate equal?(a, b), to: :muster_or_set, as: :equal

  defimpl Enumerable do
    alias Raxol.Swarm.CRDT.ORSet

    def count(set), do: {:ok, ORSet.size(set)}
    def member?(set, element), do: {:ok, ORSet.member?(set, element)}
    def reduce(set, acc, fun), do: Enumerable.List.reduce(ORSet.to_list(set), acc, fun)

    def slice(set), do: {:ok, ORSet.size(set), &ORSet.to_list/1}
  end

  defimpl Collectable do
    alias Raxol.Swarm.CRDT.ORSet

    def into(set) do
      {set,
       fn
         acc, {:cont, element} -> ORSet.add(acc, element)
         acc, :done -> acc
         _acc, :halt -> :ok
       end}
    end
  end

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(set, opts) do
      concat(["#ORSet<", to_doc(Raxol.Swarm.CRDT.ORSet.to_list(set), opts), ">"])
    end
  end
end
