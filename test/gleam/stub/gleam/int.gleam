// A stand-in for gleam_stdlib's module.

@external(erlang, "erlang", "integer_to_binary")
pub fn to_string(x: Int) -> String
