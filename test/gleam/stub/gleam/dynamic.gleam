// A stand-in for gleam_stdlib's module, of version 0.60 and later.

pub type Dynamic

@external(erlang, "gleam_stub_ffi", "identity")
pub fn string(value: String) -> Dynamic

@external(erlang, "gleam_stub_ffi", "identity")
pub fn int(value: Int) -> Dynamic

@external(erlang, "gleam_stub_ffi", "identity")
pub fn float(value: Float) -> Dynamic

@external(erlang, "gleam_stub_ffi", "identity")
pub fn list(value: List(Dynamic)) -> Dynamic
