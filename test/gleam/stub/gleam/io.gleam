// A stand-in for gleam_stdlib's module.

@external(erlang, "gleam_stub_ffi", "println")
pub fn println(string: String) -> Nil
