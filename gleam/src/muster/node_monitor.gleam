//// Watches the cluster's nodes: who is there, how fast each answers, who stopped
//// answering. See `docs/health.md`.
////
//// ```gleam
//// let assert Ok(monitor) = node_monitor.start_link([node_monitor.PingIntervalMs(500)])
//// node_monitor.list_suspect(monitor)
//// ```

import gleam/erlang/process
import gleam/otp/actor
import gleam/otp/supervision
import muster/subscription

/// A monitor, by the name that it runs under; so it is the same one after a restart.
pub opaque type NodeMonitor {
  NodeMonitor(name: String)
}

/// Options; each has a default.
pub type Option {
  /// The name that it runs under, default `"muster_node_monitor"`.
  Name(String)
  /// 10 to 3600000, default 1000. Shorter gives finer figures, longer costs less.
  PingIntervalMs(Int)
  /// Silence that turns a node suspect, more than `PingIntervalMs`. Default 5000,
  /// or three intervals if that is more.
  SuspectAfterMs(Int)
  /// Silence that turns it down, more than `SuspectAfterMs`. Default 30000, or
  /// twice that if it is more.
  DownAfterMs(Int)
  /// A node that left is dropped from the list after that long, default 3600000.
  ForgetAfterMs(Int)
  /// It is kept for ever.
  NeverForget
}

pub type Status {
  Healthy
  Suspect
  Down
}

/// What is known of a node. Times of round trips are in ms, 0.0 while none was
/// measured.
pub type Health {
  Health(
    node: String,
    status: Status,
    /// The last 60, newest first.
    rtt_history: List(Float),
    avg_rtt_ms: Float,
    min_rtt_ms: Float,
    max_rtt_ms: Float,
    jitter_ms: Float,
    /// The last answer, in ms of this node's monotonic clock.
    last_seen: Int,
    /// The record's beginning, by the same clock.
    joined_at: Int,
    /// The C node's own connection: `"connected"`, `"cookie_mismatch"`, …
    connection: String,
    /// The same in words.
    connection_reason: String,
  )
}

pub type Event {
  NodeUp(node: String)
  NodeDown(node: String)
  StatusChange(node: String, from: Status, to: Status)
}

/// Starts a monitor, linked to the calling process. The error names the option,
/// its value and what is expected, or says that the name is taken.
pub fn start_link(options: List(Option)) -> Result(NodeMonitor, String) {
  case do_start_link(options) {
    Ok(#(_, name)) -> Ok(NodeMonitor(name))
    Error(reason) -> Error(reason)
  }
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  options: List(Option),
) -> supervision.ChildSpecification(NodeMonitor) {
  supervision.worker(fn() {
    case do_start_link(options) {
      Ok(#(pid, name)) -> Ok(actor.Started(pid: pid, data: NodeMonitor(name)))
      Error(reason) -> Error(actor.InitFailed(reason))
    }
  })
}

/// The monitor that runs, or will run, under this name.
pub fn named(name: String) -> NodeMonitor {
  NodeMonitor(name)
}

/// A node's health; `Error(Nil)` for one that was never seen or is forgotten, and
/// while the monitor is not running.
pub fn get_health(monitor: NodeMonitor, node: String) -> Result(Health, Nil) {
  do_get_health(monitor.name, node)
}

/// The nodes that answer; none while the monitor is not running.
pub fn list_healthy(monitor: NodeMonitor) -> List(String) {
  do_list(monitor.name, Healthy)
}

/// The nodes that have been silent for a while.
pub fn list_suspect(monitor: NodeMonitor) -> List(String) {
  do_list(monitor.name, Suspect)
}

/// The health of every node, in the order of their names.
pub fn list_all(monitor: NodeMonitor) -> List(Health) {
  do_list_all(monitor.name)
}

/// Has a function called for each event from now on.
pub fn subscribe(
  monitor: NodeMonitor,
  callback: fn(Event) -> Nil,
) -> Result(subscription.Subscription, subscription.SubscribeError) {
  subscription.from(do_subscribe(monitor.name, callback))
}

@external(erlang, "muster_gleam_ffi", "node_monitor_start")
fn do_start_link(
  options: List(Option),
) -> Result(#(process.Pid, String), String)

@external(erlang, "muster_gleam_ffi", "node_monitor_health")
fn do_get_health(name: String, node: String) -> Result(Health, Nil)

@external(erlang, "muster_gleam_ffi", "node_monitor_list")
fn do_list(name: String, status: Status) -> List(String)

@external(erlang, "muster_gleam_ffi", "node_monitor_list_all")
fn do_list_all(name: String) -> List(Health)

@external(erlang, "muster_gleam_ffi", "node_monitor_subscribe")
fn do_subscribe(
  name: String,
  callback: fn(Event) -> Nil,
) -> Result(String, subscription.SubscribeError)
