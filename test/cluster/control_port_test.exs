defmodule Muster.Cluster.ControlPortTest do
  # The C node's side of docs/control-port.md, and what it does with frames that break it.
  use ExUnit.Case
  alias Muster.Test.{Cluster, RawCnode}

  defp alive?(port) do
    {:error, {:unknown_request, _}} = RawCnode.call(port, :nobody, :nothing, %{})
    true
  end

  test "the greeting" do
    {port, {:hello, 1, info}} = RawCnode.start()
    assert info.version == "VERSION" |> File.read!() |> String.trim()
    assert Port.info(port, :os_pid) == {:os_pid, info.os_pid}
  end

  test "another version of the protocol is refused" do
    port = RawCnode.open()
    RawCnode.put(port, {:configure, 99, %{}})
    assert {:refused, reason} = RawCnode.next(port)
    assert reason =~ "version 1"
    assert RawCnode.next(port) == {:exit, 2}
  end

  for {name, config, text} <- [
        {"an unknown key", %{heart: 1}, "heart"},
        {"a heartbeat out of range", %{heartbeat_ms: 5}, "heartbeat_ms"},
        {"no such priority", %{priority: :high}, "priority"},
        {"no map", :none, ""}
      ] do
    test "a configuration is refused by what is wrong with it: #{name}" do
      {port, answer} = RawCnode.start(unquote(Macro.escape(config)))
      assert {:refused, reason} = answer
      assert reason =~ unquote(text)
      assert RawCnode.next(port) == {:exit, 2}
    end
  end

  test "the end of its input ends it, in order" do
    {port, {:hello, 1, %{os_pid: os_pid}}} = RawCnode.start()
    assert Cluster.alive?(os_pid)
    Port.close(port)
    Cluster.eventually(fn -> not Cluster.alive?(os_pid) end, 1_000)
  end

  test "its nice value is better than its parent's where it may be, unless it is told to be normal" do
    {own, 0} = System.cmd("nice", [])
    {better, 0} = System.cmd("nice", ["-n", "-10", "nice"], stderr_to_stdout: false)

    for {config, expected} <- [{%{}, better}, {%{priority: :normal}, own}] do
      {port, {:hello, 1, %{os_pid: os_pid}}} = RawCnode.start(config)
      {nice, 0} = System.cmd("ps", ["-o", "ni=", "-p", "#{os_pid}"])
      assert String.trim(nice) == String.trim(expected)
      Port.close(port)
    end
  end

  test "heartbeats come at their interval" do
    {port, {:hello, 1, _}} = RawCnode.start(%{heartbeat_ms: 20})
    beats = for _ <- 1..5, do: RawCnode.next(port, [:heartbeat])
    assert [{:heartbeat, first} | _] = beats
    assert Enum.map(beats, &elem(&1, 1)) == Enum.to_list(first..(first + 4))
  end

  test "unknown services and operations, wrong arguments" do
    {port, _} = RawCnode.start()

    for {service, op} <- [{:nobody, :info}, {:node, :nothing}, {:monitor, :nothing}] do
      assert {:error, {:unknown_request, text}} = RawCnode.call(port, service, op, %{})
      assert is_binary(text)
    end

    for {service, op, arg, names} <- [
          {:node, :peer, %{}, "node"},
          {:node, :peer, %{node: :atom@host}, "node"},
          {:node, :peer, :none, ""},
          {:node, :set_cookie, %{cookie: 1}, "cookie"},
          {:monitor, :start, %{monitor: ""}, "monitor"},
          {:monitor, :start, %{monitor: "m", ping_interval_ms: -1}, "ping_interval_ms"},
          {:monitor, :list, %{monitor: String.duplicate("x", 256)}, "monitor"}
        ] do
      assert {:error, {:invalid_argument, text}} = RawCnode.call(port, service, op, arg)
      assert text =~ names
    end
  end

  test "the distribution's settings are checked" do
    {port, _} = RawCnode.start()
    good = %{name: "x-muster@127.0.0.1", cookie: "c"}

    for {key, value} <- [
          name: "no_host",
          name: :atom@host,
          cookie: :atom,
          epmd_port: 0,
          family: :unix,
          listen_ip: "localhost",
          listen_min: 70_000,
          ticktime_ms: 1,
          transport: :pigeon,
          nonsense: 1
        ] do
      assert {:error, {:invalid_argument, text}} =
               RawCnode.call(port, :node, :distribute, Map.put(good, key, value))

      assert text =~ to_string(key)
    end
  end

  test "single-node mode: everything is empty, nothing fails" do
    {port, _} = RawCnode.start()
    assert RawCnode.call(port, :node, :peers, %{}) == {:ok, []}
    assert RawCnode.call(port, :node, :peer, %{node: "a@b"}) == {:error, :unknown}
    assert {:ok, %{os_pid: _}} = RawCnode.call(port, :node, :info, %{})
  end

  test "a second distribution under another name is refused" do
    {port, _} = RawCnode.start()
    [name, other] = for _ <- 1..2, do: Cluster.unique_name("raw") <> "@127.0.0.1"
    arg = %{name: name, cookie: "c", epmd_port: Cluster.epmd_port()}
    assert RawCnode.call(port, :node, :distribute, arg) == {:ok, %{}}
    Cluster.eventually(fn -> Cluster.registered?(name) end)

    assert RawCnode.call(port, :node, :distribute, %{arg | name: other}) ==
             {:error, {:already_distributed, name}}
  end

  test "a duplicate name in epmd: published once the other has left" do
    name = Cluster.unique_name("twice") <> "@127.0.0.1"
    arg = %{name: name, cookie: "c", epmd_port: Cluster.epmd_port()}
    {first, _} = RawCnode.start()
    {second, _} = RawCnode.start()
    {:ok, _} = RawCnode.call(first, :node, :distribute, arg)
    Cluster.eventually(fn -> Cluster.registered?(name) end)
    {:ok, _} = RawCnode.call(second, :node, :distribute, arg)
    {:ok, %{published: false}} = RawCnode.call(second, :node, :info, %{})
    Port.close(first)

    Cluster.eventually(fn ->
      match?({:ok, %{published: true}}, RawCnode.call(second, :node, :info, %{}))
    end)
  end

  test "frames that are none of the protocol's change nothing" do
    {port, _} = RawCnode.start()

    for frame <- [
          "",
          "garbage",
          <<131>>,
          <<131, 104, 255>>,
          <<131, 109, 0xFFFFFFFF::32>>,
          :binary.copy(<<108, 0, 0, 0, 1>>, 100_000),
          <<131, :binary.copy(<<108, 0, 0, 0, 1>>, 100_000)::binary>>,
          :binary.copy("x", 1_000_000)
        ] do
      RawCnode.put_raw(port, frame)
    end

    for term <- [:atom, {}, {:call}, {:call, :id, :node, :info, %{}}, {:configure, 1, %{}}, %{}] do
      RawCnode.put(port, term)
    end

    assert alive?(port)
  end

  test "a frame cut at every byte" do
    {port, _} = RawCnode.start()
    arg = %{monitor: "m", ping_interval_ms: 10, suspect_after_ms: 20, down_after_ms: 30}
    frame = :erlang.term_to_binary({:call, 1, :monitor, :start, arg})

    for length <- 0..(byte_size(frame) - 1),
        do: RawCnode.put_raw(port, binary_part(frame, 0, length))

    assert alive?(port)
  end
end
