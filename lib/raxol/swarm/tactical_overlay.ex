defmodule Raxol.Swarm.TacticalOverlay do
  @moduledoc """
  State that all nodes share: entities, waypoints and annotations, changed on any node without
  asking the others, and the same everywhere moments later.

      {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(
        sync_interval_ms: 500,
        anti_entropy_interval_ms: 60_000
      )

      # Entities (the last write wins)
      Raxol.Swarm.TacticalOverlay.update_entity(:unit_1, %{
        position: {10.0, 20.0, 0.0},
        heading: 45.0,
        status: :active
      })

      # Waypoints (an add wins over a removal)
      Raxol.Swarm.TacticalOverlay.add_waypoint(%{
        id: "wp_alpha",
        position: {50.0, 50.0, 0.0},
        label: "Rally Point"
      })
      Raxol.Swarm.TacticalOverlay.remove_waypoint("wp_alpha")

      entities = Raxol.Swarm.TacticalOverlay.get_all_entities()
      waypoints = Raxol.Swarm.TacticalOverlay.get_all_waypoints()

  Members are the overlays of one name on the nodes that the node monitor knows, or that the option
  `:peers` or `set_peers/2` lists. Each sends what changed to the others every `:sync_interval_ms`;
  see `docs/overlay.md`.

  ## Events

  A subscriber receives `{:overlay_event, event}` for each net change, made here or elsewhere, once:

    * `{:entity_updated, id, data}`, `{:entity_removed, id}`
    * `{:waypoint_added, waypoint}`, also when an id is added again with other data;
      `{:waypoint_removed, id}`
    * `{:annotation_added, id, data}`, `{:annotation_removed, id}`

  Of several changes of one id that come in one message, only the outcome is told.

  The logic is in the Erlang module `:muster_overlay`; each function takes the server as its
  optional first argument. Wrong arguments raise `ArgumentError` in the calling process.
  """

  @type peer :: node() | {name :: atom(), node()}

  @typedoc """
  The data of the last update, with the entity's `:id`, the `:node` that wrote it, and
  `:last_updated`, that node's `System.system_time(:millisecond)`.
  """
  @type entity :: %{
          required(:id) => term(),
          required(:node) => node(),
          required(:last_updated) => integer(),
          optional(term()) => term()
        }

  @type waypoint :: %{required(:id) => term(), optional(term()) => term()}

  @typedoc "See `start_link/1`."
  @type option ::
          {:sync_interval_ms, 10..3_600_000}
          | {:anti_entropy_interval_ms, 100..86_400_000}
          | {:name, atom()}
          | {:node_id, node()}
          | {:peers, [peer()]}
          | {:node_monitor, GenServer.server() | :none}
          | {:comms_manager, GenServer.server() | :none}
          | {:data_dir, Path.t()}
          | {:send, ({atom(), node()}, term() -> term())}

  @face %{name: __MODULE__, node_monitor: Raxol.Swarm.NodeMonitor}

  @doc """
  A child specification; its id is the name.

  ## Examples

      iex> Raxol.Swarm.TacticalOverlay.child_spec(name: :map).id
      :map
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts \\ []) do
    %{
      id: :muster_server_name.in_options(opts, __MODULE__),
      start: {__MODULE__, :start_link, [opts]}
    }
  end

  @doc """
  Starts this node's member.

  ## Options

    * `:sync_interval_ms` - how often changes are sent, 10 to 3600000, default 500
    * `:anti_entropy_interval_ms` - how often digests are compared with each peer, 100 to 86400000,
      default 60000
    * `:name` - an atom, default `Raxol.Swarm.TacticalOverlay`; overlays of one name belong together
    * `:node_id` - the name under which this member writes, default `node()`
    * `:peers` - nodes, or `{name, node}`, to sync with besides those of the monitor
    * `:node_monitor` - the monitor whose nodes are peers, default `Raxol.Swarm.NodeMonitor`; it need
      not be there; `:none` for none
    * `:comms_manager` - what carries the messages, default `:none`: they are sent directly
    * `:data_dir` - where the state is kept, so that it survives a restart of the whole cluster
    * `:send` - a function of `{name, node}` and a message that brings it there, for another
      transport

  ## Examples

      iex> Raxol.Swarm.TacticalOverlay.start_link(sync_interval_ms: 0)
      {:error,
       {:invalid_option, :sync_interval_ms, 0, "an integer from 10 to 3600000 (milliseconds)"}}
  """
  @spec start_link([option()]) :: GenServer.on_start()
  def start_link(opts \\ []), do: :muster_overlay.start_link(opts, @face)

  @doc """
  Writes an entity; what it held before is replaced.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(name: :units, node_id: :self@host)
      iex> Raxol.Swarm.TacticalOverlay.update_entity(:units, :unit_1, %{status: :active})
      :ok
      iex> {:ok, unit} = Raxol.Swarm.TacticalOverlay.get_entity(:units, :unit_1)
      iex> Map.delete(unit, :last_updated)
      %{id: :unit_1, node: :self@host, status: :active}
      iex> Raxol.Swarm.TacticalOverlay.remove_entity(:units, :unit_1)
      :ok
      iex> Raxol.Swarm.TacticalOverlay.get_all_entities(:units)
      []
  """
  @spec update_entity(GenServer.server(), id :: term(), data :: map()) :: :ok
  def update_entity(server \\ __MODULE__, id, data),
    do: :muster_overlay.update_entity(server, id, data)

  @doc "Removes an entity: what is known of it here. An update made meanwhile elsewhere stays."
  @spec remove_entity(GenServer.server(), id :: term()) :: :ok
  def remove_entity(server \\ __MODULE__, id), do: :muster_overlay.remove_entity(server, id)

  @doc "An entity, if it is there."
  @spec get_entity(GenServer.server(), id :: term()) :: {:ok, entity()} | :error
  def get_entity(server \\ __MODULE__, id), do: :muster_overlay.get_entity(server, id)

  @doc "All entities, in no particular order, as they were at one moment."
  @spec get_all_entities(GenServer.server()) :: [entity()]
  def get_all_entities(server \\ __MODULE__), do: :muster_overlay.get_all_entities(server)

  @doc """
  Adds a waypoint, which outlives a removal made elsewhere meanwhile. There is one for each id.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(name: :route)
      iex> Raxol.Swarm.TacticalOverlay.add_waypoint(:route, %{id: "wp_alpha", label: "Rally Point"})
      :ok
      iex> Raxol.Swarm.TacticalOverlay.get_all_waypoints(:route)
      [%{id: "wp_alpha", label: "Rally Point"}]
      iex> Raxol.Swarm.TacticalOverlay.remove_waypoint(:route, "wp_alpha")
      :ok
      iex> Raxol.Swarm.TacticalOverlay.get_all_waypoints(:route)
      []
  """
  @spec add_waypoint(GenServer.server(), waypoint()) :: :ok
  def add_waypoint(server \\ __MODULE__, waypoint),
    do: :muster_overlay.add_waypoint(server, waypoint)

  @doc "Removes a waypoint by its id. `:ok` also if there is none."
  @spec remove_waypoint(GenServer.server(), id :: term()) :: :ok
  def remove_waypoint(server \\ __MODULE__, id), do: :muster_overlay.remove_waypoint(server, id)

  @doc "A waypoint, if it is there."
  @spec get_waypoint(GenServer.server(), id :: term()) :: {:ok, waypoint()} | :error
  def get_waypoint(server \\ __MODULE__, id), do: :muster_overlay.get_waypoint(server, id)

  @doc "All waypoints, in no particular order, as they were at one moment."
  @spec get_all_waypoints(GenServer.server()) :: [waypoint()]
  def get_all_waypoints(server \\ __MODULE__), do: :muster_overlay.get_all_waypoints(server)

  @doc "Writes an annotation; as with entities, the later one is read."
  @spec add_annotation(GenServer.server(), id :: term(), data :: map()) :: :ok
  def add_annotation(server \\ __MODULE__, id, data),
    do: :muster_overlay.add_annotation(server, id, data)

  @doc "Removes an annotation. `:ok` also if there is none."
  @spec remove_annotation(GenServer.server(), id :: term()) :: :ok
  def remove_annotation(server \\ __MODULE__, id),
    do: :muster_overlay.remove_annotation(server, id)

  @doc "An annotation, if it is there."
  @spec get_annotation(GenServer.server(), id :: term()) :: {:ok, map()} | :error
  def get_annotation(server \\ __MODULE__, id), do: :muster_overlay.get_annotation(server, id)

  @doc """
  Everything, as it was at one moment.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(name: :notes, node_id: :self@host)
      iex> Raxol.Swarm.TacticalOverlay.add_annotation(:notes, "n1", %{text: "hold"})
      :ok
      iex> Raxol.Swarm.TacticalOverlay.get_overlay_state(:notes)
      %{
        entities: %{},
        waypoints: [],
        annotations: %{"n1" => %{text: "hold"}},
        node_id: :self@host,
        peers: []
      }
  """
  @spec get_overlay_state(GenServer.server()) :: %{
          entities: %{term() => entity()},
          waypoints: [waypoint()],
          annotations: %{term() => map()},
          node_id: node(),
          peers: [peer()]
        }
  def get_overlay_state(server \\ __MODULE__), do: :muster_overlay.get_overlay_state(server)

  @doc """
  Subscribes the calling process to events.

  Twice is as good as once; a subscriber that dies is forgotten.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.TacticalOverlay.start_link(name: :watched)
      iex> Raxol.Swarm.TacticalOverlay.subscribe(:watched)
      :ok
      iex> Raxol.Swarm.TacticalOverlay.add_waypoint(:watched, %{id: "wp_bravo"})
      iex> receive do {:overlay_event, event} -> event end
      {:waypoint_added, %{id: "wp_bravo"}}
  """
  @spec subscribe(GenServer.server()) :: :ok
  def subscribe(server \\ __MODULE__), do: :muster_overlay.subscribe(server)

  @doc "Ends the calling process's subscription."
  @spec unsubscribe(GenServer.server()) :: :ok
  def unsubscribe(server \\ __MODULE__), do: :muster_overlay.unsubscribe(server)

  @doc """
  Replaces the peers that the option `:peers` or the last call listed. Those of the node monitor
  stay.
  """
  @spec set_peers(GenServer.server(), [peer()]) :: :ok
  def set_peers(server \\ __MODULE__, peers), do: :muster_overlay.set_peers(server, peers)

  @doc """
  Sends what there is to send, and waits until all live peers have acknowledged what was here at the
  call; for at most so many milliseconds, after which those that have not are named.
  """
  @spec await_sync(GenServer.server(), timeout()) :: :ok | {:error, {:timeout, [peer()]}}
  def await_sync(server \\ __MODULE__, timeout \\ 5_000),
    do: :muster_overlay.await_sync(server, timeout)

  @doc """
  How much there is, and how each peer does: whether it has acknowledged all that is here, and what
  went over the wire.
  """
  @spec status(GenServer.server()) :: :muster_overlay.status()
  def status(server \\ __MODULE__), do: :muster_overlay.status(server)

  @doc "The state as one term, for `receive_full_state/3` elsewhere."
  @spec export_state(GenServer.server()) :: :muster_overlay.state()
  def export_state(server \\ __MODULE__), do: :muster_overlay.export_state(server)

  @doc """
  Takes in what changed elsewhere: `:muster_crdt_delta.delta(old, new)` of two exported states.
  `{:error, :gap}` if it builds on what never came here.
  """
  @spec receive_delta(GenServer.server(), from :: term(), :muster_crdt_delta.delta()) ::
          :ok | {:error, :gap | :malformed}
  def receive_delta(server \\ __MODULE__, from, delta),
    do: :muster_overlay.receive_delta(server, from, delta)

  @doc "Merges another overlay's `export_state/1`."
  @spec receive_full_state(GenServer.server(), from :: term(), :muster_overlay.state()) ::
          :ok | {:error, :malformed}
  def receive_full_state(server \\ __MODULE__, from, state),
    do: :muster_overlay.receive_full_state(server, from, state)
end
