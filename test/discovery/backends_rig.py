"""What the tests of the discovery backends share: a BEAM to be found, and the C node that is to find it."""

import os
import shutil
import socket
import subprocess

from discovery_node import DiscoveryNode
from rig.checks import check
from rig.proc import free_port
from rig.waiting import wait_for

BEAM = "x@127.0.0.1"
COOKIE = "backends"
DNSMASQ = shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


def expect_failure(node, key, name, since, *words):
    failure = node.saw_failure(10, since, key)
    text = failure.what[2].decode() if failure else "no failure within 10 s"
    check(name, all(word in text for word in words), text)


class Cluster:
    """epmd, one BEAM without muster, and the C node of another that does not exist."""

    def __init__(self):
        self.epmd_port = free_port()
        self.processes = [self.spawn(["epmd", "-port", str(self.epmd_port)])]
        wait_for(self.epmd_answers, 5)
        self.env = dict(os.environ, ERL_EPMD_PORT=str(self.epmd_port))
        self.beam = self.start_beam()
        self.node = DiscoveryNode({"name": "test-muster@127.0.0.1", "cookie": COOKIE,
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
        _, code = self.node.end_of_file()
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        return code


def found(node, key, since=0, seconds=15):
    return node.saw_node("found", BEAM, seconds, since, key)
