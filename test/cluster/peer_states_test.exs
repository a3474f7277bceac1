defmodule Muster.Cluster.PeerStatesTest do
  # Why a peer is not connected: each reason with real nodes, told apart.
  use ExUnit.Case
  import Muster.Test.Cluster

  setup_all do
    {:ok, a: start_node(monitor: [ping_interval_ms: 100])}
  end

  # Watches a node that the BEAM itself need not be connected to.
  defp watch(a, node) do
    node = if is_binary(node), do: String.to_atom(node), else: node
    pid = call(a, Process, :whereis, [:muster_node_monitor])
    call(a, Process, :send, [pid, {:nodeup, node}, []])
    on_exit(fn -> call(a, Process, :send, [pid, {:nodedown, node}, []]) end)
    node
  end

  defp assert_state(a, node, state, ms \\ 15_000) do
    watch(a, node)
    health = await_health(a, node, [connection: state], ms)
    assert health.connection_reason =~ ~r/\w/

    {:ok, peers} = call(a, :muster, :peers, [])
    assert %{state: ^state, since_ms: since} = Enum.find(peers, &(&1.node == to_string(node)))
    assert is_integer(since) and since >= 0
  end

  defp address(name), do: :"#{name}@127.0.0.1"

  defp listen do
    {:ok, socket} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false, backlog: 64])
    {:ok, port} = :inet.port(socket)
    {socket, port}
  end

  test "connected", %{a: a} do
    b = start_node(muster: false)
    assert_state(a, b.node, :connected)
  end

  test "the cookie differs; once it is set, the node is connected", %{a: a} do
    b = start_node(muster: false, cookie: "another")
    assert_state(a, b.node, :cookie_mismatch)
    # The BEAM's own cookie for this one node.
    true = call(a, :erlang, :set_cookie, [b.node, :another])
    await_health(a, b, connection: :connected)
  end

  test "the cookie of the whole node changes" do
    a = start_node(monitor: [ping_interval_ms: 100], cookie: "old")
    b = start_node(muster: false, cookie: "new")
    assert_state(a, b.node, :cookie_mismatch)
    true = call(a, :erlang, :set_cookie, [:new])
    await_health(a, b, connection: :connected)
  end

  test "another node answers under that name", %{a: a} do
    b = start_node(muster: false)
    impostor = unique_name("impostor")
    [alive, _] = b.node |> Atom.to_string() |> String.split("@")
    register_name(impostor, port_of(alive))
    assert_state(a, address(impostor), :name_mismatch)
  end

  test "no such name", %{a: a} do
    assert_state(a, address(unique_name("nobody")), :name_unknown)
  end

  test "no epmd on the host", %{a: a} do
    assert_state(a, :"nobody@127.0.0.9", :epmd_unreachable)
  end

  test "no such host", %{a: a} do
    assert_state(a, :"nobody@no-such-host.invalid", :host_unknown)
  end

  test "nothing listens on the node's port", %{a: a} do
    name = unique_name("refusing")
    register_name(name, free_port())
    assert_state(a, address(name), :connection_refused)
  end

  test "the node accepts and says nothing", %{a: a} do
    name = unique_name("silent")
    {_socket, port} = listen()
    register_name(name, port)
    assert_state(a, address(name), :timeout, 30_000)
  end

  test "a stopped node", %{a: a} do
    b = start_node(muster: false)
    signal(b.os_pid, :stop)
    assert_state(a, b.node, :timeout, 30_000)
    signal(b.os_pid, :cont)
    await_health(a, b, [connection: :connected], 30_000)
  end

  test "the node allows only others", %{a: a} do
    b = start_node(muster: false)
    :ok = call(b, :net_kernel, :allow, [[:"somebody@127.0.0.1"]])
    assert_state(a, b.node, :not_allowed)
  end

  test "the node speaks TLS", %{a: a} do
    b = start_node(muster: false, args: tls_args())
    assert_state(a, b.node, :tls_required)
  end

  test "a cluster over TLS: its C node says so instead of dialling, and accuses nobody" do
    monitor = [ping_interval_ms: 50, suspect_after_ms: 300, down_after_ms: 600]
    [a, b] = for _ <- 1..2, do: start_node(args: tls_args(), monitor: monitor)
    call(a, Muster.Test.Keeper, :collect, [:muster_node_monitor, :collector])
    connect(a, b)
    %{joined_at: joined} = await_health(a, b, connection: :tls_required, status: :healthy)

    # Silence would have turned it down by now.
    eventually(fn ->
      call(a, System, :monotonic_time, [:millisecond]) > joined + 2 * monitor[:down_after_ms]
    end)

    assert {:ok, %{status: :healthy}} = health(a, b)
    assert call(a, Muster.Test.Keeper, :events, [:collector]) == [node_up: b.node]
  end

  test "a cluster without epmd: its C node says so instead of dialling" do
    port = Integer.to_charlist(free_port())
    a = start_node(args: [~c"-start_epmd", ~c"false", ~c"-erl_epmd_port", port])
    assert_state(a, :"somebody@127.0.0.1", :unsupported_distribution)
  end

  test "a node that listens but is no Erlang node", %{a: a} do
    name = unique_name("ssh")
    {socket, port} = listen()
    register_name(name, port)

    spawn_link(fn ->
      for _ <- Stream.cycle([1]) do
        with {:ok, connection} <- :gen_tcp.accept(socket),
             do: :gen_tcp.send(connection, "SSH-2.0-OpenSSH_9.2p1\r\n")
      end
    end)

    watch(a, address(name))

    health =
      eventually(fn ->
        {:ok, health} = health(a, address(name))
        health.connection not in [:idle, :dialing] and {:found, health}
      end)

    assert health.connection in [:handshake_failed, :unsupported_distribution]
  end

  # A certificate for TLS distribution, made once.
  defp tls_args do
    dir = Path.join(System.tmp_dir!(), unique_name("muster_tls"))
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)

    [key, certificate, options] =
      for name <- ~w(key.pem cert.pem options), do: Path.join(dir, name)

    {_, 0} =
      System.cmd(
        "openssl",
        ~w(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1
           -keyout #{key} -out #{certificate}),
        stderr_to_stdout: true
      )

    File.write!(options, """
    [{server, [{certfile, "#{certificate}"}, {keyfile, "#{key}"}, {verify, verify_none}]},
     {client, [{verify, verify_none}]}].
    """)

    [~c"-proto_dist", ~c"inet_tls", ~c"-ssl_dist_optfile", to_charlist(options)]
  end
end
