defmodule Raxol.Swarm.Topology do
  @moduledoc """
  The cluster's one commander, and its nodes' roles.

      {:ok, _} = Raxol.Swarm.Topology.start_link(quorum_size: 2)

      role = Raxol.Swarm.Topology.get_role() # :commander | :wingmate | :observer | :relay
      {:ok, commander} = Raxol.Swarm.Topology.get_commander()
      nodes = Raxol.Swarm.Topology.list_nodes() # [{node, role}, ...]
      count = Raxol.Swarm.Topology.node_count()

      # Manual override
      :ok = Raxol.Swarm.Topology.promote(:"app@host2", :wingmate)

  The longest-running node commands. The C nodes beside the BEAMs hold the election and keep the
  table of roles; all members give the same answers. Nodes that run no topology of this name are no
  members.

  Two commanders at a time are excluded only where `:quorum_size` is more than half of the cluster;
  see `docs/topology.md`.

  ## Roles

    * `:commander` - one at a time
    * `:wingmate` - what everybody else starts as
    * `:observer` - votes, but never commands
    * `:relay` - a name for your purposes; may command

  ## Events

  A subscriber receives

    * `{:swarm_event, {:commander_changed, old, new}}`, nodes or `nil`
    * `{:swarm_event, {:role_changed, node, role}}`, the role of a node that has left being `nil`

  ## Without a C node

  On `:nonode@nohost`, and where there is no C node for this platform, the topology is in single-node
  mode: this node commands if `:quorum_size` is 1. So is a topology whose `:node_id` is another name
  than the node's own; that is for tests.

  The logic is in the Erlang module `:muster_topology`; each function takes the server as its
  optional first argument.
  """

  @type role :: :commander | :wingmate | :observer | :relay

  @typedoc "Goes with what a commander orders: terms rise, no two commands share both numbers."
  @type token :: {term :: pos_integer(), election :: integer()}

  @typedoc "See `start_link/1`."
  @type option ::
          {:quorum_size, 1..128}
          | {:name, GenServer.name()}
          | {:node_id, node()}
          | {:node_monitor, GenServer.server()}
          | {:election_timeout_min, pos_integer()}
          | {:election_timeout_max, pos_integer()}
          | {:heartbeat_interval, pos_integer()}

  @face %{name: __MODULE__, node_monitor: Raxol.Swarm.NodeMonitor, none: nil}

  @doc """
  A child specification; its id is the name.

  ## Examples

      iex> Raxol.Swarm.Topology.child_spec(name: :fleet).id
      :fleet
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

    * `:quorum_size` - with fewer live members there is no commander, 1 to 128, default 1
    * `:name` - default `Raxol.Swarm.Topology`; topologies of one name belong together
    * `:node_id` - the member's name, default `node()`; another one only for tests
    * `:node_monitor` - the monitor to subscribe to, default `Raxol.Swarm.NodeMonitor`; it need not
      be there
    * `:election_timeout_min`, `:election_timeout_max`, `:heartbeat_interval` - ms, default 150, 300
      and 50

  ## Examples

      iex> Raxol.Swarm.Topology.start_link(quorum_size: 0)
      {:error, {:invalid_option, :quorum_size, 0, "an integer from 1 to 128 (members)"}}
  """
  @spec start_link([option()]) :: GenServer.on_start()
  def start_link(opts \\ []), do: :muster_topology.start_link(opts, @face)

  @doc """
  This node's role.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.Topology.start_link(name: :alone, node_id: :self@host)
      iex> Raxol.Swarm.Topology.get_role(:alone)
      :commander
  """
  @spec get_role(GenServer.server()) :: role()
  def get_role(server \\ __MODULE__), do: :muster_topology.get_role(server)

  @doc "A member's role."
  @spec get_role(GenServer.server(), node()) :: {:ok, role()} | {:error, :unknown_node}
  def get_role(server, node), do: :muster_topology.get_role(server, node)

  @doc """
  The commander.

  Right after the start it waits for the first one, as does `promote/3`, for at most 2 s.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.Topology.start_link(name: :trio, node_id: :self@host, quorum_size: 3)
      iex> Raxol.Swarm.Topology.get_commander(:trio)
      {:error, :no_commander}
  """
  @spec get_commander(GenServer.server()) :: {:ok, node()} | {:error, :no_commander}
  def get_commander(server \\ __MODULE__), do: :muster_topology.get_commander(server)

  @doc "The commander with the fencing token of its command."
  @spec get_command(GenServer.server()) :: {:ok, node(), token()} | {:error, :no_commander}
  def get_command(server \\ __MODULE__), do: :muster_topology.get_command(server)

  @doc """
  The members and their roles, in the order of their names.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.Topology.start_link(name: :pair, node_id: :self@host)
      iex> Raxol.Swarm.Topology.node_joined(:pair, :wing@host)
      :ok
      iex> Raxol.Swarm.Topology.list_nodes(:pair)
      [self@host: :commander, wing@host: :wingmate]
      iex> Raxol.Swarm.Topology.promote(:pair, :wing@host, :commander)
      :ok
      iex> Raxol.Swarm.Topology.get_commander(:pair)
      {:ok, :wing@host}
      iex> Raxol.Swarm.Topology.promote(:pair, :ghost@host, :observer)
      {:error, :unknown_node}
  """
  @spec list_nodes(GenServer.server()) :: [{node(), role()}]
  def list_nodes(server \\ __MODULE__), do: :muster_topology.list_nodes(server)

  @doc "How many members there are."
  @spec node_count(GenServer.server()) :: non_neg_integer()
  def node_count(server \\ __MODULE__), do: :muster_topology.node_count(server)

  @doc """
  Gives a member a role, by any member.

  A node promoted to `:commander` takes the command, and keeps it, however old others are, while it
  lives; with any other role the commander gives its command away.
  """
  @spec promote(GenServer.server(), node(), role()) :: :ok | {:error, term()}
  def promote(server \\ __MODULE__, node, role), do: :muster_topology.promote(server, node, role)

  @doc "The same for this node."
  @spec request_role(GenServer.server(), role()) :: :ok | {:error, term()}
  def request_role(server \\ __MODULE__, role), do: :muster_topology.request_role(server, role)

  @doc "Lists a node that takes no part itself; it may be promoted by hand."
  @spec node_joined(GenServer.server(), node()) :: :ok
  def node_joined(server \\ __MODULE__, node), do: :muster_topology.node_joined(server, node)

  @doc "A member is gone for good. If it was the commander, there is an election."
  @spec node_left(GenServer.server(), node()) :: :ok
  def node_left(server \\ __MODULE__, node), do: :muster_topology.node_left(server, node)

  @doc """
  Subscribes the calling process to events.

  Twice is as good as once; a subscriber that dies is forgotten.
  """
  @spec subscribe(GenServer.server()) :: :ok
  def subscribe(server \\ __MODULE__), do: :muster_topology.subscribe(server)

  @doc "Ends the calling process's subscription."
  @spec unsubscribe(GenServer.server()) :: :ok
  def unsubscribe(server \\ __MODULE__), do: :muster_topology.unsubscribe(server)
end
