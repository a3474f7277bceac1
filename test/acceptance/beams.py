"""Real BEAM nodes with muster in them, each on a host (a network namespace) of its own, for the acceptance
runs and the fail-over bench. Everything made is taken away by close()."""
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "election"))
from rig import Atom, Network, can_make_namespaces, etf, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
EBIN = os.path.join(ROOT, "build", "acceptance")
MUSTER = os.path.join(ROOT, "_build", "dev", "lib", "muster", "ebin")
# No spinning of idle schedulers: there are many of them on few processors. The rest is as OTP has it.
FLAGS = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]


def compile_nodes():
    os.makedirs(EBIN, exist_ok=True)
    sources = [os.path.join(HERE, f) for f in sorted(os.listdir(HERE)) if f.endswith(".erl")]
    subprocess.run(["erlc", "-Wall", "-Werror", "-pa", MUSTER, "-o", EBIN, *sources], check=True)


def elixir_libs():
    """Built by Mix, the application depends on Elixir's own."""
    elixir = subprocess.run(["elixir", "-e", "IO.puts(Path.dirname(:code.lib_dir(:elixir)))"],
                            check=True, stdout=subprocess.PIPE, text=True)
    return elixir.stdout.strip()


class Beam:
    """A BEAM and its C node. `events` are (moment, term), in seconds of time.monotonic()."""

    def __init__(self, host, alive, libs, flags=()):
        self.host, self.alive, self.libs, self.flags = host, alive, libs, list(flags)
        self.node = f"{alive}@{host.ip}"
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.events, self.replies, self.calls, self.starts = [], {}, 0, 0
        self.process = None

    # Life

    def start(self):
        """Returns at once; `boot` waits."""
        theirs_in, self.to = os.pipe()
        self.of, theirs_out = os.pipe()
        self.starts += 1
        self.ended = False
        log = open(os.path.join(self.host.dir, f"{self.alive}.log"), "ab")
        command = ["erl", "-noinput", "-name", self.node, "-setcookie", "acceptance", "-start_epmd", "false",
                   *FLAGS, *self.flags, "-pa", MUSTER, EBIN, "-run", "acceptance_node", "main",
                   str(theirs_in), str(theirs_out)]
        env = dict(os.environ, HOME=self.host.dir, ERL_LIBS=self.libs, ERL_CRASH_DUMP_SECONDS="0",
                   ERL_EPMD_PORT=str(self.host.epmd_port))
        self.process = subprocess.Popen(self.host.prefix + command, env=env, cwd=self.host.dir, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out))
        self.host.processes.append(self.process)
        for fd in (theirs_in, theirs_out):
            os.close(fd)
        log.close()
        threading.Thread(target=self._read, args=(self.of,), daemon=True).start()
        self.to_file = os.fdopen(self.to, "wb", buffering=0)

    def _read(self, fd):
        with os.fdopen(fd, "rb") as out:
            while len(header := out.read(4)) == 4:
                term = etf.decode(out.read(struct.unpack(">I", header)[0]))
                with self.changed:
                    if term[0] == "event":
                        self.events.append((term[1] / 1e9, term[2]))
                    else:
                        self.replies[term[1]] = term[2]
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, seconds):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.ended, seconds)
            return condition()

    def send(self, module, function, *args):
        with self.changed:
            self.calls += 1
            number = self.calls
        term = (Atom("call"), number, Atom(module), Atom(function), list(args))
        frame = etf.encode(term)
        with self.writing, contextlib.suppress(OSError, ValueError):
            self.to_file.write(struct.pack(">I", len(frame)) + frame)
        return number

    def call(self, module, function, *args, seconds=15):
        number = self.send(module, function, *args)
        assert self.wait(lambda: number in self.replies, seconds), f"{self.node}: no reply to {function}"
        kind, result = self.replies.pop(number)
        assert kind == "ok", f"{self.node}: {module}:{function}: {kind} {result}"
        return result

    def boot(self, options, peers):
        """Starts the application and connects to the others."""
        assert self.wait(lambda: any(e == "ready" for _, e in self.events[-3:]), 30), f"{self.node} does not start"
        self.call("acceptance_node", "boot", options)
        self.call("acceptance_node", "connect", [Atom(p.node) for p in peers if p is not self])

    def log(self):
        """What the BEAM and, over it, the C node have logged."""
        with open(os.path.join(self.host.dir, f"{self.alive}.log"), encoding="utf-8", errors="replace") as f:
            return "".join(f"\n       {self.alive} logs: {line.rstrip()}" for line in f if line.strip())

    def state(self):
        with contextlib.suppress(AssertionError):
            return self.call("acceptance_node", "state", seconds=3)
        return {}

    def c_node(self):
        """The operating system's number of its C node."""
        return self.call("muster", "info")[1][Atom("os_pid")]

    # Faults: each returns the moment just before it

    def kill(self, c_node=None):
        """SIGKILL to the BEAM, and first to its C node."""
        pids = [p for p in (c_node, self.process.pid) if p is not None]
        moment = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return moment

    def reap(self):
        self.process.wait()
        with self.changed:
            self.changed.wait_for(lambda: self.ended, 10)
        with contextlib.suppress(OSError):
            self.to_file.close()

    def signal(self, number):
        moment = time.monotonic()
        os.kill(self.process.pid, number)
        return moment

    # What it was told

    def mark(self):
        with self.changed:
            return len(self.events)

    def told(self, what, since=0):
        """The events (moment, who, token) of a kind, "leader" or "commander"."""
        with self.changed:
            return [(at, e) for at, e in self.events[since:] if isinstance(e, tuple) and e[0] == what]


