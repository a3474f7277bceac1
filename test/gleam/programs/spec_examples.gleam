//// The examples of the documents, each in a function, word for word but for what a
//// comment says.

import distribute/discovery
import distribute/discovery/types
import gleam/io
import gleam/list
import gleam/otp/static_supervisor as supervisor

pub fn start_app() {
  supervisor.new(supervisor.OneForOne)
  |> supervisor.add(discovery.child_spec())
  |> supervisor.start()
}

// The document writes `discovery.PeerUp` and `discovery.Up`; its signatures say that these
// types are those of `types`.
pub fn usage() {
  // Subscribe to peer events
  let callback = fn(event) {
    case event {
      types.PeerUp(peer, _meta) -> io.println("Peer joined: " <> peer)
      types.PeerDown(peer, _reason) -> io.println("Peer left: " <> peer)
      _ -> Nil
    }
  }
  let assert Ok(sub_id) = discovery.subscribe(callback)

  // Get current peers
  let assert Ok(peers) = discovery.snapshot()

  // Check health
  case discovery.health() {
    types.Up -> io.println("Discovery is healthy")
    types.Degraded(reason) -> io.println("Degraded: " <> reason)
    types.Down(reason) -> io.println("Down: " <> reason)
  }
}

pub fn child_spec() {
  supervisor.new(supervisor.OneForOne)
  |> supervisor.add(discovery.child_spec())
  |> supervisor.start()
}

pub fn health() {
  case discovery.health() {
    types.Up -> io.println("All good!")
    types.Degraded(r) -> io.println("Warning: " <> r)
    types.Down(r) -> io.println("Error: " <> r)
  }
}

pub fn lookup() {
  case discovery.lookup("node2@host") {
    Ok(peer) -> io.println("Found peer with metadata")
    Error(types.PeerNotFound(_)) -> io.println("Peer not found")
    Error(_) -> io.println("Discovery error")
  }
}

pub fn snapshot() {
  let assert Ok(peers) = discovery.snapshot()
  list.each(peers, fn(peer) { io.println("Peer: " <> peer.id) })
}

pub fn subscribe() {
  let callback = fn(event) {
    case event {
      types.PeerUp(peer, meta) -> io.println("New peer: " <> peer)
      types.PeerDown(peer, reason) -> io.println("Peer left: " <> peer)
      types.PeerUpdate(peer, meta) -> io.println("Peer updated: " <> peer)
    }
  }
  let assert Ok(sub_id) = discovery.subscribe(callback)
  // Not in the document: to end it.
  discovery.unsubscribe(sub_id)
}
