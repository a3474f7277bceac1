#!/usr/bin/env python3
"""The acceptance of the election at its full scale; `script/acceptance` says what there is."""
import sys
import time

import failover
from beams import Cluster, compile_nodes, told_since

passed = failed = 0


def check(name, condition, note=""):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
    print(f"{'ok  ' if condition else 'FAIL'} {name}{': ' if note else ''}{note}", flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def fail_over(name, rounds):
    cause = failover.CAUSES[name]
    cluster = Cluster()
    try:
        times = failover.measure(cluster, cause, rounds, look_at=cause.p99)
    finally:
        cluster.close()
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    good = (cause.p50 is None or p50 <= cause.p50) and p99 <= cause.p99
    check(f"fail-over, {cause.text}", good, f"n {len(times)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(times):.1f} ms")


def busy(seconds):
    """A leader whose BEAM has no time for anything keeps its leadership."""
    cluster = Cluster()
    try:
        leader = cluster.settled()
        marks = {b: b.mark() for b in cluster.beams}
        began = time.monotonic()
        leader.call("acceptance_node", "load", 5000, seconds=60)
        time.sleep(seconds)
        told = [e for b in cluster.beams for e in b.told("leader", marks[b])]
        answered = leader.state()
        check(f"a busy leader stays, {seconds} s", not told and answered.get("is_leader") == "true",
              told_since(cluster.beams, began) if told else "no change")
    finally:
        cluster.close()


def main():
    compile_nodes()
    name, rounds = sys.argv[1], int(sys.argv[2])
    began = time.monotonic()
    if name == "busy":
        busy(rounds)
    else:
        fail_over(name, rounds)
    print(f"{time.monotonic() - began:.1f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
