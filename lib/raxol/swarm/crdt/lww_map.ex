defmodule Raxol.Swarm.CRDT.LWWMap do
  @moduledoc """
  An observed-remove map of last-writer-wins values.

      iex> alias Raxol.Swarm.CRDT.LWWMap
      iex> map = LWWMap.put(LWWMap.new(), :unit_1, %{status: :active})
      iex> removed = LWWMap.delete(map, :unit_1)
      iex> rewritten = LWWMap.put(map, :unit_1, %{status: :resting})
      iex> LWWMap.get(LWWMap.merge(removed, rewritten), :unit_1)
      %{status: :resting}

  A key that one node writes and another removes at the same time stays; of values written at the
  same time, the one with the later stamp is read (see `Raxol.Swarm.CRDT.LWWRegister` for the
  clock). Removal leaves nothing behind. Keys are told apart by `===`.

  `Enum` functions see pairs. The same value is used by the Erlang module `:muster_lww_map`.
  """

  @behaviour Raxol.Swarm.CRDT

  @empty :muster_trie.empty()
  defstruct root: @empty, context: %{}

  @type t :: t(term(), term())
  @opaque t(_key, _value) :: %__MODULE__{
            root: :muster_nif.trie(),
            context: :muster_causal.context()
          }

  @doc "The empty map."
  @spec new() :: t()
  defdelegate new(), to: :muster_lww_map

  @doc "Writes a value on behalf of a replica; what this map knew of the key is replaced."
  @spec put(t(key, value), key, value, term()) :: t(key, value) when key: term(), value: term()
  def put(map, key, value, replica \\ node()), do: :muster_lww_map.put(map, key, value, replica)

  @doc "The value of a key, or the default."
  @spec get(t(key, value), key, default) :: value | default
        when key: term(), value: term(), default: term()
  def get(map, key, default \\ nil), do: :muster_lww_map.get(map, key, default)

  @doc "`{:ok, value}` of a key that is there, or `:error`."
  @spec fetch(t(key, value), key) :: {:ok, value} | :error when key: term(), value: term()
  defdelegate fetch(map, key), to: :muster_lww_map, as: :find

  @doc "Removes a key: all that this map has seen of it. The same map if it is not there."
  @spec delete(t(key, value), key) :: t(key, value) when key: term(), value: term()
  defdelegate delete(map, key), to: :muster_lww_map, as: :remove

  @doc "Whether the key is there."
  @spec has_key?(t(key, term()), key) :: boolean() when key: term()
  defdelegate has_key?(map, key), to: :muster_lww_map, as: :is_key

  @doc "The keys, in no particular order."
  @spec keys(t(key, term())) :: [key] when key: term()
  defdelegate keys(map), to: :muster_lww_map

  @doc "Keys with their values, in no particular order."
  @spec to_list(t(key, value)) :: [{key, value}] when key: term(), value: term()
  defdelegate to_list(map), to: :muster_lww_map

  @doc "Keys with their values, as a plain map."
  @spec to_map(t(key, value)) :: %{key => value} when key: term(), value: term()
  defdelegate to_map(map), to: :muster_lww_map

  @doc "How many keys there are, in constant time."
  @spec size(t()) :: non_neg_integer()
  defdelegate size(map), to: :muster_lww_map

  @doc "What either has written and neither has removed."
  @impl true
  @spec merge(t(key, value), t(key, value)) :: t(key, value) when key: term(), value: term()
  defdelegate merge(a, b), to: :muster_lww_map

  @doc "Whether both hold the same keys with the same values, whatever their histories."
  @spec equal?(t(), t()) :: boolean()
  defdelegate equal?(a, b), to: :muster_lww_map, as: :equal

  defimpl Enumerable do
    alias Raxol.Swarm.CRDT.LWWMap

    def count(map), do: {:ok, LWWMap.size(map)}
    def member?(map, {key, value}), do: {:ok, LWWMap.fetch(map, key) === {:ok, value}}
    def member?(_map, _other), do: {:ok, false}
    def reduce(map, acc, fun), do: Enumerable.List.reduce(LWWMap.to_list(map), acc, fun)
    def slice(map), do: {:ok, LWWMap.size(map), &LWWMap.to_list/1}
  end

  defimpl Collectable do
    alias Raxol.Swarm.CRDT.LWWMap

    def into(map) do
      {map,
       fn
         acc, {:cont, {key, value}} -> LWWMap.put(acc, key, value)
         acc, :done -> acc
         _acc, :halt -> :ok
       end}
    end
  end

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(map, opts) do
      concat(["#LWWMap<", to_doc(Raxol.Swarm.CRDT.LWWMap.to_map(map), opts), ">"])
    end
  end
end
