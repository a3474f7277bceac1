"""The cluster's one commander: many nodes started at once, seniority, promotion, a senior node with a bad link."""
import random
import time

from beams import Cluster, told_since
from partition import bad_link
from rig.etf import Atom
from rig.waiting import wait_for

SENIOR_MS = 1000
SMALL = ["+S", "1", "+SDcpu", "1", "+SDio", "1", "+A", "1", "-mode", "interactive"]


def timeline(beams):
    return sorted((at, b.alive, e[1]) for b in beams for at, e in b.told("commander"))


def first_agreement(beams):
    """The first instant at which all had been told of one commander, and who that was."""
    current = {}
    for at, alive, node in timeline(beams):
        current[alive] = node
        if len(current) == len(beams) and len(set(current.values())) == 1 and node != "none":
            return at, node
    return None


def mesh_complete(beams):
    """When the last BEAM had connected to all others, its own topology running."""
    full = [next((at for at, e in b.told("nodes") if e[1] == len(beams) - 1), None) for b in beams]
    return None if None in full else max(full)


def commander(beams):
    """Whom all name, under one token and with one table of roles, else None."""
    states = [b.state() for b in beams]
    if len({(str(s.get("command")), str(s.get("roles"))) for s in states}) != 1:
        return None
    command = states[0].get("command")
    if command in (None, "none") or len(states[0]["roles"]) < len(beams):
        return None
    return command[0]


def started(beams):
    return {b: b.state()["started"] / 1e6 for b in beams}


def seniors(beams):
    """Those that have run longest, give or take a second."""
    starts = started(beams)
    oldest = min(starts.values())
    return {b.node for b, at in starts.items() if at <= oldest + SENIOR_MS}


def await_senior(beams, seconds=60):
    """Until one of the longest-running has the command everywhere: (name, ms that it took), or None."""
    allowed = seniors(beams)
    began = time.monotonic()
    found = wait_for(lambda: (c := commander(beams)) in allowed and c, seconds, 0.02)
    return (found, (time.monotonic() - began) * 1000) if found else None


def twenty(count=20, quorum=11):
    """ms from the mesh's completion until all name one commander; and whether a senior has it in the end."""
    began = time.monotonic()
    cluster = Cluster(count, group=False, topology={"quorum_size": quorum}, flags=SMALL)
    beams = cluster.beams
    try:
        deadline = time.monotonic() + 60
        while not wait_for(lambda: mesh_complete(beams), 5, 0.05):
            assert time.monotonic() < deadline, f"no mesh: {told_since(beams, began)}"
            for beam in beams:  # on a busy machine one that was refused is not tried again
                beam.call("acceptance_node", "connect", [Atom(b.node) for b in beams if b is not beam])
        found = wait_for(lambda: first_agreement(beams), 30, 0.05)
        if not found:
            return None, None, told_since(beams, mesh_complete(beams))
        senior = await_senior(beams)
        return (found[0] - mesh_complete(beams)) * 1000, senior, ""
    finally:
        cluster.close()


def gaps(beams, since, until):
    """The spans, in ms, in which none of the members had been told of a commander."""
    current, lost, found = {}, None, []
    for at, alive, node in timeline(beams):
        if at > until:
            break
        current[alive] = node
        if set(current.values()) == {"none"}:
            lost = lost or max(at, since)
        elif lost is not None:
            found.append((at - lost) * 1000)
            lost = None
    if lost is not None:
        found.append((until - lost) * 1000)
    return [gap for gap in found if gap > 0]


def staggered(count=5, quorum=3):
    """A cluster whose members were started in a random order, more than a second apart."""
    cluster = Cluster(count, group=False, topology={"quorum_size": quorum}, start=False)
    order = list(cluster.beams)
    random.shuffle(order)
    for beam in order:
        cluster.start([beam])
        time.sleep(random.uniform(SENIOR_MS * 1.1, SENIOR_MS * 1.4) / 1000)
    return cluster


def restart_commander(cluster):
    """Kills it and starts it again: ms until the others had the next one, and the senior that has it in the end."""
    old = cluster.of(commander(cluster.beams))
    rest = [b for b in cluster.beams if b is not old]
    marks = {b: b.mark() for b in rest}
    moment = old.kill(cluster.pids[old])

    def all_told():
        last = [b.told("commander", marks[b])[-1:] for b in rest]
        names = {t[0][1][1] for t in last if t}
        return all(last) and len(names) == 1 and "none" not in names and max(t[0][0] for t in last)
    at = wait_for(all_told, 10, 0.005)
    old.reap()
    cluster.start([old])
    return at and (at - moment) * 1000, await_senior(cluster.beams)


def promote(cluster, seconds):
    """The youngest is promoted; what the members were told of in the time after, in which another member is
    restarted."""
    starts = started(cluster.beams)
    youngest = max(starts, key=starts.get)
    by = random.choice(cluster.beams)
    assert by.call("muster_topology", "promote", Atom(youngest.node), Atom("commander")) == "ok"
    assert wait_for(lambda: commander(cluster.beams) == youngest.node, 5, 0.01), "the promoted one does not command"
    began = time.monotonic()
    other = random.choice([b for b in cluster.beams if b is not youngest])
    other.kill(cluster.pids[other])
    other.reap()
    cluster.start([other])
    time.sleep(seconds)
    changes = [e for at, _, e in timeline([b for b in cluster.beams if b is not other]) if at > began]
    return youngest.node, commander(cluster.beams), changes


def bad_senior(percent, seconds):
    """A senior that joins four others over a link that loses packets: the gaps that they see from then on, and
    all they are told."""
    cluster = Cluster(5, group=False, topology={"quorum_size": 3}, start=False)
    try:
        senior, others = cluster.beams[0], cluster.beams[1:]
        cluster.wires.down(senior.host)
        cluster.start([senior])
        time.sleep(1.5 * SENIOR_MS / 1000)
        cluster.start(others)
        assert wait_for(lambda: len({str(b.state().get("command")) for b in others} - {"none"}) == 1, 10)
        time.sleep(4)  # they have settled among themselves
        bad_link(cluster, senior, percent)
        cluster.wires.up(senior.host)
        senior.call("acceptance_node", "connect", [Atom(b.node) for b in others])
        began = time.monotonic()
        time.sleep(seconds)
        changes = [(round(at - began, 3), alive, node) for at, alive, node in timeline(others) if at > began]
        return gaps(others, began, time.monotonic()), changes
    finally:
        cluster.close()
