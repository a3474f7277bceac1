defmodule Muster.Election.DocsTest do
  # The examples of docs/leader.md do what they are there for: the leader works, the others do not.
  # (test/docs/blocks.exs runs the page as it stands.)
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Election

  @moduletag timeout: 120_000

  @guide Path.expand("../../docs/leader.md", __DIR__)

  test "the Erlang example" do
    [module, start, _session] = blocks("erlang")
    binary = compile(module)
    nodes = start_mesh(3)
    names = for node <- nodes, do: node.node

    [start] =
      start
      |> put("['app@host1', 'app@host2', 'app@host3']", :io_lib.format("~0tp", [names]))
      |> expressions()

    for node <- nodes do
      {:module, :scheduler} =
        call(node, :code, :load_binary, [:scheduler, 'scheduler.erl', binary])

      {:value, {:ok, _}, _} = start_in(node, :erl_eval, :exprs, [[start], []])
    end

    leader = await_leader_of(nodes, :scheduler)
    assert is_pid(state(leader, :scheduler))

    for node <- nodes -- [leader] do
      assert state(node, :scheduler) == :idle
      refute call(node, :muster_leader, :is_leader, [:scheduler])
    end

    # It stops its work when another takes over.
    [next | _] = nodes -- [leader]
    :ok = call(leader, :muster_leader, :transfer, [:scheduler, next.node])

    eventually(fn ->
      is_pid(state(next, :scheduler)) and state(leader, :scheduler) == :idle
    end)
  end

  test "the Elixir example" do
    [example] = blocks("elixir")
    nodes = start_mesh(3)
    names = for node <- nodes, do: node.node
    example = put(example, "[:\"app@host1\", :\"app@host2\", :\"app@host3\"]", inspect(names))
    # The test has a supervisor of its own: this one would end with the call.
    example =
      put(
        example,
        "{:ok, _} = Supervisor.start_link(children, strategy: :one_for_one)",
        "children"
      )

    for node <- nodes do
      {children, _} = call(node, Code, :eval_string, [example])

      supervise(
        node,
        for(child <- children, do: call(node, Supervisor, :child_spec, [child, []]))
      )
    end

    leader = await_leader_of(nodes, Scheduler)
    assert state(leader, Scheduler) == %{working: true}
    for node <- nodes -- [leader], do: assert(state(node, Scheduler) == %{working: false})
  end

  defp blocks(language) do
    blocks = Regex.scan(~r/^```#{language}\n(.*?)^```/ms, File.read!(@guide))
    for [_, code] <- blocks, do: code
  end

  defp put(code, what, instead) do
    assert code =~ what
    String.replace(code, what, to_string(instead))
  end

  defp compile(source) do
    forms =
      for form <- forms(source) do
        {:ok, parsed} = :erl_parse.parse_form(form)
        parsed
      end

    {:ok, :scheduler, binary} = :compile.forms(forms)
    binary
  end

  defp expressions(source) do
    Enum.flat_map(forms(source), fn form ->
      {:ok, expressions} = :erl_parse.parse_exprs(form)
      expressions
    end)
  end

  # The tokens of each part that ends with a full stop.
  defp forms(source) do
    {:ok, tokens, _} = source |> String.to_charlist() |> :erl_scan.string()

    Enum.chunk_while(
      tokens,
      [],
      fn
        {:dot, _} = dot, acc -> {:cont, Enum.reverse([dot | acc]), []}
        token, acc -> {:cont, [token | acc]}
      end,
      fn [] -> {:cont, []} end
    )
  end

  # The one that leads, and whose module knows it.
  defp await_leader_of(nodes, server) do
    eventually(fn ->
      case Enum.filter(nodes, &call(&1, :muster_leader, :is_leader, [server])) do
        [leader] -> if told?(nodes, leader, server), do: {:found, leader}
        other -> other
      end
    end)
  end

  defp told?(nodes, leader, server) do
    Enum.all?(nodes, fn node ->
      pid = call(node, :muster_leader, :leader, [server])
      is_pid(pid) and node(pid) == leader.node
    end)
  end

  # The user's state, in the server's first field: the module and its state.
  defp state(node, server), do: call(node, :sys, :get_state, [server]) |> elem(1) |> elem(2)
end
