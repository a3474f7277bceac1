"""What the tests of the discovery backends share: counting, waiting, a BEAM to be found."""

import os
import shutil
import socket
import subprocess

from checks import check
from cnode import Cnode
from waiting import wait_for

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
NODE = os.environ.get("MUSTER_NODE", os.path.join(ROOT, "priv/muster_node"))
SLOW = "MUSTER_SANITIZED" in os.environ  # times and sizes are not judged
BEAM = "x@127.0.0.1"
COOKIE = "backends"
DNSMASQ = shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


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
        wait_for(self.epmd_answers, 5)
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
