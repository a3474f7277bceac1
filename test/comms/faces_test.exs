defmodule Muster.Comms.FacesTest do
  # In a VM without distribution: single-node mode.
  use ExUnit.Case

  doctest Raxol.Swarm.CommsManager

  alias Raxol.Swarm.CommsManager

  @node "expected a node's name, as an atom"
  @priority "expected critical, high, normal or low"

  defp invalid(position, expected, fun) do
    error = assert_raise ArgumentError, fun
    assert error.message =~ "#{position} argument: #{expected}"
  end

  test "wrong arguments are errors at the caller, which say what is expected" do
    {:ok, _} = CommsManager.start_link()
    invalid("4th", @priority, fn -> CommsManager.send_msg(:a@host, :message, :urgent) end)
    # The server is named with all four.
    invalid("2nd", @node, fn -> CommsManager.send_msg(CommsManager, :a@host, :low) end)

    for node <- [:host, nil, "a@host", self()] do
      invalid("2nd", @node, fn -> CommsManager.send_msg(node, :message) end)
      invalid("2nd", @node, fn -> CommsManager.get_link_quality(node) end)
      invalid("2nd", @node, fn -> CommsManager.update_link(node, 1) end)
      invalid("2nd", @node, fn -> CommsManager.mark_disconnected(node) end)
    end

    # All that is wrong is told.
    both = fn -> CommsManager.send_msg(:host, :message, :urgent) end
    invalid("2nd", @node, both)
    invalid("4th", @priority, both)

    for rtt <- [-1, -0.1, nil, "1"] do
      number = "expected a number of milliseconds, 0 or more"
      invalid("3rd", number, fn -> CommsManager.update_link(:a@host, rtt) end)
    end

    for to <- [:name, {"name", :a@host}, {:name, :host}, {nil, :a@host}] do
      route = fn -> CommsManager.route(CommsManager, to, :message, :low) end
      invalid("2nd", "expected {RegisteredName, Node}", route)
    end

    wrong = fn -> CommsManager.route(CommsManager, {:n, node()}, :message, 1) end
    invalid("4th", @priority, wrong)
  end

  test "wrong options are refused, by name" do
    for {option, value} <- [
          name: :swarm_comms,
          name: nil,
          node_monitor: "monitor",
          poll_interval_ms: 1,
          hold_ms: -1,
          flush_interval_ms: 0,
          queue_length: 0,
          queue_bytes: 1.5,
          receiver: :maybe,
          flush: 1
        ] do
      assert {:error, {:invalid_option, ^option, ^value, expected}} =
               CommsManager.start_link([{option, value}])

      assert is_binary(expected)
    end
  end

  test "unknown calls, casts and messages do no harm" do
    {:ok, pid} = CommsManager.start_link(node_monitor: :nobody)
    assert GenServer.call(pid, :odd) == {:error, :unknown_call}
    GenServer.cast(pid, :odd)

    for odd <- [:odd, {:nodeup, :a@host}, {:nodedown, :a@host, []}, {:retry, :a@host}] do
      send(pid, odd)
    end

    assert CommsManager.get_all_links() == %{}
    assert CommsManager.stats(pid) == %{}
  end

  test "what waits is in no report" do
    {:ok, pid} = CommsManager.start_link()
    :ok = CommsManager.update_link(:node@host, 5)
    :ok = CommsManager.send_msg(:node@host, "a secret")
    status = inspect(:sys.get_status(pid), limit: :infinity)
    refute status =~ "a secret"
    assert status =~ "queued"
    request = %{message: {:send, {:swarm_comms, :node@host}, "a secret", :low}}
    refute inspect(:muster_comms_server.format_status(request)) =~ "a secret"
  end

  # Code written for raxol: nodes that are only said to be there.
  test "links by hand alone" do
    {:ok, _} = CommsManager.start_link(flush_interval_ms: 60_000)
    assert CommsManager.get_link_quality(:unknown@host) == :disconnected

    for {rtt, quality} <- [{5.0, :excellent}, {30.0, :good}, {100.0, :degraded}, {500.0, :poor}] do
      :ok = CommsManager.update_link(:node@host, rtt)
      assert CommsManager.get_link_quality(:node@host) == quality
      assert CommsManager.get_all_links() == %{node@host: quality}

      for p <- [:critical, :high, :normal, :low],
          do: :ok = CommsManager.send_msg(:node@host, "hello", p)
    end

    :ok = CommsManager.mark_disconnected(:node@host)
    assert CommsManager.send_msg(:node@host, "hello", :normal) == {:error, :disconnected}
    :ok = CommsManager.update_link(:node@host, 2_000.0)
    assert CommsManager.get_link_quality(:node@host) == :disconnected
  end
end
