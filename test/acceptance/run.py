#!/usr/bin/env python3
"""The acceptance of the election at its full scale; `script/acceptance` says what there is."""
import json
import os
import sys
import time

import command
import failover
import partition
from beams import EBIN, Atom, Cluster, compile_nodes, told_since, wait_for

STEP_DOWN_MS = 150 + 25
SAME_MS = 1000
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
    with open(os.path.join(EBIN, "times.jsonl"), "a", encoding="utf-8") as out:
        out.write(json.dumps({"cause": name, "ms": [round(t, 3) for t in times]}) + "\n")
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
              told_since(cluster.beams, began) + "".join(b.log() for b in cluster.beams) if told else "no change")
    finally:
        cluster.close()


def at_most(values, limit):
    return all(v is not None and v <= limit for v in values)


def spread(values):
    known = [v for v in values if v is not None]
    missing = len(values) - len(known)
    text = f"p50 {percentile(known, 0.5):.0f} ms, max {max(known):.0f} ms" if known else "none"
    return text + (f", {missing} never" if missing else "")


def check_cuts(name, found):
    check(f"{name}: the cut off leader steps down within {STEP_DOWN_MS} ms, {len(found)} cuts",
          at_most([f["down"] for f in found], STEP_DOWN_MS), spread([f["down"] for f in found]))
    check(f"{name}: the majority elects", at_most([f["new"] for f in found], 5000), spread([f["new"] for f in found]))
    check(f"{name}: all give the same answer within {SAME_MS} ms of the heal",
          at_most([f["same"] for f in found], SAME_MS), spread([f["same"] for f in found]))


def partitions(rounds):
    cluster = Cluster(topology={"quorum_size": partition.QUORUM}, ask=True)
    ledger = partition.Ledger(cluster)

    def strange(found):
        down, same = found["down"], found["same"]
        return not at_most([down], STEP_DOWN_MS) or not at_most([same], SAME_MS) or not found["undisturbed"]
    try:
        for name, minority_of in (("2|3", partition.two_three), ("1|1|3", partition.one_one_three)):
            found = [partition.cut_and_heal(cluster, minority_of, strange) for _ in range(rounds)]
            check_cuts(name, found)
            check(f"{name}: no leader and no commander in the minority",
                  all(set(f["minority"] + f["minority_command"]) == {"none"} for f in found))
            check(f"{name}: the majority's leader goes on after the heal", all(f["undisturbed"] for f in found))
        for name, deaf in (("one-way, the leader is not heard", False), ("one-way, the leader does not hear", True)):
            check_cuts(name, [partition.one_way(cluster, deaf) for _ in range(rounds)])
        leader = cluster.settled()
        token = leader.state()["token"]
        follower = next(b for b in cluster.beams if b is not leader)
        rest = [b for b in cluster.beams if b is not follower]
        marks = {b: b.mark() for b in rest}
        same = partition.flap(cluster, follower, 4 * rounds)
        told = [e for b in rest for e in b.told("leader", marks[b])]
        check("a follower's flapping link: the leader stays, nobody else is disturbed",
              leader.state()["token"] == token and not told, str(told))
        check(f"and all give the same answer within {SAME_MS} ms", at_most([same], SAME_MS), spread([same]))
        same = partition.flap(cluster, cluster.settled(), 4 * rounds)
        check(f"a leader's flapping link: all give the same answer within {SAME_MS} ms", at_most([same], SAME_MS),
              spread([same]))
        check("never two leaders of one term", not ledger.shared_terms(),
              f"{ledger.leaderships()} leaderships {ledger.shared_terms()}")
        check("never two leaders at once", not ledger.at_once(), str(ledger.at_once()))
    finally:
        cluster.close()


