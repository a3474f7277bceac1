# Every code block of README.md and docs/*.md does what the page says. One cluster serves all pages: app@host1
# and app@host2 run muster's servers with their defaults, the blocks are evaluated on app@host3.
#
#   script/isolated mix test test/docs/blocks.exs        (PAGE=crdts.md for one page)
defmodule Muster.Docs.BlocksTest do
  use ExUnit.Case

  alias Muster.Test.Cluster
  alias Muster.Test.Docs.{Block, Evaluator, Shell}

  @moduletag timeout: 300_000
  @root Path.expand("../..", __DIR__)
  @pages Block.pages(@root)
  @cookie "muster_test"
  # What pages call the nodes, and how they are called here (in the same order).
  @hosts %{
    "app@host1" => "app@127.0.0.1",
    "app@host2" => "app_2@127.0.0.1",
    "app@host3" => "app_3@127.0.0.1"
  }
  # The demo's nodes: which of them commands is up to them.
  @any ~w(berlin lagos quito)

  # What pages speak of without saying what it is.
  @bindings [data: "some data"]

  # Left to the suite of the Gleam package, which compiles them.
  @elsewhere ~w(gleam)
  @runs ~w(elixir erlang console sh ini toml json)

  setup_all do
    nodes =
      for name <- ~w(app app_2 app_3) do
        Cluster.start_node(name: {:exact, name}, cookie: @cookie, monitor: nil)
      end

    [one, two, me] = nodes
    for node <- [one, two], server <- servers(), do: start(node, server)
    for {a, b} <- [{one, two}, {one, me}, {two, me}], do: Cluster.connect(a, b)

    scratch = Path.join(System.tmp_dir!(), "muster-docs-#{System.pid()}")
    on_exit(fn -> File.rm_rf!(scratch) end)
    %{nodes: nodes, me: me, scratch: scratch}
  end

  defp servers do
    [
      {:muster_discovery, [%{strategy: :gossip}]},
      {:muster_node_monitor, [%{}]},
      {:muster_topology, [%{quorum_size: 2}]}
    ]
  end

  defp start(node, {module, args}),
    do: {:ok, _} = Cluster.start_in(node, module, :start_link, args)

  test "every block is run, or says why not" do
    blocks = Enum.flat_map(@pages, &Block.read/1)
    count = fn fun -> Enum.count(blocks, fun) end

    unmarked =
      for block <- blocks,
          kind(block) == :unmarked,
          do: "#{Block.where(block)} (#{block.language})"

    IO.puts(
      "#{length(blocks)} blocks on #{length(@pages)} pages: #{count.(&(kind(&1) == :run))} run, " <>
        "#{count.(&(kind(&1) == :elsewhere))} in Gleam, #{count.(&(kind(&1) == :marked))} marked as not run"
    )

    assert unmarked == []
  end

  defp kind(block) do
    cond do
      Block.not_run(block) -> :marked
      block.language in @elsewhere -> :elsewhere
      block.language in @runs -> :run
      true -> :unmarked
    end
  end

  for path <- @pages, System.get_env("PAGE") in [nil, Path.basename(path)] do
    @path path
    test Path.relative_to(path, @root), context do
      page = open(@path, context)

      try do
        Enum.reduce(Block.read(@path), page, fn block, page ->
          if kind(block) == :run, do: run(block, page), else: page
        end)
        |> close()
      after
        # What is left of a page that failed.
        Enum.each(Process.delete(:shells) || [], &Shell.close/1)
        for {node, pid} <- Process.delete(:evaluators) || [], do: stop(node, pid)
      end
    end
  end

  # ---- a page ----

  defp open(path, context) do
    home = Path.join(context.scratch, "home")
    cookie = Path.join(home, ".erlang.cookie")
    File.mkdir_p!(home)
    unless File.exists?(cookie), do: File.write!(cookie, @cookie)
    File.chmod!(cookie, 0o400)

    env = %{
      "HOME" => home,
      "ERL_EPMD_PORT" => Integer.to_string(Cluster.epmd_port()),
      "PATH" => Path.dirname(Cluster.cnode_path()) <> ":" <> System.get_env("PATH"),
      "MIX_ENV" => "dev"
    }

    dir = Path.join(context.scratch, Path.relative_to(path, @root))
    File.mkdir_p!(dir)
    File.ln_s!(@root, Path.join(dir, "muster"))
    evaluators = evaluators(context)
    %{evaluators: evaluators, context: context, shell: Shell.new(@root, dir, env, @any)}
  end

  # The node of the pages comes last: what it waits for may need the others.
  defp evaluators(%{nodes: nodes}) do
    evaluators = for node <- nodes, do: {node, Cluster.call(node, Evaluator, :start, [@bindings])}
    Process.put(:evaluators, evaluators)
    evaluators
  end

  defp close(page) do
    for {node, pid} <- page.evaluators, do: stop(node, pid)
    Process.delete(:evaluators)
    page
  end

  defp stop(node, pid), do: :ok = Cluster.call(node, Evaluator, :stop, [pid], 150_000)

  defp run(block, page) do
    page = if Block.note?(block, "fresh"), do: fresh(page), else: page

    text =
      Enum.reduce(@hosts, block.text, fn {page, here}, text ->
        String.replace(text, page, here)
      end)

    run(block.language, %{block | text: text}, page)
  rescue
    error -> reraise "#{Block.where(block)}: #{Exception.message(error)}", __STACKTRACE__
  end

  defp fresh(page) do
    close(page)
    Process.delete(:shells)
    shell = Shell.close(page.shell)
    %{page | evaluators: evaluators(page.context), shell: shell}
  end

  defp run(language, %{file: nil} = block, page) when language in ~w(elixir erlang) do
    here =
      if Block.note?(block, "on every node"),
        do: page.evaluators,
        else: Enum.take(page.evaluators, -1)

    for {node, pid} <- here do
      args = [pid, String.to_atom(language), block.text, block.line + 1]

      case Cluster.call(node, Evaluator, :run, args, 150_000) do
        :ok -> :ok
        {:ok, _} -> :ok
        {:error, text} -> raise text
      end
    end

    page
  end

  defp run(language, block, page) when language in ~w(console sh) do
    shell = Shell.run(page.shell, block)
    Process.put(:shells, [shell])
    %{page | shell: shell}
  end

  defp run(language, %{file: file} = block, page) when is_binary(file) do
    path = Shell.write(page.shell, file, block.text)
    check_file(language, Path.basename(file), path)
    page
  end

  # A part of a file.
  defp run(language, block, page) when language in ~w(toml json) do
    check_file(language, nil, Shell.write(page.shell, "part." <> language, block.text))
    page
  end

  defp run(language, _block, _page), do: raise("which file is this #{language}?")

  # ---- files ----

  defp check_file("elixir", "config.exs", path), do: Config.Reader.read!(path)
  defp check_file("elixir", _, path), do: path |> File.read!() |> Code.string_to_quoted!()

  defp check_file("erlang", name, path) do
    if Path.extname(name) in ~w(.config .src) do
      assert {:ok, _} = :file.consult(path)
    end
  end

  defp check_file("toml", _, path),
    do: python!("import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))", path)

  defp check_file("json", _, path),
    do: python!("import sys, json; json.load(open(sys.argv[1]))", path)

  defp check_file("ini", _, path), do: check_unit(path)

  defp python!(program, path) do
    {output, status} = System.cmd("python3", ["-c", program, path], stderr_to_stdout: true)
    assert status == 0, output
  end

  # A systemd unit: its program's options are there, and systemd finds no fault in it.
  defp check_unit(path) do
    unit = File.read!(path)
    [_, program, arguments] = Regex.run(~r/^ExecStart=(\S+) ((?:.*\\\n)*.*)$/m, unit)
    {help, 0} = System.cmd(Cluster.cnode_path(), ["--help"])

    assert Path.basename(program) == "muster_node"

    for [option] <- Regex.scan(~r/(?<=\s|^)--[\w-]+/, arguments),
        do: assert(help =~ "  #{option} ")

    if verify = System.find_executable("systemd-analyze") do
      File.write!(path, String.replace(unit, program, Cluster.cnode_path()))
      {output, status} = System.cmd(verify, ["verify", "--man=no", path], stderr_to_stdout: true)

      own =
        output |> String.split("\n") |> Enum.filter(&String.contains?(&1, Path.basename(path)))

      assert {status, own} == {0, []}
    end
  end
end
