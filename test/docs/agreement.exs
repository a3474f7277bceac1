# What the pages say is what the code has: events, states, operations, texts of errors and logs, limits, links. (Options:
# options.exs.)
#
#   script/isolated mix test test/docs/agreement.exs
defmodule Muster.Docs.AgreementTest do
  use ExUnit.Case

  alias Muster.Test.Docs.{Block, Table}

  @moduletag timeout: 120_000
  @root Path.expand("../..", __DIR__)
  @pages Block.pages(@root)

  setup_all do
    {:ok, _} = Application.ensure_all_started(:muster)
    :ok
  end

  defp page(name), do: Path.join([@root, "docs", name])
  defp sources(wildcard), do: @root |> Path.join(wildcard) |> Path.wildcard()

  # Texts as they are printed: pieces of one literal on several lines are joined.
  defp all_sources do
    for(
      dir <- ~w(src c_src/core c_src/node),
      file <- sources(dir <> "/*.*"),
      do: File.read!(file)
    )
    |> Enum.join("\n")
    |> String.replace(~r/"\s*\n\s*"/, "")
    |> String.replace("\\\"", "\"")
  end

  # ---- events and states ----

  test "telemetry's events, on the page and in the module's documentation" do
    source = for(file <- sources("src/*.erl"), do: File.read!(file)) |> Enum.join()

    # Discovery's prefix is an option; the page has the default.
    emitted =
      for [_, prefix, event] <- Regex.scan(~r/execute\(\s*(Prefix \+\+ )?\[([^\]]+)\]/, source),
          prefix != "" or event =~ ~r/^muster,/,
          do: atoms(if(prefix == "", do: event, else: "muster, discovery, " <> event))

    documented =
      for [cell | _] <- Table.rows(page("operations.md"), "Metrics", "event"),
          e <- Table.code(cell),
          do: e |> String.trim("[") |> String.trim("]") |> atoms()

    assert emitted != []

    for event <- documented,
        do: assert(Enum.any?(emitted, &same_event?(&1, event)), "nobody emits #{inspect(event)}")

    for event <- emitted,
        do:
          assert(
            Enum.any?(documented, &same_event?(event, &1)),
            "not documented: #{inspect(event)}"
          )

    doc = File.read!(Path.join(@root, "src/muster_telemetry.erl"))

    for event <- documented,
        do: assert(doc =~ Enum.at(event, 1) and doc =~ List.last(event), inspect(event))
  end

  defp atoms(text), do: text |> String.split(",") |> Enum.map(&String.trim/1)

  # A variable in the source is any atom on the page.
  defp same_event?(emitted, documented) do
    length(emitted) == length(documented) and
      Enum.zip(emitted, documented) |> Enum.all?(fn {e, d} -> e == d or e =~ ~r/^[A-Z]/ end)
  end

  test "the events that subscribers get" do
    documented =
      for page <- ~w(health.md topology.md),
          code <- Table.code(File.read!(page(page))),
          {:swarm_event, event} <- [shape(code)],
          do: {elem(event, 0), tuple_size(event)}

    told = Enum.flat_map([:muster_node_monitor_server, :muster_topology_server], &told/1)
    assert told != []
    assert Enum.sort(Enum.uniq(documented)) == Enum.sort(Enum.uniq(told))
  end

  # A term on a page, with any atom for a variable.
  defp shape(code) do
    with {:ok, quoted} <- Code.string_to_quoted(code) do
      quoted
      |> Macro.postwalk(fn
        {name, _, context} when is_atom(name) and is_atom(context) -> name
        {:{}, _, elements} -> List.to_tuple(elements)
        node -> node
      end)
    end
  end

  # The events that a server's function `tell` is called with: tag and size.
  defp told(module) do
    {:ok, {_, abstract_code: {_, forms}}} =
      :beam_lib.chunks(:code.which(module), [:abstract_code])

    calls(forms)
  end

  defp calls({:call, _, {:atom, _, :tell}, [{:tuple, _, [{:atom, _, tag} | rest]} | _]}),
    do: [{tag, 1 + length(rest)}]

  defp calls(node) when is_tuple(node), do: node |> Tuple.to_list() |> calls()
  defp calls(nodes) when is_list(nodes), do: Enum.flat_map(nodes, &calls/1)
  defp calls(_), do: []

  test "the states of a peer" do
    states =
      for [_, state] <-
            Regex.scan(
              ~r/^ +X\([A-Z_]+, (\w+),/m,
              File.read!(Path.join(@root, "c_src/core/peer_state.h"))
            ),
          do: state

    for {page, section} <- [{"c-node.md", "Why a peer"}, {"operations.md", "Why two nodes"}] do
      documented =
        for [cell | _] <- Table.rows(page(page), section, "state"), do: hd(Table.code(cell))

      assert Enum.sort(documented) == Enum.sort(states), page
    end
  end

  test "the control port's operations" do
    source = File.read!(Path.join(@root, "c_src/node/requests.c"))

    operations =
      for [_, service, op] <- Regex.scan(~r/^ +\{"(\w+)", "(\w+)", \w+\},/m, source),
          do: {service, op}

    documented =
      for service <- ~w(node monitor discovery election),
          [cell | _] <- Table.rows(page("control-port.md"), "Service `#{service}`", "op"),
          op <- Table.code(cell),
          do: {service, op}

    assert Enum.sort(documented) == Enum.sort(operations)
  end

  test "the C node's information about itself and its peers" do
    {:ok, info} = :muster.info()
    text = File.read!(page("control-port.md"))
    for key <- Map.keys(info), do: assert(text =~ "#{key}")

    [_, peer] = Regex.run(~r/Peer map: `#\{([^}]*)\}`/, text)
    keys = for key <- String.split(peer, ", "), do: key |> String.split(" ") |> hd()
    source = File.read!(Path.join(@root, "c_src/node/report.c"))
    [function] = Regex.run(~r/^void muster_report_peer\(.*?^}/ms, source)

    written =
      for [_, key] <- Regex.scan(~r/(?:pair_\w+|write_pair|write_atom)\(w, "(\w+)"/, function),
          key != "none",
          do: key

    assert Enum.sort(Enum.uniq(written)) == Enum.sort(keys)
  end

  # ---- texts ----

  test "log lines that the page explains are in the sources" do
    sources = all_sources()

    for [cell | _] <- Table.rows(page("operations.md"), "What the log says", "line"),
        text <- Table.code(cell) do
      assert sources =~ text, text
    end
  end

  test "error texts that the pages explain are in the sources" do
    sources = all_sources()
    tables = [{"discovery-backends.md", "", "error text has"}]

    for {page, section, heading} <- tables,
        [cell | _] <- Table.rows(page(page), section, heading),
        text <- Table.code(cell) do
      for part <- String.split(text, "…"), do: assert(sources =~ String.trim(part), text)
    end
  end

  test "limits that the page names are the code's" do
    text = File.read!(page("security.md"))

    for {file, macro, value, said} <- [
          {"node/node.c", "FRAME_LIMIT", "(16u << 20)", "16 MB, 64 MB"},
          {"node/port.c", "FRAME_LIMIT", "(64u << 20)", "16 MB, 64 MB"},
          {"node/node.c", "WRITE_QUEUE_LIMIT", "(4u << 20)", "4 MB, then the link is closed"},
          {"node/node.c", "HANDSHAKE_LIMIT_MS", "7000", "7 s for a handshake"},
          {"node/peers.h", "MUSTER_PEERS_DIALS_MAX", "256", "256; 128"},
          {"node/peers.h", "MUSTER_PEERS_HANDSHAKES_MAX", "128", "256; 128"},
          {"node/log.c", "LINES_PER_SECOND", "50", "50 lines a second"},
          {"core/node_name.h", "MUSTER_NODE_NAME_MAX", "255", "255 bytes"},
          {"core/handshake.h", "MUSTER_HANDSHAKE_FRAME_MAX", "1024", "1,024 bytes a frame"}
        ] do
      source = File.read!(Path.join([@root, "c_src", file]))
      assert source =~ "#define #{macro} #{value}\n", macro
      assert text =~ said
    end
  end

  # ---- pages ----

  test "links lead somewhere" do
    for path <- @pages,
        [_, target] <- Regex.scan(~r/\]\(([^)\s]+)\)/, File.read!(path)),
        not (target =~ ~r/^https?:/) do
      [file | anchor] = String.split(target, "#")

      there =
        if file == "", do: path, else: path |> Path.dirname() |> Path.join(file) |> Path.expand()

      assert File.exists?(there), "#{Path.basename(path)}: #{target}"
      for a <- anchor, do: assert(a in Table.anchors(there), "#{Path.basename(path)}: #{target}")
    end
  end

  test "the index has every page" do
    index = File.read!(page("README.md"))

    for path <- @pages, name = Path.basename(path), name != "README.md" do
      assert index =~ "](#{name})", name
    end
  end

  test "the suites that the page names are there" do
    {table, 0} = System.cmd(Path.join(@root, "script/test"), ["--list"])
    suites = for line <- String.split(table, "\n", trim: true), do: hd(String.split(line))

    documented =
      for [cell | _] <- Table.rows(page("internals.md"), "How tests are built", "suite"),
          suite <- Table.code(cell),
          do: suite

    assert Enum.sort(documented) == Enum.sort(suites)
  end

  test "files that the pages name are there" do
    for path <- @pages,
        code <- Table.code(File.read!(path)),
        code =~ ~r{^(test|c_src|src|script|bench|lib)/[\w/.-]+\.\w+$} do
      assert File.exists?(Path.join(@root, code)), "#{Path.basename(path)}: #{code}"
    end
  end
end
