defmodule Muster.Leader do
  @moduledoc """
  Leader groups: processes on several nodes of which at most one leads.

      defmodule Scheduler do
        use Muster.Leader

        @impl true
        def init(nodes) do
          options = [cluster_id: :scheduler, bootstrap: for(n <- nodes, do: {Scheduler, n})]
          {:ok, options, %{working: false}}
        end

        @impl true
        def handle_become_leader(state), do: {:ok, %{state | working: true}}

        @impl true
        def handle_become_follower(_leader, state), do: {:ok, %{state | working: false}}

        @impl true
        def handle_call(:working?, _from, state), do: {:reply, state.working, state}
      end

      children = [{Scheduler, [:"app@host1", :"app@host2", :"app@host3"]}]
      Supervisor.start_link(children, strategy: :one_for_one)

      Muster.Leader.is_leader(Scheduler)

  A group is named by its `:cluster_id`; a node has at most one process in it. The C nodes beside
  the BEAMs hold the election; a majority of the *declared* voters decides, those in `:bootstrap`,
  which must be the same list on every node.

  ## Options, as `c:init/1` returns them

    * `:cluster_id` - required: an atom or a string
    * `:bootstrap` - the voters: nodes or `{name, node}`, each node once, this one included. Empty
      (the default): this node is the only voter. A node that is not in the list takes part without
      a vote and never leads
    * `:election_timeout_min`, `:election_timeout_max` - a silent leader is replaced after a random
      time between the two, ms, default 150 and 300
    * `:heartbeat_interval` - how often a leader is heard, ms, default 50
    * `:data_dir` - a directory where term, vote and configuration are kept. With one, there is at
      most one leader per term, ever, and voters may join and leave
    * `:observer` - `true`: this node never becomes a voter

  A wrong option ends the start with `{:invalid_option, name, value, expected}`.

  ## Callbacks

  Only `c:init/1` must be there. Most others return `{:ok, state}`, or `{:error, reason}`, which ends
  the process with that reason; a leader's end hands the leadership over. Where there is no leader,
  the callbacks and `leader/1` say `nil`. What they promise in detail is with the Erlang module
  `:muster_leader`, where the logic is, and in `docs/leader.md`.

  ## Asking

  Every function takes the process, on this node or another. Callbacks use them too, with `self()`:
  none waits for the process.

  ## `use Muster.Leader`

  Defines `child_spec/1`, and `start_link/1`, which starts the process under the module's name with
  its argument for `c:init/1`; both can be overridden. Options of `use` go into the child
  specification (`:id`, `:restart`, `:shutdown`).
  """

  @typedoc "The leader's process; `nil` where there is none."
  @type leader :: pid() | nil

  @typedoc "Goes with what a leader does: terms rise, no two leaderships share both numbers."
  @type token :: {term :: pos_integer(), election :: integer()}

  @type server :: GenServer.server()
  @type peer :: pid() | node() | {atom(), node()}
  @type result(state) :: {:ok, state} | {:error, reason :: term()}

  @doc "The process starts: the group's options, and the module's own state."
  @callback init(arg :: term()) ::
              {:ok, options :: keyword() | map(), state :: term()}
              | {:error, reason :: term()}
              | :ignore

  @doc "This process leads."
  @callback handle_become_leader(state :: term()) :: result(term())

  @doc "Another process leads, or none is known (`nil`)."
  @callback handle_become_follower(leader(), state :: term()) :: result(term())

  @doc "A process of the group on another node can be reached."
  @callback handle_peer_joined(peer :: pid(), state :: term()) :: result(term())

  @doc "A process of the group on another node can be reached no more."
  @callback handle_peer_left(peer :: pid(), state :: term()) :: result(term())

  @doc "The term rose. The first one is no change."
  @callback handle_term_changed(old :: pos_integer(), new :: pos_integer(), state :: term()) ::
              result(term())

  @doc "Any message; `from` is the member that sent it with one of this module's functions, or `nil`."
  @callback handle_message(from :: pid() | nil, message :: term(), state :: term()) ::
              result(term())

  @doc "As of a `GenServer`."
  @callback handle_call(request :: term(), GenServer.from(), state :: term()) ::
              {:reply, reply :: term(), state :: term()}
              | {:noreply, state :: term()}
              | {:ok, state :: term()}
              | {:error, reason :: term()}
              | {:error, reason :: term(), reply :: term()}

  @doc "A map to put into what `inspect/2` returns."
  @callback handle_inspect(items :: [term()], state :: term()) :: map()

  @doc "The process ends; it is still the leader if it was."
  @callback terminate(reason :: term(), state :: term()) :: term()

  @optional_callbacks handle_become_leader: 1,
                      handle_become_follower: 2,
                      handle_peer_joined: 2,
                      handle_peer_left: 2,
                      handle_term_changed: 3,
                      handle_message: 3,
                      handle_call: 3,
                      handle_inspect: 2,
                      terminate: 2

  defmacro __using__(opts) do
    quote location: :keep, bind_quoted: [opts: opts] do
      @behaviour Muster.Leader
      @muster_child_spec Map.new(opts)

      @doc "A child specification; see `Supervisor`."
      def child_spec(arg) do
        %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
        |> Map.merge(@muster_child_spec)
      end

      @doc "Starts this node's member, under the module's name."
      def start_link(arg), do: Muster.Leader.start_link(__MODULE__, arg, name: __MODULE__)

      defoverridable child_spec: 1, start_link: 1
    end
  end

  @doc """
  Starts a member; `arg` goes to `c:init/1`.

  Options are those of `GenServer.start_link/3`: `:name`, `:timeout`, `:debug`, `:spawn_opt`,
  `:hibernate_after`. A second process of a group on one node is refused with
  `{:already_started, pid}`.
  """
  @spec start_link(module(), term(), GenServer.options()) :: GenServer.on_start()
  def start_link(module, arg, opts \\ []) do
    {name, opts} = Keyword.pop(opts, :name, :none)
    :muster_leader.start_link(name, module, arg, opts, nil)
  end

  @doc "A request for `c:handle_call/3`."
  @spec call(server(), term(), timeout()) :: term()
  def call(server, request, timeout \\ 5_000), do: GenServer.call(server, request, timeout)

  @doc "A message for `c:handle_message/3`, from no member."
  @spec send(server(), term()) :: :ok
  def send(server, message), do: :muster_leader.send(server, message)

  @doc "A message for another member's process, from this one."
  @spec send(server(), pid(), term()) :: :ok
  def send(server, peer, message), do: :muster_leader.send(server, peer, message)

  @doc """
  Whether this process leads.

  The C node is asked, which compares the clock with the lease: `true` was true when the answer was
  given.

  ## Examples

      iex> defmodule Lonely do
      ...>   use Muster.Leader
      ...>   def init(id), do: {:ok, [cluster_id: id], nil}
      ...> end
      iex> {:ok, pid} = Lonely.start_link("the only voter")
      iex> Muster.Leader.cluster_id(pid)
      "the only voter"
      iex> Muster.Leader.is_leader(pid)
      true
      iex> Muster.Leader.leader(pid) == pid
      true
      iex> Muster.Leader.peers(pid)
      []
  """
  @spec is_leader(server()) :: boolean()
  def is_leader(server), do: :muster_leader.is_leader(server)

  @doc "The leader's process as last heard of, or `nil`."
  @spec leader(server()) :: leader()
  def leader(server), do: Muster.Faces.or_nil(:muster_leader.leader(server))

  @doc "The term; 0 before the first one."
  @spec term(server()) :: non_neg_integer()
  def term(server), do: :muster_leader.term(server)

  @doc "The fencing token of this process's leadership, if it leads at this moment."
  @spec token(server()) :: {:ok, token()} | {:error, :not_leader}
  def token(server), do: :muster_leader.token(server)

  @doc "The group's processes on other nodes that can be reached."
  @spec peers(server()) :: [pid()]
  def peers(server), do: :muster_leader.peers(server)

  @doc "How many there are."
  @spec peer_count(server()) :: non_neg_integer()
  def peer_count(server), do: :muster_leader.peer_count(server)

  @doc "Whether a process is one of them."
  @spec has_peer(server(), pid()) :: boolean()
  def has_peer(server, pid), do: :muster_leader.has_peer(server, pid)

  @doc "The processes that have no vote, this one included if it has none."
  @spec observers(server()) :: [pid()]
  def observers(server), do: :muster_leader.observers(server)

  @doc "The voters' nodes."
  @spec voters(server()) :: [node()]
  def voters(server), do: :muster_leader.voters(server)

  @doc "The option `:cluster_id`, as given."
  @spec cluster_id(server()) :: atom() | String.t()
  def cluster_id(server), do: :muster_leader.cluster_id(server)

  @doc "The option `:bootstrap`, as given."
  @spec bootstrap(server()) :: [node() | {atom(), node()}]
  def bootstrap(server), do: :muster_leader.bootstrap(server)

  @doc """
  Takes up a node that is not in `:bootstrap`. It observes; with a data directory the leader makes
  it a voter. Returns at once.
  """
  @spec join(server(), peer()) :: :ok
  def join(server, peer), do: :muster_leader.join(server, peer)

  @doc "Takes another member out of the group, for good; a voter only with a data directory."
  @spec leave(server(), peer()) :: :ok | {:error, term()}
  def leave(server, peer), do: :muster_leader.leave(server, peer)

  @doc """
  Hands the leadership to another voter: for the leader. If that voter finds no majority, nothing
  changes.
  """
  @spec transfer(server(), peer()) :: :ok | {:error, term()}
  def transfer(server, peer), do: :muster_leader.transfer(server, peer)

  @doc "Sends a message to all peers, for their `c:handle_message/3`."
  @spec broadcast(server(), term()) :: :ok
  def broadcast(server, message), do: :muster_leader.broadcast(server, message)

  @doc "Sends a message to all in `:bootstrap` but this node, known to be there or not."
  @spec broadcast_bootstrap(server(), term()) :: :ok
  def broadcast_bootstrap(server, message),
    do: :muster_leader.broadcast_bootstrap(server, message)

  @doc """
  How the election stands, for the eye: the keys `:cluster`, `:role`, `:is_leader`, `:leader`,
  `:term`, `:token`, `:peers`, `:voters`, `:quorum`, `:missing` (voters needed that cannot be
  reached), `:missing_voters` and `:reason` (why there is no leader), with what
  `c:handle_inspect/2` makes of the items.
  """
  @spec inspect(server(), [term()]) :: map()
  def inspect(server, items \\ []) do
    %{leader: leader, leader_node: node} = inspection = :muster_leader.inspect(server, items)
    %{inspection | leader: Muster.Faces.or_nil(leader), leader_node: Muster.Faces.or_nil(node)}
  end
end
