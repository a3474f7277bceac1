defmodule Consumer.MixProject do
  use Mix.Project

  def project do
    [
      app: :consumer,
      version: "0.1.0",
      deps: [{:muster, path: "../muster"} | raxol()],
      releases: [consumer: [include_executables_for: [:unix]]]
    ]
  end

  # Only where the test says so.
  defp raxol, do: if(System.get_env("RAXOL"), do: [{:raxol, path: "../raxol"}], else: [])

  def application do
    [extra_applications: [:logger]]
  end
end
