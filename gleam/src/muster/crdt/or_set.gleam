//// An observed-remove set: a set that many nodes change without asking each other.
////
//// Where one node adds an element and another removes it at the same time, the
//// element stays. Removal leaves nothing behind. Values may be sent to other nodes,
//// stored and merged in any order; see `docs/crdts.md`.
////
//// ```gleam
//// let a = or_set.from_list(["x"])
//// let b = or_set.add(or_set.new(), "y")
//// or_set.size(or_set.merge(a, b))
//// // -> 2
//// ```

/// A set of elements of one type.
pub type OrSet(element)

/// The empty set.
@external(erlang, "muster_or_set", "new")
pub fn new() -> OrSet(element)

/// The set of the list's elements. Much faster than adding one by one.
@external(erlang, "muster_or_set", "from_list")
pub fn from_list(elements: List(element)) -> OrSet(element)

/// Adds an element on behalf of this node. One that is there already is added
/// anew, so that it outlives a concurrent removal.
@external(erlang, "muster_or_set", "add")
pub fn add(set: OrSet(element), element: element) -> OrSet(element)

/// The same on behalf of a replica with another name.
@external(erlang, "muster_or_set", "add")
pub fn add_as(
  set: OrSet(element),
  element: element,
  replica: String,
) -> OrSet(element)

/// Removes an element: all that this value has seen of it, not what others add
/// meanwhile.
@external(erlang, "muster_or_set", "remove")
pub fn remove(set: OrSet(element), element: element) -> OrSet(element)

/// Whether the element is in the set.
@external(erlang, "muster_or_set", "is_member")
pub fn contains(set: OrSet(element), element: element) -> Bool

/// The elements, in no particular order.
@external(erlang, "muster_or_set", "to_list")
pub fn to_list(set: OrSet(element)) -> List(element)

/// How many there are, at once.
@external(erlang, "muster_or_set", "size")
pub fn size(set: OrSet(element)) -> Int

/// What either has added and neither has removed. Commutative, associative and
/// idempotent; the cost follows the difference, not the size.
@external(erlang, "muster_or_set", "merge")
pub fn merge(a: OrSet(element), b: OrSet(element)) -> OrSet(element)

/// Whether both hold the same elements, whatever their histories. (`==` compares
/// the histories too.)
@external(erlang, "muster_or_set", "equal")
pub fn equal(a: OrSet(element), b: OrSet(element)) -> Bool
