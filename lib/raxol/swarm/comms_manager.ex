defmodule Raxol.Swarm.CommsManager do
  @moduledoc """
  Sends messages to processes on other nodes by priority, as good as the link is, and without ever
  waiting for it.

      {:ok, _} = Raxol.Swarm.CommsManager.start_link()

      :ok = Raxol.Swarm.CommsManager.send_msg(:"app@host2", data, :critical)
      :ok = Raxol.Swarm.CommsManager.send_msg(:"app@host2", data, :normal)

      quality = Raxol.Swarm.CommsManager.get_link_quality(:"app@host2")
      # => :excellent | :good | :degraded | :poor | :disconnected

  A message arrives as `{:swarm_msg, message}` at the process that is registered as `:swarm_comms` on
  the node. A manager has that name there, unless you gave it to a process of your own; `subscribe/1`
  gives what comes to the subscribers.

  ## Priorities

    * `:critical` and `:high` always go, as long as there is a connection
    * `:normal` is dropped while the link is `:poor`
    * `:low` is dropped while the link is `:degraded` or `:poor`

  What a busy link (one whose buffer in the BEAM is full) cannot take waits here, in a queue per link
  and priority that is bounded in messages and bytes; it goes by priority, then by age. A critical
  message is tried at once, ahead of all that waits. What was dropped is counted: `stats/1`.

  ## Quality

  The median of the node monitor's last five round-trip times: below 10 ms `:excellent`, 50 `:good`,
  200 `:degraded`, 1,000 `:poor`, else `:disconnected`. A node that does not answer pings is `:poor`
  while it is suspect. A connected node that was never measured is `:good`, this node itself
  `:excellent`. See `docs/comms.md`.

  A wrong argument raises `ArgumentError`, which says what is expected. The logic is in the Erlang module `:muster_comms`.
  """

  @type priority :: :critical | :high | :normal | :low
  @type quality :: :excellent | :good | :degraded | :poor | :disconnected

  @typedoc "What became of the messages for one link."
  @type counters :: %{
          priority() => %{
            sent: non_neg_integer(),
            dropped: non_neg_integer(),
            queued: non_neg_integer()
          }
        }

  @typedoc "See `start_link/1`."
  @type option ::
          {:name, GenServer.name()}
          | {:node_monitor, GenServer.server()}
          | {:poll_interval_ms, 10..3_600_000}
          | {:hold_ms, non_neg_integer() | :infinity}
          | {:flush_interval_ms, 1..3_600_000}
          | {:queue_length, 1..1_000_000}
          | {:queue_bytes, pos_integer()}
          | {:receiver, boolean()}

  @face %{name: __MODULE__, node_monitor: Raxol.Swarm.NodeMonitor}

  @doc """
  A child specification; its id is the name.

  ## Examples

      iex> Raxol.Swarm.CommsManager.child_spec(name: :radio).id
      :radio
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts \\ []) do
    %{
      id: :muster_server_name.in_options(opts, __MODULE__),
      start: {__MODULE__, :start_link, [opts]}
    }
  end

  @doc """
  Starts a manager.

  ## Options

    * `:name` - default `Raxol.Swarm.CommsManager`
    * `:node_monitor` - asked for round-trip times, default `Raxol.Swarm.NodeMonitor`; it need not be
      there
    * `:poll_interval_ms` - how often it is asked, default 1,000
    * `:hold_ms` - so long `update_link/3` and `mark_disconnected/2` hold against what is measured,
      default 10,000; or `:infinity`
    * `:flush_interval_ms` - the longest wait before a busy link is tried again, default 100
    * `:queue_length`, `:queue_bytes` - what may wait per link and priority, default 1,000 messages of
      1,048,576 bytes in all
    * `:receiver` - whether to receive, under the name `:swarm_comms`, default `true`; `false` leaves
      the name to you

  ## Examples

      iex> Raxol.Swarm.CommsManager.start_link(queue_length: 0)
      {:error, {:invalid_option, :queue_length, 0, "an integer from 1 to 1000000 (messages)"}}
  """
  @spec start_link([option()]) :: GenServer.on_start()
  def start_link(opts \\ []), do: :muster_comms.start_link(opts, @face)

  @doc """
  Sends `{:swarm_msg, message}` to the process `:swarm_comms` on a node.

  `:ok`: it was handed to the BEAM, waits its turn, or was dropped because the link is too bad for its
  priority. `{:error, :disconnected}`: there is no connection, or the link is as slow as none and the
  priority is `:normal` or `:low`. `{:error, :queue_full}`: the link is busy and too much waits.

  With three arguments they are node, message and priority; a server is named with all four.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.CommsManager.start_link(name: :radio)
      iex> Raxol.Swarm.CommsManager.send_msg(:radio, :nobody@nowhere, "hello", :critical)
      {:error, :disconnected}
      iex> :ok = Raxol.Swarm.CommsManager.subscribe(:radio)
      iex> Raxol.Swarm.CommsManager.send_msg(:radio, node(), "hello", :low)
      :ok
      iex> receive do
      ...>   message -> message
      ...> end
      {:swarm_msg, "hello"}
  """
  @spec send_msg(GenServer.server(), node(), term(), priority()) ::
          :ok | {:error, :disconnected | :queue_full}
  def send_msg(server, node, message, priority),
    do: :muster_comms.send_msg(server, node, message, priority)

  @doc "The same by the manager `Raxol.Swarm.CommsManager`."
  @spec send_msg(node(), term(), priority()) :: :ok | {:error, :disconnected | :queue_full}
  def send_msg(node, message, priority \\ :normal),
    do: send_msg(__MODULE__, node, message, priority)

  @doc """
  Sends a message as it is to any registered process, `{name, node}`.

  For servers that build on it: what was dropped for its priority is told, `{:error, :dropped}`, and a
  manager that is not there is `{:error, :no_manager}` instead of an exit.

  ## Examples

      iex> Raxol.Swarm.CommsManager.route(:nobody, {:inventory, node()}, :hello, :high)
      {:error, :no_manager}
  """
  @spec route(GenServer.server(), {atom(), node()}, term(), priority()) ::
          :ok | {:error, :disconnected | :queue_full | :dropped | :no_manager}
  def route(server, to, message, priority),
    do: :muster_comms.route(server, to, message, priority)

  @doc """
  How good the link to a node is; `:disconnected` also for a node that nobody knows.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.CommsManager.start_link(name: :radio)
      iex> Raxol.Swarm.CommsManager.get_link_quality(:radio, :nobody@nowhere)
      :disconnected
      iex> Raxol.Swarm.CommsManager.get_link_quality(:radio, node())
      :excellent
  """
  @spec get_link_quality(GenServer.server(), node()) :: quality()
  def get_link_quality(server \\ __MODULE__, node),
    do: :muster_comms.get_link_quality(server, node)

  @doc "The quality of every link."
  @spec get_all_links(GenServer.server()) :: %{node() => quality()}
  def get_all_links(server \\ __MODULE__), do: :muster_comms.get_all_links(server)

  @doc """
  Says what a link's round-trip time is, in milliseconds.

  It counts for `:hold_ms`, whatever is measured, and on for as long as nothing is; the node's coming
  or going ends it. To a node that the BEAM is not connected to, the next message makes it try.

  ## Examples

      iex> {:ok, _} = Raxol.Swarm.CommsManager.start_link(name: :radio)
      iex> Raxol.Swarm.CommsManager.update_link(:radio, :slow@host, 150.0)
      :ok
      iex> Raxol.Swarm.CommsManager.get_all_links(:radio)
      %{slow@host: :degraded}
  """
  @spec update_link(GenServer.server(), node(), number()) :: :ok
  def update_link(server \\ __MODULE__, node, rtt_ms),
    do: :muster_comms.update_link(server, node, rtt_ms)

  @doc """
  Says that a link is not to be used: nothing goes, critical messages neither, for as long as with
  `update_link/3`. The BEAM's connection stays.
  """
  @spec mark_disconnected(GenServer.server(), node()) :: :ok
  def mark_disconnected(server \\ __MODULE__, node),
    do: :muster_comms.mark_disconnected(server, node)

  @doc """
  What became of all messages, per link and priority.

  `sent`: handed to the BEAM. `dropped`: refused with an error, too low for the link, or waiting when
  the link went. `queued`: waiting now.
  """
  @spec stats(GenServer.server()) :: %{node() => counters()}
  def stats(server \\ __MODULE__), do: :muster_comms.stats(server)

  @doc """
  Subscribes the calling process to what comes for this node, as `{:swarm_msg, message}`.

  Twice is as good as once; a subscriber that dies is forgotten. `{:error, :no_receiver}` with
  `receiver: false`.
  """
  @spec subscribe(GenServer.server()) :: :ok | {:error, :no_receiver}
  def subscribe(server \\ __MODULE__), do: :muster_comms.subscribe(server)

  @doc "Ends the calling process's subscription."
  @spec unsubscribe(GenServer.server()) :: :ok | {:error, :no_receiver}
  def unsubscribe(server \\ __MODULE__), do: :muster_comms.unsubscribe(server)
end
