//// Leader groups: processes on several nodes of which at most one leads. What is
//// promised is in `docs/leader.md`.
////
//// ```gleam
//// let assert Ok(scheduler) =
////   leader.new("scheduler", ["n1@host", "n2@host", "n3@host"], "idle")
////   |> leader.on_become_leader(fn(_self, _state) { Ok("working") })
////   |> leader.on_become_follower(fn(_self, _leader, _state) { Ok("idle") })
////   |> leader.start_link
//// leader.send(scheduler, "a message")
//// ```
////
//// A callback returns the new state, or `Error(reason)`, which ends the process; a
//// leader's end hands the leadership over. All members of a group must agree on the
//// type of their messages, as they do when they run the same code.

import gleam/erlang/process
import gleam/option
import gleam/otp/actor
import gleam/otp/supervision

/// This node's member of a group, by the name that it runs under.
pub opaque type Leader(message) {
  Leader(name: String)
}

/// Goes with what a leader does: terms rise, and no two leaderships share both
/// numbers.
pub type Token {
  Token(term: Int, election: Int)
}

/// Options; each has a default.
pub type Option {
  /// The name that the process runs under on this node, default that of the group.
  Name(String)
  /// A silent leader is replaced after a random time between the two, ms, default
  /// 150 and 300.
  ElectionTimeoutMin(Int)
  ElectionTimeoutMax(Int)
  /// How often the leader is heard, ms, default 50.
  HeartbeatInterval(Int)
  /// Where term and vote are kept. With one, there is at most one leader per term,
  /// ever, and voters may join and leave.
  DataDir(String)
  /// This node never becomes a voter.
  Observer
}

/// A member that is not started yet: what it is to do.
pub opaque type Builder(state, message) {
  Builder(
    group: String,
    voters: List(String),
    state: state,
    options: List(Option),
    become_leader: fn(Leader(message), state) -> Result(state, String),
    become_follower: fn(Leader(message), option.Option(process.Pid), state) ->
      Result(state, String),
    peer_joined: fn(Leader(message), process.Pid, state) ->
      Result(state, String),
    peer_left: fn(Leader(message), process.Pid, state) -> Result(state, String),
    term_changed: fn(Leader(message), Int, Int, state) -> Result(state, String),
    message: fn(Leader(message), option.Option(process.Pid), message, state) ->
      Result(state, String),
    terminate: fn(Leader(message), state) -> Nil,
  )
}

/// A member of the group with that name. The voters are nodes, the same list on
/// every node; empty: this node is the only one. A majority of them decides.
pub fn new(
  group: String,
  voters: List(String),
  state: state,
) -> Builder(state, message) {
  Builder(
    group: group,
    voters: voters,
    state: state,
    options: [],
    become_leader: fn(_, state) { Ok(state) },
    become_follower: fn(_, _, state) { Ok(state) },
    peer_joined: fn(_, _, state) { Ok(state) },
    peer_left: fn(_, _, state) { Ok(state) },
    term_changed: fn(_, _, _, state) { Ok(state) },
    message: fn(_, _, _, state) { Ok(state) },
    terminate: fn(_, _) { Nil },
  )
}

/// With these options.
pub fn with_options(
  builder: Builder(state, message),
  options: List(Option),
) -> Builder(state, message) {
  Builder(..builder, options: options)
}

/// This process leads.
pub fn on_become_leader(
  builder: Builder(state, message),
  callback: fn(Leader(message), state) -> Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, become_leader: callback)
}

/// Another process leads, or none is known.
pub fn on_become_follower(
  builder: Builder(state, message),
  callback: fn(Leader(message), option.Option(process.Pid), state) ->
    Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, become_follower: callback)
}

/// The group's process on another node can be reached.
pub fn on_peer_joined(
  builder: Builder(state, message),
  callback: fn(Leader(message), process.Pid, state) -> Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, peer_joined: callback)
}

/// It can be reached no more.
pub fn on_peer_left(
  builder: Builder(state, message),
  callback: fn(Leader(message), process.Pid, state) -> Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, peer_left: callback)
}

/// The term rose from the first number to the second.
pub fn on_term_changed(
  builder: Builder(state, message),
  callback: fn(Leader(message), Int, Int, state) -> Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, term_changed: callback)
}

/// A message, from a member, or from nobody in particular (`send`).
pub fn on_message(
  builder: Builder(state, message),
  callback: fn(Leader(message), option.Option(process.Pid), message, state) ->
    Result(state, String),
) -> Builder(state, message) {
  Builder(..builder, message: callback)
}

/// The process ends. It is still the leader if it was: what only a leader may do is
/// ended here.
pub fn on_terminate(
  builder: Builder(state, message),
  callback: fn(Leader(message), state) -> Nil,
) -> Builder(state, message) {
  Builder(..builder, terminate: callback)
}