def pair(rounds):
    """Two nodes, cut: nobody leads; healed: one does."""
    cluster = Cluster(2, topology={"quorum_size": 2}, ask=True)
    ledger = partition.Ledger(cluster)
    down, same, quiet = [], [], True
    try:
        for _ in range(rounds):
            leader = cluster.settled()
            assert partition.await_same(cluster, time.monotonic()) is not None
            marks = {b: b.mark() for b in cluster.beams}
            _, cut = cluster.wires.move([leader.host], "bridge1")
            down.append(partition.stepped_down(leader, marks[leader], cut))
            time.sleep(1.5)
            states = [b.state() for b in cluster.beams]
            led = [e for b in cluster.beams for what in ("leader", "commander") for _, e in b.told(what, marks[b])
                   if e[1] != "none"]
            quiet = quiet and not led and all(s["leader"] == "none" and s["command"] == "none" for s in states)
            _, healed = cluster.wires.move([leader.host], "bridge0")
            same.append(partition.await_same(cluster, healed))
        check(f"two nodes, cut: no leader and no commander, {rounds} cuts", quiet)
        check(f"two nodes, cut: the leader steps down within {STEP_DOWN_MS} ms", at_most(down, STEP_DOWN_MS), spread(down))
        check(f"two nodes, healed: the same answer within {SAME_MS} ms", at_most(same, SAME_MS), spread(same))
        check("two nodes: never two leaders of one term, nor two at once",
              not ledger.shared_terms() and not ledger.at_once())
    finally:
        cluster.close()


def twenty(rounds):
    times, seniors, good = [], [], 0
    for _ in range(rounds):
        took, senior, story = command.twenty()
        times.append(took)
        seniors.append(senior and senior[1])
        good += took is not None and took <= 2000
        if story:
            print(story)
    check(f"twenty at once: one commander within 2 s of the mesh, {good} of {rounds}", good == rounds, spread(times))
    check("twenty at once: one of the longest-running has it in the end", at_most(seniors, 10000), spread(seniors))


def seniority(rounds):
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
    check("any order of starts: the longest-running commands in the end", at_most(found, 5000), spread(found))
    check("restarting the commander: the others have one", at_most(gone, 1000), spread(gone))
    check("restarting the commander: the next oldest has it in the end", at_most(after, 10000), spread(after))


def promoted(rounds):
    for _ in range(rounds):
        cluster = command.staggered()
        try:
            assert command.await_senior(cluster.beams)
            node, now, changes = command.promote(cluster, 6)
            check("a promoted commander stays, however young", now == node and not changes, f"{now} {changes}")
        finally:
            cluster.close()


def badlink(seconds):
    """A senior member that joins over a link that loses packets."""
    for percent in (10, 30, 60):
        cluster = command.Cluster(5, group=False, topology={"quorum_size": 3}, start=False)
        try:
            senior, others = cluster.beams[0], cluster.beams[1:]
            cluster.wires.down(senior.host)
            cluster.start([senior])
            time.sleep(1.5)
            cluster.start(others)
            assert wait_for(lambda: len({str(b.state().get("command")) for b in others}) == 1, 10)
            time.sleep(2)
            partition.bad_link(cluster, senior, percent)
            cluster.wires.up(senior.host)
            senior.call("acceptance_node", "connect", [Atom(b.node) for b in others])
            began = time.monotonic()
            time.sleep(seconds)
            ended = time.monotonic()
            lost = command.gaps(others, began, ended)
            changes = [(round(at - began, 3), alive, node) for at, alive, node in command.timeline(others) if at > began]
            check(f"a senior with a link that loses {percent} %: no leaderless gap among the others, {seconds} s",
                  not lost, f"{len(lost)} gaps {[round(g) for g in lost]}, {len(changes)} changes")
            if lost:
                print("\n".join(f"       {c}" for c in changes))
        finally:
            cluster.close()


def main():
    compile_nodes()
    name, rounds = sys.argv[1], int(sys.argv[2])
    began = time.monotonic()
    if name in failover.CAUSES:
        fail_over(name, rounds)
    else:
        globals()[name](rounds)
    print(f"{time.monotonic() - began:.1f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
