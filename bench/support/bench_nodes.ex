defmodule Muster.Bench.Nodes do
  @moduledoc "BEAM nodes for benches, with this VM's code, an epmd of their own, and what is measured in them."

  @host ~c"127.0.0.1"

  def start_epmd do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    # Ends with this VM, which closes the shell's stdin.
    script =
      ~S(epmd -address 127.0.0.1 -port "$1" 2>/dev/null & trap "" HUP; cat >/dev/null; kill $!)

    Port.open({:spawn_executable, "/bin/sh"}, [:binary, args: ["-c", script, "sh", "#{port}"]])
    port
  end

  @doc "Starts a node; nobody connects but by `connect/2`."
  def start(name, epmd) do
    paths = for path <- :code.get_path(), path != ~c".", do: path

    {:ok, peer, node} =
      :peer.start(%{
        name: name,
        host: @host,
        longnames: true,
        connection: :standard_io,
        wait_boot: 30_000,
        args:
          [~c"-setcookie", ~c"bench", ~c"-pa"] ++
            paths ++ kernel(dist_auto_connect: :never, prevent_overlapping_partitions: false),
        env: [{~c"ERL_EPMD_PORT", Integer.to_charlist(epmd)}]
      })

    code = :persistent_term.get({__MODULE__, :code})
    {:module, _} = :peer.call(peer, :code, :load_binary, [__MODULE__, ~c"bench_nodes.ex", code])
    %{peer: peer, node: node}
  end

  defp kernel(parameters) do
    for {name, value} <- parameters, part <- ["-kernel", name, value], do: to_charlist("#{part}")
  end

  @doc "Keeps this module's code, as `Code.require_file/1` gives it, for the nodes."
  def keep(code), do: :persistent_term.put({__MODULE__, :code}, code)

  def call(node, module, function, args, timeout \\ 300_000),
    do: :peer.call(node.peer, module, function, args, timeout)

  @doc "Calls a function of this module in a node."
  def run(node, function, args), do: call(node, __MODULE__, function, args)

  def connect(a, b), do: true = call(a, :net_kernel, :connect_node, [b.node])
  def disconnect(a, b), do: call(a, :erlang, :disconnect_node, [b.node])

  # ---- in the nodes ----

  @doc "Starts a server under a process that stays."
  def keep_started(module, options) do
    caller = self()

    spawn(fn ->
      send(caller, {:started, module.start_link(options)})
      Process.sleep(:infinity)
    end)

    receive do
      {:started, {:ok, _}} -> :ok
    end
  end

  def fill(n) do
    for i <- 1..n do
      :ok = :muster_overlay.update_entity(i, entity(i))
      :ok = :muster_overlay.add_waypoint(Map.put(entity(i), :id, i))
    end

    :ok
  end

  def change(ids) do
    for i <- ids do
      if rem(i, 2) == 0,
        do: :muster_overlay.update_entity(i, entity(-i)),
        else: :muster_overlay.add_waypoint(Map.put(entity(-i), :id, i))
    end

    now()
  end

  # Some 160 bytes, in an entity 230 with its id, node and time.
  defp entity(i) do
    %{
      position: {i * 1.0, i * 2.0, 0.0},
      heading: rem(i, 360),
      status: :active,
      label: "unit #{i}",
      note: "seen #{abs(i)} m north of the bridge, moving slowly"
    }
  end

  @doc "When an entity's update is told here."
  def start_watch(id, tag) do
    caller = self()

    spawn(fn ->
      Process.register(self(), tag)
      :ok = :muster_overlay.subscribe()
      send(caller, :watching)
      at = watch(id)

      receive do
        {:seen, pid} -> send(pid, {:seen, at})
      end
    end)

    receive do
      :watching -> :ok
    end
  end

  defp watch(id) do
    receive do
      {:overlay_event, {:entity_updated, ^id, _}} -> now()
    end
  end

  def seen(tag) do
    send(tag, {:seen, self()})

    receive do
      {:seen, at} -> at
    end
  end

  @doc "Bytes sent and received over the connections to these nodes."
  def wire(nodes) do
    for {node, port} <- :erlang.system_info(:dist_ctrl), node in nodes do
      {:ok, counts} = :inet.getstat(port, [:send_oct, :recv_oct])
      counts |> Keyword.values() |> Enum.sum()
    end
    |> Enum.sum()
  end

  @doc "Asks the overlay something small all the time, and notes the longest answer."
  def start_probe do
    caller = self()

    pid =
      spawn(fn ->
        Process.flag(:priority, :high)
        Process.register(self(), :bench_probe)
        send(caller, :probing)
        probe(0)
      end)

    receive do
      :probing -> pid
    end
  end

  defp probe(longest) do
    receive do
      {:longest, pid} -> send(pid, {:longest, longest})
    after
      1 ->
        began = :erlang.monotonic_time(:microsecond)
        _ = :muster_overlay.get_entity(1)
        probe(max(longest, :erlang.monotonic_time(:microsecond) - began))
    end
  end

  @doc "Ends the probe: the longest answer, in microseconds."
  def end_probe do
    send(:bench_probe, {:longest, self()})

    receive do
      {:longest, longest} -> longest
    end
  end

  def full_state do
    state = :muster_overlay.export_state()
    began = :erlang.monotonic_time(:microsecond)
    size = byte_size(:erlang.term_to_binary(state))
    {size, :erlang.monotonic_time(:microsecond) - began}
  end

  @doc "The hash of all that an overlay holds and has seen."
  def digest, do: :muster_overlay.status().digest

  def now, do: System.os_time(:microsecond)
end
