//// The functions that an adapter provides, as a record. `beam_adapter` has the
//// reference implementation, `adapters` the ready-made ones.

import distribute/discovery/behaviour
import distribute/discovery/types
import gleam/otp/actor
import gleam/otp/supervision

/// An adapter: anything that finds peers and tells of them.
pub type DiscoveryAdapter {
  DiscoveryAdapter(
    /// Starts it, linked to the calling process.
    start: fn(behaviour.DiscoveryOptions) ->
      Result(types.AdapterHandle, types.DiscoveryError),
    /// Stops it within so many milliseconds. No callback is called afterwards.
    stop: fn(types.AdapterHandle, Int) -> Result(Nil, types.DiscoveryError),
    /// Has a function called for each event from now on. A callback that is
    /// slow or crashes must be nobody's trouble but its own.
    subscribe: fn(types.AdapterHandle, types.EventCallback) ->
      Result(types.SubscriptionId, types.DiscoveryError),
    /// Ends a subscription.
    unsubscribe: fn(types.AdapterHandle, types.SubscriptionId) ->
      Result(Nil, types.DiscoveryError),
    /// The peers of now.
    snapshot: fn(types.AdapterHandle) ->
      Result(List(types.PeerInfo), types.DiscoveryError),
    /// One peer, or `PeerNotFound`.
    lookup: fn(types.AdapterHandle, types.PeerId) ->
      Result(types.PeerInfo, types.DiscoveryError),
    /// Asks the backends now, and waits for their answers.
    sync: fn(types.AdapterHandle) -> Result(Nil, types.DiscoveryError),
    /// How it is doing.
    health: fn(types.AdapterHandle) -> types.HealthStatus,
    /// The same in detail.
    health_info: fn(types.AdapterHandle) -> behaviour.HealthInfo,
  )
}

/// A child specification of any adapter, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  adapter: DiscoveryAdapter,
  options: behaviour.DiscoveryOptions,
) -> supervision.ChildSpecification(types.AdapterHandle) {
  supervision.worker(fn() {
    let start = adapter.start
    case start(options) {
      Ok(handle) ->
        Ok(actor.Started(pid: types.handle_pid(handle), data: handle))
      Error(error) -> Error(actor.InitFailed(describe_error(error)))
    }
  })
}

/// Calls a function again while its error is a transient one: so many times in
/// all, with a wait that doubles, the first one being `wait_ms`.
pub fn retry(
  times: Int,
  wait_ms: Int,
  operation: fn() -> Result(a, types.DiscoveryError),
) -> Result(a, types.DiscoveryError) {
  case operation() {
    Ok(value) -> Ok(value)
    Error(error) ->
      case times > 1 && behaviour.is_transient_error(error) {
        True -> {
          sleep(wait_ms)
          retry(times - 1, wait_ms * 2, operation)
        }
        False -> Error(error)
      }
  }
}

/// An error in words.
pub fn describe_error(error: types.DiscoveryError) -> String {
  case error {
    types.StartFailed(reason) -> "start failed: " <> reason
    types.StopFailed(reason) -> "stop failed: " <> reason
    types.ShutdownTimeout(ms) -> "not stopped within " <> in_ms(ms)
    types.SyncFailed(reason) -> "sync failed: " <> reason
    types.PeerNotFound(peer) -> "no peer is called " <> peer
    types.InvalidConfiguration(reason) -> "invalid configuration: " <> reason
    types.Timeout(ms) -> "no answer within " <> in_ms(ms)
    types.SubscriptionFailed(reason) -> "subscription failed: " <> reason
  }
}

fn in_ms(ms: Int) -> String {
  int_to_string(ms) <> " ms"
}

@external(erlang, "erlang", "integer_to_binary")
fn int_to_string(number: Int) -> String

@external(erlang, "muster_gleam_ffi", "sleep")
fn sleep(ms: Int) -> Nil
