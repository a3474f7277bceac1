"""Gossip where the network is not as it should be: ports, routes, interfaces, firewalls, cables."""
import os
import shutil
import subprocess
import time

from gossip_support import GROUP, PORT, A, B, Gossiper, drain, text_of
from namespace import Namespace
from rig.checks import check
from rig.waiting import wait_for


def broadcast(ns):
    a, b = Gossiper(ns, A), Gossiper(ns, B)
    options = {"broadcast_only": True, "multicast_addr": b"127.255.255.255"}
    ear = ns.udp(PORT, GROUP, address=GROUP)
    for node in (a, b):
        node.gossip(options)
    check("broadcast_only finds nodes by a broadcast address",
          a.saw_node("found", B, 2) and b.saw_node("found", A, 2))
    check("and sends nothing to the group", drain(ear, 0.5) == [])
    for node in (a, b):
        node.leave()


def taken_port(ns):
    taken = ns.udp(PORT, reuse=False)
    a = Gossiper(ns, A)
    a.gossip({})
    error = a.saw_failure(2, words=["EADDRINUSE", str(PORT)])
    check("a port held by another program is said so", error, text_of(error))
    status = a.status()
    check("health shows it", status["failures"] > 0 and b"EADDRINUSE" in status["last_error"])
    taken.close()
    mark = a.mark()
    check("and it recovers when the port is free",
          a.saw_sync(3, mark) and a.status()["last_error"] == b"")
    a.leave()


def no_route(_):
    with_none = Namespace(f"mgossip{os.getpid()}b", multicast=False)
    try:
        a = Gossiper(with_none, A)
        a.gossip({})
        error = a.saw_failure(2, words=["route", "broadcast_only"])
        check("no route for multicast is said, with the way out", error, text_of(error))
        with_none.add_route()
        check("with a route it recovers", a.saw_sync(4))
        mark = a.mark()
        with_none.delete_route()
        a.sync()
        error = a.saw_failure(3, mark, words=["broadcast_only"])
        check("a route that goes away is noticed", error, text_of(error))
        a.gossip({"multicast_if": b"10.9.8.7"})
        error = a.saw_failure(2, words=["10.9.8.7", "multicast_if"])
        check("an address of no interface is said so", error, text_of(error))
        a.leave()
    finally:
        with_none.close()


def deaf(_):
    """The socket sends, but nothing reaches it."""
    apart = Namespace(f"mgossip{os.getpid()}c", multicast=False)

    def add_interface():
        apart.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
        apart.ip("address", "add", "10.7.0.1/24", "dev", "v0")
        for end in ("v0", "v1"):
            apart.ip("link", "set", end, "up")
        apart.ip("route", "add", "224.0.0.0/4", "dev", "v0")

    def own():
        return a.status()["counters"]["own"]

    try:
        add_interface()
        a = Gossiper(apart, A)
        a.gossip({"interval_ms": 500})
        check("a node hears its own heartbeats", wait_for(lambda: own() > 6, 5), own())
        a.saw_sync(2, a.mark())
        before = own()
        apart.ip("link", "del", "v0")
        add_interface()  # before the next heartbeat
        check("a membership that went with its interface is noticed, and made anew",
              wait_for(lambda: own() > before + 3, 8), f"{own() - before} heard")
        check("and health is well", wait_for(lambda: a.status()["last_error"] == b"", 2))
        if shutil.which("nft"):
            with apart.inside():
                subprocess.run(["nft", "add table ip t; add chain ip t in "
                                "{ type filter hook input priority 0; policy drop; }"], check=True)
            mark = a.mark()
            error = a.saw_failure(6, mark, words=["firewall", str(PORT)])
            check("a firewall that drops what comes in is said so", error, text_of(error))
            mark = a.mark()
            wait_for(lambda: False, 3)
            check("and health does not say otherwise meanwhile", not a.saw_sync(0, mark))
            with apart.inside():
                subprocess.run(["nft", "delete table ip t"], check=True)
            check("and it recovers", a.saw_sync(15, a.mark()))
        a.leave()
    finally:
        apart.close()


def two_hosts(_):
    here = Namespace(f"mgossip{os.getpid()}c", multicast=False)
    there = Namespace(f"mgossip{os.getpid()}d", multicast=False)
    try:
        here.connect(there, "10.77.0.1", "10.77.0.2")
        x, y = "x@10.77.0.1", "y@10.77.0.2"
        tick = ("-kernel", "net_ticktime", "4")
        for ns, name in ((here, x), (there, y)):
            ns.epmd(name.split("@")[1])
            ns.beam(name, *tick)
        wait_for(lambda: here.epmd_names() and there.epmd_names(), 5)
        a, b = (Gossiper(ns, name, ticktime_ms=4000) for ns, name in ((here, x), (there, y)))
        a.gossip({"if_addr": b"10.77.0.1", "expire_ms": 1000, "interval_ms": 300})
        b.gossip({"multicast_if": b"10.77.0.2", "expire_ms": 1000, "interval_ms": 300})
        check("two hosts, no route for multicast but interfaces given: they find each other",
              a.saw_node("found", y, 3) and b.saw_node("found", x, 3))
        mark, began = a.mark(), time.monotonic()
        here.ip("link", "set", "cable", "down")
        lost = a.saw_node("lost", y, 12, mark)
        check("a cut cable: the node is lost, and health says why",
              lost and a.saw_failure(1, mark, words=["10.77.0.1"]) or
              lost and a.saw_failure(1, mark, words=["route"]),
              f"{lost.at - began:.1f} s; {a.status()['last_error'].decode()}" if lost else "never")
        mark, began = a.mark(), time.monotonic()
        here.ip("link", "set", "cable", "up")
        found = a.saw_node("found", y, 12, mark)
        check("a healed one: they find each other by themselves", found and a.saw_sync(1, mark),
              f"{found.at - began:.1f} s" if found else "never")
        for node in (a, b):
            node.stop()
        options = {"broadcast_only": True, "multicast_addr": b"10.77.0.255"}
        c, d = (Gossiper(ns, "z" + name, beam=name.encode()) for ns, name in ((here, x), (there, y)))
        for node in (c, d):
            node.gossip(options)
        check("by the network's broadcast address too",
              c.saw_node("found", y, 3) and d.saw_node("found", x, 3))
        for node in (a, b, c, d):
            node.leave()
    finally:
        here.close()
        there.close()
