defmodule Raxol.Swarm.Strategy.Tailscale do
  @moduledoc """
  Finds nodes in a Tailscale mesh: asks `tailscale status --json` for the peers that are online and
  builds node names of them.

      Raxol.Swarm.Discovery.start_link(
        strategy: :tailscale,
        node_basename: "raxol",
        tag_filter: "tag:raxol", # optional -- only nodes with this tag
        use_dns_names: true, # MagicDNS names instead of IPs
        poll_interval: 5_000 # ms between polls
      )

  ## Options

    * `:node_basename` - the nodes' name before the `@`; required.
    * `:tag_filter` - only nodes with this ACL tag; default all.
    * `:use_dns_names` - MagicDNS names instead of IP addresses, default `false`. All nodes of a
      cluster need the same: it says what they are called.
    * `:poll_interval` - ms between polls, default 5,000.
    * `:command` - the program, by name or path, default `"tailscale"`.
    * `:timeout` - ms after which a silent command is ended.

  ## As a strategy of libcluster's

  This module is also a strategy for libcluster, where that is there. Its options are the same;
  libcluster's supervisor starts it, muster's C node asks Tailscale, and the nodes are connected as
  the topology's `:connect` says.

      config :libcluster,
        topologies: [
          mesh: [
            strategy: Raxol.Swarm.Strategy.Tailscale,
            config: [node_basename: "raxol", tag_filter: "tag:raxol"]
          ]
        ]

  The logic is in the C node and in the Erlang module `:muster_discovery`.
  """

  # The callbacks of the behaviour Cluster.Strategy; without naming it, as libcluster is optional.

  @doc "A child specification, as libcluster's supervisor asks for it."
  @spec child_spec([map()]) :: Supervisor.child_spec()
  def child_spec([state] = args) do
    %{
      id: {__MODULE__, state.topology},
      type: :worker,
      start: {__MODULE__, :start_link, [args]}
    }
  end

  @doc "Starts the strategy with the state that libcluster passes."
  @spec start_link([map()]) :: GenServer.on_start()
  def start_link([%{topology: topology, config: config} = state]) do
    mfas =
      for key <- [:connect, :disconnect, :list_nodes], mfa = Map.get(state, key), do: {key, mfa}

    spec = [strategy: __MODULE__, config: config] ++ mfas

    :muster_discovery.start_link(
      name: Module.concat(__MODULE__, to_string(topology)),
      topologies: [{topology, spec}]
    )
  end
end
