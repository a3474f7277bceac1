if Code.ensure_loaded?(Muster.Test.Cluster), do: Muster.Test.Cluster.start_epmd()
ExUnit.start(capture_log: true)
