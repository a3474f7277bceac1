defmodule Muster.Test.Comms do
  @moduledoc "Comms managers in real nodes: starting them, what arrived, and floods."
  import Muster.Test.Cluster

  @doc "Starts a manager and collects what comes for the node."
  def start_comms(node, options \\ []) do
    {:ok, pid} = start_in(node, :muster_comms, :start_link, [options])
    call(node, __MODULE__, :collect, [:muster_comms, :received])
    pid
  end

  def comms(node, what, args \\ []), do: call(node, :muster_comms, what, args)

  @doc "What came so far, in order; of `{tag, binary}` the tag."
  def received(node, name \\ :received), do: call(node, Muster.Test.Keeper, :events, [name])

  @doc "Runs in the node: subscribes a process of that name."
  def collect(server, name) do
    caller = self()

    spawn(fn ->
      Process.register(self(), name)
      :ok = :muster_comms.subscribe(server)
      send(caller, {:collecting, name})
      collecting([])
    end)

    receive do
      {:collecting, ^name} -> :ok
    end
  end

  defp collecting(tags) do
    receive do
      {:swarm_msg, {tag, ballast}} when is_binary(ballast) ->
        collecting([tag | tags])

      {:swarm_msg, message} ->
        collecting([message | tags])

      {:events, pid} ->
        send(pid, {:events, Enum.reverse(tags)})
        collecting(tags)
    end
  end

  @doc """
  Runs in the node: sends messages with so many bytes of ballast each, all different, one after the
  other; how often each result came.
  """
  def flood(node, numbers, priority, bytes) do
    Enum.frequencies_by(numbers, fn n ->
      ballast = :binary.copy(<<n::32>>, div(bytes, 4))
      :muster_comms.send_msg(node, {{priority, n}, ballast}, priority)
    end)
  end

  @doc "Runs in the node: the VM's memory after everybody has collected garbage."
  def memory do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    :erlang.memory(:total)
  end
end
