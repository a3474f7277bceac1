"""Gossip finds nodes, keeps them and lets them go; what that costs in packets."""
import time

from gossip_support import GROUP, PORT, A, B, Gossiper, drain, heartbeat, say
from rig.checks import check
from rig.waiting import wait_for


def found_and_kept(ns):
    a, b = Gossiper(ns, A), Gossiper(ns, B)
    began = time.monotonic()
    options = {"interval_ms": 200, "expire_ms": 500}
    a.gossip(options)
    b.gossip(options)
    ab, ba = a.saw_node("found", B, 3), b.saw_node("found", A, 3)
    times = [round(1000 * (x.at - began)) for x in (ab, ba) if x]
    check("two nodes find each other at once", ab and ba and max(times) < 500, f"{times} ms")
    mark = a.mark()
    b.stop()
    check("a connected node that falls silent is kept", not a.saw_node("lost", B, 1.5, mark))
    check("the node's own packets are not a peer", a.counters()["own"] > 0 and a.listed() in ({B}, set()),
          f"{a.counters()['own']} own packets")
    a.leave()
    b.leave()


def lost_and_expire(ns):
    e = "e@127.0.0.1"
    beam = ns.beam(e)
    wait_for(lambda: "e" in ns.epmd_names(), 5)
    a = Gossiper(ns, A)
    a.gossip_and_wait({"interval_ms": 200, "expire_ms": 1000})
    s = ns.udp()
    say(s, heartbeat(e))
    found = a.saw_node("found", e, 2)
    say(s, heartbeat(e))
    mark, killed = a.mark(), time.monotonic()
    beam.kill()
    lost = a.saw_node("lost", e, 5, mark)
    check("a node that died is lost when its time is over",
          found and lost and 0.5 < lost.at - killed < 2.5,
          f"{lost.at - killed:.2f} s" if lost else "never")
    say(s, heartbeat("never-there@127.0.0.1"))
    check("a name heard once that does not answer is dropped soon",
          wait_for(lambda: a.counters()["heard_new"] == 2 and a.status()["nodes"] == [], 2))
    for _ in range(5):
        say(s, heartbeat("down@127.0.0.1"))
        time.sleep(0.05)
    nodes = a.status()["nodes"]
    check("a name heard again is kept, with the reason why it is not connected",
          [(n["node"], n["state"]) for n in nodes] == [(b"down@127.0.0.1", "name_unknown")],
          [(n["node"].decode(), n["state"]) for n in nodes])
    a.leave()


def single_node_mode(ns):
    a = Gossiper(ns, A, distributed=False)
    ear = ns.udp(PORT, GROUP)
    a.gossip({})
    s = ns.udp()
    came = wait_for(lambda: say(s, heartbeat(B)) or a.counters()["early"], 2)
    silent = drain(ear, 0.5)
    check("without distribution nothing is said, nobody is dialled",
          came and [p for _, p in silent if b"a@" in p] == [] and a.status()["nodes"] == [])
    began = time.monotonic()
    a.call("node", "distribute", a.distribution)
    packets = drain(ear, 0.5)
    check("with distribution heartbeats begin",
          packets and packets[0][0] - began < 0.3,
          f"{1000 * (packets[0][0] - began):.0f} ms" if packets else "never")
    a.leave()


def pace(ns):
    a = Gossiper(ns, A)
    ear = ns.udp(PORT, GROUP)
    began = time.monotonic()
    a.gossip({"interval_ms": 1000})
    times = [round(1000 * (at - began)) for at, _ in drain(ear, 4.2)]
    gaps = [b - a for a, b in zip(times[5:], times[6:])]
    check("heartbeats are quick at first, then steady",
          len(times) in (7, 8, 9) and times[0] < 100 and times[4] < 1000 and
          all(700 < gap < 1300 for gap in gaps), f"at {times} ms")
    mark = a.mark()
    a.sync()
    check("sync says hello now", a.saw_sync(0.3, mark))
    say(ns.udp(), heartbeat(B))
    check("a node heard for the first time is answered", len(drain(ear, 0.3)) >= 3)
    a.leave()


def twenty_nodes(ns):
    names = [f"n{i}@127.0.0.1" for i in range(20)]
    beams = [ns.beam(name) for name in names]
    up = wait_for(lambda: len([n for n in ns.epmd_names() if n[0] == "n"]) == 20, 30)
    nodes = [Gossiper(ns, name) for name in names] if up else []
    for node in nodes:
        node.gossip({})
    last = time.monotonic()
    found = [node.saw_node("found", name, 5) for node in nodes for name in names
             if name != node.name]
    times = sorted(x.at - last if x else 99 for x in found)
    check("20 nodes that start together: all pairs found, p95 within 1 s",
          len(times) == 380 and times[-1] < 99 and times[361] <= 1,
          times and f"p50 {times[190]:.3f}, p95 {times[361]:.3f}, last {times[-1]:.3f} s")
    time.sleep(2.5)
    before, began = [n.counters() for n in nodes], time.monotonic()
    time.sleep(5)
    seconds = time.monotonic() - began
    after = [n.counters() for n in nodes]
    sent, heard = (sum(y[k] - x[k] for x, y in zip(before, after)) / 20 / seconds
                   for k in ("sent", "packets"))
    check("their steady traffic is as documented", 0.2 < sent < 0.7 and heard < 12,
          f"{sent:.2f} sent, {heard:.1f} heard by each node each second")
    for node in nodes:
        node.leave()
    for beam in beams:
        beam.kill()
