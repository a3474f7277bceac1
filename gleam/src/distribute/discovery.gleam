//// Discovery as one service of the node: the reference adapter under one name, so
//// that nobody has to pass handles around.
////
//// `child_spec` and `start_link` use gossip, without a secret. `child_spec_with`
//// and `start_link_with` take options, for any other strategy.

import distribute/discovery/adapter
import distribute/discovery/beam_adapter
import distribute/discovery/behaviour
import distribute/discovery/types
import gleam/otp/supervision

/// The name that the adapter's process is registered under.
pub const default_adapter_name: String = "distribute_discovery"

/// A child specification, for `gleam/otp/static_supervisor`. The adapter is started
/// again when it crashes; subscriptions outlive that.
pub fn child_spec() -> supervision.ChildSpecification(types.AdapterHandle) {
  child_spec_with(default_options())
}

/// The same with options, whose name is not looked at.
pub fn child_spec_with(
  options: behaviour.DiscoveryOptions,
) -> supervision.ChildSpecification(types.AdapterHandle) {
  beam_adapter.child_spec(
    behaviour.DiscoveryOptions(..options, name: default_adapter_name),
  )
}

/// Starts the adapter, linked to the calling process.
pub fn start_link() -> Result(types.AdapterHandle, types.DiscoveryError) {
  start_link_with(default_options())
}

/// The same with options, whose name is not looked at.
pub fn start_link_with(
  options: behaviour.DiscoveryOptions,
) -> Result(types.AdapterHandle, types.DiscoveryError) {
  beam_adapter.start(
    behaviour.DiscoveryOptions(..options, name: default_adapter_name),
  )
}

/// The options that `child_spec` and `start_link` use.
pub fn default_options() -> behaviour.DiscoveryOptions {
  behaviour.default_options(default_adapter_name)
}

/// Has a function called for each event from now on; see
/// `beam_adapter.subscribe`. `SubscriptionFailed`: discovery is not running.
pub fn subscribe(
  callback: fn(types.DiscoveryEvent) -> Nil,
) -> Result(types.SubscriptionId, types.DiscoveryError) {
  case handle() {
    Ok(handle) -> beam_adapter.subscribe(handle, callback)
    Error(error) -> Error(subscription_failed(error))
  }
}

/// Ends a subscription: its callback is not called again.
pub fn unsubscribe(
  id: types.SubscriptionId,
) -> Result(Nil, types.DiscoveryError) {
  case handle() {
    Ok(handle) -> beam_adapter.unsubscribe(handle, id)
    Error(error) -> Error(subscription_failed(error))
  }
}

/// The peers of now, in the order of their names. `SyncFailed`: discovery is not
/// running.
pub fn snapshot() -> Result(List(types.PeerInfo), types.DiscoveryError) {
  case handle() {
    Ok(handle) -> beam_adapter.snapshot(handle)
    Error(error) -> Error(error)
  }
}

/// One peer, or `PeerNotFound`.
pub fn lookup(
  peer_id: String,
) -> Result(types.PeerInfo, types.DiscoveryError) {
  case handle() {
    Ok(handle) -> beam_adapter.lookup(handle, peer_id)
    Error(error) -> Error(error)
  }
}

/// How discovery is doing; `Down` also when it is not running.
pub fn health() -> types.HealthStatus {
  case beam_adapter.handle(default_adapter_name) {
    Ok(handle) -> beam_adapter.health(handle)
    Error(error) -> types.Down(adapter.describe_error(error))
  }
}

// While its supervisor starts it again, it is away for a moment.
fn handle() -> Result(types.AdapterHandle, types.DiscoveryError) {
  adapter.retry(4, 50, fn() { beam_adapter.handle(default_adapter_name) })
}

fn subscription_failed(error: types.DiscoveryError) -> types.DiscoveryError {
  types.SubscriptionFailed(adapter.describe_error(error))
}
