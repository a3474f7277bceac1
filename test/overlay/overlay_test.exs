defmodule Muster.Overlay.OverlayTest do
  # The shared state on real nodes.
  use ExUnit.Case
  import Muster.Test.Cluster
  alias Muster.Test.{Keeper, Netns}
  alias Raxol.Swarm.TacticalOverlay

  @moduletag timeout: 120_000
  @quick [sync_interval_ms: 50, anti_entropy_interval_ms: 500]

  test "two nodes, one through each face, share what is updated, added and removed" do
    [a, b] = start_mesh(2, @quick)
    stop_overlay(b, :muster_overlay)
    {:ok, _} = start_in(b, Raxol.Swarm.NodeMonitor, :start_link, [[]])
    {:ok, _} = start_in(b, TacticalOverlay, :start_link, [@quick])
    elixir = fn what, args -> call(b, TacticalOverlay, what, args) end

    overlay(a, :update_entity, [:unit_1, %{position: {10.0, 20.0, 0.0}, status: :active}])
    elixir.(:add_waypoint, [%{id: "wp_alpha", label: "Rally Point"}])
    elixir.(:add_annotation, ["n1", %{text: "hold"}])

    eventually(fn ->
      match?({:ok, %{status: :active, id: :unit_1}}, elixir.(:get_entity, [:unit_1])) and
        overlay(a, :get_all_waypoints) == [%{id: "wp_alpha", label: "Rally Point"}] and
        overlay(a, :get_annotation, ["n1"]) == {:ok, %{text: "hold"}}
    end)

    {:ok, unit} = elixir.(:get_entity, [:unit_1])
    assert unit.node == a.node
    assert_in_delta unit.last_updated, System.system_time(:millisecond), 60_000

    # Peers that are given come and go beside the monitor's.
    overlay(a, :set_peers, [[b.node, :elsewhere@nowhere]])
    assert overlay(a, :get_overlay_state).peers == Enum.sort([b.node, :elsewhere@nowhere])
    overlay(a, :set_peers, [[]])

    overlay(a, :remove_waypoint, ["wp_alpha"])
    elixir.(:remove_entity, [:unit_1])
    elixir.(:remove_annotation, ["n1"])

    eventually(fn ->
      empty?(a) and
        elixir.(:get_overlay_state, []) |> Map.take([:entities, :waypoints, :annotations]) == %{
          entities: %{},
          waypoints: [],
          annotations: %{}
        }
    end)

    assert overlay(a, :get_overlay_state).peers == [b.node]
  end

  test "subscribers are told of each net change once, whoever made it" do
    nodes = [a, b, c] = start_mesh(3, @quick)
    for node <- nodes, do: collect(node)

    for i <- 1..40 do
      node = Enum.at(nodes, rem(i, 3))
      overlay(node, :add_waypoint, [%{id: i}])
    end

    await_equal(nodes)
    for i <- 1..20, do: overlay(a, :remove_waypoint, [i])
    overlay(b, :update_entity, [:u, %{n: 1}])
    overlay(c, :add_annotation, [:n, %{text: "x"}])
    await_equal(nodes)

    for node <- nodes do
      eventually(fn -> length(events(node)) >= 62 end)
      events = events(node)
      assert Enum.sort(for {:waypoint_added, %{id: i}} <- events, do: i) == Enum.to_list(1..40)
      assert Enum.sort(for {:waypoint_removed, i} <- events, do: i) == Enum.to_list(1..20)
      assert [{:u, %{n: 1}}] = for({:entity_updated, id, data} <- events, do: {id, data})
      assert [{:n, %{text: "x"}}] = for({:annotation_added, id, data} <- events, do: {id, data})
      assert length(events) == 62
    end
  end

  test "nodes that were cut off from each other agree after the heal" do
    nodes = [a, b, c] = start_mesh(3, @quick)
    for i <- 1..30, do: overlay(a, :add_waypoint, [%{id: i}])
    await_equal(nodes)

    # c alone on one side.
    for node <- [a, b], do: true = call(c, :erlang, :disconnect_node, [node.node])
    eventually(fn -> call(c, :erlang, :nodes, []) == [] end)

    for i <- 1..10, do: overlay(a, :remove_waypoint, [i])
    overlay(b, :update_entity, [:u, %{by: :b}])
    for i <- 11..20, do: overlay(c, :remove_waypoint, [i])
    overlay(c, :add_waypoint, [%{id: 5, label: "kept"}])
    overlay(c, :update_entity, [:v, %{by: :c}])

    for node <- [a, b], do: connect(c, node)
    await_equal(nodes)
    # An add wins over a removal made meanwhile.
    assert Enum.sort(for %{id: i} <- overlay(b, :get_all_waypoints), do: i) == [
             5 | Enum.to_list(21..30)
           ]

    assert {:ok, %{label: "kept"}} = overlay(a, :get_waypoint, [5])
    assert {:ok, %{by: :c}} = overlay(a, :get_entity, [:v])
    assert {:ok, %{by: :b}} = overlay(c, :get_entity, [:u])
  end

  test "a node that is started anew under its old name gets everything and loses nothing of what it writes" do
    [a, b] = nodes = start_mesh(2, @quick)
    for i <- 1..3000, do: overlay(a, :add_waypoint, [%{id: i}])
    overlay(b, :update_entity, [:u, %{n: 1}])
    await_equal(nodes)

    stop_overlay(b, :muster_overlay)
    {:ok, _} = start_in(b, :muster_overlay, :start_link, [@quick])
    overlay(b, :update_entity, [:v, %{n: 2}])
    await_equal(nodes)
    assert %{waypoints: 3000, entities: 2} = overlay(b, :status)
    assert {:ok, %{n: 2}} = overlay(a, :get_entity, [:v])
  end

  test "a node that gets its name later, and then another one, takes part" do
    a = start_node(named: false)
    names = for prefix <- ["late", "later"], do: :"#{unique_name(prefix)}@127.0.0.1"
    start_overlay(a, [{:peers, names} | @quick])
    overlay(a, :update_entity, [:u, %{n: 0}])
    b = start_node()
    start_overlay(b, @quick)

    for name <- names do
      {:ok, _} = call(a, :net_kernel, :start, [[name, :longnames]])
      true = call(a, :erlang, :set_cookie, [:muster_test])
      a = %{a | node: name}
      connect(a, b)
      overlay(b, :update_entity, [:v, %{of: name}])
      await_equal([a, b])
      # It is no peer of its own.
      eventually(fn ->
        overlay(a, :get_overlay_state).peers |> Enum.member?(name) |> Kernel.not()
      end)

      overlay(a, :update_entity, [:u, %{of: name}])
      assert overlay(a, :await_sync) == :ok
      assert {:ok, %{of: ^name, node: by}} = overlay(b, :get_entity, [:u])
      assert by == hd(names)
      :ok = call(a, :net_kernel, :stop, [])
    end
  end

  test "await_sync returns once the others have acknowledged, and names those that do not" do
    [a, b] = nodes = start_mesh(2, @quick)
    overlay(a, :update_entity, [:u, %{n: 1}])
    await_equal(nodes)
    overlay(a, :update_entity, [:u, %{n: 2}])
    assert overlay(a, :await_sync, []) == :ok
    assert {:ok, %{n: 2}} = overlay(b, :get_entity, [:u])

    signal(b.os_pid, :stop)
    overlay(a, :update_entity, [:u, %{n: 3}])

    assert call(a, :muster_overlay, :await_sync, [:muster_overlay, 300]) ==
             {:error, {:timeout, [b.node]}}

    signal(b.os_pid, :cont)
    eventually(fn -> match?({:ok, %{n: 3}}, overlay(b, :get_entity, [:u])) end)
    assert overlay(a, :await_sync, []) == :ok
  end

  test "a peer that is stopped delays nobody, and catches up by itself" do
    [a, b, c] = nodes = start_mesh(3, @quick)
    await_equal(nodes)
    signal(c.os_pid, :stop)
    big = String.duplicate("x", 1000)

    for i <- 1..3000 do
      overlay(a, :update_entity, [rem(i, 200), %{i: i, text: big}])
      if rem(i, 500) == 0, do: await_equal([a, b])
    end

    [memory] =
      for {:memory, m} <- [
            call(a, :erlang, :process_info, [
              call(a, :erlang, :whereis, [:muster_overlay]),
              :memory
            ])
          ],
          do: m

    assert memory < 50_000_000
    signal(c.os_pid, :cont)
    await_equal(nodes)
    assert {:ok, %{i: 3000}} = overlay(c, :get_entity, [0])
  end

  test "what is malformed changes nothing" do
    [a, b] = nodes = start_mesh(2, @quick)
    overlay(a, :update_entity, [:u, %{n: 1}])
    await_equal(nodes)
    before = overlay(a, :export_state)
    from = {:muster_overlay, b.node}
    delta = fn live -> {:delta, [{:x, 4711, 0, 1}], [], live} end

    bodies =
      for body <- [
            :nonsense,
            {:update, :nonsense},
            {:update, {:update, make_ref(), 1, 0, :nonsense}},
            {:update, {:update, make_ref(), 1, 0, {:delta, :x, :y, :z}}},
            {:update, {:update, make_ref(), 1, 0, {:delta, [{:x, :y, 1, 2}], [], []}}},
            {:update,
             {:update, make_ref(), 1, 0, delta.([{{:waypoint, 1}, [{4711, 1, 1, "no term"}]}])}},
            {:update,
             {:update, make_ref(), 1, 0,
              delta.([{{:waypoint, 1}, [{4711, 1, 1, :erlang.term_to_binary(%{id: 2})}]}])}},
            {:update,
             {:update, make_ref(), 1, 0,
              delta.([{:odd, [{4711, 1, 1, :erlang.term_to_binary(%{id: 2})}]}])}},
            {:update,
             {:update, make_ref(), 1, 0,
              delta.([{{:entity, 2}, [{4711, 1, 1, :erlang.term_to_binary([])}]}])}},
            {:update, {:update, make_ref(), 1, 0, delta.([{{:entity, 2}, [{4711, 1}]}])}},
            {:acknowledge, :x},
            {:sync, :x, :y},
            {:sync, {:begin_sync, 1, :x}, :y},
            {:sync, {:give, 1, 1, 1, :x, :y}, :z},
            {:reply, :x, :y, :z, :w},
            {:load, 1, :x},
            {:chunk, 1, 1, :x},
            {:got, 1, :x},
            {:offer, :x},
            {:busy, :x},
            {:resync, :x}
          ],
          do: body

    pid = call(a, :erlang, :whereis, [:muster_overlay])

    for body <- bodies,
        message <- [{:muster_overlay, 1, from, body}, {:muster_overlay, 99, from, body}] do
      call(a, :erlang, :send, [:muster_overlay, message])
    end

    call(a, :erlang, :send, [:muster_overlay, {:muster_overlay, 1, :nobody, :x}])
    assert overlay(a, :export_state) == before
    assert call(a, :erlang, :whereis, [:muster_overlay]) == pid
    assert overlay(a, :status).peers[b.node].refused_messages > 10
    assert call(a, :muster_overlay, :receive_delta, [:test, :nonsense]) == {:error, :malformed}
    assert call(a, :muster_overlay, :receive_full_state, [:test, %{}]) == {:error, :malformed}

    # And goes on.
    overlay(b, :update_entity, [:u, %{n: 2}])
    await_equal(nodes)
    assert {:ok, %{n: 2}} = overlay(a, :get_entity, [:u])
  end

  describe "with a data directory" do
    setup do
      dir = Path.join(System.tmp_dir!(), unique_name("muster_overlay"))
      File.mkdir_p!(dir)
      on_exit(fn -> File.rm_rf!(dir) end)
      %{tmp_dir: dir}
    end

    test "the state survives a restart of the whole cluster, and is added to after it", %{
      tmp_dir: dir
    } do
      at = fn i -> [{:data_dir, Path.join(dir, "#{i}")} | @quick] end
      nodes = [a, b] = start_mesh(2, [])
      for node <- nodes, do: stop_overlay(node, :muster_overlay)
      for {node, i} <- Enum.with_index(nodes), do: start_overlay(node, at.(i))

      for i <- 1..700, do: overlay(a, :add_waypoint, [%{id: i}])
      for i <- 1..100, do: overlay(b, :remove_waypoint, [i])
      overlay(b, :update_entity, [:u, %{n: 1}])
      await_equal(nodes)
      for i <- 1..100, do: overlay(b, :remove_waypoint, [i])
      await_equal(nodes)
      before = overlay(a, :export_state)
      # One in good order, the other by force, once it has had the time to write.
      stop_overlay(a, :muster_overlay)

      kept = fn ->
        :muster_overlay_files.restore(String.to_charlist(Path.join([dir, "1", "muster_overlay"])))
      end

      eventually(fn -> kept.() == before end)
      for node <- nodes, do: stop(node)

      nodes = [c, d] = for _ <- 1..2, do: start_node()
      start_overlay(d, at.(1))
      assert overlay(d, :export_state) == before
      assert %{waypoints: 600, entities: 1} = overlay(d, :status)
      start_overlay(c, at.(0))
      assert overlay(c, :export_state) == before
      overlay(c, :update_entity, [:u, %{n: 2}])
      overlay(d, :remove_waypoint, [700])
      connect(c, d)
      await_equal(nodes)
      assert {:ok, %{n: 2}} = overlay(d, :get_entity, [:u])
      assert overlay(c, :get_waypoint, [700]) == :error
    end

    test "much that was written is put together in a snapshot", %{tmp_dir: dir} do
      node = start_node(monitor: nil)
      options = [{:data_dir, dir} | @quick]
      start_overlay(node, options)
      big = String.duplicate("x", 20_000)

      eventually(fn ->
        for i <- 1..10, do: overlay(node, :update_entity, [i, %{now: now(), text: big}])
        File.exists?(Path.join(dir, "muster_overlay.snapshot"))
      end)

      for i <- 1..5, do: overlay(node, :update_entity, [i, %{i: i, text: big}])
      before = overlay(node, :export_state)
      stop_overlay(node, :muster_overlay)
      start_overlay(node, options)
      assert overlay(node, :export_state) == before
    end

    test "files that are torn, spoiled or somebody else's are kept aside", %{tmp_dir: dir} do
      node = start_node(monitor: nil)
      options = [{:data_dir, dir} | @quick]
      start_overlay(node, options)
      overlay(node, :add_waypoint, [%{id: 1}])
      stop_overlay(node, :muster_overlay)
      log = Path.join(dir, "muster_overlay.log.1")
      File.write!(log, <<0, 0, 1>>, [:append])
      start_overlay(node, options)
      assert overlay(node, :get_all_waypoints) == [%{id: 1}]
      stop_overlay(node, :muster_overlay)
      assert [_] = Path.wildcard(log <> ".damaged-*")

      whole = File.read!(log)

      flipped =
        binary_part(whole, 0, byte_size(whole) - 1) <> <<:binary.last(whole) |> Bitwise.bxor(1)>>

      File.write!(log, flipped)
      File.write!(Path.join(dir, "muster_overlay.snapshot"), "dear diary")
      File.write!(Path.join(dir, "muster_overlay.log.77"), :crypto.strong_rand_bytes(1000))
      start_overlay(node, options)
      assert overlay(node, :get_all_waypoints) == []
      overlay(node, :add_waypoint, [%{id: 2}])
      stop_overlay(node, :muster_overlay)
      start_overlay(node, options)
      assert overlay(node, :get_all_waypoints) == [%{id: 2}]
    end

    if (reason = Netns.available()) != :ok, do: @tag(skip: elem(reason, 1))

    test "a disk that is full is tried again, and nothing is left behind by that", %{tmp_dir: dir} do
      node = start_node(monitor: nil, tmpfs: {dir, "600k"})
      ballast = Path.join(dir, "ballast")
      :ok = call(node, :file, :write_file, [ballast, String.duplicate("x", 500_000)])
      options = [{:data_dir, dir} | @quick]
      start_overlay(node, options)
      big = String.duplicate("x", 20_000)
      for i <- 1..20, do: overlay(node, :update_entity, [i, %{text: big}])
      eventually(fn -> not stored?(node) end)
      files = files(node, dir)

      for _ <- 1..5 do
        call(node, :erlang, :send, [:muster_overlay, :reopen_store])
        eventually(fn -> not stored?(node) end)
      end

      assert files(node, dir) == files
      :ok = call(node, :file, :delete, [ballast])
      call(node, :erlang, :send, [:muster_overlay, :reopen_store])
      before = overlay(node, :export_state)
      assert stored?(node)
      stop_overlay(node, :muster_overlay)
      start_overlay(node, options)
      assert overlay(node, :export_state) == before
      assert length(overlay(node, :get_all_entities)) == 20
    end

    test "one that cannot be written to is an error at the start", %{tmp_dir: dir} do
      node = start_node(monitor: nil)
      file = Path.join(dir, "file")
      File.write!(file, "")

      child = {:muster_overlay, :start_link, [[data_dir: file]]}
      assert {:error, {:data_dir, ^file, _}} = start_under(node, child)
    end
  end

  # Whether the overlay has a store at the moment.
  defp stored?(node) do
    state = call(node, :sys, :get_state, [:muster_overlay])
    state |> Tuple.to_list() |> Enum.any?(&match?(%{writer: _}, &1))
  end

  defp files(node, dir) do
    {:ok, files} = call(node, :file, :list_dir, [dir])
    Enum.sort(files)
  end

  # A supervisor traps the exit of a child that does not start.
  defp start_under(node, start) do
    {:ok, supervisor} = start_in(node, :supervisor, :start_link, [Keeper, []])

    with {:error, {reason, _}} <-
           call(node, :supervisor, :start_child, [supervisor, %{id: :child, start: start}]),
         do: {:error, reason}
  end

  defp start_overlay(node, options),
    do: {:ok, _} = start_in(node, :muster_overlay, :start_link, [options])

  defp start_mesh(n, options) do
    nodes = for _ <- 1..n, do: start_node()
    for a <- nodes, b <- nodes, a.node < b.node, do: connect(a, b)
    for node <- nodes, do: {:ok, _} = start_in(node, :muster_overlay, :start_link, [options])
    nodes
  end

  defp overlay(node, function, args \\ []), do: call(node, :muster_overlay, function, args)

  defp stop_overlay(node, name) do
    pid = call(node, :erlang, :whereis, [name])
    call(node, :gen_server, :stop, [pid])
  end

  defp collect(node),
    do: call(node, Keeper, :collect_from, [:muster_overlay, [], :overlay_event, :overlay_events])

  defp events(node), do: call(node, Keeper, :events, [:overlay_events])

  defp empty?(node),
    do: match?(%{entities: 0, waypoints: 0, annotations: 0}, overlay(node, :status))

  # All nodes hold the same, and each knows it of the others.
  defp await_equal([first | others] = nodes) do
    eventually(
      fn ->
        state = overlay(first, :export_state)

        Enum.all?(others, &(overlay(&1, :export_state) == state)) and
          Enum.all?(nodes, fn node ->
            Enum.all?(others -- [node], &overlay(node, :status).peers[&1.node].in_sync)
          end)
      end,
      30_000
    )
  end
end
