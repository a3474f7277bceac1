defmodule Muster.Test.Delay do
  @moduledoc """
  A host whose nodes are far away: an address of 127.0.0.0/8 with an epmd that sends everybody to
  proxies, which hold back what goes towards the node for some milliseconds.
  """
  import Muster.Test.Cluster

  @doc "Makes the host; it ends with the test's process. The delay can be changed: `set/2`."
  def host(address) do
    {:ok, ip} = address |> to_charlist() |> :inet.parse_address()
    delay = :atomics.new(1, [])
    epmd = listen(ip, epmd_port())
    spawn_link(fn -> accept(epmd, fn socket -> epmd(socket, ip, delay) end) end)
    delay
  end

  def set(delay, ms), do: :atomics.put(delay, 1, ms)

  defp listen(ip, port) do
    options = [:binary, ip: ip, active: false, reuseaddr: true, backlog: 64]
    {:ok, socket} = :gen_tcp.listen(port, options)
    socket
  end

  defp accept(listener, serve) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn(fn -> receive(do: (:go -> serve.(socket))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, serve)
  end

  # PORT_PLEASE2: of a node that the test run's epmd knows, the port of a proxy to it.
  defp epmd(socket, ip, delay) do
    with {:ok, <<size::16>>} <- :gen_tcp.recv(socket, 2),
         {:ok, <<?z, name::binary>>} <- :gen_tcp.recv(socket, size) do
      port = proxy(ip, port_of(name), delay)
      found = <<119, 0, port::16, 77, 0, 6::16, 5::16, byte_size(name)::16, name::binary, 0::16>>
      :ok = :gen_tcp.send(socket, found)
    end

    :gen_tcp.close(socket)
  end

  # One per look-up, for the one connection that follows it.
  defp proxy(ip, to, delay) do
    caller = self()

    spawn(fn ->
      listener = listen(ip, 0)
      send(caller, {:listening, :inet.port(listener)})
      {:ok, near} = :gen_tcp.accept(listener)
      {:ok, far} = :gen_tcp.connect({127, 0, 0, 1}, to, [:binary, active: true, nodelay: true])
      :ok = :inet.setopts(near, active: true, nodelay: true)
      forward(near, far, delay)
    end)

    receive do
      {:listening, {:ok, port}} -> port
    end
  end

  # One that is held back holds back those behind it.
  defp forward(near, far, delay) do
    receive do
      {:tcp, ^near, data} ->
        Process.sleep(:atomics.get(delay, 1))
        :gen_tcp.send(far, data)
        forward(near, far, delay)

      {:tcp, ^far, data} ->
        :gen_tcp.send(near, data)
        forward(near, far, delay)

      {:tcp_closed, _} ->
        :closed
    end
  end
end
