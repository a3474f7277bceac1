defmodule Muster.Cluster.LifecycleTest do
  use ExUnit.Case
  import Muster.Test.Cluster

  # Each round starts a BEAM node and its C node and kills the BEAM: 100 rounds with MUSTER_SOAK=1.
  @rounds if System.get_env("MUSTER_SOAK"), do: 100, else: 8

  defp start_joined(opts \\ []) do
    a = start_node([monitor: nil] ++ opts)
    await_published(a)
    a
  end

  defp await_published(a), do: eventually(fn -> registered?(cnode(a)) end)

  test "the C node joins beside its BEAM, hidden" do
    a = start_joined()
    assert {:ok, info} = call(a, :muster, :info, [])
    assert %{version: version, name: name, uptime_ms: uptime, listen_port: port} = info
    assert version == call(a, :muster, :version, [])
    assert name == Atom.to_string(cnode(a))
    assert uptime >= 0 and port == port_of(hd(String.split(name, "@")))
    assert call(a, :net_adm, :ping, [cnode(a)]) == :pong
    assert call(a, :erlang, :nodes, []) == []
    assert call(a, :erlang, :nodes, [:hidden]) == [cnode(a)]
  end

  test "the BEAM is killed: its C node is gone within 1 s, and its name" do
    a = start_joined()
    c = cnode_os_pid(a)
    signal(a.os_pid, :kill)
    eventually(fn -> not alive?(c) end, 1_000)
    eventually(fn -> not registered?(cnode(a)) end, 1_000)
  end

  test "the BEAM halts: its C node is gone within 1 s" do
    a = start_joined()
    c = cnode_os_pid(a)
    :peer.cast(a.peer, :erlang, :halt, [0])
    eventually(fn -> not alive?(c) end, 1_000)
    eventually(fn -> not registered?(cnode(a)) end, 1_000)
  end

  test "the application stops and starts again" do
    a = start_joined()
    c = cnode_os_pid(a)
    :ok = call(a, :application, :stop, [:muster])
    refute alive?(c)
    eventually(fn -> not registered?(cnode(a)) end, 1_000)
    refute call(a, :muster, :available, [])
    :ok = call(a, :application, :start, [:muster])
    await_published(a)
    assert call(a, :muster, :available, [])
  end

  test "a stopped C node does not outlive its application" do
    a = start_joined()
    c = cnode_os_pid(a)
    signal(c, :stop)
    :ok = call(a, :application, :stop, [:muster])
    refute alive?(c)
  end

  test "distribution that starts later, stops, and starts under another name" do
    a = start_node(named: false, monitor: nil)
    assert {:ok, %{peers: _}} = call(a, :muster, :info, [])
    assert call(a, :muster, :peers, []) == {:ok, []}

    names = for prefix <- ["late", "later"], do: :"#{unique_name(prefix)}@127.0.0.1"

    for name <- names do
      {:ok, _} = call(a, :net_kernel, :start, [[name, :longnames]])
      true = call(a, :erlang, :set_cookie, [:muster_test])
      await_published(%{a | node: name})
      b = start_node(muster: false)
      eventually(fn -> call(b, :net_adm, :ping, [cnode(%{a | node: name})]) == :pong end)
      :ok = call(a, :net_kernel, :stop, [])
      eventually(fn -> not registered?(cnode(%{a | node: name})) end)
      eventually(fn -> match?({:ok, _}, call(a, :muster, :info, [])) end)
    end
  end

  test "no C node: the application runs, its monitor follows the BEAM" do
    a = start_node(app_env: [cnode: :disabled])
    b = start_node(app_env: [cnode_path: ~c"/nowhere/muster_node"])
    connect(a, b)

    for {one, other} <- [{a, b}, {b, a}] do
      refute call(one, :muster, :available, [])
      assert call(one, :muster, :info, []) == {:error, :unavailable}
      await_health(one, other, status: :healthy, connection: :unavailable)
    end

    signal(b.os_pid, :kill)
    await_health(a, b, status: :down, connection: :unavailable)
  end

  test "a wrong option stops the application's start, and names itself" do
    a = start_node(muster: false, args: [~c"-pa" | :code.get_path()])
    :ok = call(a, :application, :load, [:muster])
    :ok = call(a, :application, :set_env, [:muster, :heartbeat_ms, 5])

    assert {:error, {:muster, {invalid, _}}} =
             call(a, :application, :ensure_all_started, [:muster])

    assert invalid ==
             {:invalid_option, :heartbeat_ms, 5, "an integer from 10 to 60000 (milliseconds)"}
  end

  test "a name too long for a C node is an error in the log, not a crash" do
    # With the host 253 bytes for the BEAM, 260 for its C node.
    a = start_node(name: {:padded, 243}, monitor: nil)
    assert {:error, {:name_too_long, name, 260}} = call(a, :muster_distribution, :config, [])
    assert byte_size(name) == 260
    eventually(fn -> match?({:ok, _}, call(a, :muster, :info, [])) end)
    {:ok, names} = epmd_names()
    refute Enum.any?(names, &String.contains?(&1, "xxxx-muster"))
  end

  test "a port range without a free port: the C node joins once there is one" do
    low = free_range()
    {:ok, taken} = :gen_tcp.listen(low + 1, [])
    range = ["inet_dist_listen_min", "#{low}", "inet_dist_listen_max", "#{low + 1}"]
    a = start_node(monitor: nil, args: [~c"-kernel" | Enum.map(range, &to_charlist/1)])
    assert {:ok, %{published: false}} = call(a, :muster, :info, [])
    :gen_tcp.close(taken)
    await_published(a)
    assert {:ok, %{listen_port: port}} = call(a, :muster, :info, [])
    assert port == low + 1
  end

  # Two free ports in a row.
  defp free_range do
    low = free_port()

    case :gen_tcp.listen(low + 1, []) do
      {:ok, socket} ->
        :gen_tcp.close(socket)
        low

      {:error, _} ->
        free_range()
    end
  end

  @tag timeout: 600_000
  test "rounds of starting and killing leave nothing behind" do
    dir = Path.join(System.tmp_dir!(), unique_name("muster_rounds"))
    File.mkdir!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)

    for _ <- 1..@rounds do
      a = start_joined(env: [{~c"TMPDIR", to_charlist(dir)}])
      c = cnode_os_pid(a)
      stop(a)
      eventually(fn -> not alive?(c) end, 1_000)
      eventually(fn -> not registered?(cnode(a)) and not registered?(a.node) end, 1_000)
    end

    assert File.ls!(dir) == []
    # Whatever is named after a node of this run, wherever it were put.
    for dir <- ~w(/tmp /var/tmp /dev/shm priv .) do
      assert Path.wildcard("#{dir}/*_#{System.pid()}_*-muster*", match_dot: true) == []
    end
  end
end
