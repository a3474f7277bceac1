defmodule Muster.Test.Plain do
  @moduledoc """
  Runs in nodes that have neither muster nor Elixir, so it calls Erlang's own modules alone.
  """

  @doc "Puts this module into a node."
  def load(node) do
    {module, binary, file} = :code.get_object_code(__MODULE__)
    {:module, ^module} = :peer.call(node.peer, :code, :load_binary, [module, file, binary])
    :ok
  end

  @doc "What a monitor of a process says within some milliseconds."
  def down(process, ms) do
    ref = :erlang.monitor(:process, process)

    receive do
      {:DOWN, ^ref, _, _, reason} -> reason
    after
      ms ->
        :erlang.demonitor(ref, [:flush])
        :alive
    end
  end

  @doc "The exit signal that a link brings."
  def exit_by_link(pid) do
    :erlang.process_flag(:trap_exit, true)
    :erlang.link(pid)

    receive do
      {:EXIT, ^pid, reason} -> reason
    after
      5_000 -> :none
    end
  end

  @doc "Calls a server from many processes at once."
  def calls(server, count) do
    parent = :erlang.self()
    one = fn _ -> :erlang.send(parent, {:answer, :gen_server.call(server, :ping, 10_000)}) end
    :lists.foreach(fn n -> :erlang.spawn_link(fn -> one.(n) end) end, :lists.seq(1, count))

    :lists.map(
      fn _ ->
        receive do
          {:answer, answer} -> answer
        end
      end,
      :lists.seq(1, count)
    )
  end

  @doc "A C node's pid, as seen in the pings that it sends."
  def pid_of(cnode) do
    :erlang.trace(:erlang.whereis(:net_kernel), true, [:receive])

    pid =
      receive do
        {:trace, _, :receive, {:"$gen_call", {pid, _}, {:is_auth, _}}}
        when :erlang.node(pid) == cnode ->
          pid
      after
        10_000 -> :erlang.error(:no_ping_seen)
      end

    :erlang.trace(:erlang.whereis(:net_kernel), false, [:receive])
    pid
  end

  @doc "A pid of the same node that nobody has."
  def nobody_beside(pid) do
    # NEW_PID_EXT ends with the id, the serial and the creation, of 4 bytes each.
    external = :erlang.term_to_binary(pid)
    head = :binary.part(external, 0, :erlang.byte_size(external) - 12)
    creation = :binary.part(external, :erlang.byte_size(external) - 4, 4)
    :erlang.binary_to_term(<<head::binary, 4711::32, 0::32, creation::binary>>)
  end

  @doc "A process of that name which keeps what it gets; see `kept/1`."
  def keep_messages(name) do
    caller = :erlang.self()

    pid =
      :erlang.spawn(fn ->
        :erlang.register(name, :erlang.self())
        :erlang.send(caller, :keeping)
        keeping([])
      end)

    receive do
      :keeping -> pid
    end
  end

  @doc "The messages that it got, in order."
  def kept(name) do
    :erlang.send(name, {:kept, :erlang.self()})

    receive do
      {:messages, messages} -> messages
    end
  end

  defp keeping(messages) do
    receive do
      {:kept, pid} ->
        :erlang.send(pid, {:messages, :lists.reverse(messages)})
        keeping(messages)

      message ->
        keeping([message | messages])
    end
  end
end
