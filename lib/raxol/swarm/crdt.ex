defmodule Raxol.Swarm.CRDT do
  @moduledoc """
  What all replicated data types have in common: copies that were changed independently merge.

  Merging is commutative, associative and idempotent: copies converge whatever order, and however
  often, they meet in.

    * `Raxol.Swarm.CRDT.ORSet`: a set; concurrent adds win over removals
    * `Raxol.Swarm.CRDT.LWWRegister`: one value; the last writer wins
    * `Raxol.Swarm.CRDT.LWWMap`: a map of such values, from which keys can be removed
  """

  @type t :: term()

  @doc "What either copy knows."
  @callback merge(t(), t()) :: t()
end
