//// Nodes of this machine. In production, `ERL_FLAGS="-name app@host -setcookie …" gleam run`
//// makes the program a node.

import gleam/erlang/process

/// Makes this program a node.
@external(erlang, "cluster_nodes_ffi", "become")
pub fn become(name: String) -> Result(Nil, String)

/// Starts another node with the same code, and has it call `cluster.join`. It ends with this
/// program.
@external(erlang, "cluster_nodes_ffi", "start_another")
pub fn start_another(name: String) -> Result(process.Pid, String)
