defmodule Muster.Test.RawCnode do
  @moduledoc """
  A C node that the test drives itself over the control port, without the BEAM's side of it: for
  frames that muster's own code would never send. The calling process owns the port.
  """

  @deadline 10_000

  def open do
    path = Muster.Test.Cluster.cnode_path()
    Port.open({:spawn_executable, path}, [:binary, :exit_status, packet: 4, args: ["--port"]])
  end

  @doc "Opens and configures one, and returns it with its greeting."
  def start(config \\ %{heartbeat_ms: 1_000}) do
    port = open()
    put(port, {:configure, 1, config})
    {port, next(port)}
  end

  def put(port, term), do: put_raw(port, :erlang.term_to_binary(term))

  def put_raw(port, binary), do: true = Port.command(port, binary)

  @doc "Calls an operation and returns its result."
  def call(port, service, op, arg) do
    id = System.unique_integer([:positive])
    put(port, {:call, id, service, op, arg})
    {:reply, ^id, result} = next(port, [:reply])
    result
  end

  @doc "The next frame of some kinds, or the exit; heartbeats are answered on the way."
  def next(port, kinds \\ [:hello, :refused, :reply, :event]) do
    receive do
      {^port, {:data, frame}} ->
        term = :erlang.binary_to_term(frame)

        cond do
          elem(term, 0) in kinds ->
            term

          elem(term, 0) == :heartbeat ->
            put(port, term)
            next(port, kinds)

          true ->
            next(port, kinds)
        end

      {^port, {:exit_status, status}} ->
        {:exit, status}
    after
      @deadline -> ExUnit.Assertions.flunk("the C node said nothing for #{@deadline} ms")
    end
  end
end
