//// A cluster of two nodes on this machine: `make -C ../.. native && gleam run`.
////
//// This program becomes a node, starts a second one with the same code, and both find each
//// other by asking this host's epmd.

import cluster/nodes
import distribute/discovery
import distribute/discovery/beam_adapter
import distribute/discovery/behaviour
import distribute/discovery/strategy
import distribute/discovery/types
import gleam/io
import gleam/list

pub fn main() {
  let assert Ok(_) = nodes.become("alpha")
  let assert Ok(handle) = join("alpha")
  let assert Ok(_) = nodes.start_another("beta")
  let assert Ok(_) = beam_adapter.await(handle, 1, 30_000)
  let assert Ok(peers) = discovery.snapshot()
  list.each(peers, fn(peer) { io.println("alpha's peer: " <> peer.id) })
  io.println("They are a cluster of two.")
}

/// Starts discovery; `nodes.start_another` has it called in the second node too.
pub fn join(
  name: String,
) -> Result(types.AdapterHandle, types.DiscoveryError) {
  let every_200_ms = [strategy.Number("poll_interval", 200)]
  let options =
    behaviour.DiscoveryOptions(
      ..discovery.default_options(),
      custom: strategy.custom([strategy.local_epmd(every_200_ms)]),
    )
  let assert Ok(handle) = discovery.start_link_with(options)
  let assert Ok(_) =
    discovery.subscribe(fn(event) {
      case event {
        types.PeerUp(peer, _) -> io.println(name <> " sees " <> peer)
        types.PeerUpdate(_, _) -> Nil
        types.PeerDown(peer, reason) ->
          io.println(name <> " lost " <> peer <> ": " <> reason)
      }
    })
  Ok(handle)
}
