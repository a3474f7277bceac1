defmodule Mix.Tasks.Muster.Top do
  @shortdoc "Shows live what muster knows on a node"
  @moduledoc """
  A live view of the cluster as one of its nodes sees it: peers and why they are not connected,
  round-trip times, health, roles, the commander, discovery.

      mix muster.top --node app@host1
      mix muster.top --node app@host1 --cookie-file /etc/app/cookie --once

  | option | |
  |---|---|
  | `--node NAME@HOST` | the node to look at |
  | `--cookie-file FILE` | the cluster's cookie; default: `~/.erlang.cookie` |
  | `--name NAME`, `--sname NAME` | the name of the node that looks; default: one that is free |
  | `--interval MS` | time between two looks, 100 to 3600000, default 1000 |
  | `--once` | one look, as plain text |
  | `--ascii` | no characters beyond ASCII |

  Keys: `q` quits, `p` pauses, `+` and `-` change the interval, any other key looks at once. Where the
  output is no terminal, plain text is written.

  The node must run a muster that has `:muster_top`, where all of this is; it works in a release, too,
  where there is no Mix.
  """
  use Mix.Task

  @impl true
  def run(args) do
    case :muster_top.main(args) do
      0 -> :ok
      code -> exit({:shutdown, code})
    end
  end
end
