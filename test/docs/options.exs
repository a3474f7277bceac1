# The pages' tables of options are what is accepted, with its defaults and ranges.
#
#   script/isolated mix test test/docs/options.exs
defmodule Muster.Docs.OptionsTest do
  use ExUnit.Case

  alias Muster.Test.Docs.Table

  @moduletag timeout: 120_000
  @root Path.expand("../..", __DIR__)

  setup_all do
    {:ok, _} = Application.ensure_all_started(:muster)
    :ok
  end

  test "options of discovery" do
    documented = documented("discovery.md", "Options that all strategies share")
    accepted = accepted(fn -> :muster_discovery.start_link(nope: 1) end)
    assert Enum.sort(Map.keys(documented)) == accepted

    {:ok, defaults} = :muster_discovery_options.read([], :the_name)
    assert_defaults(documented, defaults)
  end

  test "options of a node monitor" do
    documented = documented("health.md", "Options")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_node_monitor.start_link(nope: 1) end)

    {:ok, server} = :muster_node_monitor.start_link()
    assert_defaults(documented, options_of(server, :ping_interval_ms))
  end

  test "options of a topology" do
    documented = documented("topology.md", "Options")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_topology.start_link(nope: 1) end)

    {:ok, server} = :muster_topology.start_link()
    assert_defaults(documented, options_of(server, :quorum_size))
  end

  test "options of a leader group" do
    documented = documented("leader.md", "Options")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_leader_options.read(nope: 1) end)

    {:ok, defaults} = :muster_leader_options.read(cluster_id: :group)
    assert_defaults(documented, defaults)
  end

  test "options of an overlay" do
    documented = documented("overlay.md", "Options")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_overlay.start_link(nope: 1) end)

    face = %{name: :the_name, node_monitor: :the_monitor}
    {:ok, defaults} = :muster_overlay_options.read([], face)
    assert_defaults(documented, defaults)
  end

  test "options of a comms manager" do
    documented = documented("comms.md", "Options")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_comms.start_link(nope: 1) end)

    {:ok, server} = :muster_comms.start_link()
    assert_defaults(documented, options_of(server, :queue_bytes))
  end

  test "options of the supervisor" do
    documented = documented("supervisor.md", "Everything")

    assert Enum.sort(Map.keys(documented)) ==
             accepted(fn -> :muster_swarm.start_link(nope: 1) end)
  end

  test "options of the application" do
    documented = documented("operations.md", "Settings of the application")
    {:ok, defaults} = :muster_cnode_program.options([])
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
    test "options of the strategy #{strategy}" do
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

  test "options of the C node have the documented defaults" do
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

  # The options in a server's state: the map that has this one.
  defp options_of(server, key) do
    state = server |> :sys.get_state() |> Tuple.to_list()
    Enum.find(state, &(is_map(&1) and is_map_key(&1, key)))
  end

  # Numbers and atoms are compared; what is told in words is not.
  defp assert_defaults(documented, defaults) do
    for {option, [cell | _]} <- documented, is_map_key(defaults, option) do
      case Regex.run(~r/^`?(\d[\d,]*|true|false|enabled)`?( ms)?$/, cell) do
        [_, text | _] ->
          assert to_string(defaults[option]) == String.replace(text, ",", ""),
                 "#{option}: #{cell}"

        nil ->
          refute is_integer(defaults[option]), "#{option}: #{cell}"
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

  defp page(name), do: Path.join([@root, "docs", name])
end
