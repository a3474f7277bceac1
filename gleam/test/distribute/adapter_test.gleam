import distribute/discovery/adapter
import distribute/discovery/types

type Table

@external(erlang, "ets", "new")
fn new_table(name: Kind, options: List(Kind)) -> Table

@external(erlang, "ets", "update_counter")
fn count(table: Table, key: String, by: Int, default: #(String, Int)) -> Int

type Kind {
  Public
}

// Fails so many times, then succeeds; returns what retry says and the calls it took.
fn tried(
  failures: Int,
  error: types.DiscoveryError,
) -> #(Result(Int, types.DiscoveryError), Int) {
  let table = new_table(Public, [Public])
  let result =
    adapter.retry(3, 1, fn() {
      let calls = count(table, "calls", 1, #("calls", 0))
      case calls > failures {
        True -> Ok(calls)
        False -> Error(error)
      }
    })
  #(result, count(table, "calls", 0, #("calls", 0)))
}

pub fn a_success_is_not_repeated_test() {
  let assert #(Ok(1), 1) = tried(0, types.Timeout(1))
}

pub fn transient_errors_are_retried_test() {
  let assert #(Ok(3), 3) = tried(2, types.SyncFailed("r"))
  let assert #(Ok(2), 2) = tried(1, types.Timeout(1))
}

pub fn retrying_ends_test() {
  let assert #(Error(types.SyncFailed("r")), 3) = tried(9, types.SyncFailed("r"))
}

pub fn other_errors_are_not_retried_test() {
  let assert #(Error(types.PeerNotFound("p")), 1) =
    tried(1, types.PeerNotFound("p"))
  let assert #(Error(types.StartFailed("r")), 1) =
    tried(1, types.StartFailed("r"))
}
