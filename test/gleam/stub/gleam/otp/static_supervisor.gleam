// A stand-in for gleam_otp's module, of version 1.x.

import gleam/erlang/process
import gleam/otp/actor
import gleam/otp/supervision

pub opaque type Supervisor {
  Supervisor(pid: process.Pid)
}

pub type Strategy {
  OneForOne
  OneForAll
  RestForOne
}

pub opaque type Builder {
  Builder(strategy: Strategy, children: List(fn() -> Result(process.Pid, actor.StartError)))
}

pub fn new(strategy: Strategy) -> Builder {
  Builder(strategy, [])
}

pub fn add(
  builder: Builder,
  child: supervision.ChildSpecification(data),
) -> Builder {
  let run = child.start
  let start = fn() {
    case run() {
      Ok(started) -> Ok(started.pid)
      Error(error) -> Error(error)
    }
  }
  Builder(builder.strategy, [start, ..builder.children])
}

pub fn start(builder: Builder) -> actor.StartResult(Supervisor) {
  case start_link(builder.strategy, builder.children) {
    Ok(pid) -> Ok(actor.Started(pid, Supervisor(pid)))
    Error(error) -> Error(error)
  }
}

@external(erlang, "gleam_stub_ffi", "supervisor")
fn start_link(
  strategy: Strategy,
  children: List(fn() -> Result(process.Pid, actor.StartError)),
) -> Result(process.Pid, actor.StartError)
