defmodule Muster.Discovery.ChurnTest do
  # Peers and C nodes come and go at random: what is told adds up, and all is well in the end.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Discovery

  @quick [backoff_min_ms: 50, backoff_max_ms: 500, stable_ms: 200]
  @rounds 40

  defp kill_cnode(node) do
    case call(node, :muster, :info, []) do
      {:ok, %{os_pid: os_pid}} -> signal(os_pid, :kill)
      {:error, _} -> :ok
    end
  end

  defp start_named(name, opts) do
    eventually(fn -> not registered?(name) end)
    start_node([name: {:exact, name}] ++ opts)
  end

  # Ups and downs of each node alternate.
  defp adds_up(events) do
    for {node, told} <- Enum.group_by(events, &elem(&1, 1), &elem(&1, 0)) do
      kinds = Enum.reject(told, &(&1 == :peer_update))
      assert kinds == Enum.dedup(kinds), "#{node}: #{inspect(told)}"
    end
  end

  @tag timeout: 120_000
  test "C nodes are killed while peers come, go, and are torn off" do
    a = start_node(monitor: nil)
    [b, c] = for _ <- 1..2, do: start_node(monitor: nil)
    name = unique_name("guest")
    all = [b.node, c.node, :"#{name}@127.0.0.1"]

    discover(
      a,
      [topologies: [{:all, :static, nodes: all}, {:some, :static, nodes: [b.node]}]] ++ @quick
    )

    for node <- [b, c], do: discover(node, static([a], @quick))
    collect(a)
    :rand.seed(:exsss, ExUnit.configuration()[:seed])

    guest =
      Enum.reduce(1..@rounds, nil, fn _, guest ->
        Process.sleep(:rand.uniform(150))

        case :rand.uniform(7) do
          n when n <= 2 -> kill_cnode(a)
          3 -> kill_cnode(b)
          4 -> call(a, :erlang, :disconnect_node, [b.node])
          5 -> call(c, :erlang, :disconnect_node, [a.node])
          _ -> :ok
        end

        case {guest, :rand.uniform(5)} do
          {nil, 1} -> start_named(name, muster: false)
          {%{}, 1} -> stop(guest) && nil
          _ -> guest
        end
      end)

    guest && stop(guest)
    start_named(name, muster: false)
    eventually(fn -> Enum.sort(peers(a)) == Enum.sort(all) end, 30_000)
    for node <- [b, c], do: eventually(fn -> a.node in peers(node) end)
    eventually(fn -> call(a, :muster_discovery, :health, []) == :up end)
    adds_up(events(a))

    up =
      for {node, told} <- Enum.group_by(events(a), &elem(&1, 1), &elem(&1, 0)),
          List.last(told -- [:peer_update]) != :peer_down,
          do: node

    assert Enum.sort(up) == Enum.sort(all)
    assert %{connections: connections} = call(a, :muster_discovery, :status, [])
    assert map_size(connections) == 3
  end

  test "gossip runs, and the node gets its name later" do
    options = [strategy: :gossip, secret: "churn", port: free_port()] ++ @quick
    a = start_node(monitor: nil)
    b = start_node(named: false, monitor: nil)
    for node <- [a, b], do: discover(node, options)
    collect(a)

    assert {:degraded, "this node is not distributed" <> _} =
             call(b, :muster_discovery, :health, [])

    assert call(a, :muster_discovery, :health, []) == :up
    name = :"#{unique_name("late")}@127.0.0.1"
    {:ok, _} = call(b, :net_kernel, :start, [[name, :longnames]])
    true = call(b, :erlang, :set_cookie, [:muster_test])
    await_peers(a, 1)
    await_peers(b, 1)
    assert peers(a) == [name] and peers(b) == [a.node]
    assert call(b, :muster_discovery, :health, []) == :up

    # And goes back to having none, and gets another.
    :ok = call(b, :net_kernel, :stop, [])
    eventually(fn -> peers(a) == [] end)
    another = :"#{unique_name("later")}@127.0.0.1"
    {:ok, _} = call(b, :net_kernel, :start, [[another, :longnames]])
    true = call(b, :erlang, :set_cookie, [:muster_test])
    eventually(fn -> peers(a) == [another] and peers(b) == [a.node] end)
    adds_up(events(a))
  end

  test "no port is left for the C node: health says so, and when there is one it works" do
    # A range of two: the BEAM has one, and this test the other.
    {:ok, taken} = :gen_tcp.listen(0, ip: {0, 0, 0, 0})
    {:ok, port} = :inet.port(taken)
    b = start_node(muster: false)
    range = ["inet_dist_listen_min", "#{port - 1}", "inet_dist_listen_max", "#{port}"]
    a = start_node(monitor: nil, args: Enum.map(["-kernel" | range], &to_charlist/1))
    discover(a, static([b], @quick))
    why = fn server -> call(a, :muster_discovery, :health, [server]) |> inspect() end
    eventually(fn -> why.(:muster_discovery) =~ "degraded, \"the C node stays out" end)
    # Also for an instance that comes later.
    options = [name: :second] ++ static([b], @quick)
    {:ok, _} = start_in(a, :muster_discovery, :start_link, [options])
    eventually(fn -> why.(:second) =~ "degraded, \"the C node stays out" end)
    :ok = :gen_tcp.close(taken)
    await_peers(a, 1)
    eventually(fn -> call(a, :muster_discovery, :health, []) == :up end)
    eventually(fn -> call(a, :muster_discovery, :health, [:second]) == :up end)
  end

  test "the application stops and starts under it" do
    [a, b] = start_mesh(2, discovery: @quick)
    collect(a)

    for _ <- 1..5 do
      :ok = call(a, :application, :stop, [:muster])
      call(a, :erlang, :disconnect_node, [b.node])
      # The wait is over while there is nobody to ask.
      Process.sleep(:rand.uniform(200))
      {:ok, _} = call(a, :application, :ensure_all_started, [:muster])
      eventually(fn -> peers(a) == [b.node] end)
    end

    eventually(fn -> call(a, :muster_discovery, :health, []) == :up end)
    adds_up(events(a))
  end
end
