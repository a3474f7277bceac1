//// State that all nodes share: entities, waypoints and annotations, changed on any node without
//// asking the others, and the same everywhere moments later. See `docs/overlay.md`.
////
//// ```gleam
//// let assert Ok(map) = overlay.start_link([overlay.SyncIntervalMs(500)])
//// let data = dict.from_list([#("status", "active")])
//// let assert Ok(_) = overlay.update_entity(map, "unit 1", data)
//// overlay.get_entity(map, "unit 1")
//// ```
////
//// Ids are texts, data are dictionaries with texts as keys, and values of one type, on which all
//// members must agree, as they do when they run the same code. What has other ids or keys, such as
//// an Elixir member may write, is left out here.

import gleam/dict
import gleam/erlang/process
import gleam/otp/actor
import gleam/otp/supervision
import muster/subscription

/// This node's member, by the name that it runs under.
pub opaque type Overlay(value) {
  Overlay(name: String)
}

/// Options; each has a default.
pub type Option {
  /// Overlays of one name on several nodes belong together; default
  /// `"muster_overlay"`.
  Name(String)
  /// How often changes are sent, 10 to 3600000, default 500.
  SyncIntervalMs(Int)
  /// How often digests are compared with each peer, 100 to 86400000, default 60000.
  AntiEntropyIntervalMs(Int)
  /// Nodes to sync with besides those of the monitor.
  Peers(List(String))
  /// The node monitor whose nodes are peers, default `"muster_node_monitor"`.
  NodeMonitor(String)
  /// The comms manager that carries the messages; default none: they are sent
  /// directly.
  CommsManager(String)
  /// Where the state is kept; default nowhere.
  DataDir(String)
}

pub type Data(value) =
  dict.Dict(String, value)

/// What the last update wrote, and which node, and when: ms since 1970 by that
/// node's clock.
pub type Entity(value) {
  Entity(id: String, node: String, last_updated: Int, data: Data(value))
}

pub type Waypoint(value) {
  Waypoint(id: String, data: Data(value))
}

pub type Event(value) {
  EntityUpdated(entity: Entity(value))
  EntityRemoved(id: String)
  /// Also when it is added again with other data.
  WaypointAdded(waypoint: Waypoint(value))
  WaypointRemoved(id: String)
  AnnotationAdded(id: String, data: Data(value))
  AnnotationRemoved(id: String)
}

pub type OverlayError {
  NotRunning
  /// The live peers that had not acknowledged everything in time.
  NotInSync(peers: List(String))
}

