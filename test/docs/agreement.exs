# What the pages say in tables is what the code has: options with their defaults and ranges, events, states, texts of
# errors and logs, limits, links.
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

  # ---- options ----

  describe "options" do
    test "of discovery" do
      documented = documented("discovery.md", "Options that all strategies share")
      accepted = accepted(fn -> :muster_discovery.start_link(nope: 1) end)
      assert Enum.sort(Map.keys(documented)) == accepted

      {:ok, defaults} = :muster_discovery_options.read([], :the_name)
      assert_defaults(documented, defaults)
    end

    test "of a node monitor" do
      documented = documented("health.md", "Options")

      assert Enum.sort(Map.keys(documented)) ==
               accepted(fn -> :muster_node_monitor.start_link(nope: 1) end)

      {:ok, server} = :muster_node_monitor.start_link()
      assert_defaults(documented, options_of(server, :ping_interval_ms))
    end

    test "of a topology" do
      documented = documented("topology.md", "Options")

      assert Enum.sort(Map.keys(documented)) ==
               accepted(fn -> :muster_topology.start_link(nope: 1) end)

      {:ok, server} = :muster_topology.start_link()
      assert_defaults(documented, options_of(server, :quorum_size))
    end

    test "of a leader group" do
      documented = documented("leader.md", "Options")

      assert Enum.sort(Map.keys(documented)) ==
               accepted(fn -> :muster_leader_options.read(nope: 1) end)

      {:ok, defaults} = :muster_leader_options.read(cluster_id: :group)
      assert_defaults(documented, defaults)
    end

    test "of the application" do
      documented = documented("operations.md", "Settings of the application")
      {:ok, defaults} = :muster_cnode.options([])
      assert Enum.sort(Map.keys(documented)) == defaults |> Map.keys() |> Enum.sort()
      assert_defaults(documented, defaults)
    end

    @strategies [
      gossip: [],
      static: [nodes: [:a@b]],
      local_epmd: [],
      hosts_file: [],
      dns: [query: "q", node_basename: "n"],
      dns_srv: [query: "q", node_basename: "n"],
      kubernetes: [kubernetes_selector: "s", kubernetes_node_basename: "n"],
      kubernetes_dns: [service: "s", application_name: "n"],
      tailscale: [node_basename: "n"]
    ]
    @tables %{
      gossip: [{"discovery-gossip.md", ~r/^`gossip`/}],
      local_epmd: [{"discovery-gossip.md", ~r/^`local_epmd`/}],
      hosts_file: [{"discovery-gossip.md", ~r/^`hosts_file`/}],
      dns: [{"discovery-backends.md", ~r/^`dns` /}],
      kubernetes: [{"discovery-backends.md", ~r/^`kubernetes` /}],
      tailscale: [{"discovery-backends.md", ~r/^`tailscale`/}]
    }

    for {strategy, essential} <- @strategies do
      @strategy strategy
      @essential essential
      test "of the strategy #{strategy}" do
        accepted = accepted(fn -> start(@strategy, @essential ++ [nope: 1]) end)

        case @tables[@strategy] do
          nil ->
            # Told in words: every option's name is on the page.
            text = File.read!(page("discovery.md")) <> File.read!(page("discovery-backends.md"))

            for option <- accepted,
                do: assert(text =~ "`#{option}`", "#{option} is not documented")

          tables ->
            documented =
              Enum.reduce(tables, %{}, fn {page, section}, all ->
                Map.merge(all, documented(page, section))
              end)

            # Those of all backends have a table of their own.
            common = [:poll_interval, :polling_interval]
            assert Enum.sort(Map.keys(documented)) -- common == accepted -- common

            for {option, cells} <- documented,
                do: assert_range(@strategy, @essential, option, cells)
        end
      end
    end

    test "all strategies are documented, and no other" do
      {:error, {:unknown_strategy, text}} = :muster_discovery.start_link(strategy: :nope)
      [_, known] = String.split(text, " is not one of ")

      documented =
        for [first | _] <- Table.rows(page("discovery.md"), "Start", "strategy"),
            do: hd(Table.code(first))

      assert Enum.sort(documented) == known |> String.split() |> Enum.sort()
    end

    # A default of the C node: the page's and the one in its source.
    @defaults [
      {"discovery-gossip.md", :port, "gossip_options.c", "PORT_DEFAULT"},
      {"discovery-gossip.md", :multicast_ttl, "gossip_options.c", "TTL_DEFAULT"},
      {"discovery-gossip.md", :interval_ms, "gossip_options.c", "INTERVAL_DEFAULT_MS"},
      {"discovery-gossip.md", :expire_ms, "gossip_options.c", "EXPIRE_DEFAULT_MS"},
      {"discovery-gossip.md", :clock_window_ms, "gossip_options.c", "CLOCK_WINDOW_DEFAULT_MS"},
      {"discovery-gossip.md", :connects_per_s, "gossip_options.c", "CONNECTS_DEFAULT_PER_S"},
      {"discovery-gossip.md", :poll_interval, "poller.h", "MUSTER_POLL_INTERVAL_MS"},
      {"discovery-backends.md", :poll_interval, "poller.h", "MUSTER_POLL_INTERVAL_MS"},
      {"discovery-backends.md", :ttl_max, "dns_poll.c", "TTL_MAX_MS"}
    ]

    test "of the C node have the documented defaults" do
      for {page, option, file, macro} <- @defaults do
        [_, value] =
          Regex.run(
            ~r/#define #{macro} (\d+)/,
            File.read!(Path.join([@root, "c_src/node", file]))
          )

        row = ~r/^\| `#{option}` \|.* #{value} \|/m
        assert File.read!(page(page)) =~ row, "#{page}: #{option} is #{value}"
      end
    end
  end

  # Option => the cells behind it. Where several options share a row, so do their defaults.
  defp documented(page, section) do
    for [first, second | cells] <- Table.rows(page(page), section, heading(page, section)),
        options = Table.code(first),
        {option, default} <- Enum.zip(options, defaults(second, length(options))),
        into: %{},
        do: {String.to_atom(option), [default | cells]}
  end

  defp defaults(cell, count) do
    case String.split(cell, ", ") do
      several when count > 1 and length(several) == count -> several
      _ -> List.duplicate(cell, count)
    end
  end

  defp heading("operations.md", _), do: "setting"
  defp heading(_, _), do: "option"

  # The options that a refusal names.
  defp accepted(start) do
    {:error, error} = start.()

    text =
      case error do
        {:invalid_option, :nope, 1, text} -> text
        {:invalid_argument, text} -> text
      end

    [names] = Regex.run(~r/(?<=the options |only: ).*/, text)
    names |> String.split(", ") |> Enum.map(&String.to_atom/1) |> Enum.sort()
  end

  defp start(strategy, options) do
    :muster_discovery.start_link([name: :agreement, strategy: strategy] ++ options)
  end

  defp options_of(server, key) do
    server
    |> :sys.get_state()
    |> Tuple.to_list()
    |> Enum.find(&is_map_key(%{} |> Map.merge(if(is_map(&1), do: &1, else: %{})), key))
  end

  # Numbers and atoms are compared; what is told in words is not.
  defp assert_defaults(documented, defaults) do
    for {option, [cell | _]} <- documented, is_map_key(defaults, option) do
      case Regex.run(~r/^`?(\d+|true|false|enabled)`?( ms)?$/, cell) do
        [_, text | _] -> assert to_string(defaults[option]) == text, "#{option}: #{cell}"
        nil -> refute is_integer(defaults[option]), "#{option}: #{cell}"
      end
    end
  end

  # What is out of the documented range is refused, and the refusal names that range.
  defp assert_range(strategy, essential, option, cells) do
    with [_, min, max] <- Enum.find_value(cells, &Regex.run(~r/^(\d+)\.\.(\d+)$/, &1)) do
      for value <- [String.to_integer(min) - 1, String.to_integer(max) + 1] do
        assert {:error, {:invalid_argument, text}} =
                 start(strategy, Keyword.delete(essential, option) ++ [{option, value}])

        assert text =~ "#{option}" and text =~ min and text =~ max, text
      end
    end
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

    told = Enum.flat_map([:muster_node_monitor, :muster_topology_server], &told/1)
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
      for [_, key] <- Regex.scan(~r/(?:pair_\w+|write_atom)\(w, "(\w+)"/, function),
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
