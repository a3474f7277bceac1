"""A C node driven over its control port, in place of its BEAM."""
import collections
import contextlib
import subprocess
import time

from rig import NODE
from rig.etf import Atom
from rig.framed import Framed

# `at` in seconds of time.monotonic(), `what` the event itself, `key` whose it is.
Event = collections.namedtuple("Event", "at what key service")


class CNode(Framed):
    """`popen` starts its process where it is to live, `distribution` is its options of that name. While
    `answers`, it is told that its BEAM is well."""

    def __init__(self, distribution=None, popen=subprocess.Popen, heartbeat_ms=1000):
        super().__init__()
        self.answers = True
        self.process = popen([NODE, "--port"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.attach(self.process.stdin, self.process.stdout)
        config = {"heartbeat_ms": heartbeat_ms}
        if distribution:
            config["distribution"] = distribution
        self.send((Atom("configure"), 1, config))
        greeting = self.wait(lambda: self.first_of("hello", "refused"), 10)
        assert greeting and greeting[0] == "hello", greeting or "no greeting"

    def take(self, term):
        if term[0] != "heartbeat":
            super().take(term)
        elif self.answers:
            self.send(term)

    def event_of(self, term):
        return Event(time.monotonic(), term[3], term[2], term[1])

    def first_of(self, *kinds):
        return next((term for term in self.others if term[0] in kinds), None)

    @property
    def logs(self):
        return [term[2].decode() for term in list(self.others) if term[0] == "log"]

    def call(self, service, op, arg, seconds=10):
        number = self.request(Atom(service), Atom(op), arg)
        return self.reply(number, f"{service} {op}", seconds)

    def saw(self, predicate, seconds=10, since=0, key=None):
        """The first event after the mark `since`, of the key if one is given, for which the predicate
        holds; None when none came."""
        def find():
            return next((e for e in self.events[since:] if key in (None, e.key) and predicate(e.what)), None)
        return self.wait(find, seconds)

    def end_of_file(self):
        """Its BEAM is gone. How long it took to end, and its exit code."""
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed"
        return time.monotonic() - began, code

    def leave(self):
        """Ends it so, in order (with a sanitizer: and it has leaked nothing)."""
        _, code = self.end_of_file()
        assert code == 0, f"ended with {code}"
