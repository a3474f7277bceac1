defmodule Muster.Comms.LinksTest do
  # Messages between real nodes: what arrives, what is dropped, and how good a link counts as.
  use ExUnit.Case
  import Muster.Test.Cluster
  import Muster.Test.Comms
  alias Muster.Test.Delay

  @moduletag timeout: 300_000

  defp pair(options) do
    [a, b] = nodes = for _ <- 1..2, do: start_node()
    for node <- nodes, do: start_comms(node, options)
    connect(a, b)
    nodes
  end

  test "delivery, by default as normal, to the subscribers and to a named process" do
    [a, b] = pair([])
    :ok = comms(a, :send_msg, [b.node, 1])
    :ok = comms(a, :send_msg, [b.node, 2, :low])
    :ok = comms(a, :send_msg, [:muster_comms, b.node, 3, :critical])
    :ok = comms(a, :send_msg, [a.node, :to_itself])
    eventually(fn -> received(b) == [1, 2, 3] end)
    eventually(fn -> received(a) == [:to_itself] end)

    # As it is, to any process: the collector takes what has this tag.
    :ok = comms(a, :route, [:muster_comms, {:received, b.node}, {:swarm_msg, :routed}, :normal])
    eventually(fn -> received(b) == [1, 2, 3, :routed] end)

    assert %{normal: %{sent: 2, dropped: 0, queued: 0}, low: %{sent: 1}, critical: %{sent: 1}} =
             comms(a, :stats)[b.node]
  end

  test "what is dropped, by the link's quality" do
    [a, b] = pair(hold_ms: :infinity)

    for {rtt, quality, taken} <- [
          {9.9, :excellent, [:critical, :high, :normal, :low]},
          {10, :good, [:critical, :high, :normal, :low]},
          {50.0, :degraded, [:critical, :high, :normal]},
          {200, :poor, [:critical, :high]}
        ] do
      before = length(received(b))
      :ok = comms(a, :update_link, [b.node, rtt])
      assert comms(a, :get_link_quality, [b.node]) == quality
      assert comms(a, :get_all_links) == %{b.node => quality}

      for priority <- [:low, :normal, :high, :critical] do
        # The caller is not told, as documented; route/4 tells.
        assert comms(a, :send_msg, [b.node, {rtt, priority}, priority]) == :ok
        told = comms(a, :route, [:muster_comms, {:nobody, b.node}, :x, priority])
        assert told == if(priority in taken, do: :ok, else: {:error, :dropped})
      end

      eventually(fn ->
        Enum.drop(received(b), before) == for(p <- Enum.reverse(taken), do: {rtt, p})
      end)
    end

    stats = comms(a, :stats)[b.node]
    assert stats.low == %{sent: 4, dropped: 4, queued: 0}
    assert stats.normal == %{sent: 6, dropped: 2, queued: 0}
    assert stats.critical == %{sent: 8, dropped: 0, queued: 0}

    :ok = comms(a, :mark_disconnected, [b.node])
    assert comms(a, :get_link_quality, [b.node]) == :disconnected
    assert comms(a, :send_msg, [b.node, :never, :critical]) == {:error, :disconnected}
    assert comms(a, :stats)[b.node].critical.dropped == 1
  end

  test "a stopped peer: nobody waits, memory is bounded, critical first after it resumes" do
    [a, b, c] = nodes = for _ <- 1..3, do: start_node()
    for node <- nodes, do: start_comms(node, queue_length: 100, queue_bytes: 4_000_000)
    for node <- [b, c], do: connect(a, node)
    # What comes first pays for the links' buffers.
    for node <- [b, c], do: :ok = comms(a, :send_msg, [node.node, :first])
    for node <- [b, c], do: eventually(fn -> received(node) == [:first] end)

    signal(b.os_pid, :stop)
    before = call(a, Muster.Test.Comms, :memory, [])

    flood = fn range, priority, bytes ->
      call(a, Muster.Test.Comms, :flood, [b.node, range, priority, bytes])
    end

    # 200 MB in all, of which 4 MB may wait here.
    full = flood.(1..3_200, :normal, 64_000)
    assert full[{:error, :queue_full}] > 2_000
    assert flood.(1..200, :low, 10)[{:error, :queue_full}] == 100
    # One that is larger than all that may wait.
    assert flood.(1..2, :high, 8_000_000) == %{:ok => 1, {:error, :queue_full} => 1}
    assert call(a, Muster.Test.Comms, :memory, []) - before < 40_000_000

    # The others do not feel it.
    for n <- 1..100, do: :ok = comms(a, :send_msg, [c.node, n, :low])
    eventually(fn -> received(c) == [:first | Enum.to_list(1..100)] end)

    :ok = comms(a, :send_msg, [b.node, :alarm, :critical])
    before = comms(a, :stats)[b.node]
    assert %{critical: %{queued: 1}, high: %{queued: 1}, low: %{queued: 100}} = before
    assert before.normal.sent > 0 and before.normal.queued > 0
    signal(b.os_pid, :cont)

    count = before.normal.sent + before.normal.queued + 102
    eventually(fn -> length(received(b)) == count or length(received(b)) end, 30_000)
    # What the BEAM had taken before its buffer was full is ahead of all.
    {[:first | taken], [:alarm, {:high, 1} | rest]} =
      Enum.split_while(received(b), &(&1 != :alarm))

    {normal, low} = Enum.split(rest, before.normal.queued)
    assert Enum.all?(taken ++ normal, &match?({:normal, _}, &1))
    assert taken ++ normal == Enum.sort(taken ++ normal)
    assert low == for(n <- 1..100, do: {:low, n})
    stats = comms(a, :stats)[b.node]

    for {priority, asked} <- [critical: 1, high: 2, normal: 3_201, low: 200] do
      %{sent: sent, dropped: dropped, queued: 0} = stats[priority]
      assert sent + dropped == asked
    end
  end

  test "a node that stops is disconnected, what waited for it is dropped and counted" do
    [a, b] = pair([])
    eventually(fn -> comms(a, :get_link_quality, [b.node]) in [:excellent, :good] end)
    signal(b.os_pid, :stop)
    flood = [b.node, 1..1_000, :critical, 64_000]
    %{ok: taken} = call(a, Muster.Test.Comms, :flood, flood)
    %{sent: sent, queued: queued} = comms(a, :stats)[b.node].critical
    assert queued > 0 and sent + queued == taken and taken < 1_000

    stop(b)
    eventually(fn -> comms(a, :get_link_quality, [b.node]) == :disconnected end)
    assert comms(a, :get_all_links) == %{b.node => :disconnected}
    assert comms(a, :send_msg, [b.node, :late, :critical]) == {:error, :disconnected}
    # All of it: taken, refused while the queue was full, lost with the node, refused at last.
    assert %{sent: sent, queued: 0, dropped: dropped} = comms(a, :stats)[b.node].critical
    assert sent + dropped == 1_001 and dropped > 1_001 - taken
  end

  test "quality follows the measured round-trip times" do
    delay = Delay.host("127.0.0.2")
    a = start_node(monitor: [ping_interval_ms: 50])
    start_comms(a, poll_interval_ms: 50)
    b = start_node(host: "127.0.0.2")
    start_comms(b)
    connect(a, b)

    for {ms, quality, taken} <- [
          {0, :excellent, [:low, :normal, :critical]},
          {25, :good, [:low, :normal, :critical]},
          {90, :degraded, [:normal, :critical]},
          {400, :poor, [:critical]},
          # As slow as none; but the connection stands, and critical messages always go.
          {1_100, :disconnected, [:critical]},
          {0, :excellent, [:low, :normal, :critical]}
        ] do
      Delay.set(delay, ms)
      eventually(fn -> goes_by(a, b, ms, quality, taken) end, 60_000)
    end
  end

  # On a busy machine a quality may pass before the messages are sent: then it is waited for again.
  defp goes_by(a, b, ms, quality, taken) do
    if comms(a, :get_link_quality, [b.node]) == quality do
      tag = make_ref()
      for p <- [:low, :normal, :critical], do: comms(a, :send_msg, [b.node, {ms, tag, p}, p])

      if comms(a, :get_link_quality, [b.node]) == quality do
        came = fn -> for {^ms, ^tag, p} <- received(b), do: p end
        eventually(fn -> List.last(came.()) == :critical end)
        assert came.() == taken
        true
      end
    end
  end

  test "the monitor comes later, and again" do
    [a, b] = for _ <- 1..2, do: start_node(monitor: nil)
    start_comms(a, poll_interval_ms: 20)
    connect(a, b)
    eventually(fn -> comms(a, :get_link_quality, [b.node]) == :good end)

    for _ <- 1..2 do
      {:ok, monitor} = start_in(a, :muster_node_monitor, :start_link, [[ping_interval_ms: 20]])

      eventually(fn -> comms(a, :get_link_quality, [b.node]) == :excellent end)
      # While there is none, what was measured stays.
      call(a, Process, :exit, [monitor, :kill])
      eventually(fn -> call(a, Process, :whereis, [:muster_node_monitor]) == nil end)
      assert comms(a, :get_link_quality, [b.node]) in [:excellent, :good]
      :ok = comms(a, :update_link, [b.node, 30])
      assert comms(a, :get_link_quality, [b.node]) == :good
      call(a, :erlang, :disconnect_node, [b.node])
      eventually(fn -> comms(a, :get_link_quality, [b.node]) == :disconnected end)
      connect(a, b)
      eventually(fn -> comms(a, :get_link_quality, [b.node]) == :good end)
    end
  end

  test "a node that only the user says is there: the BEAM connects, or what waited is dropped" do
    [a, b] = for _ <- 1..2, do: start_node()
    for node <- [a, b], do: start_comms(node)
    assert comms(a, :send_msg, [b.node, :no, :critical]) == {:error, :disconnected}
    :ok = comms(a, :update_link, [b.node, 5])
    for n <- 1..10, do: :ok = comms(a, :send_msg, [b.node, n])
    eventually(fn -> received(b) == Enum.to_list(1..10) end)

    ghost = :"ghost@127.0.0.1"
    :ok = comms(a, :update_link, [ghost, 5])
    :ok = comms(a, :send_msg, [ghost, :boo])
    eventually(fn -> comms(a, :stats)[ghost].normal == %{sent: 0, dropped: 1, queued: 0} end)
  end

  test "a connected node without muster, a hidden one, and who has the name swarm_comms" do
    a = start_node(monitor: [ping_interval_ms: 20])
    start_comms(a, poll_interval_ms: 20)
    b = start_node(muster: false)
    Muster.Test.Plain.load(b)
    connect(a, b)
    # Its BEAM answers the pings, and a message finds whoever has the name.
    eventually(fn -> comms(a, :get_link_quality, [b.node]) == :excellent end)
    call(b, Muster.Test.Plain, :keep_messages, [:swarm_comms])
    :ok = comms(a, :send_msg, [b.node, :hello])

    eventually(fn ->
      call(b, Muster.Test.Plain, :kept, [:swarm_comms]) == [{:swarm_msg, :hello}]
    end)

    hidden = start_node(args: [~c"-hidden"], monitor: nil)
    start_comms(hidden)
    connect(a, hidden)
    # The C nodes are hidden too: only what somebody asked for is listed.
    assert Map.keys(comms(a, :get_all_links)) == [b.node]
    :ok = comms(a, :send_msg, [hidden.node, :psst])
    eventually(fn -> received(hidden) == [:psst] end)
    eventually(fn -> comms(a, :get_all_links)[hidden.node] == :good end)
    stop(hidden)
    eventually(fn -> comms(a, :get_all_links)[hidden.node] == :disconnected end)
  end

  test "the user's own process has the name: the manager takes it once that has ended" do
    [a, b] = for _ <- 1..2, do: start_node(monitor: nil)
    for node <- [a, b], do: connect(a, node)
    start_comms(a)
    call(b, Muster.Test.Plain, :keep_messages, [:swarm_comms])
    start_comms(b)
    :ok = comms(a, :send_msg, [b.node, 1])
    eventually(fn -> call(b, Muster.Test.Plain, :kept, [:swarm_comms]) == [{:swarm_msg, 1}] end)
    assert received(b) == []

    users = call(b, Process, :whereis, [:swarm_comms])
    call(b, Process, :exit, [users, :kill])
    eventually(fn -> call(b, Process, :whereis, [:swarm_comms]) not in [nil, users] end)
    :ok = comms(a, :send_msg, [b.node, 2])
    eventually(fn -> received(b) == [2] end)

    # Whatever else comes there is nobody's business, nor does anybody die by it.
    subscriber = call(b, Process, :whereis, [:received])

    for odd <- [
          :odd,
          {:DOWN, make_ref(), :process, subscriber, :killed},
          {:swarm_msg},
          {:swarm_msg, 1, 2},
          {:DOWN, 1, :process, 3, 4},
          {:"$gen_call", 1, 2},
          {:system, 1, :suspend},
          {:muster_comms_inbox, 1, 2, {:add, 3}}
        ],
        do: call(a, :erlang, :send, [{:swarm_comms, b.node}, odd])

    :ok = comms(a, :send_msg, [b.node, 3])
    eventually(fn -> received(b) == [2, 3] end)

    assert {:ok, _} = start_in(a, :muster_comms, :start_link, [[name: :deaf, receiver: false]])

    assert comms(a, :subscribe, [:deaf]) == {:error, :no_receiver}
  end
end
