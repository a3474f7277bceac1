#!/usr/bin/env python3
"""How long a group of five BEAM nodes, each on a host of its own, is without a leader that all know: from just before the
fault until the last surviving member's process has been told of the next one. The baseline is a name in `global`, which
the next process takes when its holder goes, in the same kind of cluster: quick where a connection closes, as slow as
net_ticktime where none does, and with two leaders while the cluster is cut."""

import os
import sys
import traceback

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test")
sys.path[1:1] = [TESTS, os.path.join(TESTS, "acceptance")]
import failover  # noqa: E402
from beams import Cluster, compile_nodes  # noqa: E402
from bench_support import emit  # noqa: E402
from rig.checks import percentile  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "10"))
# The baseline's cluster with a net_ticktime of 4 s instead of 60: nobody waits for a bench to tick 15 times.
TICK_S = 4
TICK_ROUNDS = 2
SILENT = ("silent", "frozen")
# What ends with a process or a connection; the rest of failover.CAUSES has nothing to be compared with.
COMPARED = ("killed", "process", "init") + SILENT


def figures(times):
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "max": max(times)}


def measure_muster():
    """Cause -> figures."""
    cluster = Cluster()
    try:
        return {name: figures(failover.measure(cluster, cause, ROUNDS)) for name, cause in failover.CAUSES.items()}
    finally:
        cluster.close()


def start_anew(cluster, victim):
    """No BEAM comes back by itself from where the others have given it up."""
    victim.kill()
    cluster.wires.up(victim.host)
    failover.restart(cluster, victim)


def measure_baseline():
    """Cause -> figures, of what went well: what happens to `global` is no failure of muster's."""
    found = {}
    try:
        cluster = Cluster(baseline=True, flags=["-kernel", "net_ticktime", str(TICK_S)])
        try:
            for name in COMPARED:
                cause = failover.CAUSES[name]
                if name in SILENT:
                    cause = failover.Cause(name, cause.text, cause.fault, start_anew)
                found[name] = figures(failover.measure(cluster, cause, TICK_ROUNDS if name in SILENT else ROUNDS))
        finally:
            cluster.close()
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        print(f"failover: the baseline did not get beyond {', '.join(found) or 'its start'}")
    return found


def main():
    if os.getuid() != 0:
        print("failover: network namespaces need root")
        return
    compile_nodes()
    muster, plain = measure_muster(), measure_baseline()
    for name, values in muster.items():
        base = plain.get(name)
        baseline = base and (f"global, net_ticktime {TICK_S} s" if name in SILENT else "global")
        for metric, value in values.items():
            emit("failover", f"{name} {metric}_ms", round(value, 1), ROUNDS, baseline,
                 base and round(base[metric], 1))


main()
