// A stand-in for gleam_otp's module, of version 1.x.

import gleam/otp/actor

pub type Restart {
  Permanent
  Transient
  Temporary
}

pub type ChildType {
  Worker(shutdown_ms: Int)
  Supervisor
}

pub type ChildSpecification(data) {
  ChildSpecification(
    start: fn() -> Result(actor.Started(data), actor.StartError),
    restart: Restart,
    significant: Bool,
    child_type: ChildType,
  )
}

pub fn worker(
  run start: fn() -> Result(actor.Started(data), actor.StartError),
) -> ChildSpecification(data) {
  ChildSpecification(start, Permanent, False, Worker(5000))
}
