defmodule Muster.Discovery.FacesTest do
  # The Elixir face in real nodes, beside the Erlang one; and a cluster whose distribution the C
  # node does not speak.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Discovery

  test "an Erlang node and an Elixir node introduce themselves to each other" do
    [a, b] = for _ <- 1..2, do: start_node(monitor: nil)
    discover(a, static([b], metadata: %{"from" => "a"}))

    {:ok, _} =
      start_in(b, Raxol.Swarm.Discovery, :start_link, [
        [strategy: :epmd, hosts: [a.node], metadata: %{"from" => "b"}]
      ])

    assert call(b, Raxol.Swarm.Discovery, :await, [1, 10_000]) == :ok
    await_peers(a, 1)
    eventually(fn -> metadata(a, b)["from"] == "b" end)

    eventually(fn ->
      {:ok, peer} = call(b, Raxol.Swarm.Discovery, :lookup, [a.node])
      peer.metadata["from"] == "a"
    end)

    assert [%{node: node}] = call(b, Raxol.Swarm.Discovery, :snapshot, [])
    assert node == a.node
  end

  test "only one side lists the other, both have a peer" do
    [a, b] = for _ <- 1..2, do: start_node(monitor: nil)
    discover(b, strategy: :static, nodes: ["nobody@127.0.0.9"])
    discover(a, static([b]))
    await_peers(a, 1)
    await_peers(b, 1)
    assert {:ok, %{topologies: []}} = call(b, :muster_discovery, :lookup, [a.node])
  end

  test "a cluster without epmd: nodes that the user named are connected unproven" do
    # The C node cannot dial there; the BEAM finds the port by its own means.
    a = start_node(monitor: nil, args: [~c"-erl_epmd_port", ~c"#{free_port()}"])
    dead = :"nobody@127.0.0.9"
    discover(a, strategy: :static, nodes: [dead], backoff_max_ms: 1_000)

    eventually(fn ->
      %{topologies: %{static: %{nodes: [node]}}} = call(a, :muster_discovery, :status, [])
      node.state == :unsupported_distribution and not node.proven
    end)

    # It is tried all the same.
    eventually(fn -> call(a, :muster_discovery, :metrics, []).connect_failures >= 1 end, 30_000)
  end

  test "ten nodes that list each other are a mesh" do
    nodes = for _ <- 1..10, do: start_node(monitor: nil)
    began = now()
    for node <- nodes, do: discover(node, static(nodes))
    for node <- nodes, do: await_peers(node, 9, 30_000)
    assert now() - began < 30_000

    eventually(fn ->
      Enum.all?(nodes, fn node ->
        Enum.all?(
          call(node, :muster_discovery, :snapshot, []),
          &match?(%{"muster_version" => _}, &1.metadata)
        )
      end)
    end)
  end
end
