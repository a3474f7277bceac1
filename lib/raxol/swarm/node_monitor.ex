defmodule Raxol.Swarm.NodeMonitor do
  @moduledoc """
  Watches the cluster's nodes: who is there, how fast each answers, who stopped answering.

      {:ok, _} = Raxol.Swarm.NodeMonitor.start_link(ping_interval_ms: 1_000)
      :ok = Raxol.Swarm.NodeMonitor.subscribe()

      {:ok, health} = Raxol.Swarm.NodeMonitor.get_health(:"app@host1")
      # => %{node: :"app@host1", status: :healthy, avg_rtt_ms: 0.084, ...}

  The C node pings each node on its own timer. A node is `:healthy`, turns `:suspect` after 5 s
  without an answer and `:down` after 30 s; it is `:down` at once when the BEAM loses it. On
  `:nonode@nohost` all lists are empty; without a C node for this platform, or in a cluster whose
  distribution C nodes do not speak (TLS, no epmd), the status follows the BEAM alone.

  ## Events

  A subscriber receives

    * `{:swarm_event, {:node_up, node}}` and `{:swarm_event, {:node_down, node}}` when the BEAM
      connects to or loses a node. No `:status_change` repeats it.
    * `{:swarm_event, {:status_change, node, from, to}}` when a connected node stops answering, or
      answers again.

  Several monitors may run side by side under different names; each function takes the server as
  its optional first argument. The logic is in the Erlang module `:muster_node_monitor`.
  """

  @typedoc "What the last answers, or their absence, say about a node."
  @type status :: :healthy | :suspect | :down

  @typedoc """
  A node's health.

  RTTs are floats in milliseconds: `rtt_history` holds the last 60, newest first; it is empty, and
  the average, minimum, maximum and jitter are `0.0`, as long as nothing was measured. `last_seen`
  (the last answer, or the record's beginning) and `joined_at` are
  `System.monotonic_time(:millisecond)` of this node. `connection` is the state of the C node's
  connection to the node, such as `:connected` or `:cookie_mismatch`; `:unavailable` without a C
  node, `:cnode_down` while it restarts, `:not_watched` for a node that was down when it did.
  `connection_reason` says it in words.
  """
  @type health :: %{
          node: node(),
          status: status(),
          rtt_history: [float()],
          avg_rtt_ms: float(),
          min_rtt_ms: float(),
          max_rtt_ms: float(),
          jitter_ms: float(),
          last_seen: integer(),
          joined_at: integer(),
          connection: atom(),
          connection_reason: String.t()
        }

  @typedoc "See `start_link/1`."
  @type option ::
          {:ping_interval_ms, 10..3_600_000}
          | {:suspect_after_ms, pos_integer()}
          | {:down_after_ms, pos_integer()}
          | {:forget_after_ms, pos_integer() | :infinity}
          | {:name, GenServer.name()}

  @doc """
  A child specification; its id is the monitor's name.

      children = [
        {Raxol.Swarm.NodeMonitor, ping_interval_ms: 500},
        {Raxol.Swarm.NodeMonitor, name: :slow_monitor, ping_interval_ms: 10_000}
      ]

  ## Examples

      iex> Raxol.Swarm.NodeMonitor.child_spec(name: :slow_monitor).id
      :slow_monitor
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts \\ []) do
    %{
      id: :muster_server_name.in_options(opts, __MODULE__),
      start: {__MODULE__, :start_link, [opts]}
    }
  end

  @doc """
  Starts a monitor.

  ## Options

    * `:ping_interval_ms` - how often each node is pinged, 10 to 3,600,000 ms, default 1,000.
      Shorter gives finer round-trip times, longer costs less.
    * `:suspect_after_ms` - silence that turns a node `:suspect`, more than `:ping_interval_ms`, at
      most 86,400,000 ms, default 5,000, or three ping intervals if that is more. Below two ping
      intervals a single lost answer does.
    * `:down_after_ms` - silence that turns it `:down`, more than `:suspect_after_ms`, at most
      86,400,000 ms, default 30,000, or twice `:suspect_after_ms` if that is more.
    * `:forget_after_ms` - a node that left the cluster is dropped from the list after that long,
      1 to 4,294,967,295 ms or `:infinity`, default 3,600,000.
    * `:name` - an atom, `{:via, module, term}` or `{:global, term}`; default
      `Raxol.Swarm.NodeMonitor`.

  A wrong option gives `{:error, {:invalid_option, name, value, expected}}`.

  ## Examples

      iex> Raxol.Swarm.NodeMonitor.start_link(ping_interval_ms: 0)
      {:error, {:invalid_option, :ping_interval_ms, 0, "an integer from 10 to 3600000 (milliseconds)"}}
  """
  @spec start_link([option()]) :: GenServer.on_start()
  def start_link(opts \\ []), do: :muster_node_monitor.start_link(opts, __MODULE__)

  @doc """
  A node's health, or `{:error, :unknown}` for one that was never seen or is forgotten.

  A C node that does not answer within a second is left out of it.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.NodeMonitor.start_link(name: :health_example)
      iex> Raxol.Swarm.NodeMonitor.get_health(:health_example, :nobody@nowhere)
      {:error, :unknown}
  """
  @spec get_health(GenServer.server(), node()) :: {:ok, health()} | {:error, :unknown}
  def get_health(server \\ __MODULE__, node), do: :muster_node_monitor.get_health(server, node)

  @doc "The names of the nodes that answer."
  @spec list_healthy(GenServer.server()) :: [node()]
  def list_healthy(server \\ __MODULE__), do: :muster_node_monitor.list_healthy(server)

  @doc "The names of the nodes that have been silent for a while."
  @spec list_suspect(GenServer.server()) :: [node()]
  def list_suspect(server \\ __MODULE__), do: :muster_node_monitor.list_suspect(server)

  @doc "The health of every node, in the order of their names."
  @spec list_all(GenServer.server()) :: [health()]
  def list_all(server \\ __MODULE__), do: :muster_node_monitor.list_all(server)

  @doc """
  Subscribes the calling process to events.

  Twice is as good as once; a subscriber that dies is forgotten.
  """
  @spec subscribe(GenServer.server()) :: :ok
  def subscribe(server \\ __MODULE__), do: :muster_node_monitor.subscribe(server)

  @doc "Ends the calling process's subscription."
  @spec unsubscribe(GenServer.server()) :: :ok
  def unsubscribe(server \\ __MODULE__), do: :muster_node_monitor.unsubscribe(server)
end
