defmodule MixCluster.GuestBook do
  @moduledoc """
  A set that all nodes share: each changes its own copy, tells the others, and merges what they tell.
  """
  use GenServer
  alias Raxol.Swarm.CRDT.ORSet
  alias Raxol.Swarm.Discovery

  def start_link(_opts), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "Puts an entry into the book, on all nodes."
  def sign(entry), do: GenServer.call(__MODULE__, {:sign, entry})

  @doc "The entries, as this node knows them."
  def entries, do: GenServer.call(__MODULE__, :entries)

  @doc "Gives this node's copy to another one, which has merged it, or is gone, when this returns."
  def hand_to(node) do
    GenServer.call({__MODULE__, node}, {:merge, GenServer.call(__MODULE__, :book)})
  catch
    :exit, _ -> :ok
  end

  @impl true
  def init(_) do
    # Subscribe first, then look: nobody comes unseen in between.
    :ok = Discovery.subscribe()
    book = ORSet.new()
    for %{node: node} <- Discovery.snapshot(), do: tell(node, book)
    {:ok, book}
  end

  @impl true
  def handle_call({:sign, entry}, _from, book) do
    book = ORSet.add(book, entry)
    for node <- Node.list(), do: tell(node, book)
    {:reply, :ok, book}
  end

  def handle_call(:entries, _from, book), do: {:reply, Enum.sort(book), book}
  def handle_call(:book, _from, book), do: {:reply, book, book}
  def handle_call({:merge, theirs}, _from, book), do: {:reply, :ok, ORSet.merge(book, theirs)}

  @impl true
  def handle_cast({:merge, node, theirs}, book) do
    merged = ORSet.merge(book, theirs)
    # Who knows less than we do now is told.
    if merged != theirs, do: tell(node, merged)
    {:noreply, merged}
  end

  @impl true
  def handle_info({:muster_discovery, {:peer_up, node, _metadata}}, book) do
    tell(node, book)
    {:noreply, book}
  end

  def handle_info(_, book), do: {:noreply, book}

  defp tell(node, book), do: GenServer.cast({__MODULE__, node}, {:merge, node(), book})
end
