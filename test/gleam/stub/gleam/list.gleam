// A stand-in for gleam_stdlib's module, with the functions that the tests use.

@external(erlang, "erlang", "length")
pub fn length(of list: List(a)) -> Int

pub fn each(list: List(a), f: fn(a) -> b) -> Nil {
  case list {
    [] -> Nil
    [first, ..rest] -> {
      f(first)
      each(rest, f)
    }
  }
}

pub fn map(list: List(a), with fun: fn(a) -> b) -> List(b) {
  case list {
    [] -> []
    [first, ..rest] -> [fun(first), ..map(rest, fun)]
  }
}

pub fn contains(list: List(a), any elem: a) -> Bool {
  case list {
    [] -> False
    [first, ..rest] -> first == elem || contains(rest, elem)
  }
}
