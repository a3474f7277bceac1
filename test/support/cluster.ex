defmodule Muster.Test.Cluster do
  @moduledoc """
  Real BEAM nodes for the tests, with or without muster in them.

  The nodes are controlled over standard I/O, so that the test's own VM stays `nonode@nohost` and
  a stopped or killed node never disturbs it. They meet through an epmd of the test run's own,
  which listens on 127.0.0.1 and ::1 alone: other test runs are never met, and the other addresses of
  127.0.0.0/8 are hosts without an epmd.
  """

  defstruct [:peer, :node, :os_pid]

  @host "127.0.0.1"
  @call_timeout 15_000

  @doc "Starts the test run's epmd; it ends with this VM, whose end closes the shell's stdin."
  def start_epmd do
    port = free_port()
    addresses = if ipv6?(), do: "127.0.0.1,::1", else: "127.0.0.1"

    script = ~S(epmd -address "$2" -port "$1" 2>/dev/null & trap "" HUP; cat >/dev/null; kill $!)

    Port.open({:spawn_executable, "/bin/sh"}, [
      :binary,
      args: ["-c", script, "sh", Integer.to_string(port), addresses]
    ])

    :persistent_term.put({__MODULE__, :epmd_port}, port)
    eventually(fn -> match?({:ok, _}, epmd_names()) end)
    port
  end

  @doc "Whether this machine has IPv6 on its loopback."
  def ipv6? do
    case :gen_tcp.listen(0, [:inet6, ip: {0, 0, 0, 0, 0, 0, 0, 1}]) do
      {:ok, socket} -> :gen_tcp.close(socket) == :ok
      {:error, _} -> false
    end
  end

  def epmd_port, do: :persistent_term.get({__MODULE__, :epmd_port})

  @doc """
  Starts a BEAM node and, unless `muster: false`, the application in it. It is ended with the test.

  Options: `:name` (prefix, `{:padded, length}` or `{:exact, name}`), `:named` (false: nonode@nohost), `:host`, `:cookie`, `:args`, `:env`,
  `:app_env` (keyword of muster's), `:muster`, `:monitor` (options of a node monitor, or nil),
  `:netns` (the network namespace to run in, with `:host` as its address there), `:tmpfs` (a directory, and the
  size of the file system that only this node sees there),
  `:prevent_overlapping_partitions` (false, as a test's nodes come and go).
  """
  def start_node(opts \\ []) do
    name = node_name(Keyword.get(opts, :name, "n"))

    {:ok, peer, node} =
      peer_options(name, opts)
      |> :peer.start()
      |> case do
        {:ok, peer} -> {:ok, peer, :nonode@nohost}
        {:ok, peer, node} -> {:ok, peer, node}
      end

    {os_pid, ""} = :peer.call(peer, :os, :getpid, []) |> List.to_string() |> Integer.parse()
    node = %__MODULE__{peer: peer, node: node, os_pid: os_pid}
    ExUnit.Callbacks.on_exit(fn -> stop(node) end)
    if Keyword.get(opts, :muster, true), do: start_muster(node, opts)
    node
  end

  defp node_name({:padded, length}), do: String.pad_trailing(unique_name("n"), length, "x")
  defp node_name({:exact, name}), do: name
  defp node_name(prefix), do: unique_name(prefix)

  defp peer_options(name, opts) do
    options = %{
      connection: :standard_io,
      wait_boot: 30_000,
      args: args(opts),
      env: [{~c"ERL_EPMD_PORT", Integer.to_charlist(epmd_port())} | Keyword.get(opts, :env, [])]
    }

    options
    |> Map.merge(if opts[:netns], do: exec_in(opts[:netns]), else: %{})
    |> Map.merge(if opts[:tmpfs], do: exec_with_tmpfs(opts[:tmpfs]), else: %{})
    |> Map.merge(
      if Keyword.get(opts, :named, true),
        do: %{name: to_charlist(name), host: host(opts), longnames: true},
        else: %{}
    )
  end

  defp exec_in(netns) do
    erl = System.find_executable("erl")
    args = Enum.map(~w(netns exec #{netns} #{erl}), &to_charlist/1)
    %{exec: {System.find_executable("ip") |> to_charlist(), args}}
  end

  defp exec_with_tmpfs({dir, size}) do
    mount = ~S(mount -t tmpfs -o "size=$0" tmpfs "$1" && shift && exec "$@")
    args = ["--mount", "sh", "-c", mount, size, dir, System.find_executable("erl")]
    %{exec: {System.find_executable("unshare") |> to_charlist(), Enum.map(args, &to_charlist/1)}}
  end

  defp host(opts), do: opts |> Keyword.get(:host, @host) |> to_charlist()

  defp args(opts) do
    paths = if Keyword.get(opts, :muster, true), do: [~c"-pa" | code_paths()], else: []
    cookie = Keyword.get(opts, :cookie, "muster_test")

    # A test's nodes come and go; the others need not be torn apart for it.
    prevent = Keyword.get(opts, :prevent_overlapping_partitions, false)

    [
      ~c"-setcookie",
      to_charlist(cookie),
      ~c"-kernel",
      ~c"prevent_overlapping_partitions",
      to_charlist(prevent)
    ] ++
      [~c"-kernel", ~c"logger_level", ~c"critical"] ++ paths ++ Keyword.get(opts, :args, [])
  end

  defp code_paths do
    otp = :code.root_dir()
    for path <- :code.get_path(), path != ~c".", not List.starts_with?(path, otp), do: path
  end

  defp start_muster(node, opts) do
    for {key, value} <- Keyword.merge(default_env(), Keyword.get(opts, :app_env, [])) do
      :ok = call(node, :application, :set_env, [:muster, key, value])
    end

    {:ok, _} = call(node, :application, :ensure_all_started, [:muster])

    case Keyword.get(opts, :monitor, []) do
      nil -> :ok
      options -> {:ok, _} = start_in(node, :muster_node_monitor, :start_link, [options])
    end
  end

  defp default_env, do: [cnode_path: to_charlist(cnode_path())]

  @doc "The program under test: MUSTER_NODE in the environment names another, such as a sanitized one."
  def cnode_path,
    do: System.get_env("MUSTER_NODE") || Path.join(:code.priv_dir(:muster), "muster_node")

  @doc "Starts a process that outlives the call, such as a gen_server that links to its caller."
  def start_in(node, module, function, args),
    do: call(node, Muster.Test.Keeper, :start, [module, function, args])

  def call(node, module, function, args, timeout \\ @call_timeout),
    do: :peer.call(node.peer, module, function, args, timeout)

  @doc "Connects two BEAM nodes."
  def connect(a, b), do: true = call(a, :net_kernel, :connect_node, [b.node])

  @doc "The name of the C node beside a node."
  def cnode(%{node: node}) do
    [alive, host] = node |> Atom.to_string() |> String.split("@")
    :"#{alive}-muster@#{host}"
  end

  def cnode_os_pid(node) do
    {:ok, %{os_pid: os_pid}} = call(node, :muster, :info, [])
    os_pid
  end

  @doc "A node's health in another's monitor."
  def health(node, of, monitor \\ :muster_node_monitor) do
    of = if is_atom(of), do: of, else: of.node
    call(node, :muster_node_monitor, :get_health, [monitor, of])
  end

  @doc "Waits until a node sees another as the pattern's fields say."
  def await_health(node, of, expected, ms \\ 15_000) do
    eventually(
      fn ->
        with {:ok, health} <- health(node, of),
             true <- Enum.all?(expected, fn {key, value} -> health[key] == value end),
             do: {:found, health}
      end,
      ms
    )
  end

  @doc "Ends a node by force, its C node with it."
  def stop(%{peer: peer, os_pid: os_pid}) do
    signal(os_pid, :kill)
    monitor = Process.monitor(peer)

    receive do
      {:DOWN, ^monitor, _, _, _} -> :ok
    after
      5_000 -> Process.exit(peer, :kill)
    end
  end

  def signal(os_pid, signal) when signal in [:stop, :cont, :kill] do
    name = signal |> Atom.to_string() |> String.upcase()
    System.cmd("sh", ["-c", ~S(kill -"$1" "$2" 2>/dev/null), "sh", name, "#{os_pid}"])
    if signal == :stop, do: eventually(fn -> stopped?(os_pid) end)
    :ok
  end

  # On a busy machine a thread may run on for milliseconds.
  defp stopped?(os_pid) do
    for(
      file <- Path.wildcard("/proc/#{os_pid}/task/*/stat"),
      {:ok, stat} <- [File.read(file)],
      do: stat
    )
    |> Enum.all?(
      &(&1
        |> String.split(") ")
        |> List.last()
        |> String.starts_with?(["T", "Z", "X"]))
    )
  end

  @doc "Whether an operating system process is there; one that only waits to be reaped is not."
  def alive?(os_pid) do
    case File.read("/proc/#{os_pid}/stat") do
      {:ok, stat} -> not (stat |> String.split(") ") |> List.last() |> String.starts_with?("Z"))
      {:error, _} -> not File.dir?("/proc/self") and :muster_os_process.alive(os_pid)
    end
  end

  @doc "Names registered with the test run's epmd."
  def epmd_names do
    with {:ok, answer} <- epmd_request(<<1::16, ?n>>) do
      <<_port::32, names::binary>> = answer

      {:ok,
       for(
         line <- String.split(names, "\n", trim: true),
         do: line |> String.split(" ") |> Enum.at(1)
       )}
    end
  end

  def registered?(name) do
    {:ok, names} = epmd_names()
    [alive | _] = name |> to_string() |> String.split("@")
    alive in names
  end

  @doc "Registers a name with epmd for a port of this test's; returns the socket that keeps it."
  def register_name(name, port) do
    {:ok, socket} = epmd_connect()
    alive = <<byte_size(name)::16, name::binary>>
    # Normal node, TCP, versions 6 to 5.
    request = <<?x, port::16, 77, 0, 6::16, 5::16, alive::binary, 0::16>>
    :ok = :gen_tcp.send(socket, <<byte_size(request)::16, request::binary>>)
    {:ok, <<_type, 0, _creation::binary>>} = :gen_tcp.recv(socket, 0, 5_000)
    socket
  end

  @doc "The port under which a name is registered."
  def port_of(name) do
    request = <<?z, name::binary>>

    {:ok, <<119, 0, port::16, _::binary>>} =
      epmd_request(<<byte_size(request)::16, request::binary>>)

    port
  end

  defp epmd_request(request) do
    with {:ok, socket} <- epmd_connect(),
         :ok <- :gen_tcp.send(socket, request),
         do: {:ok, read_all(socket, <<>>)}
  end

  defp epmd_connect,
    do: :gen_tcp.connect({127, 0, 0, 1}, epmd_port(), [:binary, active: false], 5_000)

  defp read_all(socket, read) do
    case :gen_tcp.recv(socket, 0, 5_000) do
      {:ok, more} -> read_all(socket, read <> more)
      {:error, _} -> read
    end
  end

  @doc "Waits until a function returns true or `{:found, value}`; fails at the deadline."
  def eventually(fun, ms \\ 15_000), do: eventually_until(fun, now() + ms, ms)

  defp eventually_until(fun, deadline, ms) do
    case fun.() do
      true ->
        true

      {:found, value} ->
        value

      other ->
        if now() >= deadline do
          ExUnit.Assertions.flunk("not within #{ms} ms; last seen: #{inspect(other)}")
        end

        Process.sleep(10)
        eventually_until(fun, deadline, ms)
    end
  end

  def now, do: System.monotonic_time(:millisecond)

  def unique_name(prefix) do
    run = :erlang.phash2(epmd_port(), 100_000)
    "#{prefix}#{run}_#{System.pid()}_#{System.unique_integer([:positive])}"
  end

  def free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end
end
