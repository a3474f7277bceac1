"""Discovery by DNS: against dnsmasq, and against a server that misbehaves."""

import time

from backends_rig import BEAM, COOKIE, expect_failure, found
from discovery_node import DiscoveryNode
from dns_backend import NXDOMAIN, REFUSED, SERVFAIL, DnsServer
from dnsmasq_backend import Dnsmasq
from rig.checks import check
from rig.etf import Atom
from rig.waiting import wait_for


def dnsmasq_checks(cluster, directory):
    node, dns = cluster.node, Dnsmasq(directory)
    here = {"nameservers": [f"127.0.0.1:{dns.port}"], "poll_interval": 200, "timeout": 1000}
    dns.write("127.0.0.1 app.test", "127.0.0.9 app.test", "::1 app.test", "10.1.2.3 other.test")
    srv = ["--srv-host=_app._tcp.test,127.0.0.1,4000", "--srv-host=_app._tcp.test,db.test,4000",
           "--srv-host=web.prod.svc.cluster.local,web-0.web.prod.svc.cluster.local,0",
           "--address=/pods.prod.svc.cluster.local/127.0.0.1"]
    dns.start(*srv)
    try:
        node.start("a", "dns", dict(here, query="app.test", node_basename="x"))
        check("dns: the BEAM behind an A record is found and proven", found(node, "a"))
        check("dns: every A record is listed", node.listed("a") == {BEAM, "x@127.0.0.9"},
              node.listed("a"))
        node.start("aaaa", "dns", dict(here, query=["app.test", "other.test"], node_basename="x",
                                       records=Atom("both")))
        check("dns: A and AAAA of two names",
              wait_for(lambda: node.listed("aaaa") ==
                       {BEAM, "x@127.0.0.9", "x@::1", "x@10.1.2.3"}), node.listed("aaaa"))
        node.start("srv", "dns_srv", dict(here, query="_app._tcp.test", node_basename="x"))
        check("dns_srv: the BEAM that is an SRV record's target is found and proven",
              found(node, "srv"))
        check("dns_srv: every target is listed", node.listed("srv") == {BEAM, "x@db.test"},
              node.listed("srv"))
        node.start("k-srv", "dns_srv", dict(here, service="web", application_name="web",
                                            namespace="prod"))
        check("dns_srv: a headless service by its libcluster options",
              wait_for(lambda: node.listed("k-srv") == {"web@web-0.web.prod.svc.cluster.local"}),
              node.listed("k-srv"))
        node.start("k-dns", "kubernetes_dns", dict(here, service="pods", application_name="x",
                                                   namespace="prod"))
        check("kubernetes_dns: the BEAM behind a headless service is found and proven",
              found(node, "k-dns"))

        mark = node.mark()
        dns.write("127.0.0.1 app.test", "127.0.0.7 app.test")
        check("dns: a record that comes is listed",
              wait_for(lambda: "x@127.0.0.7" in node.listed("a")))
        check("dns: a record that goes is lost, as it is not connected",
              node.saw_node("lost", "x@127.0.0.9", 10, mark, "a"))
        mark = node.mark()
        dns.write("127.0.0.7 app.test")
        wait_for(lambda: BEAM not in node.listed("a"))
        connected = {n["node"]: n["state"] for n in node.status("a")["nodes"]}
        check("dns: a connected node whose record goes stays connected and known",
              connected.get(BEAM.encode()) == "connected" and
              not node.saw_node("lost", BEAM, 0.5, mark, "a"),
              connected)

        mark = node.mark()
        dns.write("10.1.2.3 other.test")
        expect_failure(node, "a", "dns: NXDOMAIN is a failure with a text", mark, "NXDOMAIN",
                       "app.test")
        check("dns: NXDOMAIN removes nothing", "x@127.0.0.7" in node.listed("a"))
        check("dns: of two names one without records: the other is listed all the same",
              "x@10.1.2.3" in node.listed("aaaa"))

        mark = node.mark()
        dns.stop()
        expect_failure(node, "a", "dns: no name server there is a failure with a text", mark,
                       "name server")
        check("dns: status has the last error and counts failures",
              node.status("a")["last_error"] != b"" and node.status("a")["failures"] > 0)
        dns.write("127.0.0.1 app.test")
        mark = node.mark()
        dns.start(*srv)
        check("dns: the name server returns, and all is well by itself",
              node.saw_sync(10, mark, "a") and
              node.status("a")["last_error"] == b"")
    finally:
        dns.stop()
        for key in ("a", "aaaa", "srv", "k-srv", "k-dns"):
            node.stop(key)


def six_checks(cluster, directory):
    """A cluster over IPv6: AAAA records are asked for, and a BEAM there is proven."""
    dns = Dnsmasq(directory)
    dns.write("127.0.0.1 app.test", "::1 app.test")
    dns.start()
    beam = cluster.spawn(["erl", "-noinput", "-proto_dist", "inet6_tcp", "-name", "y@::1",
                          "-setcookie", COOKIE, "+S", "1"], env=cluster.env)
    node = DiscoveryNode({"name": "six-muster@::1", "cookie": COOKIE, "family": Atom("inet6"),
                          "epmd_port": cluster.epmd_port, "listen_ip": "::1"})
    try:
        node.start("six", "dns", {"nameservers": f"127.0.0.1:{dns.port}", "query": "app.test",
                                  "node_basename": "y", "poll_interval": 200})
        check("dns: over IPv6 the BEAM behind an AAAA record is found and proven",
              node.saw_node("found", "y@::1", 15, 0, "six") and
              node.listed("six") == {"y@::1"}, node.status("six")["nodes"])
    finally:
        node.leave()
        dns.stop()
        beam.kill()
        beam.wait()


