defmodule Muster.Overlay.FacesTest do
  use ExUnit.Case, async: true

  doctest Raxol.Swarm.TacticalOverlay

  test "wrong arguments are errors at the caller, which say what is expected" do
    assert_raise ArgumentError, ~r/expected a map with an id/, fn ->
      Raxol.Swarm.TacticalOverlay.add_waypoint(%{label: "nowhere"})
    end

    assert_raise ArgumentError, ~r/expected a map/, fn ->
      Raxol.Swarm.TacticalOverlay.update_entity(:unit_1, :active)
    end
  end
end
