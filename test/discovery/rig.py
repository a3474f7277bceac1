"""What the live tests of discovery stand on: network namespaces, C nodes spoken to over their
control port, BEAM nodes, UDP sockets inside a namespace. Everything made is taken away by close().
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import etf
from etf import Atom

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE = os.environ.get("MUSTER_NODE", os.path.join(ROOT, "priv", "muster_node"))
COOKIE = "gossip_cookie"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace with loopback, and multicast over it unless told otherwise."""

    def __init__(self, name, multicast=True):
        self.name = name
        self.home = tempfile.mkdtemp(prefix="muster-gossip-")
        self.processes = []
        self.ip_outside("netns", "add", name)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "set", "lo", "multicast", "on")
        if multicast:
            self.add_route()

    def ip_outside(self, *args):
        subprocess.run(["ip", *args], check=True)

    def ip(self, *args):
        self.ip_outside("-n", self.name, *args)

    def add_route(self):
        self.ip("route", "add", "224.0.0.0/4", "dev", "lo", "src", "127.0.0.1")

    def delete_route(self):
        self.ip("route", "del", "224.0.0.0/4")

    def enter(self):
        if libc.setns(self.fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace; sockets made there stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.enter()
        try:
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
            os.close(before)

    def connect(self, other, own_address, other_address):
        """A cable to another namespace; its ends are called cable."""
        self.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other.name)
        for ns, address in ((self, own_address), (other, other_address)):
            ns.ip("address", "add", f"{address}/24", "brd", "+", "dev", "cable")
            ns.ip("link", "set", "cable", "up")

    def popen(self, args, **options):
        env = {"HOME": self.home, "PATH": os.environ["PATH"]}
        process = subprocess.Popen(args, env=env, cwd=self.home, preexec_fn=self.enter, **options)
        self.processes.append(process)
        return process

    def epmd(self, address="127.0.0.1"):
        return self.popen(["epmd", "-address", address], stderr=subprocess.DEVNULL)

    def beam(self, name, *more):
        return self.popen(["erl", "-noinput", "-name", name, "-setcookie", COOKIE, "-start_epmd",
                           "false", *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def epmd_names(self):
        with self.inside():
            try:
                with socket.create_connection(("127.0.0.1", 4369), 2) as s:
                    s.sendall(b"\0\1n")
                    answer = b""
                    while chunk := s.recv(4096):
                        answer += chunk
            except OSError:
                return []
        return [line.split()[1].decode() for line in answer[4:].splitlines()]

    def udp(self, port=0, group=None, address="0.0.0.0", reuse=True):
        with self.inside():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if reuse:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.bind((address, port))
        if group is not None:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                         socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
        return s

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        os.close(self.fd)
        self.ip_outside("netns", "del", self.name)
        shutil.rmtree(self.home, ignore_errors=True)


class CNode:
    """A C node beside a BEAM called `name` (which need not be there)."""

    def __init__(self, ns, name, distributed=True, **more):
        self.name = name.encode()
        self.more = {Atom(key): value for key, value in more.items()}
        self.process = ns.popen([NODE, "--port"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.changed = threading.Condition()
        self.events = []  # (monotonic time, key, event)
        self.replies = {}
        self.logs = []
        self.calls = 0
        self.greeting = None
        threading.Thread(target=self._read, daemon=True).start()
        config = {Atom("heartbeat_ms"): 60000}
        if distributed:
            config[Atom("distribution")] = self.distribution()
        self._send((Atom("configure"), 1, config))
        assert self._wait(lambda: self.greeting, 5), "no greeting"
        assert self.greeting[0] == "hello", self.greeting

    def distribution(self):
        alive, host = self.name.split(b"@")
        return {Atom("name"): alive + b"-muster@" + host, Atom("cookie"): COOKIE.encode(),
                Atom("beam"): self.name, Atom("listen_ip"): host} | self.more

    def _send(self, term):
        frame = etf.encode(term)
        self.process.stdin.write(struct.pack(">I", len(frame)) + frame)
        self.process.stdin.flush()

    def _read(self):
        out = self.process.stdout
        while len(header := out.read(4)) == 4:
            term = etf.decode(out.read(struct.unpack(">I", header)[0]))
            with self.changed:
                if term[0] == "event":
                    self.events.append((time.monotonic(), term[2], term[3]))
                elif term[0] == "reply":
                    self.replies[term[1]] = term[2]
                elif term[0] == "log":
                    self.logs.append(term[2].decode())
                elif term[0] in ("hello", "refused"):
                    self.greeting = term
                self.changed.notify_all()

    def _wait(self, condition, seconds):
        with self.changed:
            self.changed.wait_for(condition, seconds)
            return condition()

    def call(self, service, op, arg, seconds=10):
        self.calls += 1
        number = self.calls
        self._send((Atom("call"), number, Atom(service), Atom(op), arg))
        assert self._wait(lambda: number in self.replies, seconds), f"no reply to {op}"
        return self.replies.pop(number)

    def start(self, strategy, options, key=b"t"):
        arg = {Atom("topology"): key, Atom("strategy"): Atom(strategy),
               Atom("options"): {Atom(k): v for k, v in options.items()}}
        return self.call("discovery", "start", arg)

    def topology(self, op, key=b"t"):
        return self.call("discovery", op, {Atom("topology"): key})

    def status(self, key=b"t"):
        return self.topology("status", key)[1]

    def counters(self, key=b"t"):
        return self.status(key)["counters"]

    def listed(self, key=b"t"):
        return sorted(n["node"].decode() for n in self.status(key)["nodes"] if n["listed"] == "true")

    def set_metadata(self, version, metadata):
        return self.call("discovery", "set_metadata",
                         {Atom("version"): version, Atom("metadata"): metadata})

    def mark(self):
        return len(self.events)

    def saw(self, predicate, seconds, since=0, key=b"t"):
        """The first event of the topology after the mark `since` for which the predicate holds."""
        def find():
            for at, event_key, event in self.events[since:]:
                if event_key == key and predicate(event):
                    return at, event
            return None
        return self._wait(find, seconds)

    def saw_node(self, kind, node, seconds, since=0, key=b"t"):
        return self.saw(lambda e: e[0] == kind and e[1] == node.encode(), seconds, since, key)

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """End of file: the C node leaves in order (with a sanitizer: and has leaked nothing)."""
        self.process.stdin.close()
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            code = self.process.wait()
        assert code == 0, f"{self.name} ended with {code}"
