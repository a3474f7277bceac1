defmodule Raxol.Swarm.Supervisor do
  @moduledoc """
  Everything of a swarm under one supervisor: discovery, node monitor, comms manager, topology and
  tactical overlay.

      {:ok, _} =
        Raxol.Swarm.Supervisor.start_link(
          discovery: [strategy: :gossip],
          topology: [quorum_size: 2],
          tactical_overlay: false
        )

  They start in that order, and each is restarted by itself (`:one_for_one`): a member looks for the
  others by name, so none need be started again because another was. More than ten restarts within
  ten seconds end the supervisor. Those that use the node monitor use the one started here, whatever
  its name. The overlay sends by itself, not by the comms manager, which would add a hop; its own
  option `:comms_manager` changes that.

  All of them may as well be children of a supervisor of yours, and so may this one:

      children = [
        {Raxol.Swarm.NodeMonitor, ping_interval_ms: 500},
        {Raxol.Swarm.CommsManager, []}
      ]

  The logic is in the Erlang module `:muster_swarm`.
  """

  @typedoc "See `start_link/1`."
  @type option ::
          {:discovery, keyword() | false}
          | {:node_monitor, keyword() | false}
          | {:comms_manager, keyword() | false}
          | {:topology, keyword() | false}
          | {:tactical_overlay, keyword() | false}
          | {:name, GenServer.name()}

  @face %{
    name: __MODULE__,
    discovery: Raxol.Swarm.Discovery,
    node_monitor: Raxol.Swarm.NodeMonitor,
    comms_manager: Raxol.Swarm.CommsManager,
    topology: Raxol.Swarm.Topology,
    tactical_overlay: Raxol.Swarm.TacticalOverlay
  }

  @doc """
  A child specification; its id is the name.

  ## Examples

      iex> Raxol.Swarm.Supervisor.child_spec(name: :fleet).id
      :fleet
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts \\ []) do
    %{
      id: :muster_server_name.in_options(opts, __MODULE__),
      start: {__MODULE__, :start_link, [opts]},
      type: :supervisor
    }
  end

  @doc """
  Starts the supervisor and its members.

  ## Options

    * `:discovery` - options of `Raxol.Swarm.Discovery`. Left out unless there are some.
    * `:node_monitor`, `:comms_manager`, `:topology`, `:tactical_overlay` - options of
      `Raxol.Swarm.NodeMonitor`, `Raxol.Swarm.CommsManager`, `Raxol.Swarm.Topology` and
      `Raxol.Swarm.TacticalOverlay`; `false` leaves it out
    * `:name` - the supervisor's, default `Raxol.Swarm.Supervisor`

  ## Examples

      iex> Raxol.Swarm.Supervisor.start_link(topology: 2)
      {:error, {:invalid_option, :topology, 2, "the member's options, or false"}}
  """
  @spec start_link([option()]) :: Supervisor.on_start()
  def start_link(opts \\ []), do: :muster_swarm.start_link(opts, @face)
end
