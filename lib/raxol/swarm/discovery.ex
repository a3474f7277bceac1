defmodule Raxol.Swarm.Discovery do
  @moduledoc """
  Finds the cluster's nodes and keeps them connected.

      # Gossip -- LAN multicast, no config needed
      {:ok, _} = Raxol.Swarm.Discovery.start_link(strategy: :gossip)

      # Tailscale -- encrypted mesh, tag-filtered
      {:ok, _} = Raxol.Swarm.Discovery.start_link(
        strategy: :tailscale,
        node_basename: "raxol",
        tag_filter: "tag:raxol"
      )

  The C node does the finding. A node it found is connected once it has proved its name and cookie
  to the C node, so nothing waits for hosts that are dead, and names that nobody proved never
  become atoms. Lost connections are made again by themselves; a connected node is never
  disconnected because a listing leaves it out.

  | strategy | what it asks | it needs |
  |---|---|---|
  | `:gossip` | the LAN, by multicast or broadcast | -- |
  | `:epmd` (`:static`) | a list of nodes | `hosts:` |
  | `:local_epmd` | this host's epmd | -- |
  | `:hosts_file` | the hosts of a `.hosts.erlang` | -- |
  | `:dns` | A and AAAA records | `query:`, `node_basename:` |
  | `:dns_srv` | SRV records | `query:`, `node_basename:` |
  | `:kubernetes` | the Kubernetes API | `kubernetes_selector:`, `kubernetes_node_basename:` |
  | `:kubernetes_dns` | a headless service's records | `service:`, `application_name:` |
  | `:tailscale` | `tailscale status` | `node_basename:` |

  All options are in `docs/discovery.md`. With no strategy, with a strategy whose essential option
  is missing, and where there is no C node (`available?/0`), discovery starts, warns once and does
  nothing; everything else works in single-node mode.

  ## Topologies

  Several at once, or libcluster's configuration as it is. Strategies of libcluster's are run by
  muster itself, under their own option names; one that muster does not know is started through
  libcluster when that is loaded, else refused by name.

      Raxol.Swarm.Discovery.start_link(
        topologies: [
          my_cluster: [
            strategy: Cluster.Strategy.Epmd,
            config: [hosts: [:"app@host1"]]
          ],
          lan: [strategy: :gossip, config: [secret: "..."]]
        ]
      )

  ## Events

  A subscriber receives `{:muster_discovery, event}`, where event is

    * `{:peer_up, node, metadata}`
    * `{:peer_update, node, metadata}` when the node's metadata changed
    * `{:peer_down, node, reason}`, the reason being a text

  The logic is in the Erlang module `:muster_discovery`; each function takes the server as its
  optional first argument.
  """

  @typedoc "A node and what it says about itself; all keys and values are strings."
  @type metadata :: %{String.t() => String.t()}

  @typedoc """
  A connected node that discovery knows of. `up_since` is `System.monotonic_time(:millisecond)`,
  `topologies` are those that list it here, `leaving` says that it is draining.
  """
  @type peer :: %{
          node: node(),
          metadata: metadata(),
          topologies: [term()],
          up_since: integer(),
          leaving: boolean()
        }

  @type health :: :up | {:degraded, String.t()} | {:down, String.t()}
  @type server :: GenServer.server()
  @type option :: {atom(), term()}
  @type options :: [option()] | (() -> [option()])

  @doc """
  Whether there is a C node to find nodes with.

  `false` where there is none for this platform, and while the application `:muster` is not
  started.
  """
  @spec available?() :: boolean()
  def available?, do: :muster_discovery.available()

  @doc """
  A child specification; its id is the name.

      children = [
        {Raxol.Swarm.Discovery, strategy: :gossip}
      ]

  ## Examples

      iex> Raxol.Swarm.Discovery.child_spec(name: :another, strategy: :gossip).id
      :another
  """
  @spec child_spec(options()) :: Supervisor.child_spec()
  def child_spec(opts \\ []), do: :muster_discovery.child_spec(opts, __MODULE__)

  @doc """
  Starts discovery.

  ## Options

    * `:strategy` - one strategy, its options beside it; or `:topologies`.
    * `:topologies` - `[name: [strategy: strategy, config: options]]`; each topology may have its
      own `:connect`, `:disconnect` and `:list_nodes`.
    * `:name` - default `Raxol.Swarm.Discovery`.
    * `:connect`, `:disconnect`, `:list_nodes` - `{module, function, arguments}`, the first two
      with the node appended; default the BEAM's own.
    * `:connect_unproven` - connect also to nodes that can prove nothing to the C node, because the
      cluster runs over TLS or without epmd; default `false`. Nodes that you named are connected
      anyway.
    * `:connect_workers` - attempts at once, default 16.
    * `:connect_timeout` - an attempt is given up after that many ms, default 15,000.
    * `:backoff_min_ms`, `:backoff_max_ms` - the wait before a lost connection is made again, and
      what it doubles up to; default 500 and 60,000.
    * `:stable_ms` - a connection that stood that long starts at the shortest wait again; default
      30,000.
    * `:metadata`, `:capabilities` - what other nodes are told of this one: a map of texts, and a
      list of texts.

  Options may also be a function that returns them. As supervisors log their children's arguments,
  `child_spec/1` makes one of options that hold a `:secret`.

  A wrong option gives `{:error, {:invalid_option, name, value, expected}}`, or
  `{:error, {:invalid_argument, text}}` where the strategy refuses it.

  ## Examples

      iex> Raxol.Swarm.Discovery.start_link(strategy: :gossip, connect_workers: 0)
      {:error, {:invalid_option, :connect_workers, 0, "an integer from 1 to 1024 (attempts at once)"}}
  """
  @spec start_link(options()) :: GenServer.on_start()
  def start_link(opts \\ []), do: :muster_discovery.start_link(opts, __MODULE__)

  @doc "Stops discovery; nodes stay connected."
  @spec stop(server()) :: :ok | {:error, term()}
  def stop(server \\ __MODULE__), do: :muster_discovery.stop(server)

  @doc "Subscribes the calling process to events. Peers that are there already are in `snapshot/1`."
  @spec subscribe(server()) :: :ok
  def subscribe(server \\ __MODULE__), do: :muster_discovery.subscribe(server)

  @doc "Ends the calling process's subscription."
  @spec unsubscribe(server()) :: :ok
  def unsubscribe(server \\ __MODULE__), do: :muster_discovery.unsubscribe(server)

  @doc "The peers of now, in the order of their names."
  @spec snapshot(server()) :: [peer()]
  def snapshot(server \\ __MODULE__), do: :muster_discovery.snapshot(server)

  @doc """
  One peer.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.Discovery.start_link(name: :lookup_example)
      iex> Raxol.Swarm.Discovery.lookup(:lookup_example, :nobody@nowhere)
      {:error, {:peer_not_found, :nobody@nowhere}}
  """
  @spec lookup(server(), node() | String.t()) ::
          {:ok, peer()} | {:error, {:peer_not_found, node() | String.t()}}
  def lookup(server \\ __MODULE__, node), do: :muster_discovery.lookup(server, node)

  @doc "`:up`, `{:degraded, reason}` or `{:down, reason}`; see `:muster_discovery.health/1`."
  @spec health(server()) :: health()
  def health(server \\ __MODULE__), do: :muster_discovery.health(server)

  @doc "Health with the time of the last sync, the last error, and how many peers there are."
  @spec health_info(server()) :: %{
          status: health(),
          last_sync_time: integer() | nil,
          last_error: String.t() | nil,
          known_peers: non_neg_integer()
        }
  def health_info(server \\ __MODULE__) do
    %{last_sync_time: time, last_error: error} = info = :muster_discovery.health_info(server)
    %{info | last_sync_time: Muster.Faces.or_nil(time), last_error: Muster.Faces.or_nil(error)}
  end

  @doc "Counters since the start."
  @spec metrics(server()) :: %{atom() => non_neg_integer()}
  def metrics(server \\ __MODULE__), do: :muster_discovery.metrics(server)

  @doc "Every topology's nodes with their states, and the connections' phases, for operators."
  @spec status(server()) :: map()
  def status(server \\ __MODULE__), do: :muster_discovery.status(server)

  @doc "Asks all backends now, and waits at most 5 s for their answers."
  @spec sync(server()) :: :ok | {:error, term()}
  def sync(server \\ __MODULE__), do: :muster_discovery.sync(server)

  @doc "Waits until there are at least so many peers."
  @spec await(server(), non_neg_integer(), timeout()) :: :ok | {:error, {:timeout, timeout()}}
  def await(server \\ __MODULE__, min_peers, timeout),
    do: :muster_discovery.await(server, min_peers, timeout)

  @doc "Replaces your part of this node's metadata: a map of texts, at most 800 bytes as a term."
  @spec set_metadata(server(), map()) :: :ok | {:error, term()}
  def set_metadata(server \\ __MODULE__, metadata),
    do: :muster_discovery.set_metadata(server, metadata)

  @doc "What other nodes are told of this one."
  @spec get_metadata(server()) :: metadata()
  def get_metadata(server \\ __MODULE__), do: :muster_discovery.get_metadata(server)

  @doc """
  Makes this node stay away: it neither announces itself nor connects, and its peers do not connect
  to it again. Connections that stand are left alone.
  """
  @spec drain(server()) :: :ok
  def drain(server \\ __MODULE__), do: :muster_discovery.drain(server)

  @doc "Takes `drain/1` back."
  @spec resume(server()) :: :ok
  def resume(server \\ __MODULE__), do: :muster_discovery.resume(server)

  @doc "Forgets the nodes that are down until they are found again; returns their names."
  @spec prune(server()) :: [node()]
  def prune(server \\ __MODULE__), do: :muster_discovery.prune(server)
end
