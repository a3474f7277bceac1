defmodule Raxol.Swarm.CRDT.LWWRegister do
  @moduledoc """
  A last-writer-wins register: one value that many nodes overwrite.

      iex> alias Raxol.Swarm.CRDT.LWWRegister
      iex> reg = LWWRegister.new("initial_value")
      iex> newer = LWWRegister.update(reg, "new_value")
      iex> LWWRegister.value(LWWRegister.merge(reg, newer))
      "new_value"

  Each update is stamped by a hybrid logical clock in microseconds: the time of day, but always
  later than the stamp it replaces. An update made after seeing another therefore wins over it,
  whatever the clocks say. Of equal stamps the greater node name wins, of equal names the greater
  value, so that all nodes agree.

  The struct's fields may be built and matched directly:

      iex> alias Raxol.Swarm.CRDT.LWWRegister
      iex> a = %LWWRegister{value: 1, timestamp: 7, node: :a}
      iex> b = %LWWRegister{value: 2, timestamp: 7, node: :b}
      iex> LWWRegister.merge(a, b).value
      2

  The same value is used by the Erlang module `:muster_lww_register`.
  """

  @behaviour Raxol.Swarm.CRDT

  @enforce_keys [:value, :timestamp, :node]
  defstruct [:value, :timestamp, :node]

  @type t :: t(term())
  @type t(value) :: %__MODULE__{value: value, timestamp: non_neg_integer(), node: term()}

  @doc "A register with a first value, written now by `node`."
  @spec new(value, term()) :: t(value) when value: term()
  def new(value, node \\ node()), do: :muster_lww_register.new(value, node)

  @doc "Overwrites the value, on behalf of this node."
  @spec update(t(), value) :: t(value) when value: term()
  defdelegate update(register, value), to: :muster_lww_register

  @doc "The register that was written last."
  @impl true
  @spec merge(t(value), t(value)) :: t(value) when value: term()
  defdelegate merge(a, b), to: :muster_lww_register

  @doc "The value."
  @spec value(t(value)) :: value when value: term()
  defdelegate value(register), to: :muster_lww_register
end
