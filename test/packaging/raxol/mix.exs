defmodule Raxol.MixProject do
  use Mix.Project

  def project, do: [app: :raxol, version: "0.1.0"]
end
