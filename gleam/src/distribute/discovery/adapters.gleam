//// Ready-made adapters, one for each strategy: `beam_adapter` with its `custom` filled
//// in.
////
//// ```gleam
//// let lan = adapters.gossip([strategy.Text("secret", secret)])
//// lan.start(behaviour.default_options("lan"))
//// ```

import distribute/discovery/adapter
import distribute/discovery/beam_adapter
import distribute/discovery/strategy

/// UDP multicast or broadcast in one network.
pub fn gossip(settings: List(strategy.Setting)) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.gossip(settings)])
}

/// A list of nodes.
pub fn static(nodes: List(String)) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.static(nodes)])
}

/// All nodes of this host.
pub fn local_epmd(
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.local_epmd(settings)])
}

/// The nodes of the hosts in a `.hosts.erlang`.
pub fn hosts_file(
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.hosts_file(settings)])
}

/// A and AAAA records.
pub fn dns(
  query: String,
  node_basename: String,
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.dns(query, node_basename, settings)])
}

/// SRV records.
pub fn dns_srv(
  query: String,
  node_basename: String,
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.dns_srv(query, node_basename, settings)])
}

/// The pods that a selector finds, by the Kubernetes API.
pub fn kubernetes(
  selector: String,
  node_basename: String,
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.kubernetes(selector, node_basename, settings)])
}

/// The records of a headless service in Kubernetes.
pub fn kubernetes_dns(
  service: String,
  application_name: String,
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([
    strategy.kubernetes_dns(service, application_name, settings),
  ])
}

/// The machines of a tailnet that are online.
pub fn tailscale(
  node_basename: String,
  settings: List(strategy.Setting),
) -> adapter.DiscoveryAdapter {
  beam_adapter.with([strategy.tailscale(node_basename, settings)])
}
