// A stand-in for gleam_stdlib's module, with the signatures that the tests use.

pub type Dict(key, value)

@external(erlang, "maps", "new")
pub fn new() -> Dict(key, value)

@external(erlang, "maps", "from_list")
pub fn from_list(list: List(#(k, v))) -> Dict(k, v)

@external(erlang, "maps", "to_list")
pub fn to_list(dict: Dict(k, v)) -> List(#(k, v))

@external(erlang, "maps", "merge")
pub fn merge(into dict: Dict(k, v), from new_entries: Dict(k, v)) -> Dict(k, v)

@external(erlang, "gleam_stub_ffi", "dict_get")
pub fn get(from: Dict(k, v), get: k) -> Result(v, Nil)
