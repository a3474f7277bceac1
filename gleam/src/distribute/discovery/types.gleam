//// The types that all of discovery shares. Each is defined once: here, or in
//// `distribute/discovery/behaviour`, whose types of the same name are these.

import gleam/dict
import gleam/dynamic
import gleam/erlang/process

/// A peer's name: that of its node, `"app@host"`.
pub type PeerId =
  String

/// What a peer says of itself.
pub type PeerMetadata =
  dict.Dict(String, String)

/// A peer: a node that this one is connected to, and that discovery knows of.
pub type PeerInfo {
  PeerInfo(id: PeerId, metadata: PeerMetadata)
}

/// What a subscriber's callback is called with.
pub type DiscoveryEvent {
  /// A node became a peer. More metadata may come a moment later, as an update.
  PeerUp(peer: PeerId, metadata: PeerMetadata)
  /// A peer's metadata changed; this is all of it.
  PeerUpdate(peer: PeerId, metadata: PeerMetadata)
  /// A peer was lost; the reason is for the eye.
  PeerDown(peer: PeerId, reason: String)
}

/// A function to call for each event, in a process of its own.
pub type EventCallback =
  fn(DiscoveryEvent) -> Nil

/// How discovery is doing.
pub type HealthStatus {
  Up
  /// It works, but a backend fails, the C node restarts, or this node has no
  /// name yet.
  Degraded(reason: String)
  /// Nothing can be found.
  Down(reason: String)
}

/// What can go wrong. `SyncFailed` and `Timeout` may pass by themselves,
/// `InvalidConfiguration` and `PeerNotFound` will not.
pub type DiscoveryError {
  /// The adapter could not be started.
  StartFailed(reason: String)
  /// It could not be stopped.
  StopFailed(reason: String)
  /// It did not stop in time, and was ended by force.
  ShutdownTimeout(elapsed_ms: Int)
  /// A backend failed, or the adapter is not running.
  SyncFailed(reason: String)
  /// No peer has that name.
  PeerNotFound(peer: PeerId)
  /// An option is wrong; the text names it, its value and what is expected.
  InvalidConfiguration(reason: String)
  /// There was no answer in time.
  Timeout(elapsed_ms: Int)
  /// A subscription could not be made or ended.
  SubscriptionFailed(reason: String)
}

/// Names a subscription, to end it by.
pub opaque type SubscriptionId {
  SubscriptionId(value: String)
}

/// For adapters: a subscription's name.
pub fn new_subscription_id(id: String) -> SubscriptionId {
  SubscriptionId(id)
}

/// The text in a subscription's name.
pub fn subscription_id_value(id: SubscriptionId) -> String {
  id.value
}

/// A running adapter, as its `start` function returned it.
pub opaque type AdapterHandle {
  AdapterHandle(id: String, pid: process.Pid, state: dynamic.Dynamic)
}

/// For adapters: a handle with the name that the adapter runs under, its
/// process, and what the adapter itself needs to find it again.
pub fn new_handle(
  id: String,
  pid: process.Pid,
  state: dynamic.Dynamic,
) -> AdapterHandle {
  AdapterHandle(id, pid, state)
}

/// The name that the adapter runs under.
pub fn handle_id(handle: AdapterHandle) -> String {
  handle.id
}

/// The process that was started.
pub fn handle_pid(handle: AdapterHandle) -> process.Pid {
  handle.pid
}

/// For adapters: what `new_handle` was given.
pub fn handle_state(handle: AdapterHandle) -> dynamic.Dynamic {
  handle.state
}
