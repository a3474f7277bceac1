defmodule Muster.Test.Docs.Block do
  @moduledoc """
  The fenced code blocks of a page, each with the notes (HTML comments) that stand before it:

      <!-- not run: WHY -->    nothing runs it, and why
      <!-- fresh -->           servers, bindings and commands of the blocks before are gone
      <!-- on every node -->   it is evaluated on all nodes of the cluster, not on one
      <!-- stays -->           its last command does not end; it does so with the page

  A block whose first line is a comment that begins with a file's name is that file.
  """

  defstruct [:page, :line, :language, :text, :file, notes: []]

  @file_line ~r{^(?:#|%+|//|;)\s+([\w./-]+\.(?:exs?|config|erl|toml|gleam|service|src))(?=[\s,:]|$)}

  @doc "All pages that have to be true."
  def pages(root),
    do: Enum.sort([Path.join(root, "README.md") | Path.wildcard(root <> "/docs/*.md")])

  def read(path) do
    path
    |> File.read!()
    |> String.split("\n")
    |> Enum.with_index(1)
    |> outside(Path.basename(path), [], [])
  end

  # Outside of a block: notes are kept over blank lines, and forgotten at any other.
  defp outside([], _page, _notes, blocks), do: Enum.reverse(blocks)

  defp outside([{line, number} | rest], page, notes, blocks) do
    case Regex.run(~r/^\s*(```+)\s*(\S*)/, line) do
      [_, fence, language] ->
        block = %__MODULE__{page: page, line: number, language: language, notes: notes}
        inside(rest, fence, page, block, [], blocks)

      nil ->
        outside(rest, page, notes(line, notes), blocks)
    end
  end

  defp inside([{line, number} | rest], fence, page, block, lines, blocks) do
    if String.trim(line) == fence do
      lines = Enum.reverse(lines)
      block = %{block | text: Enum.join(lines, "\n") <> "\n", file: file(lines)}
      outside(rest, page, [], [block | blocks])
    else
      rest == [] and raise "#{page}:#{number}: a block without an end"
      inside(rest, fence, page, block, [line | lines], blocks)
    end
  end

  defp notes(line, notes) do
    case Regex.run(~r/^\s*<!--\s*(.*?)\s*-->\s*$/, line) do
      [_, note] -> [note | notes]
      nil -> if String.trim(line) == "", do: notes, else: []
    end
  end

  defp file([first | _]) do
    case Regex.run(@file_line, first) do
      [_, file] -> file
      nil -> nil
    end
  end

  defp file([]), do: nil

  @doc "Why nothing runs a block, or nil."
  def not_run(%{notes: notes}) do
    Enum.find_value(notes, fn
      "not run: " <> why -> why
      _ -> nil
    end)
  end

  def note?(%{notes: notes}, note), do: note in notes

  def where(%{page: page, line: line}), do: "#{page}:#{line}"
end
