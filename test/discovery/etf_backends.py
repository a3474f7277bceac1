"""The external term format and the control port, as far as the discovery tests need them."""

import queue
import struct
import subprocess
import threading
import time


class Atom(str):
    """An atom; plain str is encoded as a binary."""


def encode(term):
    return b"\x83" + _encode(term)


def _encode(term):
    if term is True or term is False or isinstance(term, Atom):
        text = str(term).lower() if isinstance(term, bool) else str(term)
        return b"w" + bytes([len(text)]) + text.encode()
    if isinstance(term, int):
        if 0 <= term < 256:
            return b"a" + bytes([term])
        if -(1 << 31) <= term < 1 << 31:
            return b"b" + struct.pack(">i", term)
        size = (abs(term).bit_length() + 7) // 8
        return b"n" + bytes([size, term < 0]) + abs(term).to_bytes(size, "little")
    if isinstance(term, str):
        term = term.encode()
    if isinstance(term, bytes):
        return b"m" + struct.pack(">I", len(term)) + term
    if isinstance(term, tuple):
        return b"h" + bytes([len(term)]) + b"".join(map(_encode, term))
    if isinstance(term, list):
        body = b"".join(map(_encode, term))
        return b"l" + struct.pack(">I", len(term)) + body + b"j" if term else b"j"
    if isinstance(term, dict):
        pairs = (_encode(Atom(k)) + _encode(v) for k, v in term.items())
        return b"t" + struct.pack(">I", len(term)) + b"".join(pairs)
    raise TypeError(term)


def decode(data):
    assert data[0] == 131
    term, end = _decode(data, 1)
    assert end == len(data), "bytes after the term"
    return term


def _decode(d, at):
    tag, at = d[at], at + 1
    if tag == 97:
        return d[at], at + 1
    if tag == 98:
        return struct.unpack_from(">i", d, at)[0], at + 4
    if tag == 70:
        return struct.unpack_from(">d", d, at)[0], at + 8
    if tag in (100, 118):
        n = struct.unpack_from(">H", d, at)[0]
        return Atom(d[at + 2:at + 2 + n].decode("latin1")), at + 2 + n
    if tag in (115, 119):
        return Atom(d[at + 1:at + 1 + d[at]].decode("latin1")), at + 1 + d[at]
    if tag in (104, 105):
        n, at = (d[at], at + 1) if tag == 104 else (struct.unpack_from(">I", d, at)[0], at + 4)
        items, at = _decode_many(d, at, n)
        return tuple(items), at
    if tag == 106:
        return [], at
    if tag == 107:
        n = struct.unpack_from(">H", d, at)[0]
        return list(d[at + 2:at + 2 + n]), at + 2 + n
    if tag == 108:
        items, at = _decode_many(d, at + 4, struct.unpack_from(">I", d, at)[0])
        return items, at + 1
    if tag == 109:
        n = struct.unpack_from(">I", d, at)[0]
        return bytes(d[at + 4:at + 4 + n]), at + 4 + n
    if tag == 110:
        n, sign = d[at], d[at + 1]
        value = int.from_bytes(d[at + 2:at + 2 + n], "little")
        return -value if sign else value, at + 2 + n
    if tag == 116:
        flat, at = _decode_many(d, at + 4, 2 * struct.unpack_from(">I", d, at)[0])
        return dict(zip(flat[::2], flat[1::2])), at
    raise ValueError(f"tag {tag}")


def _decode_many(d, at, n):
    items = []
    for _ in range(n):
        item, at = _decode(d, at)
        items.append(item)
    return items, at


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
