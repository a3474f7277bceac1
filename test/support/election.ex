defmodule Muster.Test.Election do
  @moduledoc "Leader groups and topologies in real nodes."
  import Muster.Test.Cluster
  alias Muster.Test.Election.Member
  alias Muster.Test.Keeper

  defmodule Member do
    @moduledoc "A member that notes what was called, in order, and does what a test asks for."
    use Muster.Leader

    @impl true
    def init(options), do: {:ok, options, []}

    @impl true
    def handle_become_leader(calls), do: {:ok, [:leader | calls]}
    @impl true
    def handle_become_follower(leader, calls), do: {:ok, [{:follower, at(leader)} | calls]}
    @impl true
    def handle_peer_joined(peer, calls), do: {:ok, [{:joined, at(peer)} | calls]}
    @impl true
    def handle_peer_left(peer, calls), do: {:ok, [{:left, at(peer)} | calls]}
    @impl true
    def handle_term_changed(old, new, calls), do: {:ok, [{:term, old, new} | calls]}
    @impl true
    def handle_message(from, message, calls), do: {:ok, [{:message, at(from), message} | calls]}

    @impl true
    def handle_call(:calls, _from, calls), do: {:reply, Enum.reverse(calls), calls}
    def handle_call({:fail, reason}, _from, _calls), do: {:error, reason, :failing}

    defp at(none) when none in [nil, :undefined], do: nil
    defp at(pid), do: node(pid)

    @doc "Whether it leads, a number of times in a row, as fast as it answers."
    def leads?(times), do: Enum.map(1..times, fn _ -> Muster.Leader.is_leader(__MODULE__) end)
  end

  @doc "Nodes that are connected, with a member of one group each; all are declared voters."
  def start_group(count, options \\ []) do
    nodes = start_mesh(count)
    for node <- nodes, do: start_member(node, nodes, options)
    nodes
  end

  def start_mesh(count, opts \\ []) do
    nodes = for _ <- 1..count, do: start_node([monitor: nil] ++ opts)
    for a <- nodes, b <- nodes, a.node < b.node, do: connect(a, b)
    nodes
  end

  def start_member(node, voters, options \\ []) do
    bootstrap = for v <- voters, do: {Member, v.node}
    options = Keyword.merge([cluster_id: :group, bootstrap: bootstrap], options)
    {:ok, pid} = start_in(node, Member, :start_link, [options])
    pid
  end

  def ask(node, what, args \\ []), do: call(node, Muster.Leader, what, [Member | args])
  def calls(node), do: ask(node, :call, [:calls])

  @doc "The node that all of these agree leads, and that says so itself."
  def await_leader(nodes, ms \\ 15_000) do
    eventually(
      fn ->
        leaders = for node <- nodes, do: leader_of(node)

        with [leader] when leader != nil <- Enum.uniq(leaders),
             node when node != nil <- Enum.find(nodes, &(&1.node == leader)),
             true <- ask(node, :is_leader),
             do: {:found, node},
             else: (_ -> for(node <- nodes, do: ask(node, :inspect)))
      end,
      ms
    )
  end

  def leader_of(node) do
    case ask(node, :leader) do
      nil -> nil
      pid -> node(pid)
    end
  end

  def start_topology(node, options \\ []) do
    {:ok, pid} = start_in(node, :muster_topology, :start_link, [options])
    pid
  end

  @doc "Children under a supervisor that starts them again."
  def supervise(node, children) do
    {:ok, supervisor} = start_in(node, :supervisor, :start_link, [Keeper, children])
    supervisor
  end

  @doc "Kills a registered process; the one that its supervisor starts in its place."
  def kill_process(node, name) do
    pid = call(node, :erlang, :whereis, [name])
    call(node, Process, :exit, [pid, :kill])

    eventually(fn ->
      case call(node, :erlang, :whereis, [name]) do
        new when is_pid(new) and new != pid -> {:found, new}
        other -> other
      end
    end)
  end

  def topology(node, what, args \\ []), do: call(node, :muster_topology, what, args)

  @doc "Runs in the node: fills the buffers of the connection to one that is stopped, the kernel's too."
  def fill(node, refused \\ 0)
  def fill(_node, 30), do: :ok

  def fill(node, refused) do
    case :erlang.send({:nobody, node}, :binary.copy(<<0>>, 64_000), [:nosuspend]) do
      :ok ->
        fill(node)

      :nosuspend ->
        Process.sleep(10)
        fill(node, refused + 1)
    end
  end

  @doc "The commander that all of these give, with the same roles."
  def await_commander(nodes, ms \\ 20_000) do
    eventually(
      fn ->
        answers = for n <- nodes, do: {topology(n, :get_commander), topology(n, :list_nodes)}

        with [{{:ok, commander}, roles}] <- Enum.uniq(answers),
             true <- length(roles) == length(nodes),
             do: {:found, Enum.find(nodes, &(&1.node == commander)) || commander},
             else: (_ -> answers)
      end,
      ms
    )
  end
end
