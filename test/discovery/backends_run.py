#!/usr/bin/env python3
"""Discovery by DNS, SRV, Kubernetes and Tailscale, against real or stand-in backends on loopback.

Drives priv/muster_node over its control port; needs dnsmasq, openssl, erl and epmd. One line for
each check; the last line counts.
"""

import glob
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kubernetes_backend as k8s  # noqa: E402
from dns_backend import NXDOMAIN, REFUSED, SERVFAIL, DnsServer  # noqa: E402
from etf_backends import Atom, Cnode  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NODE = os.environ.get("MUSTER_NODE", os.path.join(ROOT, "priv/muster_node"))
SLOW = os.environ.get("MUSTER_SLOW") is not None  # a sanitized C node: times are not judged
BEAM = "x@127.0.0.1"
COOKIE = "backends"
results = {"passed": 0, "failed": 0}


def check(name, holds, detail=""):
    results["passed" if holds else "failed"] += 1
    print(f"{'ok  ' if holds else 'FAIL'} {name}{': ' + str(detail) if detail != '' else ''}",
          flush=True)


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def expect_failure(node, key, name, since, *words):
    text = node.failure(key, since, 10) or "no failure within 10 s"
    check(name, all(word in text for word in words), text)


# --- A BEAM to be found, and the C node under test ---


class Cluster:
    """epmd, one BEAM without muster, and the C node of another that does not exist."""

    def __init__(self):
        self.epmd_port = free_port()
        self.processes = [self.spawn(["epmd", "-port", str(self.epmd_port)])]
        eventually(self.epmd_answers, 5)
        self.env = dict(os.environ, ERL_EPMD_PORT=str(self.epmd_port))
        self.beam = self.start_beam()
        self.node = Cnode(NODE, {"name": "test-muster@127.0.0.1", "cookie": COOKIE,
                                 "epmd_port": self.epmd_port, "listen_ip": "127.0.0.1"})

    def epmd_answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.epmd_port)) == 0

    def spawn(self, args, **options):
        return subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **options)

    def start_beam(self):
        beam = self.spawn(["erl", "-noinput", "-name", BEAM, "-setcookie", COOKIE, "+S", "1"],
                          env=self.env)
        self.processes.append(beam)
        return beam

    def close(self):
        code = self.node.close()
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        return code


def found(node, key, since=0, seconds=15):
    return node.event(key, lambda e: e == ("found", BEAM.encode()), since, seconds) is not None


# --- dnsmasq ---


