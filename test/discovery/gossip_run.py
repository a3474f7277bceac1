#!/usr/bin/env python3
"""Gossip, local epmd and hosts file, live: C nodes and BEAM nodes in network namespaces.

Prints a line for each check and ends with `N passed, N failed`. Needs root (for the namespaces), ip,
epmd and erl. MUSTER_NODE names another C node to test. Arguments: the checks to run (default: all).
"""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from gossip_finding import (found_and_kept, lost_and_expire, pace, single_node_mode,  # noqa: E402
                            twenty_nodes)
from gossip_flood import flood, flood_of_repeated_names, tls_cluster  # noqa: E402
from gossip_network import broadcast, deaf, no_route, taken_port, two_hosts  # noqa: E402
from gossip_packets import (libcluster_packets, metadata, refused_options, rotation,  # noqa: E402
                            sealed_packets)
from gossip_support import A, B, C, D  # noqa: E402
from local_checks import hosts_file, local_epmd  # noqa: E402
from namespace import Namespace  # noqa: E402
from rig.checks import check, conclude  # noqa: E402
from rig.waiting import wait_for  # noqa: E402

# Each in the namespace of all with the BEAM nodes a, b, c and d.
CHECKS = [found_and_kept, lost_and_expire, libcluster_packets, single_node_mode, pace, metadata,
          sealed_packets, rotation, broadcast, taken_port, refused_options, tls_cluster, local_epmd,
          hosts_file, flood, flood_of_repeated_names, twenty_nodes]
# These make namespaces of their own, and run beside the others.
CHECKS_APART = [no_route, deaf, two_hosts]


def run_all(checks, ns):
    for run in checks:
        if not sys.argv[1:] or run.__name__ in sys.argv[1:]:
            try:
                run(ns)
            except (AssertionError, KeyError, OSError, subprocess.SubprocessError) as error:
                check(f"{run.__name__} ran through", False, repr(error))


def main():
    began = time.monotonic()
    apart = threading.Thread(target=run_all, args=(CHECKS_APART, None))
    apart.start()
    ns = Namespace(f"mgossip{os.getpid()}")
    try:
        ns.epmd()
        for name in (A, B, C, D):
            ns.beam(name)
        up = wait_for(lambda: len(ns.epmd_names()) == 4, 10)
        check("the BEAM nodes of the test came up", up, ns.epmd_names())
        run_all(CHECKS, ns)
    finally:
        apart.join()
        ns.close()
    print(f"in {time.monotonic() - began:.0f} s")
    return conclude()


if __name__ == "__main__":
    sys.exit(main())
