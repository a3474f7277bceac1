import distribute/discovery
import distribute/discovery/adapter
import distribute/discovery/behaviour
import distribute/discovery/types
import gleam/dict
import gleam/dynamic
import gleam/list
import gleam/option
import gleam/otp/supervision

// Each error with: is it transient, is it permanent?
fn errors() -> List(#(types.DiscoveryError, Bool, Bool)) {
  [
    #(types.StartFailed(reason: "r"), False, False),
    #(types.StopFailed(reason: "r"), False, False),
    #(types.ShutdownTimeout(elapsed_ms: 1), False, False),
    #(types.SyncFailed(reason: "r"), True, False),
    #(types.PeerNotFound(peer: "p"), False, True),
    #(types.InvalidConfiguration(reason: "r"), False, True),
    #(types.Timeout(elapsed_ms: 1), True, False),
    #(types.SubscriptionFailed(reason: "r"), False, False),
  ]
}

pub fn transient_and_permanent_errors_test() {
  list.each(errors(), fn(row) {
    let #(error, transient, permanent) = row
    let assert True = behaviour.is_transient_error(error) == transient
    let assert True = behaviour.is_permanent_error(error) == permanent
  })
}

pub fn every_error_has_words_test() {
  let words = list.map(errors(), fn(row) { adapter.describe_error(row.0) })
  let assert [
    "start failed: r",
    "stop failed: r",
    "not stopped within 1 ms",
    "sync failed: r",
    "no peer is called p",
    "invalid configuration: r",
    "no answer within 1 ms",
    "subscription failed: r",
  ] = words
}

pub fn default_options_test() {
  let behaviour.DiscoveryOptions(
    name: name,
    sync_interval_ms: interval,
    sync_timeout_ms: timeout,
    telemetry_prefix: prefix,
    seed_peers: seeds,
    custom: custom,
  ) = behaviour.default_options("n")
  let assert #("n", 5000, 5000, "muster.discovery", []) = #(
    name,
    interval,
    timeout,
    prefix,
    seeds,
  )
  let assert [] = dict.to_list(custom)
}

pub fn subscription_ids_test() {
  let id = behaviour.new_subscription_id("s1")
  let assert "s1" = behaviour.subscription_id_value(id)
  let assert True = id == types.new_subscription_id("s1")
  let assert False = id == types.new_subscription_id("s2")
}

// The documents' signatures: this compiles only while they hold.
pub fn signatures_test() {
  let _: fn() -> supervision.ChildSpecification(types.AdapterHandle) =
    discovery.child_spec
  let _: String = discovery.default_adapter_name
  let _: fn() -> types.HealthStatus = discovery.health
  let _: fn(String) -> Result(types.PeerInfo, types.DiscoveryError) =
    discovery.lookup
  let _: fn() -> Result(List(types.PeerInfo), types.DiscoveryError) =
    discovery.snapshot
  let _: fn() -> Result(types.AdapterHandle, types.DiscoveryError) =
    discovery.start_link
  let _: fn(fn(types.DiscoveryEvent) -> Nil) ->
    Result(types.SubscriptionId, types.DiscoveryError) = discovery.subscribe
  let _: fn(types.SubscriptionId) -> Result(Nil, types.DiscoveryError) =
    discovery.unsubscribe
  let _: fn(String) -> behaviour.DiscoveryOptions = behaviour.default_options
  let _: fn(behaviour.DiscoveryError) -> Bool = behaviour.is_permanent_error
  let _: fn(behaviour.DiscoveryError) -> Bool = behaviour.is_transient_error
  let _: fn(String) -> behaviour.SubscriptionId = behaviour.new_subscription_id
  let _: fn(behaviour.SubscriptionId) -> String =
    behaviour.subscription_id_value
  let _: fn(behaviour.DiscoveryEvent) -> behaviour.EventCallback = fn(_) {
    fn(_) { Nil }
  }
}

// The documents' types: constructors with their labels.
pub fn types_test() {
  let metadata: behaviour.PeerMetadata = dict.from_list([#("k", "v")])
  let peer: behaviour.PeerId = "a@b"
  let events: List(behaviour.DiscoveryEvent) = [
    types.PeerUp(peer: peer, metadata: metadata),
    types.PeerUpdate(peer: peer, metadata: metadata),
    types.PeerDown(peer: peer, reason: "r"),
  ]
  let assert [types.PeerUp("a@b", _), types.PeerUpdate(_, _), types.PeerDown(_, "r")] =
    events
  let info =
    behaviour.HealthInfo(
      status: types.Degraded(reason: "r"),
      last_sync_time_ms: option.Some(1),
      last_error: option.None,
      known_peers_count: 2,
    )
  let assert types.Degraded("r") = info.status
  let statuses: List(behaviour.HealthStatus) = [types.Up, types.Down(reason: "r")]
  let assert 2 = list.length(statuses)
  let peer_info = types.PeerInfo(id: peer, metadata: metadata)
  let assert Ok("v") = dict.get(peer_info.metadata, "k")
  let options =
    behaviour.DiscoveryOptions(
      ..behaviour.default_options("n"),
      seed_peers: [peer],
      custom: dict.from_list([#("strategy", dynamic.string("static"))]),
    )
  let assert ["a@b"] = options.seed_peers
}
