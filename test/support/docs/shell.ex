defmodule Muster.Test.Docs.Shell do
  @moduledoc """
  A page's commands, in a scratch directory. In `console` blocks they begin with `$`, the lines below are what they print: these
  must come in this order, other lines may come between (in `sh` blocks each line is a command); numbers and the page's `any` words are any, `…` is any text.

  Commands that install, or that take minutes and are run elsewhere (CI), are checked to exist.
  """

  alias Muster.Test.Docs.Block

  defstruct [:root, :dir, :cwd, :env, :any, staying: [], checked: 0]

  @command_ms 120_000

  @doc "`any`: words that stand for each other in the output, such as the names of the demo's nodes."
  def new(root, dir, env, any) do
    File.mkdir_p!(dir)
    %__MODULE__{root: root, dir: dir, cwd: dir, env: env, any: any}
  end

  def run(shell, block) do
    commands = commands(block)
    last = length(commands) - 1

    commands
    |> Enum.with_index()
    |> Enum.reduce(shell, fn {{command, expected}, index}, shell ->
      if seen_elsewhere?(command) do
        exists!(shell, command)
        %{shell | checked: shell.checked + 1}
      else
        stays = index == last and Block.note?(block, "stays")
        execute(shell, own_name(shell, command), expected, stays)
      end
    end)
  end

  @doc "Writes a page's file where its commands are."
  def write(shell, file, text) do
    path = Path.join(shell.cwd, Path.relative_to(file, "/"))
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, text)
    path
  end

  @doc "Ends the commands that stayed."
  def close(shell) do
    for {port, os_pid} <- shell.staying do
      System.cmd("kill", ["-TERM", "--", "-#{os_pid}"], stderr_to_stdout: true)
      if match?({:timeout, _}, collect(port, "", fn _ -> false end, 10_000)), do: kill(os_pid)
    end

    %{shell | staying: []}
  end

  # ---- what stands in a block ----

  defp commands(%{language: "console", text: text}) do
    text
    |> String.split("\n", trim: true)
    |> Enum.reduce([], fn
      "$ " <> command, commands -> [{command, []} | commands]
      line, [{command, []} | rest] -> below(String.ends_with?(command, "\\"), line, command, rest)
      line, [{command, output} | rest] -> [{command, output ++ [line]} | rest]
      line, [] -> raise "a console block begins with `$ `, not: #{line}"
    end)
    |> Enum.reverse()
  end

  defp commands(%{text: text}) do
    for line <- String.split(text, "\n", trim: true),
        not String.starts_with?(line, "#"),
        do: {line, []}
  end

  defp below(true, line, command, rest), do: [{command <> "\n" <> line, []} | rest]
  defp below(false, line, command, rest), do: [{command, [line]} | rest]

  # ---- commands that are not run here ----

  defp seen_elsewhere?("make demo" <> _), do: false

  defp seen_elsewhere?(command) do
    Regex.match?(
      ~r{^(\w+=\S* )*(make|mix muster\.|sudo|git clone|systemctl|journalctl|script/|bash \.ci/)},
      command
    )
  end

  defp exists!(shell, command) do
    words = command |> String.replace(~r/\s+#.*/, "") |> String.split()

    case Enum.drop_while(words, &String.contains?(&1, "=")) do
      ["make" | targets] ->
        makefile = File.read!(Path.join(shell.root, "Makefile"))

        for target <- targets, not String.contains?(target, "=") do
          makefile =~ ~r/^#{target}:/m or raise "make has no target #{target}"
        end

      [program | _] when program in ~w(sudo git systemctl journalctl) ->
        :ok

      ["mix", task | _] ->
        File.regular?(Path.join(shell.root, "lib/mix/tasks/#{task}.ex")) or
          raise "there is no #{task}"

      ["bash", script | _] ->
        File.regular?(Path.join(shell.root, script)) or raise "there is no #{script}"

      [script | _] ->
        File.regular?(Path.join(shell.root, script)) or raise "there is no #{script}"
    end
  end

  # All is built here already, and nothing has to be installed.
  defp own_name(shell, "make demo" <> _), do: Path.join(shell.root, "script/demo")
  defp own_name(_, command), do: command

  # ---- running ----

  defp execute(shell, command, expected, stays) do
    cwd_file = Path.join(shell.dir, ".cwd")
    script = Path.join(shell.dir, ".command")

    File.write!(script, """
    echo $$
    cd '#{shell.cwd}'
    #{command}
    status=$?
    pwd >'#{cwd_file}'
    exit $status
    """)

    port =
      Port.open({:spawn_executable, "/usr/bin/setsid"}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        env: for({k, v} <- shell.env, do: {to_charlist(k), to_charlist(v)}),
        args: ["--wait", "bash", script]
      ])

    enough = if stays, do: &(missing(shell, expected, &1) == nil), else: fn _ -> false end
    result = collect(port, "", enough, @command_ms)
    judge(shell, command, expected, result, port, cwd_file)
  end

  defp judge(shell, command, expected, result, port, cwd_file) do
    case result do
      {:enough, output} ->
        %{shell | staying: [{port, os_pid(output)} | shell.staying]}

      {:exit, status, output} ->
        lacks = missing(shell, expected, output)
        lacks == nil or raise "$ #{command}\nprints no line like\n#{lacks}\nbut\n#{output}"
        expected != [] or status == 0 or raise "$ #{command}\nexit #{status}\n#{output}"
        %{shell | cwd: cwd_file |> File.read!() |> String.trim()}

      {:timeout, output} ->
        kill(os_pid(output))
        raise "$ #{command}\ndid not end in time, or lacks its output; it printed\n#{output}"
    end
  end

  defp collect(port, output, enough, ms) do
    deadline = System.monotonic_time(:millisecond) + ms
    collect_until(port, output, enough, deadline)
  end

  defp collect_until(port, output, enough, deadline) do
    receive do
      {^port, {:data, data}} ->
        output = output <> data

        if enough.(output),
          do: {:enough, output},
          else: collect_until(port, output, enough, deadline)

      {^port, {:exit_status, status}} ->
        {:exit, status, output}
    after
      max(deadline - System.monotonic_time(:millisecond), 0) -> {:timeout, output}
    end
  end

  defp os_pid(output), do: output |> String.split("\n") |> hd() |> String.trim()
  defp kill(os_pid), do: System.cmd("kill", ["-KILL", "--", "-#{os_pid}"], stderr_to_stdout: true)

  # The first expected line that does not come, or nil.
  defp missing(shell, expected, output) do
    lines = output |> String.split("\n") |> Enum.map(&plain(shell, &1))

    Enum.reduce_while(expected, {:cont, lines}, fn line, {:cont, lines} ->
      pattern = pattern(shell, line)

      case Enum.drop_while(lines, &(not Regex.match?(pattern, &1))) do
        [] -> {:halt, {:lacks, line}}
        [_ | rest] -> {:cont, {:cont, rest}}
      end
    end)
    |> case do
      {:lacks, line} -> line
      {:cont, _} -> nil
    end
  end

  defp pattern(shell, line) do
    parts = for part <- String.split(plain(shell, line), "…"), do: Regex.escape(part)
    Regex.compile!("^" <> Enum.join(parts, ".*") <> "$", "u")
  end

  defp any_word(line, []), do: line
  defp any_word(line, words), do: String.replace(line, words, "ANY")

  defp plain(shell, line) do
    line
    |> any_word(shell.any)
    |> String.replace(~r/\d+(\.\d+)?/, "N")
    |> String.replace(~r/\s+/, " ")
    |> String.trim()
  end
end
