#!/usr/bin/env python3
"""The acceptance of the election among real BEAM nodes, each with its C node on a host (a network namespace) of
its own. `script/acceptance` says what there is to run."""
import json
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import command  # noqa: E402
import failover  # noqa: E402
import partition  # noqa: E402
from beams import EBIN, Cluster, compile_nodes, told_since  # noqa: E402
from rig.checks import check, conclude, percentile, skip  # noqa: E402
from rig.netns import can_make_namespaces  # noqa: E402

STEP_DOWN_MS = 150 + 25
SAME_MS = 1000
# A transfer is told as two events, and each member has its own process for them.
HAND_OVER_MS = 10
# `--short` judges no times but these: it runs beside whatever else the machine does.
PATIENCE_MS = 10000
short = False


def within(values, limit):
    """Whether all came, in time."""
    return all(v is not None and v <= (PATIENCE_MS if short else limit) for v in values)


def spread(values):
    known = [v for v in values if v is not None]
    missing = len(values) - len(known)
    text = f"p50 {percentile(known, 0.5):.1f} ms, p99 {percentile(known, 0.99):.1f} ms, max {max(known):.1f} ms" \
        if known else "none"
    return f"n {len(values)}, {text}" + (f", {missing} never" if missing else "")


# --- Fail-over ---

def check_cause(cluster, cause, rounds):
    times = failover.measure(cluster, cause, rounds, look_at=None if short else cause.p99)
    with open(os.path.join(EBIN, "times.jsonl"), "a", encoding="utf-8") as out:
        out.write(json.dumps({"cause": cause.name, "ms": [round(t, 3) for t in times]}) + "\n")
    good = within([percentile(times, 0.99)], cause.p99) and \
        (cause.p50 is None or within([percentile(times, 0.5)], cause.p50))
    check(f"fail-over, {cause.text}", good, spread(times))


def fail_over(cause):
    def run(rounds):
        cluster = Cluster()
        try:
            check_cause(cluster, cause, rounds)
        finally:
            cluster.close()
    run.__doc__ = f"{cause.text}: " + (f"p50 <= {cause.p50}, " if cause.p50 else "") + f"p99 <= {cause.p99} ms"
    return run


def causes(rounds):
    """Each cause of a fail-over, in one cluster"""
    cluster = Cluster()
    try:
        for cause in failover.CAUSES.values():
            check_cause(cluster, cause, rounds)
    finally:
        cluster.close()


def busy(seconds):
    """A leader whose BEAM is kept busy by 5,000 spinning processes and large garbage collections stays (seconds)"""
    cluster = Cluster()
    try:
        leader = cluster.settled()
        marks = {b: b.mark() for b in cluster.beams}
        began = time.monotonic()
        leader.call("acceptance_node", "load", 5000, seconds=60)
        time.sleep(seconds)
        told = [e for b in cluster.beams for e in b.told("leader", marks[b])]
        stays = not told and leader.state().get("is_leader") == "true"
        check(f"a busy leader stays, {seconds} s", stays,
              "" if stays else told_since(cluster.beams, began) + "".join(b.log() for b in cluster.beams))
    finally:
        cluster.close()


# --- Partitions ---

def check_cuts(name, found):
    check(f"{name}: the cut off leader steps down within {STEP_DOWN_MS} ms",
          within([f["down"] for f in found], STEP_DOWN_MS), spread([f["down"] for f in found]))
    check(f"{name}: the others elect", within([f["new"] for f in found], PATIENCE_MS), spread([f["new"] for f in found]))
    check(f"{name}: all give the same answer within {SAME_MS} ms of the heal",
          within([f["same"] for f in found], SAME_MS), spread([f["same"] for f in found]))


def strange(found):
    return not (within([found["down"]], STEP_DOWN_MS) and within([found["same"]], SAME_MS) and found["undisturbed"])


def check_partition(cluster, name, minority_of, rounds):
    found = [partition.cut_and_heal(cluster, minority_of, strange) for _ in range(rounds)]
    check_cuts(name, found)
    check(f"{name}: no leader and no commander in the minority",
          all(set(f["minority"] + f["minority_command"]) == {"none"} for f in found))
    if not short:
        check(f"{name}: the majority's leader goes on after the heal", all(f["undisturbed"] for f in found))


def check_flapping(cluster, rounds):
    leader = cluster.settled()
    token = leader.state()["token"]
    follower = next(b for b in cluster.beams if b is not leader)
    rest = [b for b in cluster.beams if b is not follower]
    marks = {b: b.mark() for b in rest}
    same = [partition.flap(cluster, follower, 4) for _ in range(rounds)]
    told = [e for b in rest for e in b.told("leader", marks[b])]
    if not short:
        check("a follower's flapping link: the leader stays, nobody else is disturbed",
              leader.state()["token"] == token and not told, str(told or ""))
    check(f"a follower's flapping link: the same answer within {SAME_MS} ms", within(same, SAME_MS), spread(same))
    same = [partition.flap(cluster, cluster.settled(), 4) for _ in range(rounds)]
    check(f"a leader's flapping link: the same answer within {SAME_MS} ms", within(same, SAME_MS), spread(same))


