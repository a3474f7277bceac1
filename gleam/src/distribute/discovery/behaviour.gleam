//// What an adapter must provide, and what goes in and out of it. The functions
//// themselves are the record in `distribute/discovery/adapter`.
////
//// Types that the rest of discovery shares are those of
//// `distribute/discovery/types`, under the same names.

import distribute/discovery/types
import gleam/dict
import gleam/dynamic
import gleam/option

/// A peer's name: that of its node, `"app@host"`.
pub type PeerId =
  types.PeerId

/// What a peer says of itself.
pub type PeerMetadata =
  types.PeerMetadata

/// What can go wrong.
pub type DiscoveryError =
  types.DiscoveryError

/// What a subscriber's callback is called with.
pub type DiscoveryEvent =
  types.DiscoveryEvent

/// A function to call for each event.
pub type EventCallback =
  types.EventCallback

/// How discovery is doing.
pub type HealthStatus =
  types.HealthStatus

/// Names a subscription, to end it by.
pub type SubscriptionId =
  types.SubscriptionId

/// How discovery is doing, with what is known of the backends.
pub type HealthInfo {
  HealthInfo(
    status: HealthStatus,
    /// When a backend last answered: milliseconds since 1970.
    last_sync_time_ms: option.Option(Int),
    /// The latest failure that no later answer has made good.
    last_error: option.Option(String),
    known_peers_count: Int,
  )
}

/// What an adapter is started with; `default_options` has them all.
pub type DiscoveryOptions {
  DiscoveryOptions(
    /// The name that the adapter's process is registered under.
    name: String,
    /// How often a backend is asked, ms.
    sync_interval_ms: Int,
    /// How long an answer is waited for, ms.
    sync_timeout_ms: Int,
    /// What the names of telemetry events begin with, parted by dots.
    telemetry_prefix: String,
    /// Nodes to connect to from the start.
    seed_peers: List(String),
    /// What only this adapter knows: see there.
    custom: dict.Dict(String, dynamic.Dynamic),
  )
}

/// Options with these values:
///
/// - `sync_interval_ms`: 5000
/// - `sync_timeout_ms`: 5000
/// - `telemetry_prefix`: `"muster.discovery"`
/// - `seed_peers`: none
/// - `custom`: none
pub fn default_options(name: String) -> DiscoveryOptions {
  DiscoveryOptions(
    name: name,
    sync_interval_ms: 5000,
    sync_timeout_ms: 5000,
    telemetry_prefix: "muster.discovery",
    seed_peers: [],
    custom: dict.new(),
  )
}

/// Whether to try again: `SyncFailed` and `Timeout`.
pub fn is_transient_error(error: DiscoveryError) -> Bool {
  case error {
    types.SyncFailed(_) -> True
    types.Timeout(_) -> True
    _ -> False
  }
}

/// Whether trying again is of no use: `InvalidConfiguration` and
/// `PeerNotFound`. The errors that are neither, those of starting, stopping and
/// subscribing, are for the caller to judge.
pub fn is_permanent_error(error: DiscoveryError) -> Bool {
  case error {
    types.InvalidConfiguration(_) -> True
    types.PeerNotFound(_) -> True
    _ -> False
  }
}

/// A subscription's name.
pub fn new_subscription_id(id: String) -> SubscriptionId {
  types.new_subscription_id(id)
}

/// The text in a subscription's name.
pub fn subscription_id_value(id: SubscriptionId) -> String {
  types.subscription_id_value(id)
}
