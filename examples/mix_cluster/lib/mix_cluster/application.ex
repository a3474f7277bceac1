defmodule MixCluster.Application do
  @moduledoc "Starts what every node of the cluster runs."
  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Raxol.Swarm.Discovery, [strategy: :gossip] ++ gossip()},
      {Raxol.Swarm.NodeMonitor, ping_interval_ms: 200},
      {Raxol.Swarm.Topology, quorum_size: 2},
      MixCluster.GuestBook
    ]

    Supervisor.start_link(children, strategy: :rest_for_one, name: MixCluster.Supervisor)
  end

  # This example must not leave the machine: packets stay on the loopback interface, under a port
  # and a secret of this run. On a LAN, `strategy: :gossip` with a secret is all it takes.
  defp gossip do
    [
      multicast_if: "127.0.0.1",
      port: String.to_integer(System.fetch_env!("GOSSIP_PORT")),
      secret: System.fetch_env!("GOSSIP_SECRET")
    ]
  end
end
