//// The reference adapter. Peers are the nodes that muster finds and that have
//// proved their name and cookie; the BEAM is kept connected to them.
////
//// The process is a `muster_discovery` under the name in the options. What it takes
//// from them:
////
//// - `sync_interval_ms`, 100 to 86400000: how often a strategy that polls asks
////   its backend, and how often gossip speaks, unless `custom` says otherwise
//// - `sync_timeout_ms`, 1 to 4294967295: how long `sync` waits
//// - `telemetry_prefix`: `"muster.discovery"` makes events `[muster, discovery, sync]` …
//// - `seed_peers`: names of nodes, connected to beside what the strategy finds
//// - `custom`: `strategy.custom([…])`; or `"strategy"` with its name, and its options by
////   their names; and the options that all strategies share, by theirs
////   (`docs/discovery.md`). Without a strategy it is the seeds alone, and where there
////   are none, gossip.

import distribute/discovery/adapter
import distribute/discovery/behaviour
import distribute/discovery/strategy
import distribute/discovery/types
import gleam/dict
import gleam/dynamic
import gleam/erlang/process
import gleam/otp/supervision

// Transient errors of what is asked only here: while its supervisor restarts it,
// the adapter is away for a moment.
const attempts = 4

const first_wait_ms = 50

/// The adapter, with the strategy that `custom` names.
pub fn new() -> adapter.DiscoveryAdapter {
  with_start(start)
}

/// The adapter with these strategies, whatever `custom` says.
pub fn with(strategies: List(strategy.Strategy)) -> adapter.DiscoveryAdapter {
  with_start(fn(options) {
    start(
      behaviour.DiscoveryOptions(
        ..options,
        custom: dict.merge(options.custom, strategy.custom(strategies)),
      ),
    )
  })
}

fn with_start(
  start: fn(behaviour.DiscoveryOptions) ->
    Result(types.AdapterHandle, types.DiscoveryError),
) -> adapter.DiscoveryAdapter {
  adapter.DiscoveryAdapter(
    start: start,
    stop: stop,
    subscribe: subscribe,
    unsubscribe: unsubscribe,
    snapshot: snapshot,
    lookup: lookup,
    sync: sync,
    health: health,
    health_info: health_info,
  )
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  options: behaviour.DiscoveryOptions,
) -> supervision.ChildSpecification(types.AdapterHandle) {
  adapter.child_spec(new(), options)
}

/// Starts it, linked to the calling process. `InvalidConfiguration` names what
/// is wrong; `StartFailed` is anything else, such as a name that is taken.
pub fn start(
  options: behaviour.DiscoveryOptions,
) -> Result(types.AdapterHandle, types.DiscoveryError) {
  let started =
    start_link(
      options.name,
      options.sync_interval_ms,
      options.telemetry_prefix,
      options.seed_peers,
      options.custom,
    )
  case started {
    Ok(pid) -> Ok(new_handle(options.name, pid, options.sync_timeout_ms))
    Error(error) -> Error(error)
  }
}

/// The handle of an adapter that runs under this name, with a `sync_timeout_ms`
/// of 5000.
pub fn handle(
  name: String,
) -> Result(types.AdapterHandle, types.DiscoveryError) {
  case whereis(name) {
    Ok(pid) -> Ok(new_handle(name, pid, 5000))
    Error(error) -> Error(error)
  }
}

fn new_handle(
  name: String,
  pid: process.Pid,
  sync_timeout_ms: Int,
) -> types.AdapterHandle {
  types.new_handle(name, pid, to_dynamic(sync_timeout_ms))
}

/// Stops it and ends its subscriptions; nodes stay connected. `Ok` also when it
/// was not running. One that takes longer than `timeout_ms` is ended by force:
/// `ShutdownTimeout`.
pub fn stop(
  handle: types.AdapterHandle,
  timeout_ms: Int,
) -> Result(Nil, types.DiscoveryError) {
  do_stop(types.handle_id(handle), timeout_ms)
}

/// Has a function called for each event from now on, one after the other, each
/// time in a process of its own. The peers that are there are in `snapshot`.
/// One that is slow or crashes delays and loses nothing for anybody else, and a
/// crash loses none of its own events but that one.
pub fn subscribe(
  handle: types.AdapterHandle,
  callback: types.EventCallback,
) -> Result(types.SubscriptionId, types.DiscoveryError) {
  case do_subscribe(types.handle_id(handle), callback) {
    Ok(id) -> Ok(types.new_subscription_id(id))
    Error(error) -> Error(error)
  }
}

