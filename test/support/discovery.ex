defmodule Muster.Test.Discovery do
  @moduledoc "Discovery in real nodes: starting it, and the events it told."
  import Muster.Test.Cluster
  alias Muster.Test.Keeper

  @doc "Starts discovery in a node; the options are `muster_discovery`'s."
  def discover(node, options) do
    {:ok, pid} = start_in(node, :muster_discovery, :start_link, [options])
    pid
  end

  @doc "A static list of these nodes."
  def static(nodes, more \\ []) do
    [strategy: :static, nodes: Enum.map(nodes, & &1.node)] ++ more
  end

  @doc "Nodes that all list each other."
  def start_mesh(count, opts \\ []) do
    nodes = for _ <- 1..count, do: start_node([monitor: nil] ++ opts)
    for node <- nodes, do: discover(node, static(nodes, Keyword.get(opts, :discovery, [])))
    for node <- nodes, do: await_peers(node, count - 1)
    nodes
  end

  def await_peers(node, count, ms \\ 15_000),
    do: :ok = call(node, :muster_discovery, :await, [count, ms], ms + 1_000)

  def peers(node), do: for(peer <- call(node, :muster_discovery, :snapshot, []), do: peer.node)

  def metadata(node, of) do
    case call(node, :muster_discovery, :lookup, [of.node]) do
      {:ok, peer} -> peer.metadata
      error -> error
    end
  end

  @doc "Begins to collect a node's events under a name."
  def collect(node, name \\ :discovery_events),
    do: call(node, Keeper, :collect_from, [:muster_discovery, [], :muster_discovery, name])

  def events(node, name \\ :discovery_events), do: call(node, Keeper, :events, [name])

  @doc "Events as {kind, node}."
  def kinds(node), do: for(event <- events(node), do: {elem(event, 0), elem(event, 1)})
end
