//// Ways to find nodes, for `beam_adapter.with` or an option `custom`. A strategy's
//// function asks for what it cannot do without; everything else is a setting, see
//// `docs/discovery-gossip.md` and `docs/discovery-backends.md`.
////
//// ```gleam
//// strategy.gossip([strategy.Text("secret", secret), strategy.Number("port", 45_893)])
//// ```

import gleam/dict
import gleam/dynamic

/// An option of a strategy, by its name.
pub type Setting {
  Text(name: String, value: String)
  Texts(name: String, values: List(String))
  Number(name: String, value: Int)
  Flag(name: String, value: Bool)
}

/// A way to find nodes.
pub opaque type Strategy {
  Strategy(label: String, name: String, settings: List(Setting))
}

/// UDP multicast or broadcast in one network. Give a `secret` wherever strangers
/// can send packets.
pub fn gossip(settings: List(Setting)) -> Strategy {
  named("gossip", settings)
}

/// A list of nodes, such as `["app@host1", "app@host2"]`.
pub fn static(nodes: List(String)) -> Strategy {
  named("static", [Texts("nodes", nodes)])
}

/// All nodes of this host.
pub fn local_epmd(settings: List(Setting)) -> Strategy {
  named("local_epmd", settings)
}

/// The nodes of the hosts in a `.hosts.erlang`.
pub fn hosts_file(settings: List(Setting)) -> Strategy {
  named("hosts_file", settings)
}

/// A and AAAA records: each address is a node `node_basename@address`.
pub fn dns(
  query: String,
  node_basename: String,
  settings: List(Setting),
) -> Strategy {
  named("dns", [
    Text("query", query),
    Text("node_basename", node_basename),
    ..settings
  ])
}

/// SRV records: each target is a node `node_basename@target`.
pub fn dns_srv(
  query: String,
  node_basename: String,
  settings: List(Setting),
) -> Strategy {
  named("dns_srv", [
    Text("query", query),
    Text("node_basename", node_basename),
    ..settings
  ])
}

/// The pods of a Kubernetes cluster that a selector such as `"app=web"` finds, by
/// its API.
pub fn kubernetes(
  selector: String,
  node_basename: String,
  settings: List(Setting),
) -> Strategy {
  named("kubernetes", [
    Text("kubernetes_selector", selector),
    Text("kubernetes_node_basename", node_basename),
    ..settings
  ])
}

/// The records of a headless service in Kubernetes.
pub fn kubernetes_dns(
  service: String,
  application_name: String,
  settings: List(Setting),
) -> Strategy {
  named("kubernetes_dns", [
    Text("service", service),
    Text("application_name", application_name),
    ..settings
  ])
}

/// The machines of a tailnet that are online.
pub fn tailscale(node_basename: String, settings: List(Setting)) -> Strategy {
  named("tailscale", [Text("node_basename", node_basename), ..settings])
}

/// Calls the strategy by another name in `status`, logs and telemetry. Two of a
/// kind in one adapter need names that differ.
pub fn labelled(strategy: Strategy, label: String) -> Strategy {
  Strategy(label, strategy.name, strategy.settings)
}

fn named(name: String, settings: List(Setting)) -> Strategy {
  Strategy(name, name, settings)
}

/// Strategies as a value for the option `custom`.
pub fn custom(
  strategies: List(Strategy),
) -> dict.Dict(String, dynamic.Dynamic) {
  dict.from_list([#("topologies", to_dynamic(strategies))])
}

@external(erlang, "muster_gleam_discovery", "topologies")
fn to_dynamic(strategies: List(Strategy)) -> dynamic.Dynamic
