#!/usr/bin/env python3
"""Topologies are started, replaced, synced and stopped in random order while their backends answer,
hang, break off or lie. The C node must stay alive, answer at once and keep nothing.

  script/isolated python3 test/discovery/churn_run.py [ROUNDS]

MUSTER_NODE names another C node (one with sanitizers), SEED the random order.
"""
import os
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from backends_rig import Cluster  # noqa: E402
from dns_backend import DnsServer  # noqa: E402
from kubernetes_backend import ApiServer, endpoints, make_ca, make_server_cert  # noqa: E402
from rig.checks import check, conclude  # noqa: E402
from rig.proc import children, descriptors  # noqa: E402
from rig.waiting import wait_for  # noqa: E402
from tailscale_checks import machine, tailscale_status  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
KEYS = [f"k{i}" for i in range(6)]
COMMANDS = {"answers": "cat {}/status", "hangs": "sleep 3", "fails": "echo no >&2; exit 3",
            "garbage": "echo '{{'; sleep 0.2; echo x", "leaves": "sleep 1 & cat {}/status"}


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


class Backends:
    def __init__(self, directory):
        self.directory = directory
        self.dns = DnsServer()
        self.dns.names.update({"good.test": [("A", 0, "127.0.0.1"), ("A", 0, "127.0.0.9")],
                               "silent.test": "silent", "garbage.test": "garbage",
                               "cut.test": "cut", "refused.test": 5,
                               "srv.test": [("SRV", 0, "localhost")]})
        ca = make_ca(directory, "ca")
        self.api = ApiServer(make_server_cert(directory, ca, "server"))
        self.api.answers = {"default": endpoints([("127.0.0.1", "a"), ("127.0.0.8", "b")])}
        self.account = f"{directory}/account"
        os.mkdir(self.account)
        shutil.copy(ca[1], f"{self.account}/ca.crt")
        write(f"{self.account}/token", self.api.token)
        write(f"{self.account}/namespace", "default")
        write(f"{directory}/status", tailscale_status(machine("127.0.0.1.", "127.0.0.1")))
        for name, script in COMMANDS.items():
            write(f"{directory}/{name}", "#!/bin/sh\n" + script.format(directory) + "\n", 0o755)
        write(f"{directory}/hosts", "'127.0.0.1'.\n'localhost'.\n'127.0.0.7'.\n'no.such.host'.\n")
        write(f"{directory}/bad_hosts", "{oh no\n")

    def dns_options(self, query):
        return {"query": query, "node_basename": "x", "poll_interval": 100, "timeout": 300,
                "nameservers": f"127.0.0.1:{self.dns.port}"}

    def choose(self, dice):
        kind = dice.choice(["gossip", "sealed", "broadcast", "dns", "dns_srv", "kubernetes",
                            "tailscale", "hosts_file", "local_epmd", "static", "wrong"])
        if kind == "gossip":
            return "gossip", {"interval_ms": 100, "expire_ms": 200}
        if kind == "sealed":
            return "gossip", {"interval_ms": 100, "secret": dice.choice(["one", "two"]),
                              "old_secrets": dice.choice([[], ["one"], ["one", "two"]])}
        if kind == "broadcast":
            return "gossip", {"interval_ms": 100, "broadcast_only": "true"}
        if kind == "dns":
            return "dns", self.dns_options(dice.choice(list(self.dns.names)))
        if kind == "dns_srv":
            return "dns_srv", self.dns_options(dice.choice(["srv.test", "silent.test"]))
        if kind == "kubernetes":
            return "kubernetes", {
                "kubernetes_node_basename": "x", "kubernetes_selector": "app=a", "timeout": 500,
                "kubernetes_service_account_path": self.account, "poll_interval": 100,
                "kubernetes_master": f"{dice.choice(['127.0.0.1', 'localhost'])}:{self.api.port}"}
        if kind == "tailscale":
            return "tailscale", {"node_basename": "x", "poll_interval": 100, "timeout": 300,
                                 "command": f"{self.directory}/{dice.choice([*COMMANDS, 'none'])}"}
        if kind == "hosts_file":
            path = dice.choice(["hosts", "bad_hosts", "none"])
            return "hosts_file", {"path": f"{self.directory}/{path}", "poll_interval": 100}
        if kind == "local_epmd":
            return "local_epmd", {"poll_interval": 100}
        if kind == "static":
            return "static", {"nodes": dice.choice([["x@127.0.0.1"], ["y@127.0.0.1", "z@nowhere"],
                                                    [f"n{i}@127.0.0.1" for i in range(40)]])}
        return dice.choice([("dns", {"query": []}), ("gossip", {"port": 0}), ("static", {}),
                            ("nothing", {}), ("kubernetes", {"kubernetes_selector": "x"})])

    def close(self):
        self.dns.close()
        self.api.close()


def churn(node, backends, dice):
    """Returns the longest time that an answer took, in seconds."""
    worst = 0
    modes = ["ok", "ok", "close", "slow", "half", "garbage", "other", 401, 403, 500]
    for _ in range(ROUNDS):
        key = dice.choice(KEYS)
        began = time.monotonic()
        what = dice.random()
        if what < 0.5:
            node.start(key, *backends.choose(dice))
        elif what < 0.7:
            node.stop(key)
        elif what < 0.85:
            node.sync(key)
        elif what < 0.95:
            node.call("discovery", "status", {"topology": key})
        else:
            backends.api.mode = dice.choice(modes)
        worst = max(worst, time.monotonic() - began)
        if dice.random() < 0.6:
            time.sleep(dice.choice([0, 0.001, 0.01, 0.05, 0.15]))
    return worst


def main():
    print(f"{ROUNDS} rounds, SEED={SEED}", flush=True)
    directory = tempfile.mkdtemp(prefix="muster-churn-")
    dice = random.Random(SEED)
    cluster = Cluster()
    node, backends = cluster.node, Backends(directory)
    try:
        before = descriptors(node.pid)
        worst = churn(node, backends, dice)
        check("every request is answered at once", worst < 1, f"{worst * 1000:.0f} ms at worst")
        node.start("k0", "static", {"nodes": ["x@127.0.0.1"]})
        check("what is found is still proven", node.saw(lambda e: e[0] == "found", key="k0"))
        for key in KEYS:
            node.stop(key)
        check("no child is left", wait_for(lambda: not children(node.pid), 5))
        check("no descriptor is left open",
              wait_for(lambda: descriptors(node.pid) <= before + 5, 5),
              f"{before} -> {descriptors(node.pid)}")
        node.start("k0", "tailscale", {"node_basename": "x", "command": f"{directory}/hangs"})
    finally:
        code = cluster.close()
        backends.close()
        shutil.rmtree(directory, ignore_errors=True)
    check("the C node leaves in order", code == 0, f"exit code {code}")
    sys.exit(conclude())


if __name__ == "__main__":
    threading.excepthook = lambda args: None  # backends whose client went away
    main()
