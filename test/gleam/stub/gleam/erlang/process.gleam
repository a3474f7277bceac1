// A stand-in for gleam_erlang's module, of version 1.x.

pub type Pid

pub type ExitReason {
  Normal
  Killed
}

@external(erlang, "erlang", "self")
pub fn self() -> Pid

@external(erlang, "gleam_stub_ffi", "sleep")
pub fn sleep(ms: Int) -> Nil

@external(erlang, "gleam_stub_ffi", "sleep_forever")
pub fn sleep_forever() -> Nil
