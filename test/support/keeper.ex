defmodule Muster.Test.Keeper do
  @moduledoc "Runs in the test's nodes: keeps started servers alive, and collects events."

  @doc "Starts a server linked to a process that stays."
  def start(module, function, args) do
    caller = self()

    spawn(fn ->
      send(caller, {:started, apply(module, function, args)})
      Process.sleep(:infinity)
    end)

    receive do
      {:started, result} -> result
    end
  end

  @doc "A supervisor of these children, for `:supervisor.start_link/2`."
  def init(children), do: {:ok, {%{}, children}}

  @doc "Subscribes a process of that name to a monitor's events."
  def collect(monitor, name),
    do: collect_from(:muster_node_monitor, [monitor], :swarm_event, name)

  @doc "Subscribes a process of that name to a server's events, which come as `{tag, event}`."
  def collect_from(module, args, tag, name) do
    caller = self()

    pid =
      spawn(fn ->
        Process.register(self(), name)
        :ok = apply(module, :subscribe, args)
        send(caller, :subscribed)
        collecting(tag, [])
      end)

    receive do
      :subscribed -> pid
    end
  end

  @doc "Notes, in a process of that name, when nodes come and go: `{kind, node, ms}`."
  def watch_nodes(name) do
    caller = self()

    pid =
      spawn(fn ->
        Process.register(self(), name)
        :ok = :net_kernel.monitor_nodes(true)
        send(caller, :watching)
        watching([])
      end)

    receive do
      :watching -> pid
    end
  end

  defp watching(seen) do
    receive do
      {kind, node} when kind in [:nodeup, :nodedown] ->
        watching([{kind, node, System.monotonic_time(:millisecond)} | seen])

      {:events, pid} ->
        send(pid, {:events, Enum.reverse(seen)})
        watching(seen)
    end
  end

  @doc "The events so far, in order."
  def events(name) do
    send(name, {:events, self()})

    receive do
      {:events, events} -> events
    end
  end

  defp collecting(tag, events) do
    receive do
      {^tag, event} ->
        collecting(tag, [event | events])

      {:events, pid} ->
        send(pid, {:events, Enum.reverse(events)})
        collecting(tag, events)
    end
  end

  @doc "Times `get_health/2` of a connected node a number of times; microseconds, sorted."
  def time_health(monitor, node, times) do
    for(_ <- 1..times, do: timed(monitor, node)) |> Enum.sort()
  end

  defp timed(monitor, node) do
    {us, {:ok, %{connection: :connected}}} =
      :timer.tc(:muster_node_monitor, :get_health, [monitor, node])

    us
  end
end