class Dnsmasq:
    def __init__(self, directory):
        self.port, self.hosts = free_port(socket.SOCK_DGRAM), f"{directory}/hosts"
        self.directory, self.process = directory, None

    def write(self, *lines):
        with open(self.hosts + ".new", "w") as f:
            f.write("".join(line + "\n" for line in lines))
        os.replace(self.hosts + ".new", self.hosts)
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def start(self, *options):
        path = shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        self.process = subprocess.Popen(
            [path, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
             f"--port={self.port}", f"--addn-hosts={self.hosts}", "--local=/test/", "--user=root",
             f"--pid-file={self.directory}/dnsmasq.pid", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


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
              eventually(lambda: node.listed("aaaa") ==
                         {BEAM, "x@127.0.0.9", "x@::1", "x@10.1.2.3"}), node.listed("aaaa"))
        node.start("srv", "dns_srv", dict(here, query="_app._tcp.test", node_basename="x"))
        check("dns_srv: the BEAM that is an SRV record's target is found and proven",
              found(node, "srv"))
        check("dns_srv: every target is listed", node.listed("srv") == {BEAM, "x@db.test"},
              node.listed("srv"))
        node.start("k-srv", "dns_srv", dict(here, service="web", application_name="web",
                                            namespace="prod"))
        check("dns_srv: a headless service by its libcluster options",
              eventually(lambda: node.listed("k-srv") == {"web@web-0.web.prod.svc.cluster.local"}),
              node.listed("k-srv"))
        node.start("k-dns", "kubernetes_dns", dict(here, service="pods", application_name="x",
                                                   namespace="prod"))
        check("kubernetes_dns: the BEAM behind a headless service is found and proven",
              found(node, "k-dns"))

        mark = node.mark()
        dns.write("127.0.0.1 app.test", "127.0.0.7 app.test")
        check("dns: a record that comes is listed",
              eventually(lambda: "x@127.0.0.7" in node.listed("a")))
        lost = node.event("a", lambda e: e[0] == "lost" and e[1] == b"x@127.0.0.9", mark)
        check("dns: a record that goes is lost, as it is not connected", lost is not None)
        mark = node.mark()
        dns.write("127.0.0.7 app.test")
        eventually(lambda: BEAM not in node.listed("a"))
        connected = {n["node"]: n["state"] for n in node.status("a")["nodes"]}
        check("dns: a connected node whose record goes stays connected and known",
              connected.get(BEAM.encode()) == "connected" and
              not node.event("a", lambda e: e[0] == "lost" and e[1] == BEAM.encode(), mark, 0.5),
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
              node.event("a", lambda e: e[:2] == ("sync", "ok"), mark) is not None and
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
    node = Cnode(NODE, {"name": "six-muster@::1", "cookie": COOKIE, "family": Atom("inet6"),
                        "epmd_port": cluster.epmd_port, "listen_ip": "::1"})
    try:
        node.start("six", "dns", {"nameservers": f"127.0.0.1:{dns.port}", "query": "app.test",
                                  "node_basename": "y", "poll_interval": 200})
        check("dns: over IPv6 the BEAM behind an AAAA record is found and proven",
              node.event("six", lambda e: e == ("found", b"y@::1"), 0, 15) is not None and
              node.listed("six") == {"y@::1"}, node.status("six")["nodes"])
    finally:
        node.close()
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
          eventually(lambda: len(node.listed("many")) == 150) and
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
        eventually(lambda: node.listed("bad") == {"x@10.0.0.1"})
        mark = node.mark()
        dns.names["bad.test"] = behaviour
        node.sync("bad")
        began = time.monotonic()
        expect_failure(node, "bad", f"dns: {name}", mark, *words)
        check(f"dns: {name} removes nothing", node.listed("bad") == {"x@10.0.0.1"},
              f"after {time.monotonic() - began:.2f} s")
        dns.names["bad.test"] = [("A", 1, "10.0.0.2")]
        check(f"dns: after {name} the server returns",
              eventually(lambda: node.listed("bad") == {"x@10.0.0.2"}))
        node.stop("bad")

    dns.names["partly.test"] = [("A", 1, "10.0.0.3")]
    dns.names["fails.test"] = SERVFAIL
    mark = start("part", ["partly.test", "fails.test"])
    expect_failure(node, "part", "dns: one of two names fails", mark, "SERVFAIL", "fails.test")
    check("dns: what the other name gave is listed", node.listed("part") == {"x@10.0.0.3"})
    node.stop("part")

    dns.names["alias.test"] = [("CNAME", 60, "real.test"), ("AAAA", 60, "fd00::2")]
    start("alias", "alias.test", records=Atom("aaaa"))
    check("dns: behind an alias", eventually(lambda: node.listed("alias") == {"x@fd00::2"}))
    node.stop("alias")

    dns.names["none.test"] = []
    mark = start("none", "none.test")
    check("dns: a name without such records is a complete, empty answer",
          node.event("none", lambda e: e[:2] == ("sync", "ok") and e[2]["listed"] == 0, mark)
          is not None)
    node.stop("none")

    dns.names["long.test"], dns.names["short.test"] = [("A", 3, "10.0.0.4")], \
        [("A", 1, "10.0.0.5")]
    start("long", "long.test")
    start("short", "short.test", poll_interval=30000)
    eventually(lambda: len(dns.times("short.test")) >= 3 and len(dns.times("long.test")) >= 2, 8)
    gaps = [b - a for a, b in zip(dns.times("long.test"), dns.times("long.test")[1:])]
    check("dns: a TTL of 3 s is respected at a poll_interval of 200 ms",
          len(gaps) >= 1 and all(2.9 < g < 4.5 for g in gaps), [round(g, 2) for g in gaps])
    gaps = [b - a for a, b in zip(dns.times("short.test"), dns.times("short.test")[1:])]
    check("dns: a TTL of 1 s is followed at a poll_interval of 30 s",
          len(gaps) >= 2 and all(0.95 < g < 2 for g in gaps), [round(g, 2) for g in gaps])
    before = len(dns.times("long.test"))
    node.sync("long")
    check("dns: sync asks at once whatever the TTL",
          eventually(lambda: len(dns.times("long.test")) > before, 1))
    node.stop("long")
    node.stop("short")

    dns.names["stop.test"] = "silent"
    start("stop", "stop.test", timeout=5000)
    eventually(lambda: dns.times("stop.test"))
    mark = node.mark()
    node.stop("stop")
    check("dns: stopped while it asks, no report follows",
          node.event("stop", lambda e: True, mark, 0.5) is None)
    for options, word in (({"query": "a.b"}, "node_basename"), ({"node_basename": "x"}, "query"),
                          (dict(here, query="a", nameservers="ns.test"), "nameservers"),
                          (dict(here, query=[]), "query"),
                          (dict(here, query="a", node_basename="a b"), "a b")):
        answer = node.start("refused", "dns", options)
        check(f"dns: refused by name: {word}", answer[0] == "error" and
              word.encode() in answer[1][1], answer[1][1].decode())
    dns.close()


# --- Kubernetes ---


def kubernetes_checks(cluster, directory):
    node = cluster.node
    account = f"{directory}/account"
    os.mkdir(account)
    ca, other_ca = k8s.make_ca(directory, "ca"), k8s.make_ca(directory, "other-ca")
    cert = k8s.make_server_cert(directory, ca, "server")
    other_cert = k8s.make_server_cert(directory, other_ca, "other-server")
    elsewhere = k8s.make_server_cert(directory, ca, "elsewhere", "DNS:elsewhere.test")
    api = k8s.ApiServer(cert)

    def put(name, text):
        with open(f"{account}/{name}.new", "w") as f:
            f.write(text)
        os.replace(f"{account}/{name}.new", f"{account}/{name}")

    put("token", "token-1\n")
    put("namespace", "default")
    shutil.copy(ca[1], f"{account}/ca.crt")
    options = {"kubernetes_node_basename": "x", "kubernetes_selector": "app=muster,tier in (a b)",
               "kubernetes_master": f"127.0.0.1:{api.port}", "polling_interval": 200,
               "kubernetes_service_account_path": account, "timeout": 3000}
    base = "/api/v1/namespaces/default/"
    two = [("127.0.0.1", "app-0"), ("10.1.2.3", "app-1")]
    api.answers[base + "endpoints"] = k8s.endpoints(two)
    api.answers[base + "pods"] = k8s.pods([k8s.pod(0, "127.0.0.1"), k8s.pod(1, "10.1.2.3"),
                                           k8s.pod(2, None), k8s.pod(3, "10.1.2.4", phase="Failed")])
    try:
        node.start("k", "kubernetes", options)
        check("kubernetes: the BEAM behind an endpoint is found and proven", found(node, "k"))
        check("kubernetes: endpoints that are ready, by address",
              node.listed("k") == {BEAM, "x@10.1.2.3"}, node.listed("k"))
        path, auth = api.requests[0]
        check("kubernetes: selector and token are sent",
              path == base + "endpoints?labelSelector=app%3Dmuster%2Ctier%20in%20%28a%20b%29" and
              auth == "Bearer token-1", path)
        polls, connections = len(api.requests), api.connections
        eventually(lambda: len(api.requests) > polls + 3)
        check("kubernetes: connections are kept", api.connections == connections == 1,
              f"{len(api.requests)} requests")

        for mode, lookup, names in (
                ("ip", "pods", {BEAM, "x@10.1.2.3"}),
                ("hostname", "endpoints", {f"x@app-{i}.svc.default.svc.cluster.local"
                                           for i in (0, 1)}),
                ("hostname", "pods", {f"x@app-{i}.svc.default.svc.cluster.local" for i in (0, 1)}),
                ("dns", "pods", {"x@127-0-0-1.default.pod.cluster.local",
                                 "x@10-1-2-3.default.pod.cluster.local"})):
            node.start("mode", "kubernetes", dict(
                options, mode=Atom(mode), kubernetes_ip_lookup_mode=Atom(lookup),
                kubernetes_service_name="svc", kubernetes_use_cached_resources=True))
            check(f"kubernetes: {lookup} by {mode}",
                  eventually(lambda: node.listed("mode") == names), node.listed("mode"))
            node.stop("mode")
        check("kubernetes: resourceVersion=0 on request",
              any("&resourceVersion=0" in path for path, _ in api.requests))

        for mode, words in ((401, ["401", "token"]), (403, ["403", "Role", "cannot list"]),
                            (500, ["500", "test says"]), (429, ["429", "polling_interval"]),
                            ("garbage", ["not a list"]), ("other", ["not a list"]),
                            ("half", ["broke off"]), ("close", ["broke off"])):
            mark = node.mark()
            api.mode = mode
            node.sync("k")
            expect_failure(node, "k", f"kubernetes: {mode}", mark, *words)
            check(f"kubernetes: {mode} removes nothing", node.listed("k") == {BEAM, "x@10.1.2.3"})
            api.mode = "ok"
            mark = node.mark()
            node.sync("k")
            check(f"kubernetes: after {mode} it returns",
                  node.event("k", lambda e: e[:2] == ("sync", "ok"), mark) is not None)

        node.start("slow", "kubernetes", dict(options, timeout=500))
        eventually(lambda: node.listed("slow"))
        mark, api.mode = node.mark(), "slow"
        expect_failure(node, "slow", "kubernetes: a slow answer", mark, "500 ms")
        api.mode = "ok"
        node.stop("slow")

        mark, api.token = node.mark(), "token-2"
        expect_failure(node, "k", "kubernetes: an old token", mark, "401")
        put("token", "token-2")
        mark = node.mark()
        node.sync("k")
        check("kubernetes: the token is replaced, and read anew",
              node.event("k", lambda e: e[:2] == ("sync", "ok"), mark) is not None)

        api.mode, mark = "close", node.mark()  # so that a new connection is needed
        api.use_cert(other_cert)
        node.failure("k", mark)
        api.mode = "ok"
        mark = node.mark()
        node.sync("k")
        expect_failure(node, "k", "kubernetes: a server under another authority", mark,
                       "not signed by the authority")
        shutil.copy(other_ca[1], f"{account}/ca.crt.new")
        os.replace(f"{account}/ca.crt.new", f"{account}/ca.crt")
        mark = node.mark()
        node.sync("k")
        check("kubernetes: the authority is replaced, and read anew",
              node.event("k", lambda e: e[:2] == ("sync", "ok"), mark) is not None)
        api.use_cert(cert)
        mark = node.mark()
        shutil.copy(ca[1], f"{account}/ca.crt")
        node.sync("k")
        check("kubernetes: connections under the old authority are given up",
              node.event("k", lambda e: e[:2] == ("sync", "ok"), mark) is not None)
        put("ca.crt", "no certificate")
        mark = node.mark()
        node.sync("k")
        expect_failure(node, "k", "kubernetes: an authority that is none", mark, "ca.crt")
        shutil.copy(ca[1], f"{account}/ca.crt")
        api.use_cert(elsewhere)
        mark = node.mark()
        node.sync("k")
        expect_failure(node, "k", "kubernetes: a certificate for another name", mark,
                       "for another name")
        api.use_cert(cert)

        node.start("name", "kubernetes", dict(options, kubernetes_master=f"localhost:{api.port}",
                                              kubernetes_namespace="default"))
        check("kubernetes: a server by name, resolved by the node",
              eventually(lambda: node.listed("name") == {BEAM, "x@10.1.2.3"}),
              node.status("name")["last_error"])
        node.stop("name")
        mark = node.mark()
        node.start("nobody", "kubernetes", dict(options,
                                                kubernetes_master=f"127.0.0.1:{free_port()}"))
        expect_failure(node, "nobody", "kubernetes: nobody there", mark, "no connection")
        node.stop("nobody")
        bare = f"{directory}/bare"
        os.mkdir(bare)
        mark = node.mark()
        node.start("bare", "kubernetes", dict(options, kubernetes_service_account_path=bare,
                                              kubernetes_namespace="default"))
        expect_failure(node, "bare", "kubernetes: without ca.crt only the system's authorities "
                       "are trusted", mark, "the system's store")
        node.stop("bare")
        mark = node.mark()
        node.start("unknown", "kubernetes", dict(options, kubernetes_master="api.invalid:1"))
        expect_failure(node, "unknown", "kubernetes: a name that does not resolve", mark,
                       "does not resolve")
        node.stop("unknown")
        mark = node.mark()
        node.start("where", "kubernetes", dict(options,
                                               kubernetes_service_account_path=directory))
        expect_failure(node, "where", "kubernetes: no namespace", mark, "kubernetes_namespace")
        node.stop("where")
        for wrong, word in (({"kubernetes_selector": "a=b"}, "kubernetes_node_basename"),
                            (dict(options, mode=Atom("hostname")), "kubernetes_service_name"),
                            (dict(options, mode=Atom("mac")), "mode"),
                            (dict(options, kubernetes_master="http://x:1"), "kubernetes_master")):
            answer = node.start("refused", "kubernetes", wrong)
            check(f"kubernetes: refused by name: {word}",
                  answer[0] == "error" and word.encode() in answer[1][1], answer[1][1].decode())

        api.answers[base + "endpoints"] = k8s.endpoints(two[1:])
        check("kubernetes: an endpoint goes", eventually(lambda: BEAM not in node.listed("k")))
        node.stop("k")
        five_thousand(api, options, base)
    finally:
        api.close()


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def busy(pid):
    """Seconds of processor time that the C node's one thread has used."""
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def worst_answer(node, key):
    """
    The longest that a call had to wait until the topology's first sync: in time, and in processor
    time of the C node, as this machine may have other things to do.
    """
    worst = worst_busy = 0
    deadline = time.monotonic() + 40
    while not node.event(key, lambda e: e[0] == "sync", 0, 0) and time.monotonic() < deadline:
        asked, used = time.monotonic(), busy(node.pid)
        node.call("node", "info", {})
        took, used = time.monotonic() - asked, busy(node.pid) - used
        worst, worst_busy = max(worst, took), max(worst_busy, min(took, used))
    return worst, worst_busy


def five_thousand(api, options, base):
    """In C nodes without distribution, so that their 5,000 dials are not measured with it."""
    api.answers[base + "pods"] = json.dumps(k8s.pods(
        [k8s.pod(i, f"10.{i >> 14 & 63}.{i >> 7 & 127}.{i & 127}") for i in range(5000)])).encode()
    size, api.mode = len(api.answers[base + "pods"]), "chunked"
    waits = []
    for attempt in range(3):
        node = Cnode(NODE)
        before = rss_kb(node.pid)
        node.start("huge", "kubernetes", dict(options, kubernetes_ip_lookup_mode=Atom("pods"),
                                              timeout=30000, polling_interval=60000))
        waits.append(worst_answer(node, "huge"))
        if waits[-1][1] < 0.02 or attempt == 2:
            break
        node.close()
    status = node.status("huge")
    check("a C node that asks no API server is small", before <= 6144 or SLOW, f"{before} KB")
    check("kubernetes: 5,000 pods, chunked", len(status["nodes"]) == 5000,
          f"{size >> 20} MB in {status['last_duration_us'] / 1e6:.2f} s, "
          f"memory {before} -> {rss_kb(node.pid)} KB")
    check("kubernetes: no thread was started", SLOW or threads(node.pid) == 1, threads(node.pid))
    check("kubernetes: the loop is not blocked by them", min(w[1] for w in waits) < 0.02 or SLOW,
          "longest wait for an answer meanwhile: " +
          ", ".join(f"{w * 1e3:.1f} ms ({used * 1e3:.1f} ms of its own)" for w, used in waits))
    mark, api.mode = node.mark(), "ok"
    api.answers[base + "pods"] = k8s.pods([])
    node.sync("huge")
    check("kubernetes: a complete empty answer lets go what is not connected",
          node.event("huge", lambda e: e[:2] == ("sync", "ok"), mark) is not None and
          node.status("huge")["nodes"] == [])
    node.close()


# --- Tailscale ---


def tailscale_status(*peers, state="Running"):
    return json.dumps({"Version": "1.50", "BackendState": state, "Self": {"Online": True},
                       "Peer": {f"nodekey:{i}": peer for i, peer in enumerate(peers)}})


def machine(name, ip, online=True, tags=("tag:raxol",)):
    return {"HostName": "h", "DNSName": name, "TailscaleIPs": [ip, "fd7a::1"], "Online": online,
            "Tags": list(tags)}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return f.read().split()


def tailscale_checks(cluster, directory):
    node, command = cluster.node, f"{directory}/tailscale"
    with open(command, "w") as f:
        f.write(f"#!/bin/sh\n[ \"$*\" = 'status --json' ] || exit 9\n. {directory}/does\n")
    os.chmod(command, os.stat(command).st_mode | stat.S_IXUSR)

    def does(script, output=None):
        if output is not None:
            with open(f"{directory}/output", "w") as f:
                f.write(output)
        with open(f"{directory}/does.new", "w") as f:
            f.write(script + "\n")
        os.replace(f"{directory}/does.new", f"{directory}/does")

    def shows(*peers, **options):
        does(f"cat {directory}/output", tailscale_status(*peers, **options))

    options = {"node_basename": "x", "command": command, "poll_interval": 100, "timeout": 1000}
    good = [machine("127.0.0.1.", "127.0.0.1"), machine("b.ts.net.", "100.64.0.2", tags=[]),
            machine("c.ts.net.", "100.64.0.3", online=False),
            {"Online": True, "Tags": ["tag:raxol"]}, {"DNSName": "d.ts.net."},
            {"Online": True, "DNSName": "e.ts.net.", "Tags": None, "TailscaleIPs": None}]
    shows(*good)
    node.start("ts", "tailscale", options)
    check("tailscale: the BEAM on a machine that is online is found and proven", found(node, "ts"))
    check("tailscale: machines online, missing fields tolerated",
          node.listed("ts") == {BEAM, "x@b.ts.net", "x@e.ts.net"}, node.listed("ts"))
    node.start("tag", "tailscale", dict(options, tag_filter="tag:raxol", use_dns_names=False))
    check("tailscale: a tag, and addresses", eventually(lambda: node.listed("tag") == {BEAM}),
          node.listed("tag"))
    node.stop("tag")
    shows(good[0], machine("n.ts.net.", "100.64.0.9"))
    check("tailscale: machines come and go",
          eventually(lambda: node.listed("ts") == {BEAM, "x@n.ts.net"}), node.listed("ts"))

    big = "head -c 5000000 /dev/zero | tr '\\0' ' '"
    for name, script, words in (
            ("an exit status", "echo 'no daemon today' >&2; exit 3", ["exit status 3",
                                                                      "no daemon today"]),
            ("garbage", "echo 'hello {'", ["no status"]),
            ("nothing", "true", ["no status"]),
            ("half of it", f"head -c 100 {directory}/output", ["no status"]),
            ("other JSON", "echo '{}'", ["no status"]),
            ("a signal", "kill -SEGV $$", ["signal 11"]),
            ("not logged in", "echo '{\"BackendState\":\"NeedsLogin\",\"Peer\":null}'",
             ["NeedsLogin", "tailscale up"]),
            ("much too much", big, ["more than is sensible"]),
            ("a hang", "sleep 4760 & sleep 4761", ["1000 ms", "killed"]),
            ("a helper that keeps the pipe", "sleep 4762 & exit 0", ["1000 ms"])):
        does(script)
        mark = node.mark()
        node.sync("ts")
        expect_failure(node, "ts", f"tailscale: {name}", mark, *words)
        check(f"tailscale: {name} removes nothing", node.listed("ts") == {BEAM, "x@n.ts.net"})
    shows(good[0])
    mark = node.mark()
    node.sync("ts")
    check("tailscale: it returns",
          node.event("ts", lambda e: e[:2] == ("sync", "ok"), mark) is not None and
          eventually(lambda: node.listed("ts") == {BEAM}))
    does("yes error | head -c 5000000 >&2; cat " + f"{directory}/output")
    mark = node.mark()
    node.sync("ts")
    check("tailscale: much on standard error does not stop it",
          node.event("ts", lambda e: e[:2] == ("sync", "ok"), mark) is not None)
    does("echo $$ > " + f"{directory}/pid; sleep 4763")
    os.path.exists(f"{directory}/pid") and os.unlink(f"{directory}/pid")
    node.sync("ts")
    eventually(lambda: os.path.exists(f"{directory}/pid"))
    node.stop("ts")
    check("tailscale: stopped while it runs, the command is killed and no zombie stays",
          eventually(lambda: children(node.pid) == [], 3), children(node.pid))
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    check("tailscale: what commands started is gone",
          not any(f"sleep 476{i}" in left for i in range(4)))
    for path, words in (("no-such-tailscale", ["no command", "PATH"]),
                        (f"{directory}/output", ["cannot be run"])):
        mark = node.mark()
        node.start("ts", "tailscale", dict(options, command=path))
        expect_failure(node, "ts", f"tailscale: {words[0]}", mark, *words)
        node.stop("ts")
    answer = node.start("ts", "tailscale", {"command": "x"})
    check("tailscale: refused by name: node_basename",
          answer[0] == "error" and b"node_basename" in answer[1][1], answer[1][1].decode())


# --- A backend that fails, and the nodes it listed ---


def heal_checks(cluster):
    """The link is lost and comes back while the backend is down."""
    node, dns = cluster.node, DnsServer()
    dns.names["heal.test"] = [("A", 1, "127.0.0.1")]
    node.start("heal", "dns", {"nameservers": f"127.0.0.1:{dns.port}", "query": "heal.test",
                               "node_basename": "x", "poll_interval": 200, "timeout": 300})
    check("heal: found", found(node, "heal"))
    dns.names["heal.test"] = "silent"
    node.failure("heal")
    mark = node.mark()
    cluster.beam.kill()
    cluster.beam.wait()
    cluster.start_beam()
    check("heal: the node is found again while the backend is silent",
          found(node, "heal", mark, 20))
    node.stop("heal")
    dns.close()


def leaving_checks(directory):
    """A C node whose backends all hang ends at once when its BEAM does."""
    dns, api = DnsServer(), socket.create_server(("127.0.0.1", 0))
    dns.names["silent.test"] = "silent"
    with open(f"{directory}/hangs", "w") as f:
        f.write(f"#!/bin/sh\necho $$ > {directory}/hanging\nsleep 4764\n")
    os.chmod(f.name, 0o755)
    node = Cnode(NODE)
    here = {"nameservers": f"127.0.0.1:{dns.port}", "timeout": 30000}
    node.start("a", "dns", dict(here, query="silent.test", node_basename="x"))
    node.start("b", "dns_srv", dict(here, query="silent.test", node_basename="x"))
    node.start("c", "kubernetes", {"kubernetes_node_basename": "x", "kubernetes_selector": "a=b",
                                   "kubernetes_namespace": "default",
                                   "kubernetes_master": f"127.0.0.1:{api.getsockname()[1]}"})
    node.start("d", "tailscale", {"node_basename": "x", "command": f.name, "timeout": 30000})
    eventually(lambda: os.path.exists(f"{directory}/hanging") and dns.times("silent.test"))
    node.start("a", "dns", dict(here, query="silent.test", node_basename="y"))
    check("a topology is replaced while it asks", node.status("a")["syncs"] == 0)
    began = time.monotonic()
    code = node.close()
    check("all backends hang, and the C node leaves in order at once",
          code == 0 and time.monotonic() - began < 1, f"exit code {code}")
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    check("and takes the command that hangs along", "sleep 4764" not in left)
    dns.close()
    api.close()


def descriptors(pid):
    return len(glob.glob(f"/proc/{pid}/fd/*"))


def main():
    began = time.monotonic()
    directory = tempfile.mkdtemp(prefix="muster-backends-")
    cluster = Cluster()
    try:
        before = descriptors(cluster.node.pid)
        for checks in (lambda: dnsmasq_checks(cluster, directory),
                       lambda: six_checks(cluster, directory),
                       lambda: dns_fault_checks(cluster),
                       lambda: kubernetes_checks(cluster, directory),
                       lambda: tailscale_checks(cluster, directory),
                       lambda: heal_checks(cluster),
                       lambda: leaving_checks(directory)):
            checks()
        # The link to the BEAM, and what libuv keeps for child processes.
        check("no descriptor is left open",
              eventually(lambda: descriptors(cluster.node.pid) <= before + 4, 3),
              f"{before} -> {descriptors(cluster.node.pid)}")
    finally:
        code = cluster.close()
        shutil.rmtree(directory, ignore_errors=True)
    check("the C node leaves in order", code == 0, f"exit code {code}")
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{results['passed']} passed, {results['failed']} failed")
    sys.exit(results["failed"] > 0)


if __name__ == "__main__":
    main()
