"""Real BEAM nodes with muster in them, each on a host (a network namespace) of its own, for the acceptance
runs and the fail-over bench. Everything made is taken away by close()."""
import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from rig import ROOT
from rig.etf import Atom
from rig.framed import Framed
from rig.hosts import Network
from rig.waiting import wait_for
from rig.wires import Wires

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


class Beam(Framed):
    """A BEAM and its C node. `events` are (moment, term), in seconds of time.monotonic()."""

    def __init__(self, host, alive, libs, flags=()):
        super().__init__()
        self.host, self.alive, self.libs, self.flags = host, alive, libs, list(flags)
        self.node = f"{alive}@{host.ip}"
        self.process = None

    # Life

    def start(self):
        """Returns at once; `boot` waits."""
        theirs_in, to = os.pipe()
        of, theirs_out = os.pipe()
        command = ["erl", "-noinput", "-name", self.node, "-setcookie", "acceptance", "-start_epmd", "false",
                   *FLAGS, *self.flags, "-pa", MUSTER, EBIN, "-run", "acceptance_node", "main",
                   str(theirs_in), str(theirs_out)]
        env = dict(os.environ, HOME=self.host.dir, ERL_LIBS=self.libs, ERL_CRASH_DUMP_SECONDS="0",
                   ERL_EPMD_PORT=str(self.host.epmd_port))
        with open(self.log_path, "ab") as log:
            self.process = self.host.popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           pass_fds=(theirs_in, theirs_out))
        for fd in (theirs_in, theirs_out):
            os.close(fd)
        self.attach(os.fdopen(to, "wb"), os.fdopen(of, "rb"))

    @property
    def log_path(self):
        return os.path.join(self.host.dir, f"{self.alive}.log")

    def event_of(self, term):
        return term[1] / 1e9, term[2]

    def send_call(self, module, function, *args):
        return self.request(Atom(module), Atom(function), list(args))

    def call(self, module, function, *args, seconds=15):
        number = self.send_call(module, function, *args)
        kind, result = self.reply(number, f"{function} of {self.node}", seconds)
        assert kind == "ok", f"{self.node}: {module}:{function}: {kind} {result}"
        return result

    def boot(self, options, peers):
        """Starts the application and connects to the others."""
        assert self.wait(lambda: any(e == "ready" for _, e in self.events[-3:]), 30), f"{self.node} does not start"
        self.call("acceptance_node", "boot", options)
        self.call("acceptance_node", "connect", [Atom(p.node) for p in peers if p is not self])

    def log(self):
        """What the BEAM and, over it, the C node have logged."""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f"\n       {self.alive} logs: {line.rstrip()}" for line in f if line.strip())

    def state(self):
        with contextlib.suppress(AssertionError):
            return self.call("acceptance_node", "state", seconds=3)
        return {}

    def c_node(self):
        """The operating system's number of its C node."""
        return self.call("muster", "info")[1]["os_pid"]

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
            self.into.close()

    def signal(self, number):
        moment = time.monotonic()
        os.kill(self.process.pid, number)
        return moment

    # What it was told

    def told(self, what, since=0):
        """The events (moment, who, token) of a kind, "leader" or "commander"."""
        with self.changed:
            return [(at, e) for at, e in self.events[since:] if isinstance(e, tuple) and e[0] == what]


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
        self.options = {"ask": ask}
        self.baseline = baseline
        if baseline:
            self.options["baseline"] = count - 1
        elif group:
            self.options["voters"] = [Atom(b.node) for b in self.beams]
        if topology is not None:
            self.options["topology"] = topology
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