class Wires:
    """The hosts' ends of a Network's cables, pulled and plugged by netlink: in microseconds, with an
    answer when it is done."""

    RTM_NEWLINK, ACK, UP, IFLA_MASTER = 16, 5, 1, 10

    def __init__(self, network):
        self.network = network
        self.socket = self._socket_in(network.name)
        self.index = {}
        for name in [h.cable for h in network.hosts] + ["bridge0", "bridge1", "bridge2"]:
            self.index[name] = self._index_of(name)

    def _socket_in(self, namespace):
        made = []

        def make():
            with open(f"/var/run/netns/{namespace}", "rb") as f:
                if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))

        thread = threading.Thread(target=make)  # only this thread enters the namespace
        thread.start()
        thread.join()
        made[0].bind((0, 0))
        return made[0]

    def _index_of(self, name):
        text = subprocess.run(["ip", "-n", self.network.name, "-o", "link", "show", name], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return int(text.split(":")[0]) if text else None

    def _change(self, cable, flags, change, attributes=b""):
        body = struct.pack("BBHiII", 0, 0, 0, self.index[cable], flags, change) + attributes
        header = struct.pack("IHHII", 16 + len(body), self.RTM_NEWLINK, self.ACK, 0, 0)
        before = time.monotonic()
        self.socket.send(header + body)
        answer = self.socket.recv(4096)
        assert struct.unpack_from("i", answer, 16)[0] == 0, f"netlink: {answer!r}"
        return before, time.monotonic()

    def down(self, host):
        """(before, after) the moment at which the host's cable was pulled."""
        return self._change(host.cable, 0, self.UP)

    def up(self, host):
        return self._change(host.cable, self.UP, self.UP)

    def move(self, hosts, bridge):
        """To another bridge, one after the other; (before, after) the last one was moved."""
        attribute = struct.pack("HHI", 8, self.IFLA_MASTER, self.index[bridge])
        return [self._change(host.cable, 0, 0, attribute) for host in hosts][-1]

    def close(self):
        self.socket.close()


class Cluster:
    """`count` hosts with a BEAM each, all with a leader group and, with `topology`, a topology; or with the
    `baseline` that muster is compared with, and no muster."""

    def __init__(self, count=5, group=True, topology=None, ask=False, flags=(), start=True, baseline=False):
        self.libs = elixir_libs()
        self.network = Network(count, bridges=3)
        self.wires = Wires(self.network)
        for host in self.network.hosts:
            host.epmd()
        self.beams = [Beam(h, f"n{i + 1}", self.libs, flags) for i, h in enumerate(self.network.hosts)]
        self.options = {Atom("ask"): ask}
        self.baseline = baseline
        if baseline:
            self.options[Atom("baseline")] = count - 1
        elif group:
            self.options[Atom("voters")] = [Atom(b.node) for b in self.beams]
        if topology is not None:
            self.options[Atom("topology")] = {Atom(k): v for k, v in topology.items()}
        self.pids = {}
        if start:
            self.start(self.beams)

    def start(self, beams):
        """All at once."""
        for beam in beams:
            beam.start()
        with ThreadPoolExecutor(len(beams)) as pool:
            list(pool.map(lambda b: b.boot(self.options, self.beams), beams))
        for beam in beams:
            self.pids[beam] = None if self.baseline else beam.c_node()

    def of(self, node):
        return next(b for b in self.beams if b.node == node)

    def settled(self, seconds=30):
        """The leader, when all members know each other, none abstains and all name the same; the C nodes'
        numbers are known then, too."""
        last = {}

        def whole():
            states = [b.state() for b in self.beams]
            last["states"] = states
            leader = {s.get("leader") for s in states}
            good = all(s.get("peers") == len(self.beams) - 1 and (self.baseline or self._ready(s)) for s in states)
            return good and len(leader) == 1 and leader != {"none"} and \
                len({s.get("token") for s in states}) == 1 and leader.pop()
        node = wait_for(whole, seconds, 0.02)
        assert node, f"not settled: {last}"
        return self.of(node)

    def _ready(self, state):
        """Everybody is linked, and votes."""
        return state.get("missing") == 0 and state.get("abstaining") == "false" and \
            sum(m["link"] == "open" for m in state["members"]) == len(self.beams) - 1

    def close(self):
        self.wires.close()
        self.network.close()


def told_since(beams, since):
    """What the members were told since a moment, for whoever looks at a failure."""
    told = sorted(((at - since) * 1000, b.alive, e) for b in beams for at, e in list(b.events) if at >= since - 0.005)
    return "".join(f"\n       {ms:7.1f} ms {alive}: {event}" for ms, alive, event in told)


def learnt(survivors, marks, other_than, seconds, what="leader"):
    """Waits until all survivors were told of one and the same new leader; the moment at which the last one
    was, or None."""
    def last(beam):
        told = beam.told(what, marks[beam])
        return told[-1] if told else (None, (None, None))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lasts = [last(b) for b in survivors]
        leaders = {e[1] for _, e in lasts}
        if len(leaders) == 1 and leaders.isdisjoint({None, "none", other_than}):
            return max(at for at, _ in lasts)
        slow = next(b for b, (_, e) in zip(survivors, lasts) if e[1] in (None, "none", other_than) or len(leaders) > 1)
        seen = slow.mark()
        slow.wait(lambda: len(slow.events) > seen, 0.05)
    return None


__all__ = ["EBIN", "Atom", "Beam", "Cluster", "Network", "can_make_namespaces", "compile_nodes", "learnt",
           "told_since", "wait_for"]
