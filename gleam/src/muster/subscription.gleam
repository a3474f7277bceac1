//// Callbacks of the node monitor and the topology: each is called for one event after the
//// other, in a process of its own. One that is slow or crashes is nobody's trouble
//// but its own.

/// Names a subscription, to end it by.
pub opaque type Subscription {
  Subscription(id: String)
}

/// Why there is no subscription.
pub type SubscribeError {
  /// There is no such server at the moment, or the application `muster` is not
  /// started.
  NotRunning
  /// It did not answer within 5 s.
  NoAnswer
}

/// For the modules that subscribe.
pub fn from(
  result: Result(String, SubscribeError),
) -> Result(Subscription, SubscribeError) {
  case result {
    Ok(id) -> Ok(Subscription(id))
    Error(error) -> Error(error)
  }
}

/// Ends a subscription: its callback is not called again. A call that is under
/// way goes on. Callbacks may use it too. Twice is as good as once.
pub fn cancel(subscription: Subscription) -> Nil {
  remove(subscription.id)
}

@external(erlang, "muster_gleam_ffi", "unsubscribe")
fn remove(id: String) -> Nil
