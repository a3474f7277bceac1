defmodule Muster.Test.Netns do
  @moduledoc """
  Network namespaces for tests: a few hosts, each pair joined by a cable of its own, so that one
  pair can be cut off while all others still reach each other. Needs root and iproute2.
  """

  defstruct [:name, :address]

  @doc "Whether namespaces can be made here, or why not."
  def available do
    with {:ip, ip} when ip != nil <- {:ip, System.find_executable("ip")},
         name = "muster#{System.pid()}x",
         {_, 0} <- ip(~w(netns add #{name})) do
      ip(~w(netns del #{name}))
      :ok
    else
      {:ip, nil} -> {:error, "iproute2 is not installed"}
      {text, _} -> {:error, "no network namespaces, which need root: #{String.trim(text)}"}
    end
  end

  @doc "Makes hosts, joined pairwise; they are removed with the test."
  def create(count) do
    hosts =
      for n <- 1..count do
        %__MODULE__{name: "muster#{System.pid()}h#{n}", address: "10.97.0.#{n}"}
      end

    ExUnit.Callbacks.on_exit(fn -> Enum.each(hosts, &remove/1) end)

    for host <- hosts do
      ip!(~w(netns add #{host.name}))
      inside!(host, ~w(link set lo up))
      inside!(host, ~w(address add #{host.address}/32 dev lo))
    end

    for a <- hosts, b <- hosts, a.name < b.name, do: join(a, b)
    hosts
  end

  defp join(a, b) do
    {to_b, to_a} = {cable(a, b), cable(b, a)}
    ip!(~w(link add #{to_b} netns #{a.name} type veth peer name #{to_a} netns #{b.name}))
    for {host, dev} <- [{a, to_b}, {b, to_a}], do: inside!(host, ~w(link set #{dev} up))
    route(a, b)
    route(b, a)
  end

  defp route(a, b) do
    inside!(a, ~w(route replace #{b.address}/32 dev #{cable(a, b)} src #{a.address}))
  end

  # The device in a's namespace that leads to b.
  defp cable(_a, b), do: "to" <> (b.name |> String.split("h") |> List.last())

  @doc "Pulls the cable between two hosts."
  def cut(a, b) do
    inside!(a, ~w(link set #{cable(a, b)} down))
    inside!(b, ~w(link set #{cable(b, a)} down))
  end

  @doc "Plugs it in again."
  def restore(a, b) do
    inside!(a, ~w(link set #{cable(a, b)} up))
    inside!(b, ~w(link set #{cable(b, a)} up))
    route(a, b)
    route(b, a)
  end

  # What was started inside, such as an epmd, ends with it.
  defp remove(host) do
    {pids, _} = ip(~w(netns pids #{host.name}))
    for pid <- String.split(pids), do: System.cmd("kill", ["-9", pid], stderr_to_stdout: true)
    ip(~w(netns del #{host.name}))
  end

  defp inside!(host, args), do: ip!(["-n", host.name | args])

  defp ip!(args) do
    case ip(args) do
      {_, 0} -> :ok
      {text, _} -> raise "ip #{Enum.join(args, " ")}: #{text}"
    end
  end

  defp ip(args), do: System.cmd("ip", args, stderr_to_stdout: true)
end
