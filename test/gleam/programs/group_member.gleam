//// A member of a leader group that remembers what it is told.

import gleam/erlang/process
import gleam/option
import muster/leader

pub type Message {
  Word(String)
}

pub type Told {
  BecameLeader
  BecameFollower(of_somebody: Bool)
  Message(from_member: Bool, text: String)
  Terminated
}

pub type Key {
  Group
}

pub fn start(
  voters: List(String),
) -> Result(leader.Leader(Message), String) {
  leader.new("scheduler", voters, 0)
  |> leader.with_options([
    leader.ElectionTimeoutMin(300),
    leader.ElectionTimeoutMax(600),
  ])
  |> leader.on_become_leader(fn(_self, state) { note(BecameLeader, Ok(state)) })
  |> leader.on_become_follower(fn(_self, of, state) {
    note(BecameFollower(is_some(of)), Ok(state))
  })
  |> leader.on_peer_joined(fn(_self, _peer, state) { Ok(state + 1) })
  |> leader.on_peer_left(fn(_self, _peer, state) { Ok(state - 1) })
  |> leader.on_term_changed(fn(_self, old, new, state) {
    let assert True = old < new
    Ok(state)
  })
  |> leader.on_message(on_message)
  |> leader.on_terminate(fn(_self, _state) { note(Terminated, Nil) })
  |> leader.start_link
}

fn on_message(
  _self: leader.Leader(Message),
  from: option.Option(process.Pid),
  message: Message,
  state: Int,
) -> Result(Int, String) {
  case message {
    Word("end") -> Error("asked to end")
    Word(text) -> note(Message(is_some(from), text), Ok(state))
  }
}

fn is_some(option: option.Option(a)) -> Bool {
  case option {
    option.Some(_) -> True
    option.None -> False
  }
}

fn note(told: Told, result: result) -> result {
  record(Group, told, result)
}

@external(erlang, "gleam_tests", "record")
fn record(key: Key, told: Told, result: result) -> result