def dns_fault_checks(cluster):
    node, dns = cluster.node, DnsServer()
    here = {"nameservers": f"127.0.0.1:{dns.port}", "poll_interval": 200, "timeout": 500,
            "node_basename": "x"}

    def start(key, query, **options):
        mark = node.mark()
        answer = node.start(key, "dns", dict(here, query=query, **options))
        assert answer == ("ok", {}), answer
        return mark

    many = [("A", 5, f"10.0.{i // 100}.{i % 100 + 1}") for i in range(150)]
    dns.names["many.test"] = many
    start("many", "many.test")
    check("dns: a truncated answer is asked for again over TCP, 150 records",
          wait_for(lambda: len(node.listed("many")) == 150) and
          any(t == "tcp" for n, _, t, _ in dns.asked if n == "many.test"),
          len(node.listed("many")))
    node.stop("many")

    for name, behaviour, words in (
            ("silence", "silent", ["no answer in time"]), ("SERVFAIL", SERVFAIL, ["SERVFAIL"]),
            ("REFUSED", REFUSED, ["refuses"]), ("NXDOMAIN", NXDOMAIN, ["NXDOMAIN"]),
            ("garbage", "garbage", ["no valid DNS"]),
            ("an answer cut short", "cut", ["no valid DNS"])):
        dns.names["bad.test"] = [("A", 1, "10.0.0.1")]
        start("bad", "bad.test")
        wait_for(lambda: node.listed("bad") == {"x@10.0.0.1"})
        mark = node.mark()
        dns.names["bad.test"] = behaviour
        node.sync("bad")
        began = time.monotonic()
        expect_failure(node, "bad", f"dns: {name}", mark, *words)
        check(f"dns: {name} removes nothing", node.listed("bad") == {"x@10.0.0.1"},
              f"after {time.monotonic() - began:.2f} s")
        dns.names["bad.test"] = [("A", 1, "10.0.0.2")]
        check(f"dns: after {name} the server returns",
              wait_for(lambda: node.listed("bad") == {"x@10.0.0.2"}))
        node.stop("bad")

    dns.names["partly.test"] = [("A", 1, "10.0.0.3")]
    dns.names["fails.test"] = SERVFAIL
    mark = start("part", ["partly.test", "fails.test"])
    expect_failure(node, "part", "dns: one of two names fails", mark, "SERVFAIL", "fails.test")
    check("dns: what the other name gave is listed", node.listed("part") == {"x@10.0.0.3"})
    node.stop("part")

    dns.names["alias.test"] = [("CNAME", 60, "real.test"), ("AAAA", 60, "fd00::2")]
    start("alias", "alias.test", records=Atom("aaaa"))
    check("dns: behind an alias", wait_for(lambda: node.listed("alias") == {"x@fd00::2"}))
    node.stop("alias")

    dns.names["none.test"] = []
    mark = start("none", "none.test")
    check("dns: a name without such records is a complete, empty answer",
          node.saw(lambda e: e[:2] == ("sync", "ok") and e[2]["listed"] == 0, 10, mark, "none"))
    node.stop("none")

    dns.names["long.test"], dns.names["short.test"] = [("A", 3, "10.0.0.4")], \
        [("A", 1, "10.0.0.5")]
    start("long", "long.test")
    start("short", "short.test", poll_interval=30000)
    wait_for(lambda: len(dns.times("short.test")) >= 3 and len(dns.times("long.test")) >= 2, 8)
    gaps = [b - a for a, b in zip(dns.times("long.test"), dns.times("long.test")[1:])]
    check("dns: a TTL of 3 s is respected at a poll_interval of 200 ms",
          len(gaps) >= 1 and all(2.9 < g < 4.5 for g in gaps), [round(g, 2) for g in gaps])
    gaps = [b - a for a, b in zip(dns.times("short.test"), dns.times("short.test")[1:])]
    check("dns: a TTL of 1 s is followed at a poll_interval of 30 s",
          len(gaps) >= 2 and all(0.95 < g < 2 for g in gaps), [round(g, 2) for g in gaps])
    before = len(dns.times("long.test"))
    node.sync("long")
    check("dns: sync asks at once whatever the TTL",
          wait_for(lambda: len(dns.times("long.test")) > before, 1))
    node.stop("long")
    node.stop("short")

    dns.names["stop.test"] = "silent"
    start("stop", "stop.test", timeout=5000)
    wait_for(lambda: dns.times("stop.test"))
    mark = node.mark()
    node.stop("stop")
    check("dns: stopped while it asks, no report follows",
          not node.saw(lambda e: True, 0.5, mark, "stop"))
    for options, word in (({"query": "a.b"}, "node_basename"), ({"node_basename": "x"}, "query"),
                          (dict(here, query="a", nameservers="ns.test"), "nameservers"),
                          (dict(here, query=[]), "query"),
                          (dict(here, query="a", node_basename="a b"), "a b")):
        answer = node.start("refused", "dns", options)
        check(f"dns: refused by name: {word}", answer[0] == "error" and
              word.encode() in answer[1][1], answer[1][1].decode())
    dns.close()
