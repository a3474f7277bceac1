defmodule MixCluster.MixProject do
  use Mix.Project

  def project do
    [
      app: :mix_cluster,
      version: "0.1.0",
      elixir: "~> 1.14",
      deps: [
        # In your own project: {:muster, "~> 0.1"}
        {:muster, path: "../.."}
      ]
    ]
  end

  def application do
    [mod: {MixCluster.Application, []}, extra_applications: [:logger]]
  end
end