/// Starts this node's member, linked to the calling process. The error names the
/// option, its value and what is expected, or says that the name is taken.
pub fn start_link(options: List(Option)) -> Result(Overlay(value), String) {
  case do_start_link(options) {
    Ok(#(_, name)) -> Ok(Overlay(name))
    Error(reason) -> Error(reason)
  }
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  options: List(Option),
) -> supervision.ChildSpecification(Overlay(value)) {
  supervision.worker(fn() {
    case do_start_link(options) {
      Ok(#(pid, name)) -> Ok(actor.Started(pid: pid, data: Overlay(name)))
      Error(reason) -> Error(actor.InitFailed(reason))
    }
  })
}

/// The member that runs, or will run, under this name.
pub fn named(name: String) -> Overlay(value) {
  Overlay(name)
}

/// Writes an entity; what it held before is replaced. Of updates made at the same
/// time, the one with the later stamp is read, everywhere the same.
pub fn update_entity(
  overlay: Overlay(value),
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError) {
  do_update_entity(overlay.name, id, data)
}

/// Removes an entity: what is known of it here. An update made meanwhile elsewhere
/// stays.
pub fn remove_entity(
  overlay: Overlay(value),
  id: String,
) -> Result(Nil, OverlayError) {
  do_remove_entity(overlay.name, id)
}

/// An entity, if it is there.
pub fn get_entity(
  overlay: Overlay(value),
  id: String,
) -> Result(Entity(value), Nil) {
  do_get_entity(overlay.name, id)
}

/// All entities, as they were at one moment; none while it is not running.
pub fn get_all_entities(overlay: Overlay(value)) -> List(Entity(value)) {
  do_get_all_entities(overlay.name)
}

/// Adds a waypoint, which outlives a removal made elsewhere meanwhile; one of the
/// same id is replaced.
pub fn add_waypoint(
  overlay: Overlay(value),
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError) {
  do_add_waypoint(overlay.name, id, data)
}

/// Removes a waypoint. `Ok` also if there is none.
pub fn remove_waypoint(
  overlay: Overlay(value),
  id: String,
) -> Result(Nil, OverlayError) {
  do_remove_waypoint(overlay.name, id)
}

/// A waypoint, if it is there.
pub fn get_waypoint(
  overlay: Overlay(value),
  id: String,
) -> Result(Waypoint(value), Nil) {
  do_get_waypoint(overlay.name, id)
}

/// All waypoints, as they were at one moment.
pub fn get_all_waypoints(overlay: Overlay(value)) -> List(Waypoint(value)) {
  do_get_all_waypoints(overlay.name)
}

/// Writes an annotation; as with entities, the later one is read.
pub fn add_annotation(
  overlay: Overlay(value),
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError) {
  do_add_annotation(overlay.name, id, data)
}

/// Removes an annotation. `Ok` also if there is none.
pub fn remove_annotation(
  overlay: Overlay(value),
  id: String,
) -> Result(Nil, OverlayError) {
  do_remove_annotation(overlay.name, id)
}

/// An annotation, if it is there.
pub fn get_annotation(
  overlay: Overlay(value),
  id: String,
) -> Result(Data(value), Nil) {
  do_get_annotation(overlay.name, id)
}

/// Waits until all live peers have acknowledged what was here at the call.
pub fn await_sync(
  overlay: Overlay(value),
  timeout_ms: Int,
) -> Result(Nil, OverlayError) {
  do_await_sync(overlay.name, timeout_ms)
}

/// Has a function called for each net change from now on, made here or elsewhere.
pub fn subscribe(
  overlay: Overlay(value),
  callback: fn(Event(value)) -> Nil,
) -> Result(subscription.Subscription, subscription.SubscribeError) {
  subscription.from(do_subscribe(overlay.name, callback))
}

@external(erlang, "muster_gleam_overlay", "start")
fn do_start_link(
  options: List(Option),
) -> Result(#(process.Pid, String), String)

@external(erlang, "muster_gleam_overlay", "update_entity")
fn do_update_entity(
  name: String,
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "remove_entity")
fn do_remove_entity(name: String, id: String) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "get_entity")
fn do_get_entity(name: String, id: String) -> Result(Entity(value), Nil)

@external(erlang, "muster_gleam_overlay", "get_all_entities")
fn do_get_all_entities(name: String) -> List(Entity(value))

@external(erlang, "muster_gleam_overlay", "add_waypoint")
fn do_add_waypoint(
  name: String,
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "remove_waypoint")
fn do_remove_waypoint(name: String, id: String) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "get_waypoint")
fn do_get_waypoint(name: String, id: String) -> Result(Waypoint(value), Nil)

@external(erlang, "muster_gleam_overlay", "get_all_waypoints")
fn do_get_all_waypoints(name: String) -> List(Waypoint(value))

@external(erlang, "muster_gleam_overlay", "add_annotation")
fn do_add_annotation(
  name: String,
  id: String,
  data: Data(value),
) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "remove_annotation")
fn do_remove_annotation(name: String, id: String) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "get_annotation")
fn do_get_annotation(name: String, id: String) -> Result(Data(value), Nil)

@external(erlang, "muster_gleam_overlay", "await_sync")
fn do_await_sync(name: String, timeout_ms: Int) -> Result(Nil, OverlayError)

@external(erlang, "muster_gleam_overlay", "subscribe")
fn do_subscribe(
  name: String,
  callback: fn(Event(value)) -> Nil,
) -> Result(String, subscription.SubscribeError)
