import Config

# Only where the test says so: unset is the usual case.
case System.get_env("ELIXIR_NAMES") do
  nil -> :ok
  value -> config :muster, elixir_names: value == "true"
end
