defmodule Raxol.Swarm.DiscoveryTest do
  # The Elixir face in a VM without distribution; real clusters are in test/discovery.
  use ExUnit.Case
  import ExUnit.CaptureLog
  alias Muster.Test.LibclusterStub
  alias Raxol.Swarm.Discovery

  doctest Discovery

  defmodule OwnStrategy do
    # A strategy of a user's own, for libcluster.
    def child_spec(args), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [args]}}

    def start_link([%{config: [fail: reason]}]), do: {:error, reason}

    def start_link([state]) do
      send(state.config[:test], {:started, state.topology, state.connect})
      Agent.start_link(fn -> state end)
    end
  end

  defp start(opts), do: start_supervised!({Discovery, opts})

  test "no strategy: starts, warns, does nothing" do
    assert capture_log(fn -> start([]) end) =~ "no strategy"
    assert Discovery.health() == {:down, "no strategy was given"}
    assert Discovery.snapshot() == []
    assert Discovery.subscribe() == :ok
    assert Discovery.unsubscribe() == :ok
    assert Discovery.await(0, 0) == :ok
    assert {:error, {:sync_failed, "no strategy was given"}} = Discovery.sync()
    assert Discovery.prune() == []
    assert %{topologies: %{}, connections: %{}} = Discovery.status()
  end

  for {strategy, opts, missing} <- [
        {:epmd, [], "hosts"},
        {:epmd, [hosts: []], "hosts"},
        {:dns, [query: "app.internal"], "node_basename"},
        {:dns, [node_basename: "app", query: ""], "query"},
        {:dns_srv, [], "query"},
        {:tailscale, [tag_filter: "tag:raxol"], "node_basename"},
        {:kubernetes, [kubernetes_selector: "app=a"], "kubernetes_node_basename"},
        {:kubernetes_dns, [service: "a"], "application_name"}
      ] do
    test "#{strategy} with #{inspect(opts)}: starts, warns, does nothing" do
      opts = [strategy: unquote(strategy)] ++ unquote(opts)
      assert capture_log(fn -> start(opts) end) =~ unquote(missing)
      assert {:down, text} = Discovery.health()
      assert text =~ unquote(missing)
    end
  end

  test "metadata" do
    start(metadata: %{zone: "a"}, capabilities: ["crdt"])
    assert %{"zone" => "a", "muster_version" => _} = Discovery.get_metadata()
    assert Discovery.get_metadata()["capabilities"] == "discovery,crdt"
    assert Discovery.set_metadata(%{"zone" => "b"}) == :ok
    assert Discovery.get_metadata()["zone"] == "b"
    assert {:error, {:invalid_option, :metadata, _, _}} = Discovery.set_metadata(%{"a" => 1})
  end

  test "several instances, and each function with the server first" do
    start([])
    start(name: :another)
    assert Discovery.snapshot(:another) == []
    assert {:down, _} = Discovery.health(:another)

    assert %{known_peers: 0, last_sync_time: nil, last_error: nil} =
             Discovery.health_info(:another)

    assert %{syncs: 0, connects: 0} = Discovery.metrics(:another)
    assert Discovery.drain(:another) == :ok
    assert Discovery.resume(:another) == :ok
    assert Discovery.stop(:another) == :ok
  end

  test "wrong options are named" do
    for {opts, name} <- [
          {[stragety: :gossip], :stragety},
          {[port: 1], :port},
          {[topologies: [], strategy: :gossip], :strategy},
          {[topologies: [a: [strategy: :gossip], a: [strategy: :epmd]]], :topologies},
          {[topologies: [a: [config: []]]], :strategy},
          {[topologies: [a: [strategy: :gossip, connect: :me]]], :connect},
          {[strategy: :gossip, port: 1.5], :port},
          {[strategy: "gossip"], :strategy},
          {[name: "text"], :name}
        ] do
      assert {:error, {:invalid_option, ^name, _, expected}} = Discovery.start_link(opts)
      assert is_binary(expected)
    end
  end

  test "a strategy that muster does not know: refused by name, or run by libcluster" do
    opts = [topologies: [own: [strategy: OwnStrategy, config: [test: self()]]]]

    assert {:error, {:invalid_option, :strategy, OwnStrategy, _}} = Discovery.start_link(opts)

    on_exit(LibclusterStub.load())
    start(opts)
    assert_receive {:started, :own, {:net_kernel, :connect_node, []}}
    assert Discovery.health() == :up
    stop_supervised!(Discovery)

    opts = [topologies: [own: [strategy: OwnStrategy, config: [fail: :no_reason]]]]
    assert {:error, {:libcluster, _}} = Discovery.start_link(opts)
    refute Process.whereis(Discovery)
  end

  test "the Tailscale strategy is one of libcluster's too" do
    on_exit(LibclusterStub.load())
    alias Raxol.Swarm.Strategy.Tailscale

    for {name, arity} <- apply(Cluster.Strategy, :behaviour_info, [:callbacks]) do
      assert Code.ensure_loaded?(Tailscale) and function_exported?(Tailscale, name, arity)
    end

    # Its essential option is missing, so that nothing is asked here.
    topologies = [
      mesh: [strategy: Tailscale, config: [tag_filter: "tag:raxol"]],
      other: [strategy: Tailscale, config: []]
    ]

    log =
      capture_log(fn ->
        start_supervised!({Cluster.Supervisor, [topologies]})
      end)

    assert log =~ "node_basename"
    assert {:down, _} = Discovery.health(Module.concat(Tailscale, "mesh"))
    assert {:down, _} = Discovery.health(Module.concat(Tailscale, "other"))
  end
end
