//// An observed-remove map of last-writer-wins values.
////
//// A key that one node writes and another removes at the same time stays; of values
//// written at the same time, the one with the later stamp is read.
////
//// ```gleam
//// let a = lww_map.insert(lww_map.new(), "unit 1", "active")
//// let b = lww_map.insert(a, "unit 1", "resting")
//// lww_map.get(lww_map.merge(a, b), "unit 1")
//// // -> Ok("resting")
//// ```

import gleam/dict

/// A map with keys and values of one type each.
pub type LwwMap(key, value)

/// The empty map.
@external(erlang, "muster_lww_map", "new")
pub fn new() -> LwwMap(key, value)

/// Writes a value on behalf of this node; what the map knew of the key is replaced.
@external(erlang, "muster_lww_map", "put")
pub fn insert(
  map: LwwMap(key, value),
  key: key,
  value: value,
) -> LwwMap(key, value)

/// The same on behalf of a replica with another name.
@external(erlang, "muster_lww_map", "put")
pub fn insert_as(
  map: LwwMap(key, value),
  key: key,
  value: value,
  replica: String,
) -> LwwMap(key, value)

/// The value of a key, if it is there.
@external(erlang, "muster_gleam_ffi", "lww_map_get")
pub fn get(map: LwwMap(key, value), key: key) -> Result(value, Nil)

/// Whether the key is there.
@external(erlang, "muster_lww_map", "is_key")
pub fn has_key(map: LwwMap(key, value), key: key) -> Bool

/// Removes a key: all that this map has seen of it.
@external(erlang, "muster_lww_map", "remove")
pub fn delete(map: LwwMap(key, value), key: key) -> LwwMap(key, value)

/// The keys, in no particular order.
@external(erlang, "muster_lww_map", "keys")
pub fn keys(map: LwwMap(key, value)) -> List(key)

/// Keys with their values, in no particular order.
@external(erlang, "muster_lww_map", "to_list")
pub fn to_list(map: LwwMap(key, value)) -> List(#(key, value))

/// Keys with their values, as a plain dictionary.
@external(erlang, "muster_lww_map", "to_map")
pub fn to_dict(map: LwwMap(key, value)) -> dict.Dict(key, value)

/// How many keys there are, at once.
@external(erlang, "muster_lww_map", "size")
pub fn size(map: LwwMap(key, value)) -> Int

/// What either has written and neither has removed. Commutative, associative and
/// idempotent.
@external(erlang, "muster_lww_map", "merge")
pub fn merge(
  a: LwwMap(key, value),
  b: LwwMap(key, value),
) -> LwwMap(key, value)

/// Whether both hold the same keys with the same values, whatever their histories.
@external(erlang, "muster_lww_map", "equal")
pub fn equal(a: LwwMap(key, value), b: LwwMap(key, value)) -> Bool