def partitions(rounds):
    """2|3, 1|1|3, one-way, flapping links, with a group and a topology on five nodes"""
    cluster = Cluster(topology={"quorum_size": partition.QUORUM}, ask=True)
    ledger = partition.Ledger(cluster)
    try:
        check_partition(cluster, "2|3", partition.two_three, rounds)
        check_partition(cluster, "1|1|3", partition.one_one_three, rounds)
        for name, deaf in (("one-way, the leader is not heard", False), ("one-way, the leader does not hear", True)):
            check_cuts(name, [partition.one_way(cluster, deaf) for _ in range(rounds)])
        check_flapping(cluster, rounds)
        shared, at_once = ledger.shared_terms(), ledger.at_once()
        check("never two leaders of one term", not shared, f"{ledger.leaderships()} leaderships {shared or ''}")
        check("never two leaders at once", not at_once, str(at_once or ""))
    finally:
        cluster.close()


def pair(rounds):
    """Two nodes, cut: nobody leads; healed: one does"""
    cluster = Cluster(2, topology={"quorum_size": 2}, ask=True)
    ledger = partition.Ledger(cluster)
    try:
        found = [partition.cut_pair(cluster) for _ in range(rounds)]
        check("two nodes, cut: no leader and no commander", not any(f["led"] for f in found),
              f"{sum(bool(f['led']) for f in found)} of {rounds}")
        check(f"two nodes, cut: the leader steps down within {STEP_DOWN_MS} ms",
              within([f["down"] for f in found], STEP_DOWN_MS), spread([f["down"] for f in found]))
        check(f"two nodes, healed: the same answer within {SAME_MS} ms",
              within([f["same"] for f in found], SAME_MS), spread([f["same"] for f in found]))
        check("two nodes: never two leaders of one term, nor two at once",
              not ledger.shared_terms() and not ledger.at_once())
    finally:
        cluster.close()


# --- The commander ---

def twenty(rounds):
    """Twenty nodes started at once with quorum_size 11: one commander within 2 s of the mesh being complete"""
    times, seniors = [], []
    for _ in range(rounds):
        took, senior, story = command.twenty()
        times.append(took)
        seniors.append(senior and senior[1])
        if story:
            print(story)
    check("twenty at once: one commander within 2 s of the mesh", within(times, 2000), spread(times))
    check("twenty at once: one of the longest-running has it in the end", within(seniors, PATIENCE_MS), spread(seniors))


def seniority(rounds):
    """Started in any order, the longest-running commands; restarted, it hands the command to the next oldest"""
    found, gone, after = [], [], []
    for _ in range(rounds):
        cluster = command.staggered()
        try:
            senior = command.await_senior(cluster.beams)
            found.append(senior and senior[1])
            for _ in range(3):
                lost, senior = command.restart_commander(cluster)
                gone.append(lost)
                after.append(senior and senior[1])
        finally:
            cluster.close()
    check("any order of starts: the longest-running commands in the end", within(found, PATIENCE_MS), spread(found))
    check("the commander is restarted: the others have one", within(gone, 1000), spread(gone))
    check("the commander is restarted: the next oldest has it in the end", within(after, PATIENCE_MS), spread(after))


def promoted(rounds):
    """A promoted commander stays, however young"""
    for _ in range(rounds):
        cluster = command.staggered()
        try:
            assert command.await_senior(cluster.beams)
            node, now, changes = command.promote(cluster, 6)
            check("a promoted commander stays, however young", now == node and not changes, f"{now} {changes or ''}")
        finally:
            cluster.close()


def badlink(seconds):
    """A senior member that joins over a link that loses packets causes no leaderless gap (seconds, per loss)"""
    for percent in (1, 3, 10, 30):
        lost, changes = command.bad_senior(percent, seconds)
        gap = any(g > HAND_OVER_MS for g in lost)
        check(f"a senior whose link loses {percent} %: no gap among the others, {seconds} s", not gap,
              f"none commands for {[round(g, 1) for g in lost]} ms, {len(changes)} changes")
        if gap:
            print("\n".join(f"       {c}" for c in changes))


# --- What there is: how much of it by default, and with --short (0: none of it) ---

SCENARIOS = {cause.name: (fail_over(cause), 200, 0) for cause in failover.CAUSES.values()}
SCENARIOS.update({
    "causes": (causes, 20, 1),
    "busy": (busy, 600, 0),
    "partitions": (partitions, 10, 1),
    "pair": (pair, 10, 1),
    "twenty": (twenty, 50, 1),
    "seniority": (seniority, 5, 0),
    "promoted": (promoted, 3, 0),
    "badlink": (badlink, 60, 0),
})


def usage():
    print("script/acceptance --short | NAME[=N]…\n")
    for name, (function, full, _) in SCENARIOS.items():
        print(f"  {name}={full}".ljust(20), function.__doc__)


def chosen(arguments):
    if arguments == ["--short"]:
        return [(name, less) for name, (_, _, less) in SCENARIOS.items() if less]
    named = [a.partition("=") for a in arguments]
    unknown = [name for name, _, n in named if name not in SCENARIOS or (n and not n.isdigit())]
    if unknown:
        sys.exit(f"acceptance: no {', '.join(unknown)}; without arguments it says what there is")
    return [(name, int(n) if n else SCENARIOS[name][1]) for name, _, n in named]


def main():
    global short
    short = sys.argv[1:] == ["--short"]
    work = chosen(sys.argv[1:])
    if not work:
        usage()
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is taken away
    compile_nodes()
    if short:
        check("the members' modules compile", True)
    if not can_make_namespaces():
        for name, _ in work:
            skip(name, "network namespaces need root and iproute2")
        sys.exit(conclude())
    for name, amount in work:
        began = time.monotonic()
        try:
            SCENARIOS[name][0](amount)
        except Exception:  # noqa: BLE001: the others can still run
            traceback.print_exc()
            check(f"{name} goes through", False)
        print(f"     {name}: {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(conclude())


main()
