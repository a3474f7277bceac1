import gleam/dict
import gleam/list
import muster/crdt/lww_map
import muster/crdt/lww_register
import muster/crdt/or_set

pub fn or_set_test() {
  let a = or_set.from_list(["x", "y"])
  let b = or_set.add(a, "z")
  let c = or_set.remove(a, "x")
  let merged = or_set.merge(b, c)
  let assert 2 = or_set.size(merged)
  let assert False = or_set.contains(merged, "x")
  let assert True = or_set.contains(merged, "z")
  let assert True = or_set.equal(merged, or_set.from_list(["z", "y"]))
  let assert True = merged == or_set.merge(c, b)
}

pub fn or_set_add_wins_test() {
  let base = or_set.add_as(or_set.new(), 1, "a")
  let added = or_set.add_as(base, 1, "b")
  let removed = or_set.remove(base, 1)
  let assert [1] = or_set.to_list(or_set.merge(added, removed))
}

pub fn lww_register_test() {
  let old = lww_register.new_as(1, "a")
  let new = lww_register.update_as(old, 2, "b")
  let newest = lww_register.update(new, 3)
  let assert 2 = lww_register.value(lww_register.merge(old, new))
  let assert 3 = lww_register.value(lww_register.merge(newest, new))
  let assert "s" = lww_register.value(lww_register.new("s"))
}

pub fn lww_map_test() {
  let a = lww_map.insert(lww_map.new(), "k", 1)
  let b = lww_map.insert_as(a, "l", 2, "b")
  let c = lww_map.delete(a, "k")
  let assert Ok(2) = lww_map.get(b, "l")
  let assert Error(Nil) = lww_map.get(c, "k")
  let merged = lww_map.merge(b, c)
  let assert ["l"] = lww_map.keys(merged)
  let assert [#("l", 2)] = lww_map.to_list(merged)
  let assert Ok(2) = dict.get(lww_map.to_dict(merged), "l")
  let assert 1 = lww_map.size(merged)
  let assert True = lww_map.has_key(merged, "l")
  let assert True = lww_map.equal(merged, lww_map.merge(c, b))
  let assert True = list.contains(lww_map.keys(b), "k")
}
