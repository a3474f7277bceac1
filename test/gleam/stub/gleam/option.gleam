// A stand-in for gleam_stdlib's module.

pub type Option(a) {
  Some(a)
  None
}
