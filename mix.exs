defmodule Mix.Tasks.Compile.MusterNative do
  @moduledoc false
  # Calls the Makefile, so that no Hex package is needed to build the native code.
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    make!(["-j#{System.schedulers_online()}", "native"])
    # Links priv/ into the build folder, should it not have been there when Mix first looked.
    Mix.Project.build_structure()
    {:noop, []}
  end

  @impl true
  def clean do
    make!(["clean-native"])
  end

  defp make!(args) do
    program =
      System.find_executable("gmake") || System.find_executable("make") ||
        Mix.raise("muster: no `make` on the PATH, which builds the native code: install GNU make")

    # Under `make all` the outer make's job server is out of reach: the BEAM closes its files.
    env = [{"MAKEFLAGS", nil}, {"MAKELEVEL", nil}]
    options = [env: env, stderr_to_stdout: true, into: IO.stream(:stdio, :line)]

    case System.cmd(program, ["--no-print-directory" | args], options) do
      {_, 0} ->
        :ok

      {_, _} ->
        Mix.raise("muster: `make #{Enum.join(args, " ")}` failed; its first lines above say why")
    end
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
      erlc_options: [:debug_info] ++ if(own_checkout?(), do: [:warnings_as_errors], else: []),
      elixirc_options: [warnings_as_errors: own_checkout?()],
      elixirc_paths: elixirc_paths(Mix.env()),
      package: package(),
      deps: []
    ]
  end

  def application do
    app = app_src()

    [
      mod: app[:mod],
      registered: app[:registered],
      env: app[:env],
      extra_applications: (app[:applications] -- [:kernel, :stdlib]) ++ [:logger]
    ]
  end

  # `config :muster, elixir_names: false` in the using project leaves out the modules under the
  # documented names (Raxol.Swarm.*), which would clash in a release that holds raxol as well;
  # the Erlang modules muster_* and what is in lib/muster/ and lib/mix/ stay.
  defp elixirc_paths(:test), do: ["lib", "test/support"]

  defp elixirc_paths(_) do
    case Application.get_env(:muster, :elixir_names, true) do
      true ->
        ["lib"]

      false ->
        ["lib/muster", "lib/mix"]

      other ->
        Mix.raise("config :muster, elixir_names: expected true or false, got: #{inspect(other)}")
    end
  end

  # A user's newer compiler may know warnings that ours does not; the Makefile does the same.
  defp own_checkout? do
    parent = File.cwd!() |> Path.dirname() |> Path.basename()
    File.exists?(".git") and parent not in ~w(deps lib _checkouts packages)
  end

  defp package do
    app = app_src()

    [
      licenses: Enum.map(app[:licenses], &to_string/1),
      links: Map.new(app[:links], fn {name, url} -> {to_string(name), to_string(url)} end),
      build_tools: Enum.map(app[:build_tools], &to_string/1),
      files: Enum.map(app[:files], &to_string/1)
    ]
  end

  # What rebar3 and rebar3_hex read: one place for both.
  defp app_src do
    {:ok, [{:application, :muster, app}]} = :file.consult("src/muster.app.src")
    app
  end
end
