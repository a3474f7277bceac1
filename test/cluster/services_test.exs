defmodule Muster.Cluster.ServicesTest do
  # What any BEAM node, with or without muster, can ask a C node over the distribution.
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.Plain

  setup_all do
    a = start_node(monitor: [ping_interval_ms: 100])
    plain = start_node(muster: false)
    :ok = Plain.load(plain)
    connect(a, plain)
    await_health(a, plain, status: :healthy, connection: :connected)
    eventually(fn -> registered?(cnode(a)) end)
    {:ok, a: a, plain: plain, server: {:muster, cnode(a)}}
  end

  defp ask(plain, server, request),
    do: call(plain, :gen_server, :call, [server, request, 10_000])

  test "ping, info, peers, health", %{a: a, plain: plain, server: server} do
    assert ask(plain, server, :ping) == :pong
    assert %{version: version, os_pid: os_pid} = ask(plain, server, :info)
    assert version == call(a, :muster, :version, [])
    assert os_pid == cnode_os_pid(a)

    peer = Atom.to_string(plain.node)
    peers = ask(plain, server, :peers)
    assert %{state: :connected} = Enum.find(peers, &(&1.node == peer))

    assert [%{monitor: "muster_node_monitor", node: ^peer, status: :healthy}] =
             ask(plain, server, :health)
  end

  test "an unknown request is answered", %{plain: plain, server: server} do
    for request <- [:nonsense, {:a, %{b: 1}}, "text", 1.5, [1 | 2], self(), fn -> 1 end] do
      assert {:error, {:unknown_request, text}} = ask(plain, server, request)
      assert is_binary(text)
    end
  end

  test "net_adm:ping", %{a: a, plain: plain} do
    assert call(plain, :net_adm, :ping, [cnode(a)]) == :pong
  end

  test "monitors: what lives, and what does not", %{a: a, plain: plain} do
    pid = call(plain, Plain, :pid_of, [cnode(a)])
    nobody = call(plain, Plain, :nobody_beside, [pid])

    for process <- [{:muster, cnode(a)}, pid],
        do: assert(call(plain, Plain, :down, [process, 300]) == :alive)

    for process <- [{:nobody, cnode(a)}, nobody],
        do: assert(call(plain, Plain, :down, [process, 5_000]) == :noproc)
  end

  # A C node takes no links: it has nothing to do with the exit signals that they bring.
  test "links are answered at once, and harm nobody", %{a: a, plain: plain} do
    pid = call(plain, Plain, :pid_of, [cnode(a)])
    nobody = call(plain, Plain, :nobody_beside, [pid])

    for process <- [pid, nobody],
        do: assert(call(plain, Plain, :exit_by_link, [process]) == :noproc)

    assert call(plain, :net_adm, :ping, [cnode(a)]) == :pong
  end

  test "monitors hear of a C node's death" do
    a = start_node(monitor: [ping_interval_ms: 100])
    plain = start_node(muster: false)
    :ok = Plain.load(plain)
    connect(a, plain)
    await_health(a, plain, status: :healthy, connection: :connected)
    c = cnode_os_pid(a)
    watcher = Task.async(fn -> call(plain, Plain, :down, [{:muster, cnode(a)}, 10_000]) end)
    assert Task.yield(watcher, 200) == nil
    signal(c, :kill)
    assert Task.await(watcher) == :noconnection
  end

  test "multi_call", %{a: a, plain: plain} do
    nodes = [cnode(a), :"nobody@127.0.0.1"]

    assert {[{node, :pong}], bad} =
             call(plain, :gen_server, :multi_call, [nodes, :muster, :ping, 5_000])

    assert node == cnode(a)
    assert bad == [:"nobody@127.0.0.1"]

    assert call(plain, :gen_server, :multi_call, [[cnode(a)], :nobody, :ping, 5_000]) ==
             {[], [cnode(a)]}
  end

  test "rpc:call gets a prompt error", %{a: a, plain: plain} do
    started = now()
    assert {:badrpc, _} = call(plain, :rpc, :call, [cnode(a), :erlang, :node, [], 5_000])
    assert now() - started < 1_000
  end

  test "many calls at once, each with its own answer", %{plain: plain, server: server} do
    assert call(plain, Plain, :calls, [server, 200]) ==
             List.duplicate(:pong, 200)
  end
end
