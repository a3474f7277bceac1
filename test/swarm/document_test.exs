defmodule Muster.Swarm.DocumentTest do
  # All code of the documentation that muster implements, as written there: taken out of
  # ../shared/spec/distributed-swarm.txt where that is, else out of the copy below, which is held
  # against it. It runs in one of three real nodes, statement by statement; the others are the
  # document's app@host1 and app@host2, whose names are put in for those, as no such hosts exist.
  # Between two blocks, what the one before it started is stopped.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Discovery, only: [discover: 2]
  alias Muster.Test.{Document, Script}
  alias Raxol.Swarm.CRDT.{LWWRegister, ORSet}

  @moduletag timeout: 120_000
  @document Path.expand("../shared/spec/distributed-swarm.txt")
  @subjects ~w(Discovery NodeMonitor Topology LWWRegister ORSet TacticalOverlay CommsManager)

  @copy ~S"""
  # Gossip -- LAN multicast, no config needed
  {:ok, _} = Raxol.Swarm.Discovery.start_link(strategy: :gossip)
  # Tailscale -- encrypted mesh, tag-filtered
  {:ok, _} = Raxol.Swarm.Discovery.start_link(
  strategy: :tailscale,
  node_basename: "raxol",
  tag_filter: "tag:raxol"
  )
  ---
  :gossip | LAN multicast, zero config | -- |
  :epmd | Static node list | hosts: [:"app@host1", :"app@host2"] |
  :dns | Fly.io, Kubernetes | query: "app.internal", node_basename: "app" |
  :tailscale | Mesh VPN, encrypted | node_basename: "app", tag_filter: "tag:raxol" |
  ---
  Raxol.Swarm.Discovery.available?() # => true if libcluster is loaded
  # Or bypass presets entirely with raw topologies
  Raxol.Swarm.Discovery.start_link(
  topologies: [
  my_cluster: [
  strategy: Cluster.Strategy.Epmd,
  config: [hosts: [:"app@host1"]]
  ]
  ]
  )
  ---
  Raxol.Swarm.Discovery.start_link(
  strategy: :tailscale,
  node_basename: "raxol",
  tag_filter: "tag:raxol", # optional -- only nodes with this tag
  use_dns_names: true, # MagicDNS names instead of IPs
  poll_interval: 5_000 # ms between polls
  )
  ---
  {:ok, _} = Raxol.Swarm.NodeMonitor.start_link(ping_interval_ms: 1_000)
  {:ok, health} = Raxol.Swarm.NodeMonitor.get_health(:"app@host1")
  # => %{node: :"app@host1", status: :healthy, avg_rtt_ms: 2.4, ...}
  healthy = Raxol.Swarm.NodeMonitor.list_healthy()
  suspect = Raxol.Swarm.NodeMonitor.list_suspect()
  all = Raxol.Swarm.NodeMonitor.list_all()
  # Subscribe to status changes
  Raxol.Swarm.NodeMonitor.subscribe()
  # Receive: {:swarm_event, {:node_up, node}}
  # Receive: {:swarm_event, {:node_down, node}}
  # Receive: {:swarm_event, {:status_change, node, :healthy, :suspect}}
  ---
  {:ok, _} = Raxol.Swarm.Topology.start_link(quorum_size: 2)
  role = Raxol.Swarm.Topology.get_role() # :commander | :wingmate | :observer | :relay
  {:ok, commander} = Raxol.Swarm.Topology.get_commander()
  nodes = Raxol.Swarm.Topology.list_nodes() # [{node, role}, ...]
  count = Raxol.Swarm.Topology.node_count()
  # Manual override
  :ok = Raxol.Swarm.Topology.promote(:"app@host2", :wingmate)
  ---
  alias Raxol.Swarm.CRDT.LWWRegister
  reg = LWWRegister.new("initial_value")
  reg = LWWRegister.update(reg, "new_value")
  # Merge from another node -- highest timestamp wins
  merged = LWWRegister.merge(local_reg, remote_reg)
  value = LWWRegister.value(merged)
  ---
  alias Raxol.Swarm.CRDT.ORSet
  set = ORSet.new()
  set = ORSet.add(set, "item_a")
  set = ORSet.add(set, "item_b")
  set = ORSet.remove(set, "item_a")
  ORSet.member?(set, "item_a") # => false
  ORSet.to_list(set) # => ["item_b"]
  ORSet.size(set) # => 1
  merged = ORSet.merge(local_set, remote_set)
  ---
  {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(
  sync_interval_ms: 500,
  anti_entropy_interval_ms: 60_000
  )
  # Entities (LWW)
  Raxol.Swarm.TacticalOverlay.update_entity(:unit_1, %{
  position: {10.0, 20.0, 0.0},
  heading: 45.0,
  status: :active
  })
  # Waypoints (OR-Set)
  Raxol.Swarm.TacticalOverlay.add_waypoint(%{
  id: "wp_alpha",
  position: {50.0, 50.0, 0.0},
  label: "Rally Point"
  })
  Raxol.Swarm.TacticalOverlay.remove_waypoint("wp_alpha")
  # Query
  entities = Raxol.Swarm.TacticalOverlay.get_all_entities()
  waypoints = Raxol.Swarm.TacticalOverlay.get_all_waypoints()
  # Subscribe
  Raxol.Swarm.TacticalOverlay.subscribe()
  # Receive: {:overlay_event, {:entity_updated, :unit_1, data}}
  # Receive: {:overlay_event, {:waypoint_added, waypoint}}
  ---
  {:ok, _} = Raxol.Swarm.CommsManager.start_link()
  :ok = Raxol.Swarm.CommsManager.send_msg(:"app@host2", data, :critical)
  :ok = Raxol.Swarm.CommsManager.send_msg(:"app@host2", data, :normal)
  quality = Raxol.Swarm.CommsManager.get_link_quality(:"app@host2")
  # => :excellent | :good | :degraded | :poor | :disconnected
  """

  # As it stands there, but for the line breaks; see the last test.
  @without_libcluster "libcluster is optional. If it's not there: " <>
                        "Discovery.available?/0returnsfalse" <>
                        "Discovery.start_link/1starts but doesn't do anything" <>
                        "- Everything else works in single-node mode " <>
                        "- You can still connect nodes manually with :net_kernel.connect_node/1"

  defp text, do: if(File.exists?(@document), do: File.read!(@document), else: @copy)

  # The blocks that begin with a call of this module, or an alias for it.
  defp blocks(subject), do: Enum.filter(Document.blocks(text()), &(subject(&1) == subject))

  defp subject(block) do
    {:code, code, _} = List.keyfind(block, :code, 0)
    Enum.find(@subjects, &(code =~ ~r/\.#{&1}\b/)) || flunk("nothing runs: #{code}")
  end

  defp block(subject) do
    [block] = blocks(subject)
    block
  end

  test "no line of code is left out" do
    blocks = Document.blocks(text())
    assert blocks |> Enum.map(&subject/1) |> Enum.uniq() == @subjects
    found = for block <- blocks, {:code, code, _} <- block, call <- Document.calls(code), do: call
    assert Document.calls(text()) == found
    assert length(found) > 35
    assert length(strategies()) == 4
  end

  if File.exists?(@document) do
    test "the copy is the document's code" do
      assert for(b <- Document.blocks(text()), {:code, c, _} <- b, do: c) ==
               for(b <- Document.blocks(@copy), {:code, c, _} <- b, do: c)

      assert strategies(@copy) == strategies()
      [_, section] = String.split(text(), "\nWithout libcluster\n")
      assert section |> String.split() |> Enum.join(" ") == @without_libcluster
    end
  end

  # Rows of the table of strategies, with their options.
  defp strategies(text \\ text()) do
    for [_, name, options] <- Regex.scan(~r/^:(\w+) \|[^|]+\| (.+) \|$/m, text) do
      {name, String.replace_prefix(options, "--", "")}
    end
  end

  # Runs a block in a node; gives what its comments say is received.
  defp run(block, node, hosts, between \\ fn _, _ -> :ok end) do
    {_, receives} =
      Enum.reduce(block, {nil, []}, fn
        {:code, code, comment}, {_, receives} ->
          code = named(code, hosts)
          value = Script.eval(node, code)
          expect(value, named(comment, hosts))
          between.(code, value)
          {value, receives}

        {:comment, "=> " <> _ = comment}, {value, receives} ->
          expect(value, named(comment, hosts))
          {value, receives}

        {:comment, "Receive: " <> pattern}, {value, receives} ->
          {value, [Document.term(pattern) | receives]}

        {:comment, _}, acc ->
          acc
      end)

    Enum.reverse(receives)
  end

  defp named(text, hosts) do
    hosts
    |> Enum.with_index(1)
    |> Enum.reduce(text, fn {node, n}, text ->
      String.replace(text, "app@host#{n}", Atom.to_string(node.node))
    end)
  end

  # What a comment says of the value.
  defp expect(_, ""), do: :ok
  defp expect(value, "=> true if " <> _), do: assert(value == true)
  defp expect(value, "=> %{" <> _ = comment), do: expect_record(value, comment)

  defp expect(value, "[{node, role}, ...]"),
    do: assert(value != [] and Enum.all?(value, fn {n, r} -> is_atom(n) and is_atom(r) end))

  defp expect(value, comment) do
    case comment |> String.replace_prefix("=> ", "") |> Document.term() do
      {:|, _, _} = choice -> assert value in choices(choice)
      literal -> assert Macro.quoted_literal?(literal) and value == literal
    end
  end

  defp choices({:|, _, [first, rest]}), do: [first | choices(rest)]
  # The prose that follows reads as a call: `:disconnected:critical`.
  defp choices(last) when is_atom(last), do: [last]

  # The figures are examples.
  defp expect_record({:ok, value}, comment), do: expect_record(value, comment)

  defp expect_record(value, comment) do
    "=> " <> map = String.replace(comment, ", ...}", "}")
    {expected, _} = map |> Document.term() |> Code.eval_quoted()

    for {key, example} <- expected do
      if is_float(example),
        do: assert(is_float(value[key]) and value[key] > 0),
        else: assert(value[key] == example)
    end
  end

  # Waits for a message that matches the document's pattern, whose variables may be anything, and
  # also this one.
  defp await_received(node, pattern, also) do
    eventually(fn ->
      Enum.any?(Script.messages(node), fn message ->
        matches?(message, pattern) and also.(message)
      end)
    end)
  end

  defp matches?(message, pattern) do
    ignored =
      Macro.prewalk(pattern, fn
        {name, _, context} when is_atom(name) and is_atom(context) -> {:_, [], nil}
        other -> other
      end)

    quoted = quote(do: match?(unquote(ignored), unquote(Macro.escape(message))))
    {matches, _} = Code.eval_quoted(quoted)
    matches
  end

  test "Quick Start, Discovery Strategies, Tailscale Strategy" do
    directory = Path.join(System.tmp_dir!(), unique_name("tailscale"))
    File.mkdir_p!(directory)
    on_exit(fn -> File.rm_rf!(directory) end)
    fake_tailscale(directory)
    path = to_charlist(directory <> ":" <> System.get_env("PATH"))
    node = start_node(monitor: nil, env: [{~c"PATH", path}])
    hosts = [host1, host2] = for _ <- 1..2, do: start_node(monitor: nil)
    raxol = start_node(name: {:exact, "raxol"}, monitor: nil)
    for other <- [host1, host2], do: discover(other, strategy: :gossip)
    Script.start(node)

    finds = fn code ->
      cond do
        code =~ ":gossip" -> [host1, host2]
        code =~ ~s(node_basename: "raxol") -> [raxol]
        code =~ ":epmd" -> [host1, host2]
        code =~ "Cluster.Strategy.Epmd" -> [host1]
        true -> []
      end
    end

    stop_discovery = fn code, value ->
      if code =~ "start_link" do
        assert {:ok, _} = value
        expected = for other <- finds.(code), do: other.node
        eventually(fn -> expected -- call(node, :erlang, :nodes, []) == [] end)
        # Nobody comes back by itself.
        for other <- [host1, host2], do: call(other, :muster_discovery, :stop, [])
        :ok = Script.eval(node, "Raxol.Swarm.Discovery.stop()")
        for other <- hosts ++ [raxol], do: call(node, :erlang, :disconnect_node, [other.node])
        eventually(fn -> call(node, :erlang, :nodes, []) == [] end)
      end
    end

    for block <- blocks("Discovery"), do: [] = run(block, node, hosts, stop_discovery)

    for {name, options} <- strategies() do
      if name == "gossip", do: for(h <- hosts, do: discover(h, strategy: :gossip))
      options = if options == "", do: "", else: ", " <> options
      code = "Raxol.Swarm.Discovery.start_link(strategy: :#{name}#{options})"
      run([{:code, code, ""}], node, hosts, stop_discovery)
    end
  end

  # `tailscale status --json`: a machine with the tag, and one without.
  defp fake_tailscale(directory) do
    machine = fn ip, tags ->
      ~s({"HostName":"h","DNSName":"#{ip}.","TailscaleIPs":["#{ip}"],"Online":true,"Tags":#{tags}})
    end

    status =
      ~s({"Version":"1.50","BackendState":"Running","Self":{"Online":true},"Peer":{) <>
        ~s("nodekey:1":#{machine.("127.0.0.1", ~s(["tag:raxol"]))},) <>
        ~s("nodekey:2":#{machine.("127.0.0.3", "[]")}}})

    File.write!(Path.join(directory, "status"), status)
    command = Path.join(directory, "tailscale")
    File.write!(command, ~s(#!/bin/sh\n[ "$*" = 'status --json' ] && cat #{directory}/status\n))
    File.chmod!(command, 0o755)
  end

  # The script's node, and those that stand for app@host1 and app@host2.
  defp trio(options \\ []) do
    [node | hosts] = nodes = for _ <- 1..3, do: start_node([monitor: nil] ++ options)
    for a <- nodes, b <- nodes, a.node < b.node, do: connect(a, b)
    Script.start(node)
    {node, hosts}
  end

  test "Node Monitoring" do
    {node, [host1, host2] = hosts} = trio()

    measured = fn code, _ ->
      if code =~ "start_link" do
        eventually(fn ->
          {:ok, health} = health(node, host1, Raxol.Swarm.NodeMonitor)
          health.rtt_history != []
        end)
      end
    end

    [up, down, change] = run(block("NodeMonitor"), node, hosts, measured)
    assert Script.eval(node, "healthy") == Enum.sort([host1.node, host2.node])
    assert Script.eval(node, "suspect") == []
    assert length(Script.eval(node, "all")) == 2

    signal(host1.os_pid, :stop)
    stop(host2)
    late = start_node(monitor: nil)
    connect(node, late)
    await_received(node, down, &match?({_, {_, n}} when n == host2.node, &1))
    await_received(node, up, &match?({_, {_, n}} when n == late.node, &1))
    await_received(node, change, &match?({_, {_, n, _, _}} when n == host1.node, &1))
  end

  test "Topology & Election" do
    {node, [host1, host2] = hosts} = trio()

    for host <- hosts,
        do: {:ok, _} = start_in(host, Raxol.Swarm.Topology, :start_link, [[quorum_size: 2]])

    # The others are still electing: nobody has to wait from one statement to the next for it.
    [] = run(block("Topology"), node, hosts)
    assert Script.eval(node, "commander") in [node.node, host1.node, host2.node]
    assert Script.eval(node, "count") in 1..3
    eventually(fn -> Script.eval(node, "Raxol.Swarm.Topology.node_count()") == 3 end)
    eventually(fn -> call(host2, Raxol.Swarm.Topology, :get_role, []) == :wingmate end)
  end

  test "CRDTs" do
    {node, [other | _] = hosts} = trio()
    local = call(node, LWWRegister, :new, ["local"])
    remote = call(other, LWWRegister, :new, ["remote"])
    set = fn at, element -> call(at, ORSet, :add, [call(at, ORSet, :new, []), element]) end
    sets = [local_set: set.(node, "local"), remote_set: set.(other, "remote")]

    for {name, value} <- [local_reg: local, remote_reg: remote] ++ sets,
        do: Script.bind(node, name, value)

    [] = run(block("LWWRegister"), node, hosts)
    assert Script.eval(node, "LWWRegister.value(reg)") == "new_value"
    assert Script.eval(node, "value") == "remote"
    [] = run(block("ORSet"), node, hosts)
    assert Enum.sort(Script.eval(node, "ORSet.to_list(merged)")) == ["local", "remote"]
  end

  test "Tactical Overlay" do
    {node, [host1 | _] = hosts} = trio()

    # The overlay's peers are the node monitor's.
    for n <- [node, host1],
        do: {:ok, _} = start_in(n, Raxol.Swarm.NodeMonitor, :start_link, [[]])

    {:ok, _} = start_in(host1, Raxol.Swarm.TacticalOverlay, :start_link, [[]])
    [updated, added] = run(block("TacticalOverlay"), node, hosts)

    position = {10.0, 20.0, 0.0}
    entity = %{id: :unit_1, position: position, heading: 45.0, status: :active, node: node.node}
    [found] = Script.eval(node, "entities")
    assert Map.delete(found, :last_updated) == entity
    assert Script.eval(node, "waypoints") == []

    all = fn what -> call(host1, Raxol.Swarm.TacticalOverlay, what, []) end
    eventually(fn -> all.(:get_all_entities) == [found] and all.(:get_all_waypoints) == [] end)

    # Changes elsewhere come as the document's events.
    :ok = call(host1, Raxol.Swarm.TacticalOverlay, :update_entity, [:unit_1, %{heading: 90.0}])
    await_received(node, updated, &match?({_, {_, _, %{heading: 90.0}}}, &1))
    waypoint = %{id: "wp_bravo", label: "Elsewhere"}
    :ok = call(host1, Raxol.Swarm.TacticalOverlay, :add_waypoint, [waypoint])
    await_received(node, added, &match?({_, {_, ^waypoint}}, &1))
  end

  test "CommsManager" do
    {node, [_, host2] = hosts} = trio()
    Script.start(host2)
    {:ok, _} = Script.eval(host2, "Raxol.Swarm.CommsManager.start_link()")
    Script.eval(host2, "Raxol.Swarm.CommsManager.subscribe()")
    Script.bind(node, :data, %{heading: 45.0})
    [] = run(block("CommsManager"), node, hosts)
    message = {:swarm_msg, %{heading: 45.0}}
    eventually(fn -> Script.messages(host2) == [message, message] end)
  end

  test "Without libcluster" do
    # Here it is muster's own C node that may be missing.
    {node, [host1, host2] = hosts} = trio(app_env: [cnode_path: ~c"/nonexistent/muster_node"])
    refute Script.eval(node, "Raxol.Swarm.Discovery.available?()")
    # What global has yet to say over a new connection would connect anew.
    for n <- [node | hosts], do: :ok = call(n, :global, :sync, [])
    for other <- hosts, do: call(node, :erlang, :disconnect_node, [other.node])

    # Starts, but doesn't do anything.
    {:ok, _} =
      Script.eval(
        node,
        "Raxol.Swarm.Discovery.start_link(strategy: :epmd, hosts: #{inspect([host1.node])})"
      )

    assert {:down, _} = Script.eval(node, "Raxol.Swarm.Discovery.health()")
    assert Script.eval(node, "Raxol.Swarm.Discovery.snapshot()") == []

    # Everything else works in single-node mode.
    {:ok, _} = Script.eval(node, "Raxol.Swarm.NodeMonitor.start_link(ping_interval_ms: 1_000)")
    assert Script.eval(node, "Raxol.Swarm.NodeMonitor.list_all()") == []
    {:ok, _} = Script.eval(node, "Raxol.Swarm.Topology.start_link()")
    assert Script.eval(node, "Raxol.Swarm.Topology.get_role()") == :commander
    [] = run(block("ORSet") |> Enum.reject(&(elem(&1, 1) =~ "local_set")), node, hosts)
    {:ok, _} = Script.eval(node, "Raxol.Swarm.CommsManager.start_link(poll_interval_ms: 20)")
    Script.eval(node, "Raxol.Swarm.CommsManager.subscribe()")
    :ok = Script.eval(node, "Raxol.Swarm.CommsManager.send_msg(node(), :to_itself)")
    eventually(fn -> Script.messages(node) == [swarm_msg: :to_itself] end)
    [_, _] = run(block("TacticalOverlay"), node, hosts)
    assert [%{id: :unit_1}] = Script.eval(node, "entities")
    assert call(node, :erlang, :nodes, []) == []

    # You can still connect nodes manually.
    assert Script.eval(node, ":net_kernel.connect_node(#{inspect(host2.node)})") == true

    eventually(fn ->
      Script.eval(node, "Raxol.Swarm.NodeMonitor.list_healthy()") == [host2.node]
    end)

    assert Script.eval(node, "Raxol.Swarm.CommsManager.get_link_quality(#{inspect(host2.node)})") ==
             :good

    {:ok, %{status: :healthy, rtt_history: []}} = health(node, host2, Raxol.Swarm.NodeMonitor)
    :ok = Script.eval(node, "Raxol.Swarm.CommsManager.send_msg(#{inspect(host2.node)}, :hello)")
  end
end
