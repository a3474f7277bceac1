defmodule Muster.Discovery.SpecTest do
  # The code blocks of the documented sections Quick Start, Discovery Strategies, Tailscale Strategy
  # and Without libcluster, as written there, in a VM without distribution.
  use ExUnit.Case
  import ExUnit.CaptureLog

  defp started({:ok, pid}) do
    assert Raxol.Swarm.Discovery.snapshot() == []
    :ok = Raxol.Swarm.Discovery.stop()
    refute Process.alive?(pid)
  end

  test "quick start" do
    started(Raxol.Swarm.Discovery.start_link(strategy: :gossip))

    started(
      Raxol.Swarm.Discovery.start_link(
        strategy: :tailscale,
        node_basename: "raxol",
        tag_filter: "tag:raxol"
      )
    )
  end

  test "the table of strategies" do
    started(Raxol.Swarm.Discovery.start_link(strategy: :gossip))

    started(Raxol.Swarm.Discovery.start_link(strategy: :epmd, hosts: [:app@host1, :app@host2]))

    started(
      Raxol.Swarm.Discovery.start_link(
        strategy: :dns,
        query: "app.internal",
        node_basename: "app"
      )
    )

    started(
      Raxol.Swarm.Discovery.start_link(
        strategy: :tailscale,
        node_basename: "app",
        tag_filter: "tag:raxol"
      )
    )
  end

  test "availability, and raw topologies" do
    assert Raxol.Swarm.Discovery.available?()

    started(
      Raxol.Swarm.Discovery.start_link(
        topologies: [
          my_cluster: [
            strategy: Cluster.Strategy.Epmd,
            config: [hosts: [:app@host1]]
          ]
        ]
      )
    )
  end

  test "the Tailscale strategy" do
    started(
      Raxol.Swarm.Discovery.start_link(
        strategy: :tailscale,
        node_basename: "raxol",
        # optional -- only nodes with this tag
        tag_filter: "tag:raxol",
        # MagicDNS names instead of IPs
        use_dns_names: true,
        # ms between polls
        poll_interval: 5_000
      )
    )
  end

  test "without libcluster, and without a C node" do
    refute Code.ensure_loaded?(Cluster.Supervisor)
    :ok = Application.stop(:muster)

    on_exit(fn -> {:ok, _} = Application.ensure_all_started(:muster) end)
    refute Raxol.Swarm.Discovery.available?()

    log =
      capture_log(fn ->
        {:ok, _} = Raxol.Swarm.Discovery.start_link(strategy: :gossip)
      end)

    assert log =~ "finds nothing"
    assert {:down, _} = Raxol.Swarm.Discovery.health()
    # You can still connect nodes manually.
    assert :net_kernel.connect_node(:nobody@nowhere) in [false, :ignored]

    # The application comes later: discovery goes to work by itself.
    {:ok, _} = Application.ensure_all_started(:muster)

    Muster.Test.Cluster.eventually(fn ->
      not match?({:down, "the app" <> _}, Raxol.Swarm.Discovery.health())
    end)

    :ok = Raxol.Swarm.Discovery.stop()
  end
end
