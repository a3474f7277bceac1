"""Discovery by the Kubernetes API, against a stand-in server with an authority of its own."""

import functools
import json
import os
import shutil
import subprocess
import time

import kubernetes_backend as k8s
from backends_rig import BEAM, expect_failure, found
from discovery_node import DiscoveryNode
from rig import SANITIZED
from rig.checks import check
from rig.etf import Atom
from rig.proc import free_port, resident_kb, threads
from rig.waiting import wait_for


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
        wait_for(lambda: len(api.requests) > polls + 3)
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
                  wait_for(lambda: node.listed("mode") == names), node.listed("mode"))
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
                  node.saw_sync(10, mark, "k"))

        node.start("slow", "kubernetes", dict(options, timeout=500))
        wait_for(lambda: node.listed("slow"))
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
              node.saw_sync(10, mark, "k"))

        api.mode, mark = "close", node.mark()  # so that a new connection is needed
        api.use_cert(other_cert)
        node.saw_failure(10, mark, "k")
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
              node.saw_sync(10, mark, "k"))
        api.use_cert(cert)
        mark = node.mark()
        shutil.copy(ca[1], f"{account}/ca.crt")
        node.sync("k")
        check("kubernetes: connections under the old authority are given up",
              node.saw_sync(10, mark, "k"))
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
              wait_for(lambda: node.listed("name") == {BEAM, "x@10.1.2.3"}),
              node.status("name")["last_error"])
        node.stop("name")
        mark = node.mark()
        node.start("nobody", "kubernetes", dict(options,
                                                kubernetes_master=f"127.0.0.1:{free_port()}"))
        expect_failure(node, "nobody", "kubernetes: nobody there", mark, "no connection")
        node.stop("nobody")
        of_a_pod = dict(os.environ, KUBERNETES_SERVICE_HOST="127.0.0.1",
                        KUBERNETES_SERVICE_PORT=str(api.port))
        inside = DiscoveryNode(popen=functools.partial(subprocess.Popen, env=of_a_pod))
        inside.start("env", "kubernetes", {k: v for k, v in options.items()
                                           if k != "kubernetes_master"})
        check("kubernetes: the environment of a pod says where the API server is",
              wait_for(lambda: inside.listed("env") == {BEAM, "x@10.1.2.3"}),
              inside.status("env")["last_error"])
        inside.leave()
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
        check("kubernetes: an endpoint goes", wait_for(lambda: BEAM not in node.listed("k")))
        node.stop("k")
        five_thousand(api, options, base)
    finally:
        api.close()


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
    while not node.saw(lambda e: e[0] == "sync", 0, 0, key) and time.monotonic() < deadline:
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
        node = DiscoveryNode()
        before = resident_kb(node.pid)
        node.start("huge", "kubernetes", dict(options, kubernetes_ip_lookup_mode=Atom("pods"),
                                              timeout=30000, polling_interval=60000))
        waits.append(worst_answer(node, "huge"))
        if waits[-1][1] < 0.02 or attempt == 2:
            break
        node.leave()
    status = node.status("huge")
    check("a C node that asks no API server is small", before <= 6144 or SANITIZED, f"{before} KB")
    check("kubernetes: 5,000 pods, chunked", len(status["nodes"]) == 5000,
          f"{size >> 20} MB in {status['last_duration_us'] / 1e6:.2f} s, "
          f"memory {before} -> {resident_kb(node.pid)} KB")
    check("kubernetes: no thread was started", SANITIZED or threads(node.pid) == 1, threads(node.pid))
    check("kubernetes: the loop is not blocked by them", min(w[1] for w in waits) < 0.02 or SANITIZED,
          "longest wait for an answer meanwhile: " +
          ", ".join(f"{w * 1e3:.1f} ms ({used * 1e3:.1f} ms of its own)" for w, used in waits))
    mark, api.mode = node.mark(), "ok"
    api.answers[base + "pods"] = k8s.pods([])
    node.sync("huge")
    check("kubernetes: a complete empty answer lets go what is not connected",
          node.saw_sync(10, mark, "huge") and
          node.status("huge")["nodes"] == [])
    node.leave()