/// Starts the member, linked to the calling process. The error names the option, its
/// value and what is expected, or says that the name or the group is taken.
pub fn start_link(
  builder: Builder(state, message),
) -> Result(Leader(message), String) {
  case do_start(builder) {
    Ok(#(_, name)) -> Ok(Leader(name))
    Error(reason) -> Error(reason)
  }
}

/// A child specification, for `gleam/otp/static_supervisor`.
pub fn child_spec(
  builder: Builder(state, message),
) -> supervision.ChildSpecification(Leader(message)) {
  supervision.worker(fn() {
    case do_start(builder) {
      Ok(#(pid, name)) -> Ok(actor.Started(pid: pid, data: Leader(name)))
      Error(reason) -> Error(actor.InitFailed(reason))
    }
  })
}

fn do_start(
  builder: Builder(state, message),
) -> Result(#(process.Pid, String), String) {
  start(
    builder.group,
    builder.voters,
    builder.options,
    fn(name) { callbacks(builder, Leader(name)) },
    builder.state,
  )
}

// What the Erlang side calls, with the member itself filled in.
type Callbacks(state, message) {
  Callbacks(
    become_leader: fn(state) -> Result(state, String),
    become_follower: fn(option.Option(process.Pid), state) ->
      Result(state, String),
    peer_joined: fn(process.Pid, state) -> Result(state, String),
    peer_left: fn(process.Pid, state) -> Result(state, String),
    term_changed: fn(Int, Int, state) -> Result(state, String),
    message: fn(option.Option(process.Pid), message, state) ->
      Result(state, String),
    terminate: fn(state) -> Nil,
  )
}

fn callbacks(
  of: Builder(state, message),
  self: Leader(message),
) -> Callbacks(state, message) {
  let become_leader = of.become_leader
  let become_follower = of.become_follower
  let peer_joined = of.peer_joined
  let peer_left = of.peer_left
  let term_changed = of.term_changed
  let message = of.message
  let terminate = of.terminate
  Callbacks(
    become_leader: fn(state) { become_leader(self, state) },
    become_follower: fn(leader, state) { become_follower(self, leader, state) },
    peer_joined: fn(peer, state) { peer_joined(self, peer, state) },
    peer_left: fn(peer, state) { peer_left(self, peer, state) },
    term_changed: fn(old, new, state) { term_changed(self, old, new, state) },
    message: fn(from, content, state) { message(self, from, content, state) },
    terminate: fn(state) { terminate(self, state) },
  )
}

/// Whether this process leads, at the moment of the answer. `False` also while it
/// is not running.
pub fn is_leader(leader: Leader(message)) -> Bool {
  do_is_leader(leader.name)
}

/// The leader's process, as last heard.
pub fn leader(leader: Leader(message)) -> Result(process.Pid, Nil) {
  do_leader(leader.name)
}

/// The term; 0 before the first one.
pub fn term(leader: Leader(message)) -> Int {
  do_term(leader.name)
}

/// The fencing token of this process's leadership, if it leads at this moment.
pub fn token(leader: Leader(message)) -> Result(Token, Nil) {
  do_token(leader.name)
}

/// The group's processes on other nodes that can be reached.
pub fn peers(leader: Leader(message)) -> List(process.Pid) {
  do_peers(leader.name)
}

/// The voters' nodes.
pub fn voters(leader: Leader(message)) -> List(String) {
  do_voters(leader.name)
}

/// Hands the leadership to another voter: for the leader. `Ok` says that the attempt
/// has begun.
pub fn transfer(leader: Leader(message), to: String) -> Result(Nil, String) {
  do_transfer(leader.name, to)
}

/// Takes up a node that is not among the voters; with `DataDir` the leader makes it
/// one.
pub fn join(leader: Leader(message), node: String) -> Nil {
  do_join(leader.name, node)
}

/// Takes another member out of the group, for good; a voter only with `DataDir`.
pub fn leave(leader: Leader(message), node: String) -> Result(Nil, String) {
  do_leave(leader.name, node)
}

/// A message for this process's own `on_message`, from nobody in particular.
pub fn send(leader: Leader(message), message: message) -> Nil {
  do_send(leader.name, message)
}

/// A message for another member's `on_message`.
pub fn send_to(
  leader: Leader(message),
  peer: process.Pid,
  message: message,
) -> Nil {
  do_send_to(leader.name, peer, message)
}

/// A message for the `on_message` of all peers.
pub fn broadcast(leader: Leader(message), message: message) -> Nil {
  do_broadcast(leader.name, message)
}

@external(erlang, "muster_gleam_leader", "start")
fn start(
  group: String,
  voters: List(String),
  options: List(Option),
  callbacks: fn(String) -> Callbacks(state, message),
  state: state,
) -> Result(#(process.Pid, String), String)

@external(erlang, "muster_gleam_leader", "is_leader")
fn do_is_leader(name: String) -> Bool

@external(erlang, "muster_gleam_leader", "leader")
fn do_leader(name: String) -> Result(process.Pid, Nil)

@external(erlang, "muster_gleam_leader", "term")
fn do_term(name: String) -> Int

@external(erlang, "muster_gleam_leader", "token")
fn do_token(name: String) -> Result(Token, Nil)

@external(erlang, "muster_gleam_leader", "peers")
fn do_peers(name: String) -> List(process.Pid)

@external(erlang, "muster_gleam_leader", "voters")
fn do_voters(name: String) -> List(String)

@external(erlang, "muster_gleam_leader", "transfer")
fn do_transfer(name: String, to: String) -> Result(Nil, String)

@external(erlang, "muster_gleam_leader", "join")
fn do_join(name: String, node: String) -> Nil

@external(erlang, "muster_gleam_leader", "leave")
fn do_leave(name: String, node: String) -> Result(Nil, String)

@external(erlang, "muster_gleam_leader", "send")
fn do_send(name: String, message: message) -> Nil

@external(erlang, "muster_gleam_leader", "send_to")
fn do_send_to(name: String, peer: process.Pid, message: message) -> Nil

@external(erlang, "muster_gleam_leader", "broadcast")
fn do_broadcast(name: String, message: message) -> Nil
