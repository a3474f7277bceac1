defmodule Raxol.Swarm.NodeMonitor do
  @moduledoc false
  # Stands for the raxol that has modules of the names that muster's Elixir face has too.

  def whose, do: :raxol
end
