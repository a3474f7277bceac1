//// The cluster's one commander, and its nodes' roles. What is promised, and what a
//// `QuorumSize` excludes, is in `docs/topology.md`.
////
//// ```gleam
//// let assert Ok(member) = topology.start_link([topology.QuorumSize(2)])
//// topology.get_commander(member)
//// ```

import gleam/erlang/process
import gleam/option
import gleam/otp/actor
import gleam/otp/supervision
import muster/subscription

/// This node's member, by the name that it runs under.
pub opaque type Topology {
  Topology(name: String)
}

/// Options; each has a default.
pub type Option {
  /// Topologies of one name on several nodes belong together; default
  /// `"muster_topology"`.
  Name(String)
  /// With fewer live members there is no commander: 1 to 128, default 1.
  QuorumSize(Int)
  /// The node monitor to listen to, default `"muster_node_monitor"`.
  NodeMonitor(String)
  /// A silent commander is replaced after a random time between the two, ms,
  /// default 150 and 300.
  ElectionTimeoutMin(Int)
  ElectionTimeoutMax(Int)
  /// How often the commander is heard, ms, default 50.
  HeartbeatInterval(Int)
}

pub type Role {
  /// One at a time: the longest-running node.
  Commander
  /// What everybody else starts as.
  Wingmate
  /// Votes, but never commands.
  Observer
  /// For the user's purposes; may command.
  Relay
}

pub type Event {
  CommanderChanged(old: option.Option(String), new: option.Option(String))
  /// `None`: it has left.
  RoleChanged(node: String, role: option.Option(Role))
}

pub type TopologyError {
  /// No member has that name.
  UnknownNode
  NoCommander
  /// No majority knew of it in time; it may come about yet.
  NotAgreed
  /// The topology is not running.
  NotRunning
  /// Anything else, in words.
  Refused(reason: String)
}

/// Goes with what a commander orders: terms rise, and no two commands share both
/// numbers.
pub type Token {
  Token(term: Int, election: Int)
}

/// Starts this node's member, linked to the calling process. The error names the
/// option, its value and what is expected, or says that the name is taken.
pub fn start_link(options: List(Option)) -> Result(Topology, String) {
  case do_start_link(options) {
    Ok(#(_, name)) -> Ok(Topology(name))
    Error(reason) -> Error(reason)
  }
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  options: List(Option),
) -> supervision.ChildSpecification(Topology) {
  supervision.worker(fn() {
    case do_start_link(options) {
      Ok(#(pid, name)) -> Ok(actor.Started(pid: pid, data: Topology(name)))
      Error(reason) -> Error(actor.InitFailed(reason))
    }
  })
}

/// The member that runs, or will run, under this name.
pub fn named(name: String) -> Topology {
  Topology(name)
}

/// This node's role.
pub fn get_role(topology: Topology) -> Result(Role, TopologyError) {
  do_get_role(topology.name)
}

/// A member's role.
pub fn get_role_of(
  topology: Topology,
  node: String,
) -> Result(Role, TopologyError) {
  do_get_role_of(topology.name, node)
}

/// The commander. On its own node it is so at that moment; elsewhere it is the one
/// that was last heard.
pub fn get_commander(topology: Topology) -> Result(String, TopologyError) {
  case get_command(topology) {
    Ok(#(node, _)) -> Ok(node)
    Error(error) -> Error(error)
  }
}

/// The commander with the fencing token of its command.
pub fn get_command(
  topology: Topology,
) -> Result(#(String, Token), TopologyError) {
  do_get_command(topology.name)
}

/// The members and their roles, in the order of their names.
pub fn list_nodes(
  topology: Topology,
) -> Result(List(#(String, Role)), TopologyError) {
  do_list_nodes(topology.name)
}

/// Gives a member a role; `Ok` once a majority knows of it.
pub fn promote(
  topology: Topology,
  node: String,
  role: Role,
) -> Result(Nil, TopologyError) {
  do_promote(topology.name, node, role)
}

/// The same for this node.
pub fn request_role(
  topology: Topology,
  role: Role,
) -> Result(Nil, TopologyError) {
  do_request_role(topology.name, role)
}

/// A member is gone for good: it counts for no majority any more.
pub fn node_left(topology: Topology, node: String) -> Nil {
  do_node_left(topology.name, node)
}

/// Has a function called for each event from now on.
pub fn subscribe(
  topology: Topology,
  callback: fn(Event) -> Nil,
) -> Result(subscription.Subscription, subscription.SubscribeError) {
  subscription.from(do_subscribe(topology.name, callback))
}

@external(erlang, "muster_gleam_ffi", "topology_start")
fn do_start_link(
  options: List(Option),
) -> Result(#(process.Pid, String), String)

@external(erlang, "muster_gleam_ffi", "topology_role")
fn do_get_role(name: String) -> Result(Role, TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_role_of")
fn do_get_role_of(name: String, node: String) -> Result(Role, TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_command")
fn do_get_command(name: String) -> Result(#(String, Token), TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_list")
fn do_list_nodes(
  name: String,
) -> Result(List(#(String, Role)), TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_promote")
fn do_promote(
  name: String,
  node: String,
  role: Role,
) -> Result(Nil, TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_request_role")
fn do_request_role(name: String, role: Role) -> Result(Nil, TopologyError)

@external(erlang, "muster_gleam_ffi", "topology_node_left")
fn do_node_left(name: String, node: String) -> Nil

@external(erlang, "muster_gleam_ffi", "topology_subscribe")
fn do_subscribe(
  name: String,
  callback: fn(Event) -> Nil,
) -> Result(String, subscription.SubscribeError)
