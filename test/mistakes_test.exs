defmodule Muster.MistakesTest do
  # What a newcomer does wrong gets an answer at once, which says what; in a VM without distribution.
  use ExUnit.Case
  import ExUnit.CaptureLog
  alias Raxol.Swarm.CRDT.{LWWMap, LWWRegister, ORSet}
  alias Raxol.Swarm.{CommsManager, Discovery, NodeMonitor, TacticalOverlay, Topology}

  # Elixir counts the server as an argument even where it is left out.
  @wrong_node ~r/\* 2nd argument: expected a node's name, as an atom/

  test "an option's name or value that is wrong is named, with what is expected" do
    assert {:error, {:invalid_option, :ping_interval, 200, "one of the options" <> names}} =
             NodeMonitor.start_link(ping_interval: 200)

    assert names =~ "ping_interval_ms"

    assert {:error, {:invalid_option, :quorum_size, "2", "an integer from 1" <> _}} =
             Topology.start_link(quorum_size: "2")

    assert {:error, {:invalid_option, :strategy, "gossip", "a strategy's name, an atom"}} =
             Discovery.start_link(strategy: "gossip")

    for wrong <- ["app@host", :app@host, [:app], ["app"]] do
      assert {:error, {:invalid_option, :hosts, ^wrong, "a list of nodes" <> _}} =
               Discovery.start_link(strategy: :epmd, hosts: wrong)
    end
  end

  test "options that are none are named by start_link, not by a crash of child_spec" do
    for module <- [CommsManager, Discovery, NodeMonitor, TacticalOverlay, Topology],
        wrong <- ["text", [{:name, :n} | :m]] do
      assert %{id: ^module} = module.child_spec(wrong)

      assert {:error, {{:invalid_option, :options, ^wrong, "a property list or a map"}, _}} =
               start_supervised({module, wrong})
    end
  end

  test "a text where a node's name belongs raises, whichever function it is" do
    for {module, function, args} <- [
          {NodeMonitor, :get_health, []},
          {Topology, :node_joined, []},
          {Topology, :node_left, []},
          {Topology, :promote, [:wingmate]}
        ] do
      assert_raise ArgumentError, @wrong_node, fn ->
        apply(module, function, ["app@host" | args])
      end
    end

    assert_raise ArgumentError, @wrong_node, fn -> Topology.get_role(Topology, "app@host") end
  end

  test "what is no set, register or map is said to be none, by its place" do
    set = ORSet.new()
    register = LWWRegister.new(1)
    map = LWWMap.new()

    for {function, place, type} <- [
          {fn -> ORSet.add([], 1) end, 1, "an OR-Set"},
          {fn -> ORSet.member?(%{}, 1) end, 1, "an OR-Set"},
          {fn -> ORSet.merge(set, [1]) end, 2, "an OR-Set"},
          {fn -> ORSet.merge(register, set) end, 1, "an OR-Set"},
          {fn -> LWWRegister.value("text") end, 1, "an LWW register"},
          {fn -> LWWRegister.merge(register, "text") end, 2, "an LWW register"},
          {fn -> LWWMap.put(%{}, :key, 1) end, 1, "an LWW map"},
          {fn -> LWWMap.merge(map, %{}) end, 2, "an LWW map"}
        ] do
      place = if place == 1, do: "1st", else: "2nd"
      assert_raise ArgumentError, ~r/\* #{place} argument: expected #{type}\n/, function
    end
  end

  test "who forgot to give the node a name is told" do
    log =
      capture_log(fn -> start_supervised!({Discovery, name: :nameless, strategy: :gossip}) end)

    assert log =~
             "muster_discovery waits: this node is not distributed: it has no name yet (-name"

    log = capture_log(fn -> start_supervised!({Topology, name: :duo, quorum_size: 2}) end)
    assert log =~ ":duo: no commander, for quorum_size is 2 and this node is alone"
    log = capture_log(fn -> start_supervised!({Topology, name: :solo, quorum_size: 1}) end)
    refute log =~ "no commander"
  end

  test "an overlay that has nobody to share with, for want of a node monitor, says so" do
    logged()
    start_supervised!({TacticalOverlay, name: :lonely, node_monitor: :no_monitor})

    assert_receive {:logged,
                    "overlay lonely: shares with nobody: no node monitor no_monitor" <> _},
                   15_000
  end

  test "a C node that cannot run here is said to, with the command that tells why" do
    on_exit(fn -> restart(fn -> Application.delete_env(:muster, :cnode_path) end) end)
    logged()

    capture_log(fn ->
      # As with one of another platform, it ends before it has begun.
      restart(fn -> Application.put_env(:muster, :cnode_path, "/bin/false") end)
      assert_receive {:logged, "muster's C node exited with status 1 before " <> rest}, 15_000

      assert rest ==
               "it said a word (does `/bin/false --version' run here?); it will be restarted"
    end)
  end

  defp restart(change) do
    Application.stop(:muster)
    change.()
    {:ok, _} = Application.ensure_all_started(:muster)
  end

  # This process hears of what is logged, as it comes some time after a start.
  defp logged do
    :ok = :logger.add_handler(:mistakes, __MODULE__, %{level: :notice, config: self()})
    on_exit(fn -> :logger.remove_handler(:mistakes) end)
  end

  @doc "As a handler of the logger."
  def log(%{msg: {format, args}}, %{config: test}) when is_list(format),
    do: send(test, {:logged, List.to_string(:io_lib.format(format, args))})

  def log(_, _), do: :ok
end
