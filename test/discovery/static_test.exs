defmodule Muster.Discovery.StaticTest do
  # Real nodes that list each other: the whole way from a listing to connected peers.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Discovery

  @quick [backoff_min_ms: 100, backoff_max_ms: 2_000, stable_ms: 500]

  test "peers appear, with their metadata, and go" do
    [a, b, c] = start_mesh(3, discovery: @quick)
    assert peers(a) == Enum.sort([b.node, c.node])
    collect(a)
    version = to_string(call(a, :muster, :version, []))

    eventually(fn ->
      match?(%{"muster_version" => ^version, "capabilities" => "discovery"}, metadata(a, b))
    end)

    stop(b)
    eventually(fn -> peers(a) == [c.node] end)
    assert call(a, :muster_discovery, :lookup, [b.node]) == {:error, {:peer_not_found, b.node}}
    assert [{:peer_down, down, reason}] = for(e <- events(a), elem(e, 0) == :peer_down, do: e)
    assert down == b.node and is_binary(reason)
    assert call(a, :muster_discovery, :health, []) == :up
    info = call(a, :muster_discovery, :health_info, [])
    assert %{status: :up, last_error: :undefined, known_peers: 1, last_sync_time: time} = info
    assert abs(System.system_time(:millisecond) - time) < 60_000
  end

  test "a node that comes back is a peer again" do
    a = start_node(monitor: nil)
    name = unique_name("returns")
    node = :"#{name}@127.0.0.1"
    discover(a, [strategy: :static, nodes: [node]] ++ @quick)
    collect(a)

    for _ <- 1..2 do
      b = start_named(name)
      await_peers(a, 1)
      stop(b)
      eventually(fn -> peers(a) == [] end)
    end

    assert [{:peer_up, ^node}, {:peer_down, ^node}, {:peer_up, ^node}, {:peer_down, ^node}] =
             kinds(a)
  end

  # A node of exactly that name, without muster.
  defp start_named(name) do
    eventually(fn -> not registered?(name) end)
    start_node(name: {:exact, name}, muster: false)
  end

  test "a netsplit heals by itself, from either side and from both" do
    [a, b] = start_mesh(2, discovery: @quick)

    for sides <- [[{a, b}], [{b, a}], [{a, b}, {b, a}]] do
      collect(a, :"split#{length(sides)}#{:erlang.unique_integer([:positive])}")
      for {one, other} <- sides, do: call(one, :erlang, :disconnect_node, [other.node])
      await_peers(a, 1)
      await_peers(b, 1)
      eventually(fn -> peers(a) == [b.node] and peers(b) == [a.node] end)
    end
  end

  test "the C node is killed: nobody hears of it, and lost nodes still come back" do
    [a, b] = start_mesh(2, discovery: @quick)
    collect(a)
    old = cnode_os_pid(a)
    signal(old, :kill)

    eventually(fn ->
      match?({:ok, %{os_pid: new}} when new != old, call(a, :muster, :info, []))
    end)

    eventually(fn -> call(a, :muster_discovery, :health, []) == :up end)
    assert peers(a) == [b.node]
    refute {:peer_down, b.node} in kinds(a)

    signal(cnode_os_pid(a), :kill)
    call(a, :erlang, :disconnect_node, [b.node])
    eventually(fn -> {:peer_down, b.node} in kinds(a) end)
    eventually(fn -> peers(a) == [b.node] end)
  end

  test "await: at once, later, never" do
    a = start_node(monitor: nil)
    name = unique_name("awaited")
    discover(a, strategy: :static, nodes: [:"#{name}@127.0.0.1"])
    assert call(a, :muster_discovery, :await, [0, 0]) == :ok
    assert call(a, :muster_discovery, :await, [1, 50]) == {:error, {:timeout, 50}}
    task = Task.async(fn -> await_peers(a, 1) end)
    start_node(name: {:exact, name}, muster: false)
    assert Task.await(task, 20_000) == :ok
  end

  test "metadata: a change is an event at the others; versions decide" do
    [a, b] = start_mesh(2)
    collect(a)
    assert call(b, :muster_discovery, :set_metadata, [%{"zone" => "x"}]) == :ok
    eventually(fn -> metadata(a, b)["zone"] == "x" end)
    assert :ok == call(b, :muster_discovery, :set_metadata, [%{zone: ~c"y", role: "db"}])
    eventually(fn -> metadata(a, b)["zone"] == "y" end)
    assert %{"role" => "db", "muster_version" => _} = metadata(a, b)

    zones = for {:peer_update, _, m} <- events(a), zone = m["zone"], do: zone
    assert zones == ["x", "y"]

    assert {:error, {:invalid_option, :metadata, _, _}} =
             call(b, :muster_discovery, :set_metadata, [%{"long" => String.duplicate("x", 900)}])
  end

  test "several topologies at once, one of them with a node that another lists too" do
    a = start_node(monitor: nil)
    [b, c] = for _ <- 1..2, do: start_node(muster: false)

    discover(a,
      topologies: [
        {:one, :static, [nodes: [b.node]]},
        {:two, [strategy: :static, config: [nodes: [b.node, c.node]]]},
        {:three, [strategy: Cluster.Strategy.Epmd, config: [hosts: [c.node]]]}
      ]
    )

    await_peers(a, 2)
    assert {:ok, %{topologies: [:one, :two]}} = call(a, :muster_discovery, :lookup, [b.node])
    eventually(fn -> call(a, :muster_discovery, :metrics, []).connects == 2 end)
    assert %{topologies: %{one: one, two: two}} = call(a, :muster_discovery, :status, [])
    assert %{strategy: :static, run_state: :started, nodes: [%{state: :connected}]} = one
    assert length(two.nodes) == 2
    assert call(a, :muster_discovery, :sync, []) == :ok
  end

  test "a wrong cookie is in the status, and no atom is made of names that prove nothing" do
    a = start_node(monitor: nil)
    b = start_node(muster: false, cookie: "another")
    name = Atom.to_string(b.node)
    strangers = for n <- 1..50, do: "stranger#{n}_#{unique_name("s")}@127.0.0.1"
    before = call(a, :erlang, :system_info, [:atom_count])
    discover(a, strategy: :static, nodes: [name | strangers])

    eventually(fn ->
      %{topologies: %{static: %{nodes: nodes}}} = call(a, :muster_discovery, :status, [])
      Enum.any?(nodes, &(&1.node == name and &1.state == :cookie_mismatch and not &1.proven))
    end)

    assert peers(a) == []

    for one <- [name | strangers] do
      assert {:badrpc_or_error, _} = existing_atom(a, one)
    end

    # What the modules loaded meanwhile brought along, and not one for each name.
    assert call(a, :erlang, :system_info, [:atom_count]) - before < 2_000
  end

  test "no peer but one that refuses the cookie: health says so until it is mended" do
    a = start_node(monitor: nil)
    b = start_node(muster: false, cookie: "another")
    discover(a, static([b]))
    health = fn -> call(a, :muster_discovery, :health, []) end

    eventually(fn ->
      case health.() do
        {:degraded, reason} -> reason =~ "refuse" and reason =~ "#{b.node} (cookie_mismatch: "
        other -> other
      end
    end)

    true = call(a, :erlang, :set_cookie, [b.node, :another])
    await_peers(a, 1)
    assert health.() == :up
  end

  defp existing_atom(node, name) do
    {:ok, call(node, :erlang, :binary_to_existing_atom, [name, :utf8])}
  catch
    kind, reason -> {:badrpc_or_error, {kind, reason}}
  end

  test "a draining node stays away until it resumes" do
    [a, b] = start_mesh(2, discovery: @quick)
    assert call(b, :muster_discovery, :drain, []) == :ok

    eventually(fn ->
      match?({:ok, %{leaving: true}}, call(a, :muster_discovery, :lookup, [b.node]))
    end)

    call(b, :erlang, :disconnect_node, [a.node])
    eventually(fn -> peers(a) == [] and peers(b) == [] end)

    # Its wait is over and it is not connected to.
    eventually(fn ->
      %{connections: connections} = call(a, :muster_discovery, :status, [])
      connections[Atom.to_string(b.node)].phase == :waiting
    end)

    assert call(b, :erlang, :nodes, []) == []
    assert call(b, :muster_discovery, :resume, []) == :ok
    await_peers(b, 1)
    await_peers(a, 1)
  end

  test "prune forgets what is down, and only that" do
    [a, b, c] = start_mesh(3, discovery: @quick)
    stop(c)
    eventually(fn -> peers(a) == [b.node] end)
    eventually(fn -> c.node in call(a, :muster_discovery, :prune, []) end)
    assert peers(a) == [b.node]
    %{connections: connections} = call(a, :muster_discovery, :status, [])
    assert Map.keys(connections) == [Atom.to_string(b.node)]
  end

  test "distribution that starts later" do
    b = start_node(muster: false)
    a = start_node(named: false, monitor: nil)
    discover(a, static([b]))
    assert peers(a) == []

    # Strategies that need a name of its own say so instead of waiting for an answer.
    {:ok, _} =
      start_in(a, :muster_discovery, :start_link, [[name: :nearby, strategy: :local_epmd]])

    {:error, {:sync_failed, why}} = call(a, :muster_discovery, :sync, [:nearby])
    assert why =~ "not distributed"

    name = :"#{unique_name("late")}@127.0.0.1"
    {:ok, _} = call(a, :net_kernel, :start, [[name, :longnames]])
    true = call(a, :erlang, :set_cookie, [:muster_test])
    await_peers(a, 1)
    assert peers(a) == [b.node]
    eventually(fn -> call(a, :muster_discovery, :sync, [:nearby]) == :ok end)
  end

  test "a supervisor restarts it, and it finds its peers again" do
    a = start_node(monitor: nil)
    b = start_node(muster: false)
    spec = call(a, :muster_discovery, :child_spec, [static([b])])
    {:ok, _} = start_in(a, :supervisor, :start_link, [Muster.Test.Keeper, [spec]])
    await_peers(a, 1)
    old = call(a, :erlang, :whereis, [:muster_discovery])
    true = call(a, :erlang, :exit, [old, :kill])

    eventually(fn ->
      new = call(a, :erlang, :whereis, [:muster_discovery])
      is_pid(new) and new != old
    end)

    await_peers(a, 1)
    assert peers(a) == [b.node]
    assert call(a, :muster_discovery, :metrics, []).connects == 0
  end

  test "no C node: starts, says so, finds nothing" do
    a = start_node(monitor: nil, app_env: [cnode: :disabled])
    discover(a, strategy: :static, nodes: [:nobody@nowhere])
    assert {:down, "there is no C node" <> _} = call(a, :muster_discovery, :health, [])
    refute call(a, :muster_discovery, :available, [])
    assert peers(a) == []
    assert {:error, {:sync_failed, _}} = call(a, :muster_discovery, :sync, [])
  end

  test "the C node's word on an option is the result of start_link" do
    a = start_node(monitor: nil)

    assert {:error, {:invalid_argument, text}} =
             start_in(a, :muster_discovery, :start_link, [
               [strategy: :static, nodes: [:a@b], colour: "red"]
             ])

    assert text =~ "colour"

    assert {:error, {:unknown_strategy, text}} =
             start_in(a, :muster_discovery, :start_link, [[strategy: :telepathy]])

    assert text =~ "telepathy"
    assert call(a, :erlang, :whereis, [:muster_discovery]) == :undefined
  end
end
