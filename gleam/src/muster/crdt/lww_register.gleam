//// A last-writer-wins register: one value that many nodes overwrite.
////
//// Each write is stamped with the time of day, but always later than the write
//// that it replaces. Of equal stamps the greater node name wins.
////
//// ```gleam
//// let old = lww_register.new("initial")
//// let new = lww_register.update(old, "changed")
//// lww_register.value(lww_register.merge(new, old))
//// // -> "changed"
//// ```

/// A register that holds a value of one type.
pub type LwwRegister(value)

/// A register with a first value, written now by this node.
@external(erlang, "muster_lww_register", "new")
pub fn new(value: value) -> LwwRegister(value)

/// The same on behalf of a replica with another name.
@external(erlang, "muster_lww_register", "new")
pub fn new_as(value: value, replica: String) -> LwwRegister(value)

/// Overwrites the value on behalf of this node.
@external(erlang, "muster_lww_register", "update")
pub fn update(register: LwwRegister(value), value: value) -> LwwRegister(value)

/// The same on behalf of a replica with another name.
@external(erlang, "muster_lww_register", "update")
pub fn update_as(
  register: LwwRegister(value),
  value: value,
  replica: String,
) -> LwwRegister(value)

/// The register that was written last. Commutative, associative and idempotent.
@external(erlang, "muster_lww_register", "merge")
pub fn merge(
  a: LwwRegister(value),
  b: LwwRegister(value),
) -> LwwRegister(value)

/// The value.
@external(erlang, "muster_lww_register", "value")
pub fn value(register: LwwRegister(value)) -> value
