defmodule Mix.Tasks.Compile.MusterNative do
  @moduledoc false
  # Calls the Makefile, so that no Hex package is needed to build the native code.
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    case System.cmd(make(), ["--no-print-directory", "native"],
           stderr_to_stdout: true,
           into: IO.stream(:stdio, :line)
         ) do
      {_, 0} -> {:ok, []}
      {_, _} -> Mix.raise("muster: `make native` failed; its first lines above say why")
    end
  end

  defp make do
    System.find_executable("gmake") || System.find_executable("make") ||
      Mix.raise("muster: no `make` on the PATH; it builds the native code")
  end
end

defmodule Muster.MixProject do
  use Mix.Project

  @version "VERSION" |> File.read!() |> String.trim()

  def project do
    [
      app: :muster,
      version: @version,
      elixir: "~> 1.14",
      description:
        "Finds, watches and leads a BEAM cluster, and shares its state: a native core in C",
      compilers: [:muster_native] ++ Mix.compilers(),
      erlc_options: [:debug_info, :warnings_as_errors],
      elixirc_options: [warnings_as_errors: true],
      elixirc_paths: elixirc_paths(Mix.env()),
      package: package(),
      deps: []
    ]
  end

  def application do
    [mod: {:muster_app, []}, extra_applications: [:logger]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]

  defp package do
    [
      licenses: ["Apache-2.0"],
      links: %{},
      files:
        ~w(c_src/core c_src/node c_src/nif src include lib priv/.gitkeep script/erlang-paths script/check-libs
           Makefile VERSION mix.exs rebar.config README.md CHANGELOG.md LICENSE)
    ]
  end
end
