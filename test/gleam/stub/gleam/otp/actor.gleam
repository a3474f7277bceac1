// A stand-in for gleam_otp's module, of version 1.x.

import gleam/erlang/process

pub type Started(data) {
  Started(pid: process.Pid, data: data)
}

pub type StartError {
  InitTimeout
  InitFailed(String)
  InitExited(process.ExitReason)
}

pub type StartResult(data) =
  Result(Started(data), StartError)
