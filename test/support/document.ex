defmodule Muster.Test.Document do
  @moduledoc """
  Takes the code out of the documentation that muster implements. Its text has lost the fences around
  the code: the first line of a block may be on its own, but prose follows the last without a line
  break, and inside comments too.

  A statement begins where a line looks like one and ends where its brackets are closed, at the
  longest text that parses. A block is a run of statements and comments without prose in between.
  """

  @begins ~r/^(\{:ok, |:ok = |alias |[a-z_]+ = |[A-Z]\w*(\.[A-Z]\w*)*\.[a-z_]+[?!]?\()/
  @call ~r/\b[A-Z]\w*(?:\.[A-Z]\w*)*\.[a-z_]+[?!]?\(/

  @doc "The blocks: lists of `{:code, text, comment}` and `{:comment, text}`, in order."
  def blocks(text) do
    text |> String.split("\n") |> blocks([], []) |> Enum.filter(&List.keymember?(&1, :code, 0))
  end

  @doc "The calls that a text makes, wherever they stand."
  def calls(text), do: @call |> Regex.scan(text) |> List.flatten()

  defp blocks([], block, blocks), do: Enum.reverse([Enum.reverse(block) | blocks])
  defp blocks(["" | lines], block, blocks), do: blocks(lines, block, blocks)

  defp blocks(["# " <> comment | lines], block, blocks),
    do: blocks(lines, [{:comment, comment} | block], blocks)

  defp blocks([line | lines] = all, block, blocks) do
    if line =~ @begins do
      {code, comment, prose, rest} = statement(all, "")
      item = {:code, code, comment}

      if prose == "",
        do: blocks(rest, [item | block], blocks),
        else: blocks(rest, [], [Enum.reverse([item | block]) | blocks])
    else
      blocks(lines, [], [Enum.reverse(block) | blocks])
    end
  end

  # Lines until all brackets are closed; what follows the last of them on its line is prose.
  defp statement([line | lines], before) do
    {line, comment} = split_comment(line)
    text = before <> line
    ends = closing(text, 0, 0, [])

    cond do
      ends == :open ->
        statement(lines, text <> "\n")

      ends == [] ->
        {text, comment, "", lines}

      true ->
        last = Enum.find(ends, &match?({:ok, _}, parse(binary_part(text, 0, &1))))
        <<code::binary-size(last), prose::binary>> = text
        {code, comment, String.trim(prose), lines}
    end
  end

  defp split_comment(line) do
    case Regex.split(~r/\s*# /, line, parts: 2) do
      [code, comment] -> {code, comment}
      [code] -> {code, ""}
    end
  end

  # Where a bracket closes the outermost one, the last first.
  defp closing(<<c, rest::binary>>, at, depth, ends) when c in ~c"([{",
    do: closing(rest, at + 1, depth + 1, ends)

  defp closing(<<c, rest::binary>>, at, 1, ends) when c in ~c")]}",
    do: closing(rest, at + 1, 0, [at + 1 | ends])

  defp closing(<<c, rest::binary>>, at, depth, ends) when c in ~c")]}",
    do: closing(rest, at + 1, depth - 1, ends)

  defp closing(<<_, rest::binary>>, at, depth, ends), do: closing(rest, at + 1, depth, ends)
  defp closing("", _at, 0, ends), do: ends
  defp closing("", _at, _depth, _ends), do: :open

  @doc "The longest beginning of a comment that is a term or a pattern; prose may follow it."
  def term(comment) do
    {:ok, term} =
      byte_size(comment)..1//-1
      |> Enum.map(&parse(binary_part(comment, 0, &1)))
      |> Enum.find(&match?({:ok, _}, &1))

    term
  end

  defp parse(text), do: Code.string_to_quoted(text, emit_warnings: false)
end
