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

  @doc "Subscribes a process of that name to a monitor's events."
  def collect(monitor, name) do
    caller = self()

    pid =
      spawn(fn ->
        Process.register(self(), name)
        :ok = :muster_node_monitor.subscribe(monitor)
        send(caller, :subscribed)
        collecting([])
      end)

    receive do
      :subscribed -> pid
    end
  end

  @doc "The events so far, in order."
  def events(name) do
    send(name, {:events, self()})

    receive do
      {:events, events} -> events
    end
  end

  defp collecting(events) do
    receive do
      {:swarm_event, event} ->
        collecting([event | events])

      {:events, pid} ->
        send(pid, {:events, Enum.reverse(events)})
        collecting(events)
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
