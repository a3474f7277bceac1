# docs/coverage.md: what it says exists does, and none of the documents' names is left out.
defmodule Muster.Docs.CoverageTest do
  use ExUnit.Case

  alias Muster.Test.Docs.Table

  @root Path.expand("../..", __DIR__)
  @page Path.join(@root, "docs/coverage.md")
  @documents Path.expand("../shared/spec", @root)

  defp rows, do: Table.rows(@page, "", "name")

  test "what it names exists" do
    named = for [_, where, _] <- rows(), name <- Table.code(where), do: name
    assert length(named) > 100
    missing = for name <- Enum.uniq(named), not there?(name), do: name
    assert missing == [], Enum.join(["missing:" | missing], "\n")
  end

  test "its tests exist" do
    missing =
      for [name, _, tests] <- rows(),
          {file, texts} <- tests(tests),
          path = Path.join(@root, file),
          text <- if(File.exists?(path), do: texts, else: ["the file itself"]),
          not (File.exists?(path) and File.read!(path) =~ text),
          do: "#{name}: #{file}: #{text}"

    assert missing == [], Enum.join(["missing:" | missing], "\n")
    for [name, _, tests] <- rows(), do: assert(tests(tests) != [], "#{name} has no test")
  end

  # `file`: "text"; `file`
  defp tests(cell) do
    for one <- String.split(cell, "; "), [file] <- [Table.code(one)] do
      {file, for([_, text] <- Regex.scan(~r/"([^"]+)"/, one), do: text)}
    end
  end

  # ---- where a name is ----

  defp there?(name) do
    cond do
      name =~ "/" and File.exists?(Path.join(@root, name)) ->
        true

      match = Regex.run(~r{^([a-z_]+(?:/[a-z_]+)+)\.(\w+)$}, name) ->
        gleam?(tl(match))

      match = Regex.run(~r{^([A-Z][\w.]*)\.([a-z]\w*[?!]?)/(\d)$}, name) ->
        elixir?(tl(match))

      match = Regex.run(~r{^(\w+):(\w+)/(\d)$}, name) ->
        erlang?(tl(match))

      name =~ ~r/^[A-Z][\w.]*$/ ->
        Code.ensure_loaded?(Module.concat([name]))

      name =~ ~r/^muster\w*$/ ->
        Code.ensure_loaded?(String.to_atom(name))

      # A callback, an OTP module.
      true ->
        callback?(name) or Code.ensure_loaded?(String.to_atom(name))
    end
  end

  defp elixir?([module, function, arity]), do: exported?(Module.concat([module]), function, arity)
  defp erlang?([module, function, arity]), do: exported?(String.to_atom(module), function, arity)

  defp exported?(module, function, arity) do
    Code.ensure_loaded?(module) and
      function_exported?(module, String.to_atom(function), String.to_integer(arity))
  end

  defp callback?(name) do
    for({callback, _} <- :muster_leader.behaviour_info(:callbacks), do: to_string(callback))
    |> Enum.member?(name)
  end

  # A public function, constant, type or constructor of a Gleam module.
  defp gleam?([module, name]) do
    with {:ok, source} <- File.read(Path.join([@root, "gleam/src", module <> ".gleam"])) do
      source =~ ~r/^pub (fn|const|type|opaque type) #{name}\b/m or source =~ ~r/^  #{name}(\(|$)/m
    else
      _ -> false
    end
  end

  # ---- what the documents name ----

  if File.dir?(@documents) do
    test "no call of the Swarm document is left out" do
      for [_, module, function] <-
            scan(
              "distributed-swarm.txt",
              ~r/\b(?:Raxol\.Swarm\.(?:CRDT\.)?)?([A-Z]\w+)\.([a-z_]+[?]?)\(/
            ) do
        assert listed?("#{module}.#{function}/"), "#{module}.#{function}"
      end
    end

    test "no option or event of the Swarm document is left out" do
      for [_, option] <- scan("distributed-swarm.txt", ~r/\b([a-z_]+): [^\n]*(?:,|\n\))/),
          not example?(option) do
        assert listed?(option), option
      end

      for [_, event] <- scan("distributed-swarm.txt", ~r/_event, \{:(\w+),/),
          do: assert(listed?(":#{event},"), event)
    end

    # Keys of the document's example data, and of libcluster's form of a topology.
    defp example?(key),
      do: key in ~w(position heading status id label strategy config my_cluster node avg_rtt_ms)

    test "no name of the Gleam documents is left out" do
      for document <- ~w(distribute-discovery.txt distribute-discovery-behaviour.txt),
          [_, name] <- scan(document, ~r/^pub (?:opaque )?(?:fn|const|type) (\w+)/m),
          name != "start_app",
          do: assert(listed?("`#{name}`"), name)

      for [_, name] <- scan("distribute-discovery.txt", ~r/\btypes\.(\w+)/),
          do: assert(listed?("`types.#{name}`"), name)

      for [_, name] <- scan("distribute-discovery-behaviour.txt", ~r/^([A-Z]\w+)\(/m),
          do: assert(listed?(name), name)
    end

    test "no name of the Go package is left out" do
      for [_, name] <- scan("leader.txt", ~r/^func \(l \*Actor\) (\w+)\(/m),
          do: assert(listed?("`Actor.#{name}`"), name)

      [behaviour] = Regex.run(~r/type ActorBehavior interface \{.*?\n\}/s, document("leader.txt"))

      for [_, name] <- Regex.scan(~r/^\t?(\w+)\(/m, behaviour),
          do: assert(listed?("`ActorBehavior.#{name}`"), name)

      [options] = Regex.run(~r/type Options struct \{.*?\n\}/s, document("leader.txt"))

      for [_, name] <- Regex.scan(~r/^\t(\w+) /m, options),
          do: assert(listed?("`Options.#{name}`"), name)
    end

    defp document(name), do: @documents |> Path.join(name) |> File.read!()

    defp scan(name, pattern) do
      found = Regex.scan(pattern, document(name))
      assert found != []
      found
    end

    defp listed?(text), do: Enum.any?(rows(), fn [name | _] -> name =~ text end)
  end
end
