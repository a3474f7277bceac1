"""What the live tests of the election stand on: C nodes as ports, spoken to as their BEAM would, and
network namespaces on one bridge. Everything made is taken away by close()."""
import contextlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "discovery"))
import etf  # noqa: E402
from etf import Atom  # noqa: E402
from waiting import wait_for  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE = os.environ.get("MUSTER_NODE", os.path.join(ROOT, "priv", "muster_node"))
COOKIE = b"election_cookie"


class Home:
    """Where processes live: this host, with an epmd of one's own."""
    prefix = []
    ip = "127.0.0.1"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="muster-election-")
        self.processes = []
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.epmd_port = s.getsockname()[1]

    def popen(self, args, **options):
        env = dict(os.environ, HOME=self.dir)
        process = subprocess.Popen(self.prefix + args, env=env, cwd=self.dir, **options)
        self.processes.append(process)
        return process

    def epmd(self):
        self.popen(["epmd", "-port", str(self.epmd_port), "-address", self.ip],
                   stderr=subprocess.DEVNULL)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def ip(*args):
    subprocess.run(["ip", *args], check=True, stderr=subprocess.PIPE)


def can_make_namespaces():
    name = f"muster-probe-{os.getpid()}"
    if shutil.which("ip") is None or subprocess.run(["ip", "netns", "add", name], check=False,
                                                    stderr=subprocess.DEVNULL).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "del", name], check=False)
    return True


class Host(Home):
    """A host of its own on the Network's bridge."""

    def __init__(self, network, number):
        super().__init__()
        self.epmd_port = 4369
        self.name = f"{network.name}-{number}"
        self.ip = f"10.123.7.{number}"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.cable = f"{network.tag}{number}"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", network.name, "link", "add", self.cable, "type", "veth",
           "peer", "name", "eth0", "netns", self.name)
        ip("-n", network.name, "link", "set", self.cable, "master", "bridge0", "up")
        ip("-n", self.name, "address", "add", f"{self.ip}/24", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")

    def close(self):
        super().close()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Network:
    """Hosts on bridges within a namespace of its own; a partition is another bridge."""

    def __init__(self, count, bridges=2):
        self.tag = "c"
        self.name = f"muster-el-{os.getpid()}"
        self.hosts = []
        ip("netns", "add", self.name)
        for bridge in (f"bridge{number}" for number in range(bridges)):
            ip("-n", self.name, "link", "add", bridge, "type", "bridge")
            ip("-n", self.name, "link", "set", bridge, "up")
        for number in range(1, count + 1):
            self.hosts.append(Host(self, number))

    def move(self, hosts, bridge):
        for host in hosts:
            ip("-n", self.name, "link", "set", host.cable, "master", bridge)

    def close(self):
        for host in self.hosts:
            host.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Member:
    """A C node beside a BEAM called `alive`@ip, which is played here: it answers heartbeats."""

    def __init__(self, home, alive, distributed=True):
        self.home, self.alive = home, alive
        self.node = f"{alive}@{home.ip}"
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.events, self.logs, self.replies = [], [], {}
        self.calls = 0
        self.greeting = None
        self.answers = True
        self.ended = False
        self.process = home.popen([NODE, "--port"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()
        config = {Atom("heartbeat_ms"): 500}
        if distributed:
            config[Atom("distribution")] = {
                Atom("name"): f"{alive}-muster@{home.ip}".encode(), Atom("cookie"): COOKIE,
                Atom("beam"): self.node.encode(), Atom("epmd_port"): home.epmd_port,
                Atom("listen_ip"): home.ip.encode()}
        self._send((Atom("configure"), 1, config))
        assert self.wait(lambda: self.greeting, 10), "no greeting"
        assert self.greeting[0] == "hello", self.greeting

    def _send(self, term):
        frame = etf.encode(term)
        with self.writing, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(struct.pack(">I", len(frame)) + frame)
            self.process.stdin.flush()

    def _read(self):
        out = self.process.stdout
        while len(header := out.read(4)) == 4:
            term = etf.decode(out.read(struct.unpack(">I", header)[0]))
            if term[0] == "heartbeat":
                if self.answers:
                    self._send(term)
                continue
            with self.changed:
                if term[0] == "event" and term[1] == "election":
                    self.events.append((time.monotonic(), term[2], term[3]))
                elif term[0] == "reply":
                    self.replies[term[1]] = (time.monotonic(), term[2])
                elif term[0] == "log":
                    self.logs.append(term[2].decode())
                elif term[0] in ("hello", "refused"):
                    self.greeting = term
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, seconds):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.ended, seconds)
            return condition()

    def call(self, op, seconds=10, group=b"g", service="election", **arg):
        with self.changed:
            self.calls += 1
            number = self.calls
        arg = {Atom(k): v for k, v in arg.items()}
        if service == "election":
            arg[Atom("group")] = group
        self._send((Atom("call"), number, Atom(service), Atom(op), arg))
        assert self.wait(lambda: number in self.replies, seconds), f"{self.alive}: no reply to {op}"
        return self.replies.pop(number)[1]

    def start(self, members=(), group=b"g", kind="leader", **more):
        if kind == "leader":
            more["bootstrap"] = [m.encode() for m in members]
        answer = self.call("start", group=group, kind=Atom(kind), **more)
        assert answer[0] == "ok", answer

    def status(self, group=b"g", seconds=10):
        answer = self.call("status", group=group, seconds=seconds)
        assert answer[0] == "ok", answer
        return answer[1]

    def known(self, group=b"g"):
        """The leader last told of, and its token."""
        with self.changed:
            for _, key, event in reversed(self.events):
                if key == group and event[0] == "leader":
                    return (None, None) if event[1] == "none" else (event[1].decode(), event[2])
        return None, None

    def saw(self, predicate, seconds, since=0, group=b"g"):
        def find():
            for at, key, event in self.events[since:]:
                if key == group and predicate(event):
                    return at, event
            return None
        return self.wait(find, seconds)

    def mark(self):
        with self.changed:
            return len(self.events)

    def kill(self):
        self.process.kill()
        return time.monotonic()

    def end_of_file(self):
        """The BEAM is gone. How long the C node took to end, and its exit code."""
        began = time.monotonic()
        self.process.stdin.close()
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed"
        return time.monotonic() - began, code


def agreed(members, group=b"g", other_than=None):
    """The one leader that all know under one token, else None."""
    known = {m.known(group) for m in members}
    if len(known) != 1:
        return None
    node, token = known.pop()
    return (node, token) if node is not None and token != other_than else None


def wait_agreed(members, seconds, group=b"g", other_than=None):
    return wait_for(lambda: agreed(members, group, other_than), seconds, 0.001)


__all__ = ["Atom", "etf", "COOKIE", "Home", "Member", "Network", "agreed", "can_make_namespaces", "ip", "random", "wait_agreed",
           "wait_for"]
