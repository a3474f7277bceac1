defmodule Muster.Test.Docs.Table do
  @moduledoc "The tables of a page, and what stands in their cells."

  @doc "A table's rows, each a list of cells, by its first column's heading and a text in the page's heading above it."
  def rows(path, section, heading) do
    path
    |> sections()
    |> Enum.filter(fn {title, _} -> title =~ section end)
    |> Enum.flat_map(fn {_, lines} -> tables(lines) end)
    |> Enum.filter(fn [[first | _] | _] -> first == heading end)
    |> Enum.flat_map(&tl/1)
    |> case do
      [] ->
        raise "#{Path.basename(path)}, #{inspect(section)}: no table that begins with #{heading}"

      rows ->
        rows
    end
  end

  @doc "What a text has in backticks, its blocks apart."
  def code(text), do: for([_, code] <- Regex.scan(~r/`([^`]+)`/, without_blocks(text)), do: code)

  @doc "A page's headings, as GitHub makes anchors of them."
  def anchors(path) do
    for {title, _} <- sections(path) do
      title |> String.downcase() |> String.replace(~r/[^\w\- ]/u, "") |> String.replace(" ", "-")
    end
  end

  defp sections(path) do
    path
    |> File.read!()
    |> without_blocks()
    |> String.split("\n")
    |> Enum.chunk_while(
      {"", []},
      fn line, {title, lines} ->
        case Regex.run(~r/^#+ (.*)$/, line) do
          [_, next] -> {:cont, {title, Enum.reverse(lines)}, {next, []}}
          nil -> {:cont, {title, [line | lines]}}
        end
      end,
      fn {title, lines} -> {:cont, {title, Enum.reverse(lines)}, nil} end
    )
  end

  defp without_blocks(text), do: String.replace(text, ~r/^```.*?^```$/ms, "")

  defp tables(lines) do
    lines
    |> Enum.chunk_by(&String.starts_with?(&1, "|"))
    |> Enum.filter(&match?(["|" <> _, "|" <> _ | _], &1))
    |> Enum.map(fn [heading, _rule | rows] -> Enum.map([heading | rows], &cells/1) end)
  end

  # A bar within a cell is written `\|`.
  defp cells(line) do
    line
    |> String.trim()
    |> String.trim_leading("|")
    |> String.trim_trailing("|")
    |> String.split(~r/(?<!\\)\|/)
    |> Enum.map(&(&1 |> String.replace("\\|", "|") |> String.trim()))
  end
end
