"""Gossip's packets: libcluster's, sealed ones and what is neither; metadata; options."""
import os
import time

from gossip_support import GROUP, PORT, A, B, C, D, Gossiper, drain, heartbeat, say
from rig import etf
from rig.checks import check
from rig.etf import Atom
from rig.waiting import wait_for

SECRET = {"secret": b"the secret of this cluster", "interval_ms": 300}


def libcluster_packets(ns):
    script = ("ok = file:write_file(\"recorded\", [\"heartbeat::\", "
              "term_to_binary(#{node => 'b@127.0.0.1'})]), halt().")
    ns.popen(["erl", "-noinput", "-eval", script]).wait(10)
    with open(os.path.join(ns.home, "recorded"), "rb") as f:
        recorded = f.read()
    a = Gossiper(ns, A)
    ear = ns.udp(PORT, GROUP)
    a.gossip({})
    packets = drain(ear, 0.3)
    mine = recorded.replace(b"b@127", b"a@127")
    check("what is sent is libcluster's packet byte for byte",
          packets and all(p == mine for _, p in packets), packets[0][1] if packets else "none")
    s = ns.udp()
    say(s, recorded)
    check("a packet from a real Erlang is understood", a.saw_node("found", B, 2), recorded)
    say(s, heartbeat(C, b"v"))
    check("so is one with another atom tag (118)", a.saw_node("found", C, 2))
    extra = {"node": Atom(D), "x": [1, (b"y", {})]}
    say(s, b"heartbeat::" + etf.encode(extra))
    check("so is one with more keys", a.saw_node("found", D, 2))
    before = a.counters()["malformed"]
    bad = [b"", b"x", b"heartbeat::", recorded[:-1], recorded + b"\0", heartbeat("no name"),
           heartbeat("a-muster@127.0.0.1"), b"heartbeat::" + etf.encode({"node": b"e@h"}),
           b"heartbeat::" + etf.encode([]), b"heartbeat::\x83P\0\0\0\x10x"]
    for packet in bad:
        say(s, packet)
    check("what is not such a packet is counted and nothing else",
          wait_for(lambda: a.counters()["malformed"] == before + len(bad), 2) and
          len(a.status()["nodes"]) == 3)
    a.leave()


def metadata(ns):
    a, b = Gossiper(ns, A), Gossiper(ns, B)
    b.set_metadata(1, {b"role": b"db", b"zone": b"1"})
    for node in (a, b):
        node.gossip(SECRET)
    first = a.saw_node("metadata", B, 3)
    order = [e.what[0] for e in a.events if e.key == b"t" and e.what[0] in ("found", "metadata")]
    check("metadata comes with a proven node",
          first and first.what[2:] == (1, {b"role": b"db", b"zone": b"1"}) and
          order[:2] == ["found", "metadata"], order)
    mark = a.mark()
    b.set_metadata(2, {b"zone": b"2"})
    second = a.saw_node("metadata", B, 3, mark)
    check("a newer version is told", second and second.what[2:] == (2, {b"zone": b"2"}))
    mark = a.mark()
    b.set_metadata(1, {b"zone": b"old"})
    check("an older one is not", not a.saw_node("metadata", B, 1, mark))
    refused = [b.set_metadata(3, m) for m in ({b"k": 1}, {b"k": b"x" * 1024}, {Atom("k"): b"v"})]
    check("what is no map of binaries, or too long, is refused",
          all(r[0] == "error" and r[1][0] == "invalid_argument" for r in refused), refused[0][1][1])
    for node in (a, b):
        node.leave()


def sealed_packets(ns):
    a, b = Gossiper(ns, A), Gossiper(ns, B)
    ear, s = ns.udp(PORT, GROUP), ns.udp()
    b.gossip(SECRET)
    packet = drain(ear, 0.2)[0][1]
    check("a sealed packet tells no name", packet[:4] == b"MST\1" and b"b@" not in packet,
          f"{len(packet)} bytes")
    b.leave()
    a.gossip(SECRET | {"clock_window_ms": 3000})
    base = a.counters()

    def counted(name, since=base):
        return a.counters()[name] - since[name]
    wait_for(lambda: counted("sent") > 0, 1)
    say(s, packet)
    check("a sealed packet is believed", a.saw_node("found", B, 1))
    for _ in range(20):
        say(s, packet)
    check("replayed ones are refused and counted", wait_for(lambda: counted("replayed") == 20, 1))
    for size in range(len(packet)):
        say(s, packet[:size])
    check("truncated ones too",
          wait_for(lambda: counted("truncated") + counted("malformed") == len(packet), 1),
          f"{counted('truncated')} truncated, {counted('malformed')} without even the version")
    before = a.counters()
    for bit in range(8 * len(packet)):
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        say(s, bytes(flipped))
    names = ("malformed", "truncated", "wrong_key", "forged")
    wait_for(lambda: sum(counted(n, before) for n in names) == 8 * len(packet), 2)
    got = {n: counted(n, before) for n in names}
    check("and those with any one bit flipped", sum(got.values()) == 8 * len(packet), got)
    say(s, heartbeat(C))
    check("libcluster's are refused where there is a secret",
          wait_for(lambda: counted("unsealed") == 1, 1) and a.listed() == {B})
    time.sleep(3.2)
    say(s, packet)
    check("one that is too old is refused as such", wait_for(lambda: counted("stale") == 1, 1))
    a.leave()


def rotation(ns):
    a, b, c = Gossiper(ns, A), Gossiper(ns, B), Gossiper(ns, C)
    old, new = b"the old secret", b"the new secret"
    a.gossip({"secret": new, "old_secrets": [old], "interval_ms": 300})
    b.gossip({"secret": old, "interval_ms": 300})
    check("while rotating, packets under an old secret are accepted", a.saw_node("found", B, 2))
    c.gossip({"secret": b"another cluster", "interval_ms": 300})
    wrong = wait_for(lambda: b.counters()["wrong_key"] and a.counters()["wrong_key"], 2)
    check("other keys are refused and counted", wrong and A not in b.listed() and
          C not in a.listed() | b.listed(), f"{a.counters()['wrong_key']} by a, "
          f"{b.counters()['wrong_key']} by b")
    logged = [text for node in (a, b) for text in node.logs if "not known here" in text]
    check("and the log says so once a minute", len(logged) == 2, logged[:1])
    b.gossip({"secret": new, "interval_ms": 300})
    check("then all speak the new one", b.saw_node("found", A, 2))
    for node in (a, b, c):
        node.leave()


def refused_options(ns):
    a = Gossiper(ns, A)
    cases = [({"port": 0}, b"port"), ({"multicast_addr": b"10.0.0.1"}, b"broadcast_only"),
             ({"if_addr": b"eth0"}, b"if_addr"), ({"multicast_ttl": 256}, b"255"),
             ({"broadcast_only": True, "multicast_addr": b"233.252.1.32"}, b"broadcast_only"),
             ({"secret": 12345}, b"secret"), ({"old_secrets": [b"x"]}, b"old_secrets"),
             ({"no_such": 1}, b"no_such"), ({"interval_ms": 1}, b"interval_ms")]
    answers = [a.gossip(options) for options, _ in cases]
    check("wrong options are refused by name",
          all(r[0] == "error" and r[1][0] == "invalid_argument" and word in r[1][1]
              for r, (_, word) in zip(answers, cases)), answers[1][1][1].decode())
    check("a secret is not repeated", b"12345" not in answers[5][1][1])
    a.leave()
