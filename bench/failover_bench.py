#!/usr/bin/env python3
"""How long a group of five BEAM nodes, each on a host of its own, is without a leader that all know: from just before the
fault until the last surviving member's process has been told of the next one. The baseline is a name in `global`, which
the next process takes when its holder goes, in the same kind of cluster: quick where a connection closes, as slow as
net_ticktime where none does, and with two leaders while the cluster is cut."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "acceptance"))
import failover  # noqa: E402
from beams import Cluster, compile_nodes  # noqa: E402
from bench_support import emit  # noqa: E402
from checks import percentile  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "25"))
# The baseline's cluster with a net_ticktime of 4 s instead of 60: nobody waits for a bench to tick 15 times.
TICK_S = 4
TICK_ROUNDS = 3
SILENT = ("silent", "frozen")
# What ends with a process or a connection; the rest of failover.CAUSES has nothing to be compared with.
COMPARED = ("killed", "process", "init") + SILENT


def figures(times):
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times)}


def measured(rounds_of, **options):
    """Cause -> figures, all in one cluster."""
    cluster = Cluster(**options)
    try:
        return {name: (figures(failover.measure(cluster, failover.CAUSES[name], rounds)), rounds)
                for name, rounds in rounds_of.items()}
    finally:
        cluster.close()


def main():
    if os.getuid() != 0:
        print("failover: network namespaces need root")
        return
    compile_nodes()
    muster = measured({name: ROUNDS for name in failover.CAUSES})
    # With tick time 4 s in either case: it does not matter where a connection closes.
    flags = ["-kernel", "net_ticktime", str(TICK_S)]
    plain = measured({name: TICK_ROUNDS if name in SILENT else ROUNDS for name in COMPARED}, baseline=True, flags=flags)
    for name, (values, rounds) in muster.items():
        base, _ = plain.get(name, ({}, 0))
        baseline = f"global, net_ticktime {TICK_S} s" if name in SILENT else "global" if base else None
        for metric, value in values.items():
            emit("failover", f"{name} {metric}_ms", round(value, 1), rounds, baseline,
                 round(base[metric], 1) if base else None)


main()
