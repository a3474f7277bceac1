# The cluster's support files may be absent where only other tests are merged.
alias Muster.Test.Cluster
cluster? = Code.ensure_loaded?(Cluster)
if cluster?, do: Cluster.start_epmd()
exclude = if cluster? and Cluster.ipv6?(), do: [], else: [:ipv6]
ExUnit.start(capture_log: true, exclude: exclude)
