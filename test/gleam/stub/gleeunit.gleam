// A stand-in for gleeunit: the tests' functions are found and called by test/gleam/gleam_tests.erl.

pub fn main() -> Nil {
  Nil
}
