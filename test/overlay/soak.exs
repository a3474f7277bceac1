defmodule Muster.Overlay.Soak do
  # Rounds of changes on all nodes of an overlay while links, nodes and overlays fail; what must hold
  # when they have healed (see Muster.Test.OverlayOracle). script/soak says how to run it.
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.{OverlayNode, OverlayOracle}

  @moduletag timeout: :infinity
  @seconds 60

  @rounds String.to_integer(System.get_env("SOAK_ROUNDS", "20"))
  @seed String.to_integer(System.get_env("SOAK_SEED", "0"))
  @stop_seconds String.to_integer(System.get_env("SOAK_STOP_SECONDS", "5"))
  @only System.get_env("SOAK_ONLY")

  # Nodes, what fails between them (the overlay's own transport, or the connections of the nodes), and how
  # often digests are compared: where that is once a day, what deltas get wrong stays wrong.
  @often 400
  @daily 86_400_000
  @clusters [
    {3, :transport, @daily},
    {5, :transport, @often},
    {3, :connections, @often},
    {5, :connections, @daily}
  ]
  @steps 4
  @changes 25
  @ids 12
  @options [sync_interval_ms: 30, anti_entropy_interval_ms: @often]

  for {{size, failing, digests}, index} <- Enum.with_index(@clusters),
      rounds = Enum.filter(1..@rounds, &(rem(&1 - 1, length(@clusters)) == index)),
      rounds =
        if(@only, do: Enum.filter(rounds, &(&1 == String.to_integer(@only))), else: rounds),
      rounds != [] do
    test "#{size} nodes, failing #{failing}, digests every #{digests} ms" do
      cluster = start(unquote(size), unquote(failing), unquote(digests))

      Enum.reduce(unquote(rounds), cluster, fn round, cluster ->
        run_round(cluster, round)
      end)
    end
  end

  test "a peer that is stopped under load costs bounded memory, delays nobody and catches up" do
    args = [~c"-kernel", ~c"net_ticktime", ~c"200"]
    nodes = [a, b, c] = for _ <- 1..3, do: start_node(monitor: nil, args: args)
    for x <- nodes, y <- nodes, x.node < y.node, do: connect(x, y)

    for node <- nodes do
      options = @options ++ [peers: Enum.map(nodes -- [node], & &1.node), node_monitor: :none]
      {:ok, _} = call(node, OverlayNode, :start_overlay, [options])
    end

    load(a, b, 1)
    eventually(fn -> same?(nodes) end, @seconds * 1000)
    memory = fn -> call(a, :erlang, :memory, [:total]) end
    before = memory.()
    signal(c.os_pid, :stop)
    until = now() + @stop_seconds * 1000
    {peak, rounds} = under_load(a, b, memory, until, 2, 0)
    signal(c.os_pid, :cont)
    eventually(fn -> same?(nodes) end, @seconds * 1000)

    IO.puts(
      "soak: stopped for #{@stop_seconds} s: #{rounds * 200} updates of 1 KB, memory " <>
        "#{div(before, 1_000_000)} MB before, at most #{div(peak, 1_000_000)} MB"
    )

    assert peak - before < 100_000_000
  end

  defp under_load(a, b, memory, until, n, peak) do
    load(a, b, n)
    peak = max(peak, memory.())
    if now() < until, do: under_load(a, b, memory, until, n + 1, peak), else: {peak, n}
  end

  # Everything that a writes is at b at once, whatever else is stopped.
  defp load(a, b, n) do
    data = %{n: n, text: String.duplicate("x", 1000)}
    for id <- 1..200, do: :ok = call(a, :muster_overlay, :update_entity, [{rem(n, 10), id}, data])

    eventually(fn ->
      match?({:ok, %{n: ^n}}, call(b, :muster_overlay, :get_entity, [{rem(n, 10), 200}]))
    end)
  end

  defp same?(nodes) do
    states = for node <- nodes, do: call(node, :muster_overlay, :export_state, [])
    Enum.all?(states, &(&1 == hd(states)))
  end

  test "the oracle finds what is lost, what comes back and what nobody wrote" do
    put = fn w, writer, number, began ->
      %{key: :k, op: :put, written: w, writer: writer, number: number, began: began}
      |> acknowledged()
    end

    remove = &%{put.(nil, &1, &2, &3) | op: :remove}

    says = fn before, changes, value ->
      state = if value, do: %{k: value}, else: %{}
      before = if before, do: %{k: before}, else: %{}
      Enum.map(OverlayOracle.faults(before, changes, state), &elem(&1, 1))
    end

    assert says.(nil, [put.(1, :a, 1, 1)], nil) == [:lost]
    assert says.(nil, [put.(1, :a, 1, 1)], 1) == []
    assert says.(nil, [%{put.(1, :a, 1, 1) | sure: false}], nil) == []
    assert says.(1, [], nil) == [:lost]
    assert says.(1, [put.(2, :a, 1, 1)], 1) == [:came_back]
    assert says.(1, [remove.(:a, 1, 1)], 1) == [:came_back]
    assert says.(1, [%{remove.(:a, 1, 1) | throughout: false}], 1) == []
    assert says.(nil, [put.(1, :a, 1, 1), put.(2, :a, 2, 5)], 1) == [:came_back]
    assert says.(nil, [put.(1, :a, 1, 1), put.(2, :b, 1, 5)], 1) == []
    assert says.(nil, [put.(1, :a, 1, 1), remove.(:b, 1, 0.5)], nil) == []
    assert says.(nil, [remove.(:b, 1, 1), put.(1, :a, 1, 5)], nil) == [:lost]
    assert says.(nil, [], 7) == [:from_nowhere]
  end

  defp acknowledged(change),
    do: Map.merge(change, %{ended: change.began + 1, sure: true, throughout: true})

  # ---- rounds ----

  defp run_round(cluster, round) do
    :rand.seed(:exsss, {@seed, round, 1})
    before = cluster.state
    cluster = %{cluster | changes: [], began: MapSet.new(lives(cluster))}
    cluster = Enum.reduce(1..@steps, cluster, fn _, c -> c |> fail() |> change() end)
    cluster = heal(cluster)
    state = agreed(cluster, round)
    check(OverlayOracle.faults(before, judged(cluster), written(state)), round, "state")
    for node <- cluster.nodes, do: check_events(node, state, round)
    for node <- cluster.nodes, do: check_counts(node, state, round)

    IO.puts(
      "soak: round #{round}: #{cluster.log}; #{length(cluster.changes)} changes, #{map_size(state)} left"
    )

    %{cluster | state: written(state), log: ""}
  end

  defp check([], _, _), do: :ok

  defp check(faults, round, what),
    do: flunk("#{replay(round)}: #{what}: #{inspect(faults, pretty: true, limit: 200)}")

  defp replay(round), do: "round #{round} of script/soak --seed #{@seed} --rounds #{@rounds}"

  defp written(state), do: Map.new(state, fn {key, data} -> {key, data.w} end)

  # A life is a node's name with the number of overlays it has had.
  defp lives(cluster), do: for(node <- cluster.nodes, do: life(node))
  defp life(node), do: {node.name, node.life}

  # Made by a node that still lives the same life.
  defp judged(cluster) do
    alive = MapSet.new(lives(cluster))

    for change <- cluster.changes do
      lived_on = change.writer in alive

      Map.merge(change, %{
        sure: change.ended != :never and lived_on,
        throughout: change.writer in cluster.began
      })
    end
  end

  # ---- the nodes ----

  defp start(size, failing, digests) do
    names = for n <- 1..size, do: unique_name("soak#{n}_")

    cluster = %{
      failing: failing,
      digests: digests,
      nodes: [],
      names: names,
      state: %{},
      changes: [],
      began: nil,
      apart: [],
      how: [],
      log: ""
    }

    cluster =
      Enum.reduce(names, cluster, fn name, c ->
        %{c | nodes: c.nodes ++ [start_one(c, name, 1)]}
      end)

    connect_all(cluster)
    cluster
  end

  # Real partitions: nobody connects but by this test.
  defp start_one(cluster, name, life) do
    node =
      start_node(
        name: {:exact, name},
        monitor: nil,
        args: [~c"-kernel", ~c"net_ticktime", ~c"4", ~c"dist_auto_connect", ~c"never"]
      )

    node = Map.merge(node, %{name: name, life: life, stopped: false, dead: false})
    :ok = call(node, OverlayNode, :start_transport, [{@seed, life, :erlang.phash2(name)}])
    start_overlay(cluster, node)
    node
  end

  defp start_overlay(cluster, node) do
    peers = for name <- cluster.names, name != node.name, do: :"#{name}@127.0.0.1"
    send = if cluster.failing == :transport, do: [send: &OverlayNode.transmit/2], else: []
    options = [sync_interval_ms: 30, anti_entropy_interval_ms: cluster.digests] ++ send
    options = options ++ [peers: peers, node_monitor: :none]
    {:ok, _} = call(node, OverlayNode, :start_overlay, [options])
  end

  defp connect_all(cluster) do
    running = Enum.reject(cluster.nodes, &(&1.dead or &1.stopped))

    for a <- running, b <- running, a.name < b.name, not apart?(cluster, a, b) do
      call(a, :net_kernel, :connect_node, [b.node])
    end
  end

  defp apart?(%{apart: side}, a, b), do: side != [] and a.name in side != b.name in side

  # ---- failures ----

  defp fail(cluster) do
    what = Enum.random([:nothing, :part, :part, :join, :disturb, :disturb, :kill, :renew, :stop])
    failed = fail(what, cluster)
    %{failed | log: String.trim("#{failed.log} #{what}")}
  end

  defp fail(:nothing, cluster), do: cluster
  defp fail(:join, cluster), do: part(cluster, [])

  defp fail(:part, cluster) do
    part(cluster, Enum.take_random(cluster.names, Enum.random(1..(length(cluster.names) - 1))))
  end

  defp fail(:disturb, %{failing: :transport} = cluster) do
    how = [
      loss: Enum.random([0.0, 0.1, 0.4, 0.8]),
      double: Enum.random([0.0, 0.3]),
      delay: Enum.random([0, 20, 200])
    ]

    disturb(%{cluster | how: how})
  end

  # One connection breaks, and is there again.
  defp fail(:disturb, cluster) do
    case running(cluster) do
      [_, _ | _] = nodes ->
        [a, b] = Enum.take_random(nodes, 2)
        call(a, :erlang, :disconnect_node, [b.node])
        connect_all(cluster)

      _ ->
        :ok
    end

    cluster
  end

  defp fail(:kill, cluster), do: one_of(cluster, &kill/2)
  defp fail(:renew, cluster), do: one_of(cluster, &renew/2)

  defp fail(:stop, cluster) do
    one_of(cluster, fn c, node ->
      signal(node.os_pid, :stop)
      replace(c, %{node | stopped: true})
    end)
  end

  # At least one node lives through the round undisturbed.
  defp one_of(cluster, fun) do
    untouched = Enum.filter(running(cluster), &(life(&1) in cluster.began))
    if length(untouched) > 1, do: fun.(cluster, Enum.random(untouched)), else: cluster
  end

  defp kill(cluster, node) do
    stop(node)
    replace(cluster, %{node | dead: true})
  end

  # The overlay ends, in order or not, and is started anew, with nothing.
  defp renew(cluster, node) do
    pid = call(node, :erlang, :whereis, [:muster_overlay])

    if Enum.random([true, false]),
      do: call(node, :gen_server, :stop, [pid]),
      else: call(node, :erlang, :exit, [pid, :kill])

    eventually(fn -> call(node, :erlang, :whereis, [:muster_overlay]) == :undefined end)
    start_overlay(cluster, node)
    replace(cluster, %{node | life: node.life + 1})
  end

  defp replace(cluster, node),
    do: %{cluster | nodes: Enum.map(cluster.nodes, &if(&1.name == node.name, do: node, else: &1))}

  defp running(cluster), do: Enum.reject(cluster.nodes, &(&1.dead or &1.stopped))

  defp part(%{failing: :transport} = cluster, side), do: disturb(%{cluster | apart: side})

  defp part(cluster, side) do
    cluster = %{cluster | apart: side}
    nodes = running(cluster)

    for a <- nodes,
        b <- nodes,
        apart?(cluster, a, b),
        do: call(a, :erlang, :disconnect_node, [b.node])

    connect_all(cluster)
    cluster
  end

  defp disturb(cluster) do
    for node <- running(cluster) do
      cut = for other <- cluster.nodes, apart?(cluster, node, other), do: other.node
      call(node, OverlayNode, :disturb, [[cut: cut] ++ cluster.how])
    end

    cluster
  end

  defp heal(cluster) do
    nodes =
      for node <- cluster.nodes do
        if node.stopped, do: signal(node.os_pid, :cont)

        if node.dead,
          do: start_one(cluster, node.name, node.life + 1),
          else: %{node | stopped: false}
      end

    cluster = part(%{cluster | nodes: nodes, how: []}, [])
    connect_all(cluster)
    cluster
  end

  # ---- changes ----

  defp change(cluster) do
    tasks =
      for node <- running(cluster) do
        changes = for _ <- 1..Enum.random(1..@changes), do: random_change()
        {node, changes, Task.async(fn -> make(node, changes) end)}
      end

    Process.sleep(Enum.random([0, 0, 30, 100]))

    made =
      for {node, changes, task} <- tasks,
          {{{op, kind, id, w}, {began, ended}}, number} <-
            Enum.with_index(Enum.zip(changes, Task.await(task, 30_000))) do
        number = length(cluster.changes) + number

        %{
          key: {kind, id},
          op: op,
          written: w,
          writer: life(node),
          number: number,
          began: began,
          ended: ended
        }
      end

    %{cluster | changes: cluster.changes ++ made}
  end

  defp make(node, changes), do: call(node, OverlayNode, :change, [changes], 25_000)

  defp random_change do
    op = Enum.random([:put, :put, :remove])
    written = if op == :put, do: :rand.uniform(1_000_000_000_000)
    {op, Enum.random([:entity, :waypoint, :annotation]), Enum.random(1..@ids), written}
  end

  # ---- what must hold ----

  defp agreed(%{nodes: [first | others]} = cluster, round) do
    states = fn ->
      for(node <- cluster.nodes, do: call(node, :muster_overlay, :export_state, []))
    end

    deadline = now() + @seconds * 1000
    await_agreement(states, deadline, cluster, round)
    state = call(first, OverlayNode, :read, [])
    for node <- others, do: assert(call(node, OverlayNode, :read, []) == state, replay(round))
    state
  end

  defp await_agreement(states, deadline, cluster, round) do
    [state | others] = states.()

    cond do
      Enum.all?(others, &(&1 == state)) ->
        :ok

      now() > deadline ->
        seen = for node <- cluster.nodes, do: call(node, :muster_overlay, :status, [])

        flunk(
          "#{replay(round)}: no agreement within #{@seconds} s (#{cluster.log}): #{inspect(seen, pretty: true, limit: :infinity)}"
        )

      true ->
        Process.sleep(20)
        await_agreement(states, deadline, cluster, round)
    end
  end

  defp check_events(node, state, round) do
    eventually(fn ->
      {view, _} = call(node, OverlayNode, :followed, [])
      unlike = for key <- Map.keys(Map.merge(view, state)), view[key] != state[key], do: key
      unlike == [] or {replay(round), for(key <- unlike, do: {key, view[key], state[key]})}
    end)

    {_, idle} = call(node, OverlayNode, :followed, [])
    assert idle == [], "#{replay(round)}: events that changed nothing: #{inspect(idle)}"
  end

  defp check_counts(node, state, round) do
    status = call(node, :muster_overlay, :status, [])
    count = fn kind -> Enum.count(state, fn {{k, _}, _} -> k == kind end) end

    assert {status.entities, status.waypoints, status.annotations} ==
             {count.(:entity), count.(:waypoint), count.(:annotation)},
           replay(round)
  end
end
