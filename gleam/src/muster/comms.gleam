//// Sends messages to other nodes by priority, as good as the link is, and without ever waiting for
//// it. See `docs/comms.md`.
////
//// ```gleam
//// let assert Ok(radio) = comms.start_link([])
//// let assert Ok(_) = comms.subscribe(radio, io.println)
//// comms.send(radio, "app@host2", "hello", comms.Normal)
//// ```
////
//// All nodes must agree on the type of the messages, as they do when they run the same code.

import gleam/erlang/process
import gleam/otp/actor
import gleam/otp/supervision
import muster/subscription

/// This node's manager, by the name that it runs under.
pub opaque type Comms(message) {
  Comms(name: String)
}

/// Options; each has a default.
pub type Option {
  /// The name that it runs under, default `"muster_comms"`.
  Name(String)
  /// The node monitor that is asked for round-trip times, default
  /// `"muster_node_monitor"`.
  NodeMonitor(String)
  /// How often it is asked, 10 to 3600000, default 1000.
  PollIntervalMs(Int)
  /// So long `update_link` and `mark_disconnected` hold, default 10000.
  HoldMs(Int)
  /// The longest wait before a busy link is tried again, default 100.
  FlushIntervalMs(Int)
  /// What may wait per link and priority: messages (default 1000), and their bytes
  /// (default 1048576).
  QueueLength(Int)
  QueueBytes(Int)
}

pub type Priority {
  /// Always goes, as long as there is a connection, ahead of all that waits.
  Critical
  High
  /// Is dropped while the link is `Poor`.
  Normal
  /// Is dropped while the link is `Degraded` or `Poor`.
  Low
}

pub type Quality {
  /// Below 10 ms.
  Excellent
  /// Below 50 ms.
  Good
  /// Below 200 ms.
  Degraded
  /// Below 1000 ms, or suspect.
  Poor
  Disconnected
}

pub type SendError {
  /// There is no connection, or the link is as slow as none and the priority is
  /// `Normal` or `Low`.
  NotConnected
  /// The link is busy, and too much waits for it.
  QueueFull
  NotRunning
}

/// Starts a manager, linked to the calling process. The error names the option, its
/// value and what is expected, or says that the name is taken.
pub fn start_link(options: List(Option)) -> Result(Comms(message), String) {
  case do_start_link(options) {
    Ok(#(_, name)) -> Ok(Comms(name))
    Error(reason) -> Error(reason)
  }
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  options: List(Option),
) -> supervision.ChildSpecification(Comms(message)) {
  supervision.worker(fn() {
    case do_start_link(options) {
      Ok(#(pid, name)) -> Ok(actor.Started(pid: pid, data: Comms(name)))
      Error(reason) -> Error(actor.InitFailed(reason))
    }
  })
}

/// The manager that runs, or will run, under this name.
pub fn named(name: String) -> Comms(message) {
  Comms(name)
}

/// Sends a message to the subscribers on a node. `Ok`: it was handed over, waits its
/// turn, or was dropped because the link is too bad for its priority.
pub fn send(
  comms: Comms(message),
  node: String,
  message: message,
  priority: Priority,
) -> Result(Nil, SendError) {
  do_send(comms.name, node, message, priority)
}

/// How good the link to a node is.
pub fn get_link_quality(comms: Comms(message), node: String) -> Quality {
  do_get_link_quality(comms.name, node)
}

/// The quality of every link.
pub fn get_all_links(comms: Comms(message)) -> List(#(String, Quality)) {
  do_get_all_links(comms.name)
}

/// Says what a link's round-trip time is, in ms: for `HoldMs` that counts, whatever
/// is measured.
pub fn update_link(comms: Comms(message), node: String, rtt_ms: Float) -> Nil {
  do_update_link(comms.name, node, rtt_ms)
}

/// Says that a link is not to be used, for `HoldMs`.
pub fn mark_disconnected(comms: Comms(message), node: String) -> Nil {
  do_mark_disconnected(comms.name, node)
}

/// Has a function called for each message that comes from now on.
pub fn subscribe(
  comms: Comms(message),
  callback: fn(message) -> Nil,
) -> Result(subscription.Subscription, subscription.SubscribeError) {
  subscription.from(do_subscribe(comms.name, callback))
}

@external(erlang, "muster_gleam_comms", "start")
fn do_start_link(
  options: List(Option),
) -> Result(#(process.Pid, String), String)

@external(erlang, "muster_gleam_comms", "send")
fn do_send(
  name: String,
  node: String,
  message: message,
  priority: Priority,
) -> Result(Nil, SendError)

@external(erlang, "muster_gleam_comms", "quality")
fn do_get_link_quality(name: String, node: String) -> Quality

@external(erlang, "muster_gleam_comms", "links")
fn do_get_all_links(name: String) -> List(#(String, Quality))

@external(erlang, "muster_gleam_comms", "update_link")
fn do_update_link(name: String, node: String, rtt_ms: Float) -> Nil

@external(erlang, "muster_gleam_comms", "mark_disconnected")
fn do_mark_disconnected(name: String, node: String) -> Nil

@external(erlang, "muster_gleam_comms", "subscribe")
fn do_subscribe(
  name: String,
  callback: fn(message) -> Nil,
) -> Result(String, subscription.SubscribeError)
