defmodule Muster.Test.Docs.Evaluator do
  @moduledoc """
  Runs in a node: a process that evaluates a page's Elixir and Erlang blocks one after the other,
  as a shell would. What they start is linked to it and ends with it.

  An expression that does not match yet is tried again for a while: a cluster takes moments to form, and a reader is
  slower than a test.
  """

  @deadline_ms 30_000

  @doc "`bindings` are variables that a page has from nowhere."
  def start(bindings \\ []) do
    {:ok, _} = :application.ensure_all_started(:elixir)
    Code.compiler_options(ignore_module_conflict: true)
    state = %{elixir: bindings, erlang: :erl_eval.new_bindings(), env: Code.env_for_eval([])}

    spawn(fn ->
      # As in a shell: a server that fails to start is an answer, not the end.
      Process.flag(:trap_exit, true)
      loop(state)
    end)
  end

  @doc "`:ok`, or `{:error, text}`; languages are `:elixir` and `:erlang`."
  def run(pid, language, text, line) do
    monitor = Process.monitor(pid)
    send(pid, {:run, self(), monitor, language, text, line})

    receive do
      {^monitor, result} ->
        Process.demonitor(monitor, [:flush])
        result

      {:DOWN, ^monitor, _, _, reason} ->
        {:error, "the page's process ended: #{inspect(reason)}"}
    end
  end

  @doc "Ends it, and returns once all that it started is gone."
  def stop(pid) do
    {:links, links} = Process.info(pid, :links)
    monitors = for p <- [pid | links], is_pid(p), do: Process.monitor(p)
    send(pid, :stop)

    for monitor <- monitors do
      receive do
        {:DOWN, ^monitor, _, _, _} -> :ok
      after
        @deadline_ms -> exit(:does_not_end)
      end
    end

    :ok
  end

  defp loop(state) do
    receive do
      {:run, from, ref, language, text, line} ->
        {result, state} =
          try do
            {:ok, evaluate(language, text, line, state)}
          catch
            kind, reason -> {{:error, Exception.format(kind, reason, __STACKTRACE__)}, state}
          end

        send(from, {ref, result})
        loop(state)

      :stop ->
        exit(:shutdown)
    end
  end

  # ---- Elixir ----

  defp evaluate(:elixir, text, line, state) do
    {quoted, comments} = Code.string_to_quoted_with_comments!(text, line: line)
    expressions = expressions(quoted)
    starts = Enum.map(expressions, &first_line/1)

    Enum.zip([expressions, starts, tl(starts) ++ [:infinity]])
    |> Enum.reduce(state, fn {expression, from, to}, state ->
      expected = expected(comments, from, to)

      patiently(fn ->
        {value, binding, env} = Code.eval_quoted_with_env(expression, state.elixir, state.env)
        expected == nil or agrees?(expected, value) or throw({:other, value, expected})
        %{state | elixir: binding, env: env}
      end)
    end)
  end

  defp evaluate(:erlang, text, line, state) do
    {:ok, tokens, _} = :erl_scan.string(to_charlist(text), line)
    forms = forms(tokens)

    if module?(forms) do
      compile(forms)
      state
    else
      for(form <- forms, expression <- parse(form), do: expression)
      |> Enum.reduce(state, fn expression, state ->
        patiently(fn ->
          {:value, _, bindings} = :erl_eval.expr(expression, state.erlang)
          %{state | erlang: bindings}
        end)
      end)
    end
  end

  defp expressions({:__block__, _, expressions}), do: expressions
  defp expressions(expression), do: [expression]

  defp first_line(quoted) do
    {_, line} =
      Macro.prewalk(quoted, :infinity, fn
        {_, meta, _} = node, line when is_list(meta) ->
          {node, min(line, meta[:line] || :infinity)}

        node, line ->
          {node, line}
      end)

    line
  end

  # What the comments between two expressions say after `# =>`, as a quoted expression.
  defp expected(comments, from, to) do
    said =
      for(%{line: line, text: text} <- comments, line >= from, line < to, do: text)
      |> Enum.drop_while(&(not String.starts_with?(&1, "# =>")))
      |> Enum.map_join(" ", &String.replace(&1, ~r/^# (=> )?/, ""))

    if said != "" do
      said
      |> String.replace(~r/,\s*\.\.\.\s*}/, ", __more__: true}")
      |> String.replace(~r/,\s*\.\.\.\s*\]/, ", :__more__]")
      |> Code.string_to_quoted!()
    end
  end

  @doc """
  Whether a value is what a page says, as a quoted expression: `...` is for more of it, `|` for alternatives, `_` for
  anything; measured times and sizes are any number.
  """
  def agrees?({:|, _, [left, right]}, value), do: agrees?(left, value) or agrees?(right, value)
  def agrees?({:_, _, context}, _) when is_atom(context), do: true

  def agrees?({:%{}, _, pairs}, value) when is_map(value) do
    {more, pairs} = Keyword.pop(pairs, :__more__, false)

    Enum.all?(pairs, fn {key, expected} ->
      is_map_key(value, key) and field?(key, expected, value[key])
    end) and
      (more or map_size(value) == length(pairs))
  end

  def agrees?([:__more__], value), do: is_list(value)

  def agrees?([head | tail], [first | rest]), do: agrees?(head, first) and agrees?(tail, rest)

  def agrees?({left, right}, {a, b}), do: agrees?(left, a) and agrees?(right, b)

  def agrees?({:{}, _, elements}, value) when is_tuple(value),
    do: agrees?(elements, Tuple.to_list(value))

  def agrees?(expected, value) do
    {literal, _} = Code.eval_quoted(expected)
    literal === value
  rescue
    CompileError -> false
  end

  defp field?(key, expected, value) when is_number(expected) and is_number(value) do
    measured = key |> to_string() |> String.ends_with?(["_ms", "_us"])
    measured or expected == value
  end

  defp field?(_, expected, value), do: agrees?(expected, value)

  # ---- Erlang ----

  defp forms(tokens) do
    Enum.chunk_while(
      tokens,
      [],
      fn
        {:dot, _} = dot, form -> {:cont, Enum.reverse([dot | form]), []}
        token, form -> {:cont, [token | form]}
      end,
      fn
        [] -> {:cont, []}
        _ -> raise "the last expression has no full stop"
      end
    )
  end

  defp parse(form) do
    case :erl_parse.parse_exprs(form) do
      {:ok, expressions} -> expressions
      {:error, {line, module, what}} -> raise "line #{line}: #{module.format_error(what)}"
    end
  end

  # A module, or functions of one.
  defp module?([first | _] = forms) do
    match?([{:-, _}, {:atom, _, :module} | _], first) or
      (match?({:error, _}, :erl_parse.parse_exprs(first)) and
         Enum.all?(forms, &match?({:ok, _}, :erl_parse.parse_form(&1))))
  end

  defp compile(forms) do
    parsed = for {:ok, form} <- Enum.map(forms, &:erl_parse.parse_form/1), do: form

    named =
      if Enum.any?(parsed, &match?({:attribute, _, :module, _}, &1)),
        do: parsed,
        else: [{:attribute, 1, :module, :functions_of_a_page} | parsed]

    {:ok, module, code} = :compile.forms(named, [:export_all, :nowarn_export_all, :return_errors])
    {:module, ^module} = :code.load_binary(module, 'a page', code)
  end

  # ---- both ----

  defp patiently(fun), do: patiently(fun, System.monotonic_time(:millisecond) + @deadline_ms)

  defp patiently(fun, deadline) do
    fun.()
  catch
    kind, reason ->
      if not_yet?(kind, reason) and System.monotonic_time(:millisecond) < deadline do
        Process.sleep(20)
        patiently(fun, deadline)
      else
        :erlang.raise(kind, reason, __STACKTRACE__)
      end
  end

  defp not_yet?(:throw, {:other, _, _}), do: true
  defp not_yet?(:error, %MatchError{}), do: true
  defp not_yet?(:error, {:badmatch, _}), do: true
  defp not_yet?(_, _), do: false
end
