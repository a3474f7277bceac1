"""Processes under attack: muster_node stand-alone and as a port, and an epmd of our own."""
import contextlib
import glob
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading

from rig import dist
from rig.etf import VERSION, atom, integer, map_, tuple_
from rig.framed import Framed
from rig.proc import free_port, resident_kb
from rig.waiting import wait_for

COMMAND = shlex.split(os.environ.get("MUSTER_NODE", "priv/muster_node"))
VALGRIND = "valgrind" in COMMAND[0]
with open(shutil.which(COMMAND[-1]), "rb") as program:
    INSTRUMENTED = VALGRIND or b"__asan_init" in program.read()
REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|^==\d+== (Invalid|Conditional|.*uninit|"
                    r".*definitely lost: [1-9])", re.M)
COOKIE = "hostile-cookie"
DIRECTORY = tempfile.mkdtemp(prefix="muster-hostile-")
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS=os.environ.get(
    "ASAN_OPTIONS", "quarantine_size_mb=4:malloc_context_size=12"))
# A slow way to run it gets more time for everything.
PATIENCE = 10 if VALGRIND else 2


def cookie_file():
    path = os.path.join(DIRECTORY, "cookie")
    if not os.path.exists(path):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(COOKIE)
    return path


def expect(condition, what, timeout=3.0):
    """Waits until `condition` holds; its value, or AssertionError."""
    value = wait_for(condition, timeout * PATIENCE)
    assert value, "not in time: " + what
    return value


class Epmd:
    def __init__(self):
        found = shutil.which("epmd") or sorted(glob.glob("/usr/lib*/erlang/erts-*/bin/epmd"))[-1]
        self.command = [found, "-port", str(free_port())]
        self.port = int(self.command[-1])
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        expect(self.answers, "epmd")

    def answers(self):
        try:
            dist.connect(self.port, 0.5).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.kill()
        self.process.wait()


class Process:
    """A muster_node whose end is checked: its exit code and what it left on stderr."""

    def __init__(self, arguments, **pipes):
        self.stderr = tempfile.TemporaryFile(dir=DIRECTORY)
        self.process = subprocess.Popen(COMMAND + arguments, stderr=self.stderr, env=ENVIRONMENT,
                                        **pipes)

    def said(self):
        self.stderr.seek(0)
        return self.stderr.read().decode("utf-8", "replace")

    def state(self):
        """For a report: S is asleep, R runs, T was stopped; where in the kernel; load average."""
        with open("/proc/%d/stat" % self.process.pid) as stat, open("/proc/loadavg") as load, \
                open("/proc/%d/wchan" % self.process.pid) as wchan:
            return "state %s in %s, load %s" % (stat.read().rsplit(")", 1)[1].split()[0],
                                                wchan.read(), load.read().split()[0])

    def resident_kb(self):
        return resident_kb(self.process.pid)

    def instrumented(self):
        return INSTRUMENTED

    def ends_with(self, expected, timeout=3.0):
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            state = self.state()
            self.process.kill()
            self.process.wait()
            raise AssertionError("does not end; " + state)
        assert not REPORT.search(self.said()), self.said()
        assert code == expected, "exit code %d instead of %d" % (code, expected)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Node(Process):
    """Stand-alone; what it prints is collected. `descriptors`: how many, as soft and hard limit."""

    def __init__(self, name, epmd_port, *arguments, descriptors=None, collect=True):
        self.name, self.lines = name, []

        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
        super().__init__(["--name", name, "--cookie-file", cookie_file(), "--epmd-port",
                          str(epmd_port), "--listen", "127.0.0.1", *arguments],
                         stdout=subprocess.PIPE, preexec_fn=limit)
        if collect:
            threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    def printed(self, pattern, timeout=3.0):
        return expect(lambda: next((m for m in (re.search(pattern, line) for line in
                                                list(self.lines)) if m), None),
                      "%s prints %s; it printed %s" % (self.name, pattern, self.lines[-5:]), timeout)

    def listen_port(self):
        return int(self.printed(r"ublished: port (\d+)").group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.ends_with(0)


class Frames(Framed):
    """All terms in the order in which they came: what attacks a C node takes nothing for granted."""

    def take(self, term):
        with self.changed:
            self.others.append(term)
            self.changed.notify_all()


class Port(Process):
    """As the BEAM has it: {packet, 4} on pipes. What is sent is made of pieces (rig.etf)."""

    def __init__(self, reads=True):
        super().__init__(["--port"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pipes, self.ids = Frames(), 0
        self.pipes.attach(self.process.stdin, self.process.stdout if reads else None)

    @property
    def frames(self):
        return list(self.pipes.others)

    def write(self, data):
        self.pipes.write(data)

    def send(self, term):
        self.write(dist.frame4(VERSION + term))

    def frame(self, match, what, timeout=3.0):
        found = self.pipes.wait(lambda: next((f for f in self.frames if match(f)), None), timeout * PATIENCE)
        assert found, "not in time: " + what
        return found

    def configure(self, *pairs):
        self.send(tuple_(atom("configure"), integer(1), map_(list(pairs))))

    def request(self, service, op, *pairs, arg=None):
        self.ids += 1
        self.send(tuple_(atom("call"), integer(self.ids), atom(service), atom(op),
                         map_(list(pairs)) if arg is None else arg))
        return self.ids

    def reply(self, number, timeout=3.0):
        return self.frame(lambda f: f[0] == "reply" and f[1] == number, "reply %d" % number,
                          timeout)[2]

    def call(self, service, op, *pairs, arg=None):
        return self.reply(self.request(service, op, *pairs, arg=arg))

    def eof(self, expected=0):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.ends_with(expected)
