"""A C node driven over its control port, as far as the backends' tests need it."""

import queue
import struct
import subprocess
import threading
import time

import etf
from etf import Atom, decode


def encode(term):
    """Maps' keys may be plain str here: options are atoms."""
    return etf.encode(_atom_keys(term))


def _atom_keys(term):
    if isinstance(term, dict):
        return {Atom(key): _atom_keys(value) for key, value in term.items()}
    if isinstance(term, (list, tuple)):
        return type(term)(map(_atom_keys, term))
    return term


class Cnode:
    """A C node over its control port."""

    def __init__(self, path, distribution=None, env=None):
        self.process = subprocess.Popen([path, "--port"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=env)
        self.pid = self.process.pid
        self.lock = threading.Lock()
        self.changed = threading.Condition()
        self.replies = queue.Queue()
        self.events, self.logs = [], []
        self.ids = 0
        config = {"heartbeat_ms": 1000}
        if distribution:
            config["distribution"] = distribution
        self.put((Atom("configure"), 1, config))
        threading.Thread(target=self._read, daemon=True).start()
        hello = self.replies.get(timeout=10)
        assert hello[0] == "hello", hello

    def put(self, term):
        frame = encode(term)
        with self.lock:
            self.process.stdin.write(struct.pack(">I", len(frame)) + frame)
            self.process.stdin.flush()

    def _read(self):
        out = self.process.stdout
        while head := out.read(4):
            term = decode(out.read(struct.unpack(">I", head)[0]))
            if term[0] == "heartbeat":
                self.put(term)
            elif term[0] == "event":
                with self.changed:
                    self.events.append(term)
                    self.changed.notify_all()
            elif term[0] == "log":
                self.logs.append(term)
            else:
                self.replies.put(term)

    def call(self, service, op, arg):
        self.ids += 1
        self.put((Atom("call"), self.ids, Atom(service), Atom(op), arg))
        reply = self.replies.get(timeout=10)
        assert reply[0] == "reply" and reply[1] == self.ids, reply
        return reply[2]

    def start(self, key, strategy, options):
        return self.call("discovery", "start",
                         {"topology": key, "strategy": Atom(strategy), "options": options})

    def stop(self, key):
        return self.call("discovery", "stop", {"topology": key})

    def sync(self, key):
        return self.call("discovery", "sync", {"topology": key})

    def status(self, key):
        return self.call("discovery", "status", {"topology": key})[1]

    def listed(self, key):
        return {n["node"].decode() for n in self.status(key)["nodes"] if n["listed"] == "true"}

    def mark(self):
        """Where the events are now, for `event`."""
        with self.changed:
            return len(self.events)

    def event(self, key, matches, since=0, seconds=10):
        """The first event of the topology that matches, waiting for it; None when none came."""
        deadline, at = time.monotonic() + seconds, since
        with self.changed:
            while True:
                for term in self.events[at:]:
                    if term[2] == key.encode() and matches(term[3]):
                        return term[3]
                at = len(self.events)
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    return None

    def failure(self, key, since=0, seconds=10):
        """The text of the next failed sync."""
        e = self.event(key, lambda e: e[:2] == ("sync", "error"), since, seconds)
        return e[2].decode() if e else None

    def close(self):
        """Ends it as the BEAM would, by the end of its standard input; returns its exit code."""
        self.process.stdin.close()
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "killed"