/// Ends a subscription: its callback is not called again. A call that is under
/// way goes on. Callbacks may use it too. `SubscriptionFailed`: there is none.
pub fn unsubscribe(
  _handle: types.AdapterHandle,
  id: types.SubscriptionId,
) -> Result(Nil, types.DiscoveryError) {
  do_unsubscribe(types.subscription_id_value(id))
}

/// The peers of now, in the order of their names.
pub fn snapshot(
  handle: types.AdapterHandle,
) -> Result(List(types.PeerInfo), types.DiscoveryError) {
  let name = types.handle_id(handle)
  adapter.retry(attempts, first_wait_ms, fn() { do_snapshot(name) })
}

/// One peer, or `PeerNotFound`.
pub fn lookup(
  handle: types.AdapterHandle,
  peer: types.PeerId,
) -> Result(types.PeerInfo, types.DiscoveryError) {
  let name = types.handle_id(handle)
  adapter.retry(attempts, first_wait_ms, fn() { do_lookup(name, peer) })
}

/// Asks all backends now and waits for their answers, for `sync_timeout_ms` at
/// most. (By itself it does so every `sync_interval_ms`, and with a back-off
/// while a backend fails.)
pub fn sync(handle: types.AdapterHandle) -> Result(Nil, types.DiscoveryError) {
  do_sync(types.handle_id(handle), types.handle_state(handle))
}

/// How it is doing; `Down` also when it is not running.
pub fn health(handle: types.AdapterHandle) -> types.HealthStatus {
  health_info(handle).status
}

/// The same with the last sync, the last error, and how many peers there are.
pub fn health_info(handle: types.AdapterHandle) -> behaviour.HealthInfo {
  do_health_info(types.handle_id(handle))
}

/// Waits until there are so many peers.
pub fn await(
  handle: types.AdapterHandle,
  peers: Int,
  timeout_ms: Int,
) -> Result(Nil, types.DiscoveryError) {
  do_await(types.handle_id(handle), peers, timeout_ms)
}

/// What other nodes are told of this one: at most 800 bytes.
pub fn set_metadata(
  handle: types.AdapterHandle,
  metadata: types.PeerMetadata,
) -> Result(Nil, types.DiscoveryError) {
  do_set_metadata(types.handle_id(handle), metadata)
}

/// Makes this node stay away: it announces itself no more, and its peers do not
/// connect to it again.
pub fn drain(handle: types.AdapterHandle) -> Result(Nil, types.DiscoveryError) {
  do_drain(types.handle_id(handle))
}

/// Takes `drain` back.
pub fn resume(handle: types.AdapterHandle) -> Result(Nil, types.DiscoveryError) {
  do_resume(types.handle_id(handle))
}

@external(erlang, "muster_gleam_ffi", "identity")
fn to_dynamic(value: Int) -> dynamic.Dynamic

@external(erlang, "muster_gleam_discovery", "start")
fn start_link(
  name: String,
  sync_interval_ms: Int,
  telemetry_prefix: String,
  seed_peers: List(String),
  custom: dict.Dict(String, dynamic.Dynamic),
) -> Result(process.Pid, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "whereis")
fn whereis(name: String) -> Result(process.Pid, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "stop")
fn do_stop(name: String, timeout_ms: Int) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "subscribe")
fn do_subscribe(
  name: String,
  callback: types.EventCallback,
) -> Result(String, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "unsubscribe")
fn do_unsubscribe(id: String) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "snapshot")
fn do_snapshot(
  name: String,
) -> Result(List(types.PeerInfo), types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "lookup")
fn do_lookup(
  name: String,
  peer: String,
) -> Result(types.PeerInfo, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "sync")
fn do_sync(
  name: String,
  timeout_ms: dynamic.Dynamic,
) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "health_info")
fn do_health_info(name: String) -> behaviour.HealthInfo

@external(erlang, "muster_gleam_discovery", "await")
fn do_await(
  name: String,
  peers: Int,
  timeout_ms: Int,
) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "set_metadata")
fn do_set_metadata(
  name: String,
  metadata: types.PeerMetadata,
) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "drain")
fn do_drain(name: String) -> Result(Nil, types.DiscoveryError)

@external(erlang, "muster_gleam_discovery", "resume")
fn do_resume(name: String) -> Result(Nil, types.DiscoveryError)
