defmodule Muster.Comms.FacesTest do
  # In a VM without distribution: single-node mode.
  use ExUnit.Case

  doctest Raxol.Swarm.CommsManager
end
