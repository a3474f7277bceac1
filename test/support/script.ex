defmodule Muster.Test.Script do
  @moduledoc """
  Runs in the test's nodes: a process that evaluates code statement by statement, as a shell does,
  with its bindings and aliases, and keeps the messages that it gets.
  """
  import Muster.Test.Cluster, only: [call: 4]

  @doc "Starts the script of a node."
  def start(node), do: call(node, __MODULE__, :run, [])

  @doc "The value of a statement; raises what the statement does."
  def eval(node, code) do
    case call(node, __MODULE__, :ask, [{:eval, code}]) do
      {:value, value} -> value
      {:raised, text} -> raise "#{code}\nraised in the node:\n#{text}"
    end
  end

  @doc "Binds a variable."
  def bind(node, name, value), do: call(node, __MODULE__, :ask, [{:bind, name, value}])

  @doc "The messages so far, in order."
  def messages(node), do: call(node, __MODULE__, :ask, [:messages])

  @doc false
  def run do
    {:ok, _} = Application.ensure_all_started(:elixir)
    pid = spawn(fn -> loop([], Code.env_for_eval([]), []) end)
    Process.register(pid, __MODULE__)
    pid
  end

  @doc false
  def ask(what) do
    tag = make_ref()
    send(__MODULE__, {__MODULE__, {self(), tag}, what})

    receive do
      {^tag, answer} -> answer
    end
  end

  defp loop(binding, env, messages) do
    receive do
      {__MODULE__, {from, tag}, {:eval, code}} ->
        {answer, binding, env} = evaluate(code, binding, env)
        send(from, {tag, answer})
        loop(binding, env, messages)

      {__MODULE__, {from, tag}, {:bind, name, value}} ->
        send(from, {tag, :ok})
        loop(Keyword.put(binding, name, value), env, messages)

      {__MODULE__, {from, tag}, :messages} ->
        send(from, {tag, Enum.reverse(messages)})
        loop(binding, env, messages)

      message ->
        loop(binding, env, [message | messages])
    end
  end

  defp evaluate(code, binding, env) do
    {value, binding, env} =
      code |> Code.string_to_quoted!() |> Code.eval_quoted_with_env(binding, env)

    {{:value, value}, binding, env}
  catch
    kind, reason -> {{:raised, Exception.format(kind, reason, __STACKTRACE__)}, binding, env}
  end
end
