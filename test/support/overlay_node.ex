defmodule Muster.Test.OverlayNode do
  @moduledoc """
  What the overlay's soak runs in its nodes: a transport that loses, doubles, delays and cuts off;
  changes made one after the other; and a subscriber that follows the events.
  """
  alias Muster.Test.Keeper

  @overlay :muster_overlay
  @calm %{loss: 0.0, double: 0.0, delay: 0, cut: []}

  # ---- transport: the overlay's option `send` ----

  @doc "Starts this node's transport, calm."
  def start_transport(seed) do
    pid = spawn(fn -> transport(@calm, :rand.seed_s(:exsss, seed)) end)
    Process.register(pid, __MODULE__)
    :ok
  end

  @doc "Makes the transport lose, double (chances) and delay (milliseconds), and cut off nodes."
  def disturb(how), do: send(__MODULE__, {:disturb, Map.merge(@calm, Map.new(how))})

  @doc "The option `send`. Without a transport, nothing is sent."
  def transmit(to, message) do
    case Process.whereis(__MODULE__) do
      nil -> :lost
      pid -> send(pid, {:transmit, to, message})
    end
  end

  defp transport(how, random) do
    receive do
      {:disturb, new} ->
        transport(new, random)

      {:transmit, to, message} ->
        transport(how, carry(to, message, how, random))

      {:deliver, to, message} ->
        :erlang.send(to, message, [:noconnect, :nosuspend])
        transport(how, random)
    end
  end

  defp carry({_, node} = to, message, how, random) do
    {lost, random} = :rand.uniform_s(random)
    {doubled, random} = :rand.uniform_s(random)

    cond do
      node in how.cut or lost < how.loss -> random
      doubled < how.double -> late(to, message, how, late(to, message, how, random))
      true -> late(to, message, how, random)
    end
  end

  defp late(to, message, %{delay: delay}, random) do
    {ms, random} = :rand.uniform_s(delay + 1, random)
    if ms == 1, do: send(self(), {:deliver, to, message}), else: deliver_after(ms, to, message)
    random
  end

  defp deliver_after(ms, to, message),
    do: Process.send_after(self(), {:deliver, to, message}, ms - 1)

  # ---- changes ----

  @doc "Makes changes `{op, kind, id, written}` one after the other; when each began and ended."
  def change(changes) do
    for {op, kind, id, written} <- changes do
      began = System.os_time(:microsecond)
      :ok = apply_change(op, kind, id, written)
      {began, System.os_time(:microsecond)}
    end
  end

  defp apply_change(:put, :entity, id, w), do: :muster_overlay.update_entity(id, %{w: w})
  defp apply_change(:put, :waypoint, id, w), do: :muster_overlay.add_waypoint(%{id: id, w: w})
  defp apply_change(:put, :annotation, id, w), do: :muster_overlay.add_annotation(id, %{w: w})
  defp apply_change(:remove, :entity, id, _), do: :muster_overlay.remove_entity(id)
  defp apply_change(:remove, :waypoint, id, _), do: :muster_overlay.remove_waypoint(id)
  defp apply_change(:remove, :annotation, id, _), do: :muster_overlay.remove_annotation(id)

  @doc "What each `{kind, id}` reads."
  def read do
    state = :muster_overlay.get_overlay_state()

    Map.new(
      for({id, data} <- state.entities, do: {{:entity, id}, data}) ++
        for(%{id: id} = data <- state.waypoints, do: {{:waypoint, id}, data}) ++
        for({id, data} <- state.annotations, do: {{:annotation, id}, data})
    )
  end

  # ---- events ----

  @doc "Starts this node's overlay, and a subscriber that knows its state from then on."
  def start_overlay(options) do
    {:ok, pid} = Keeper.start(:muster_overlay, :start_link, [options])
    follow()
    {:ok, pid}
  end

  defp follow do
    caller = self()
    if old = Process.whereis(:overlay_follower), do: end_follower(old)

    spawn(fn ->
      Process.register(self(), :overlay_follower)
      :ok = :muster_overlay.subscribe()
      # What came before the state that is replied is in it.
      request = :gen_server.send_request(@overlay, :snapshot)
      view = starting_view(request)
      send(caller, :following)
      following(view, [])
    end)

    receive do
      :following -> :ok
    end
  end

  defp end_follower(pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, _, _, _} -> :ok
    end
  end

  defp starting_view(request) do
    receive do
      {:overlay_event, _} ->
        starting_view(request)

      message ->
        {:reply, state} = :gen_server.check_response(message, request)

        for {key, data} <- :muster_lww_map.to_list(state),
            into: %{},
            do: {key, :erlang.binary_to_term(data)}
    end
  end

  @doc "What the events make of the first state, and the events that changed nothing."
  def followed do
    send(:overlay_follower, {:followed, self()})

    receive do
      {:followed, view, idle} -> {view, idle}
    end
  end

  defp following(view, idle) do
    receive do
      {:overlay_event, event} ->
        case follow(event, view) do
          ^view -> following(view, [event | idle])
          changed -> following(changed, idle)
        end

      {:followed, pid} ->
        send(pid, {:followed, view, idle})
        following(view, idle)
    end
  end

  defp follow({:entity_updated, id, data}, view), do: Map.put(view, {:entity, id}, data)
  defp follow({:waypoint_added, %{id: id} = data}, view), do: Map.put(view, {:waypoint, id}, data)
  defp follow({:annotation_added, id, data}, view), do: Map.put(view, {:annotation, id}, data)
  defp follow({:entity_removed, id}, view), do: Map.delete(view, {:entity, id})
  defp follow({:waypoint_removed, id}, view), do: Map.delete(view, {:waypoint, id})
  defp follow({:annotation_removed, id}, view), do: Map.delete(view, {:annotation, id})
end
