defmodule Raxol.Swarm.CRDT.DoctestsTest do
  use ExUnit.Case, async: true

  doctest Raxol.Swarm.CRDT.ORSet
  doctest Raxol.Swarm.CRDT.LWWRegister
  doctest Raxol.Swarm.CRDT.LWWMap
end
