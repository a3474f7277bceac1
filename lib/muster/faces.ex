defmodule Muster.Faces do
  @moduledoc false
  # What the Elixir faces share. Which of them this build has: see elixirc_paths in mix.exs. Read through compile_env so that the
  # setting is recorded: changed after muster was compiled as a fetched dependency, it would be
  # ignored in silence; so Mix refuses to start and names the command that compiles it again.

  @elixir_names Application.compile_env(:muster, :elixir_names, true)

  @doc "Whether the modules under the documented names (`Raxol.Swarm.*`) were compiled."
  @spec elixir_names?() :: boolean()
  def elixir_names?, do: @elixir_names

  @doc "Elixir's nothing for Erlang's."
  @spec or_nil(:undefined | value) :: value | nil when value: term()
  def or_nil(:undefined), do: nil
  def or_nil(value), do: value
end
