defmodule Muster.Test.OverlayOracle do
  @moduledoc """
  What an overlay may hold after a round of changes made on many nodes, some of which died.

  All nodes held `before` when the round began. A change is `%{key, op, written, writer, number, began,
  ended, sure, throughout}`: `written` is a value nobody else writes (nil for a removal); `writer` the
  life of a node that made it, `number` its place in that life; `began` and `ended` are times of one
  clock; `sure` says that it was acknowledged by a node that lived on to the end of the round,
  `throughout` that this node had lived since its beginning.
  """

  @doc "What is wrong with the state after the round: keys with what is said of them."
  def faults(before, changes, state) do
    of_key = Enum.group_by(changes, & &1.key)
    keys = Enum.uniq(Map.keys(before) ++ Map.keys(of_key) ++ Map.keys(state))

    for key <- keys,
        fault = fault(before[key], Map.get(of_key, key, []), state[key]),
        do: {key, fault, before[key], Map.get(of_key, key, []), state[key]}
  end

  defp fault(before, changes, nil) do
    if must_be_there?(before, changes), do: :lost
  end

  defp fault(before, changes, value) do
    cond do
      value == before ->
        if Enum.any?(changes, &(&1.sure and &1.throughout)), do: :came_back

      write = Enum.find(changes, &(&1.written == value)) ->
        if ended?(write, changes), do: :came_back

      true ->
        :from_nowhere
    end
  end

  # A later change of the same life has seen the write.
  defp ended?(write, changes) do
    Enum.any?(changes, &(&1.sure and &1.writer == write.writer and &1.number > write.number))
  end

  # Nobody can have seen it and removed it.
  defp must_be_there?(before, changes) do
    {removals, writes} = Enum.split_with(changes, &(&1.op == :remove))

    (before != nil and removals == []) or
      Enum.any?(writes, fn write ->
        write.sure and Enum.all?(removals, &(&1.ended < write.began))
      end)
  end
end
