"""Partitions of a cluster with a leader group and a topology: who leads, how soon the cut off leader stops, how
soon all say the same again."""
import random
import time

from beams import learnt, told_since
from rig.waiting import wait_for

QUORUM = 3


class Ledger:
    """All leaderships that were seen: by what the members were told, and by what they answered when asked
    all the time."""

    def __init__(self, cluster):
        self.cluster = cluster

    def _tokens(self):
        for beam in self.cluster.beams:
            for _, (_, node, token) in beam.told("leader"):
                if node == beam.node:
                    yield "group", beam.node, tuple(token)
            for what, token, _, _ in beam.call("acceptance_watch", "spans"):
                yield str(what), beam.node, tuple(token)

    def leaderships(self):
        return len(set(self._tokens()))

    def shared_terms(self):
        """Terms with more than one leadership, or leadership with more than one leader."""
        seen, found = {}, []
        for what, node, (term, election) in self._tokens():
            first = seen.setdefault((what, term), (node, election))
            if first != (node, election):
                found.append((what, term, first, (node, election)))
        return found

    def at_once(self):
        """Two that led at one instant: each answered before and after one of the other's instants."""
        spans = [(what, first, last, beam.node) for beam in self.cluster.beams
                 for what, _, first, last in beam.call("acceptance_watch", "spans")]
        return [(a, b) for i, a in enumerate(spans) for b in spans[i + 1:]
                if a[0] == b[0] and a[3] != b[3] and a[1] < b[2] and b[1] < a[2]]


def commander_of(state):
    return state.get("command", "none")


def same_answer(cluster):
    """The leader and commander that all name, with all members listed."""
    states = [b.state() for b in cluster.beams]
    leaders = {(s.get("leader"), s.get("token"), s.get("term")) for s in states}
    commands = {str(s.get("command")) for s in states}
    roles = {str(s.get("roles")) for s in states}
    if len(leaders) != 1 or len(commands) != 1 or len(roles) != 1:
        return None
    leader, command = leaders.pop()[0], states[0].get("command")
    if leader in (None, "none") or command in (None, "none") or len(states[0]["roles"]) != len(cluster.beams):
        return None
    return leader, command[0]


def await_same(cluster, since, seconds=15):
    """When all gave the same answer, in ms since the moment; the question was asked before that."""
    found = wait_for(lambda: (a := time.monotonic()) and same_answer(cluster) and a, seconds, 0.005)
    return (found - since) * 1000 if found else None


def stepped_down(beam, mark, since, seconds=5):
    """ms until a leader's process was told that it leads no more."""
    def find():
        return next((at for at, (_, node, _) in beam.told("leader", mark) if node != beam.node), None)
    at = beam.wait(find, seconds)
    return None if at is None else (at - since) * 1000


def cut_and_heal(cluster, minority_of, note):
    """One partition that takes the leader from the majority: a dict of what was measured.
    `minority_of(leader, others)` gives the beams for bridge1 and for bridge2, the leader last on bridge1."""
    leader = cluster.settled()
    assert await_same(cluster, time.monotonic()) is not None, "no one answer before the cut"
    others = [b for b in cluster.beams if b is not leader]
    first, second = minority_of(leader, others)
    majority = [b for b in others if b not in first + second]
    time.sleep(random.uniform(0, 0.1))
    marks = {b: b.mark() for b in cluster.beams}
    began = time.monotonic()
    if second:
        cluster.wires.move([b.host for b in second], "bridge2")
    before, after = cluster.wires.move([b.host for b in first], "bridge1")
    found = {"before": before, "cut_ms": (after - before) * 1000}
    found["down"] = stepped_down(leader, marks[leader], after)
    new = learnt(majority, marks, leader.node, 10)
    found["new"] = new and (new - before) * 1000
    time.sleep(random.uniform(0.3, 2))
    alone = [b.state() for b in first + second]
    found["minority"] = [s.get("leader") for s in alone]
    found["minority_command"] = [commander_of(s) for s in alone]
    elected = majority[0].state().get("token")
    _, healed = cluster.wires.move([b.host for b in first + second], "bridge0")
    found["same"] = await_same(cluster, healed)
    found["undisturbed"] = majority[0].state().get("token") == elected
    if note(found):
        print(f"     cut at {(before - began) * 1000:.0f} ms, healed at {(healed - began) * 1000:.0f} ms: {found}"
              f"{told_since(cluster.beams, began)}", flush=True)
    return found


def two_three(leader, others):
    return [random.choice(others), leader], []


def one_one_three(leader, others):
    return [leader], [random.choice(others)]


def one_way(cluster, deaf):
    """The leader is not heard by the others, or (`deaf`) does not hear them. What was measured."""
    leader = cluster.settled()
    assert await_same(cluster, time.monotonic()) is not None, "no one answer before the cut"
    others = [b for b in cluster.beams if b is not leader]
    marks = {b: b.mark() for b in cluster.beams}
    began = time.monotonic()
    if deaf:
        leader.host.lose_from([b.host for b in others])
    else:
        for other in others:
            other.host.lose_from([leader.host])
    after = time.monotonic()
    found = {"cut_ms": (after - began) * 1000, "down": stepped_down(leader, marks[leader], after)}
    new = learnt(others, marks, leader.node, 10)
    found["new"] = new and (new - began) * 1000
    time.sleep(random.uniform(0.3, 1.5))
    for beam in [leader] if deaf else others:
        beam.host.lose_none()
    found["same"] = await_same(cluster, time.monotonic())
    return found


def flap(cluster, flapper, times):
    """It is cut off and back at random. When all gave the same answer after the last time. The cable stays plugged
    in: where a host sees its own carrier go, its kernel forgets the neighbours' addresses, and asks for them once
    a second."""
    for _ in range(times):
        cluster.wires.move([flapper.host], "bridge1")
        time.sleep(random.uniform(0.02, 0.4))
        _, healed = cluster.wires.move([flapper.host], "bridge0")
        time.sleep(random.uniform(0.02, 0.4))
    return await_same(cluster, healed)


def bad_link(cluster, beam, percent):
    """Both ways, for good."""
    some = f"numgen random mod 100 < {percent}"
    others = [b for b in cluster.beams if b is not beam]
    beam.host.lose_from([b.host for b in others], some)
    for other in others:
        other.host.lose_from([beam.host], some)


def cut_pair(cluster):
    """Two nodes that are cut for a while: who led meanwhile, when the leader stopped, when all was well again."""
    leader = cluster.settled()
    assert await_same(cluster, time.monotonic()) is not None, "no one answer before the cut"
    marks = {b: b.mark() for b in cluster.beams}
    _, cut = cluster.wires.move([leader.host], "bridge1")
    found = {"down": stepped_down(leader, marks[leader], cut)}
    time.sleep(1.5)
    told = [e for b in cluster.beams for what in ("leader", "commander") for _, e in b.told(what, marks[b])]
    states = [b.state() for b in cluster.beams]
    found["led"] = [e for e in told if e[1] != "none"] + \
        [s for s in states if s["leader"] != "none" or s["command"] != "none"]
    _, healed = cluster.wires.move([leader.host], "bridge0")
    found["same"] = await_same(cluster, healed)
    return found
