#!/usr/bin/env python3
"""Discovery by DNS, SRV, Kubernetes and Tailscale, against real or stand-in backends on loopback.

Drives priv/muster_node over its control port; needs dnsmasq, openssl, erl and epmd. One line for
each check; the last line counts.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from backends_rig import DNSMASQ, Cluster, found  # noqa: E402
from discovery_node import DiscoveryNode  # noqa: E402
from dns_backend import DnsServer  # noqa: E402
from dns_checks import dns_fault_checks, dnsmasq_checks, six_checks  # noqa: E402
from kubernetes_checks import kubernetes_checks  # noqa: E402
from rig.checks import check, conclude, skip  # noqa: E402
from rig.proc import descriptors  # noqa: E402
from rig.waiting import wait_for  # noqa: E402
from tailscale_checks import tailscale_checks  # noqa: E402


def heal_checks(cluster):
    """The link is lost and comes back while the backend is down."""
    node, dns = cluster.node, DnsServer()
    dns.names["heal.test"] = [("A", 1, "127.0.0.1")]
    node.start("heal", "dns", {"nameservers": f"127.0.0.1:{dns.port}", "query": "heal.test",
                               "node_basename": "x", "poll_interval": 200, "timeout": 300})
    check("heal: found", found(node, "heal"))
    dns.names["heal.test"] = "silent"
    node.saw_failure(key="heal")
    mark = node.mark()
    cluster.beam.kill()
    cluster.beam.wait()
    cluster.start_beam()
    check("heal: the node is found again while the backend is silent",
          found(node, "heal", mark, 20))
    node.stop("heal")
    dns.close()


def leaving_checks(directory):
    """A C node whose backends all hang ends at once when its BEAM does."""
    dns, api = DnsServer(), socket.create_server(("127.0.0.1", 0))
    dns.names["silent.test"] = "silent"
    with open(f"{directory}/hangs", "w") as f:
        f.write(f"#!/bin/sh\necho $$ > {directory}/hanging\nsleep 4764\n")
    os.chmod(f.name, 0o755)
    node = DiscoveryNode()
    here = {"nameservers": f"127.0.0.1:{dns.port}", "timeout": 30000}
    node.start("a", "dns", dict(here, query="silent.test", node_basename="x"))
    node.start("b", "dns_srv", dict(here, query="silent.test", node_basename="x"))
    node.start("c", "kubernetes", {"kubernetes_node_basename": "x", "kubernetes_selector": "a=b",
                                   "kubernetes_namespace": "default",
                                   "kubernetes_master": f"127.0.0.1:{api.getsockname()[1]}"})
    node.start("d", "tailscale", {"node_basename": "x", "command": f.name, "timeout": 30000})
    wait_for(lambda: os.path.exists(f"{directory}/hanging") and dns.times("silent.test"))
    node.start("a", "dns", dict(here, query="silent.test", node_basename="y"))
    check("a topology is replaced while it asks", node.status("a")["syncs"] == 0)
    took, code = node.end_of_file()
    check("all backends hang, and the C node leaves in order at once", code == 0 and took < 1,
          f"exit code {code}")
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    check("and takes the command that hangs along", "sleep 4764" not in left)
    dns.close()
    api.close()


def main():
    began = time.monotonic()
    directory = tempfile.mkdtemp(prefix="muster-backends-")
    cluster = Cluster()
    try:
        before = descriptors(cluster.node.pid)
        if DNSMASQ:
            dnsmasq_checks(cluster, directory)
            six_checks(cluster, directory)
        else:
            skip("dns", "dnsmasq is not installed (apt install dnsmasq-base)")
        dns_fault_checks(cluster)
        kubernetes_checks(cluster, directory)
        tailscale_checks(cluster, directory)
        heal_checks(cluster)
        leaving_checks(directory)
        # The link to the BEAM, and what libuv keeps for child processes.
        check("no descriptor is left open",
              wait_for(lambda: descriptors(cluster.node.pid) <= before + 4, 3),
              f"{before} -> {descriptors(cluster.node.pid)}")
    finally:
        code = cluster.close()
        shutil.rmtree(directory, ignore_errors=True)
    check("the C node leaves in order", code == 0, f"exit code {code}")
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(conclude())


if __name__ == "__main__":
    main()
