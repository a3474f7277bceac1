"""The Erlang distribution as bytes: handshake, frames, epmd. Nothing here is shared with muster."""
import hashlib
import os
import socket
import struct
import threading
import time

from rig.etf import VERSION, atom, decode_at, integer, pid, ref, tuple_

MANDATORY = (0x4 | 0x10 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x20000 | 0x40000
             | 0x1000000)
FLAGS = MANDATORY | 0x8 | 0x20 | 0x4000 | 0x2000000 | 0x4000000 | (4 << 32)
ALIAS = 8 << 32
CREATION = 77


class Closed(Exception):
    """The other side closed the connection."""


# --- Sockets ---

def connect(port, timeout=5.0, receive_buffer=None):
    sock = socket.socket()
    sock.settimeout(timeout)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(16)
    return server


def serve_each(server, serve):
    """Calls `serve(sock)` for each connection, in a thread of its own, until the server is closed."""
    def run():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        try:
            part = sock.recv(n - len(data))
        except (ConnectionResetError, BrokenPipeError):
            raise Closed()
        if not part:
            raise Closed()
        data += part
    return data


def read_frame2(sock):
    return read_exactly(sock, struct.unpack(">H", read_exactly(sock, 2))[0])


def frame2(data):
    return struct.pack(">H", len(data)) + data


def frame4(data):
    return struct.pack(">I", len(data)) + data


# --- Handshake ---

def digest(cookie, challenge):
    return hashlib.md5((cookie + str(challenge)).encode()).digest()


def name_message(name, flags=FLAGS, creation=CREATION):
    data = name.encode()
    return frame2(b"N" + struct.pack(">QIH", flags, creation, len(data)) + data)


def challenge_message(name, challenge, flags=FLAGS):
    data = name.encode()
    return frame2(b"N" + struct.pack(">QIIH", flags, challenge, CREATION, len(data)) + data)


def reply_message(cookie, theirs, ours=4711):
    return frame2(b"r" + struct.pack(">I", ours) + digest(cookie, theirs))


def ack_message(cookie, theirs):
    return frame2(b"a" + digest(cookie, theirs))


def challenge_of(message):
    return struct.unpack_from(">I", message, 9)[0]


class Link:
    """A connection whose handshake is done."""

    def __init__(self, sock, name, peer):
        self.sock, self.name, self.peer = sock, name, peer
        self.pid = pid(name)
        self.refs = 0

    @classmethod
    def dial(cls, port, name, cookie, flags=FLAGS, timeout=5.0, receive_buffer=None):
        sock = connect(port, timeout, receive_buffer)
        sock.sendall(name_message(name, flags))
        status = read_frame2(sock)
        if status == b"salive":
            sock.sendall(frame2(b"strue"))
        elif status not in (b"sok", b"sok_simultaneous"):
            sock.close()
            raise Closed(status)
        theirs = read_frame2(sock)
        sock.sendall(reply_message(cookie, challenge_of(theirs)))
        if read_frame2(sock) != b"a" + digest(cookie, 4711):
            raise Closed("wrong digest")
        return cls(sock, name, theirs[19:].decode())

    @classmethod
    def accept(cls, sock, name, cookie, status=b"sok"):
        peer = read_frame2(sock)[15:].decode()
        sock.sendall(frame2(status))
        if status == b"salive" and read_frame2(sock) != b"strue":
            raise Closed("no answer to alive")
        sock.sendall(challenge_message(name, 4712))
        reply = read_frame2(sock)
        if reply[5:] != digest(cookie, 4712):
            raise Closed("wrong digest")
        sock.sendall(ack_message(cookie, struct.unpack_from(">I", reply, 1)[0]))
        return cls(sock, name, peer)

    def send(self, control, message=None):
        self.sock.sendall(self.frame(control, message))

    @staticmethod
    def frame(control, message=None):
        data = b"p" + VERSION + control
        return frame4(data if message is None else data + VERSION + message)

    def receive(self, timeout):
        """The next frame that is no tick, as (control, message or None)."""
        deadline = time.monotonic() + timeout
        while True:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            size = struct.unpack(">I", read_exactly(self.sock, 4))[0]
            if size == 0:
                self.sock.sendall(b"\0\0\0\0")
                continue
            data = read_exactly(self.sock, size)
            if data[:2] != b"p\x83":
                raise ValueError("frame starts with %r" % data[:2])
            control, at = decode_at(data, 2)
            if at == len(data):
                return control, None
            if data[at] != 131:
                raise ValueError("message without a version")
            message, end = decode_at(data, at + 1)
            if end != len(data):
                raise ValueError("bytes after the message")
            return control, message

    def next_ref(self):
        self.refs += 1
        return ref(self.name, self.refs, 2, 3)

    def call_frame(self, request, tag, name="muster"):
        return self.frame(tuple_(integer(6), self.pid, atom(""), atom(name)),
                          tuple_(atom("$gen_call"), tuple_(self.pid, tag), request))

    def call(self, request, timeout, name="muster"):
        tag = self.next_ref()
        self.sock.settimeout(timeout)
        self.sock.sendall(self.call_frame(request, tag, name))
        deadline = time.monotonic() + timeout
        while True:
            control, message = self.receive(deadline - time.monotonic())
            if control[0] == 2 and message[0] == ("ref", tag):
                return message[1]

    def close(self):
        self.sock.close()


# --- Peers that are dialled ---

class Acceptor:
    """A node that is registered in epmd and does with each connection what `behave(sock)` says."""

    def __init__(self, epmd_port, name, behave):
        self.server, self.name, self.behave = listen(), name, behave
        self.connections, self.error = 0, None
        self.epmd = connect(epmd_port)
        alive = name.split("@")[0].encode()
        self.epmd.sendall(frame2(b"x" + struct.pack(">HBBHHH", self.server.getsockname()[1], 77, 0,
                                                    6, 5, len(alive)) + alive + b"\0\0"))
        if read_exactly(self.epmd, 2)[1] != 0:
            raise Closed("epmd refuses " + name)
        self.sockets = []
        serve_each(self.server, self.serve)

    def serve(self, sock):
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(sock)
        try:
            self.behave(sock)
        except (Closed, OSError) as e:
            self.error = e
        self.connections += 1

    def close(self):
        self.server.close()
        self.epmd.close()
        for sock in self.sockets:
            sock.close()


def epmd_port_of(epmd_port, alive):
    """The port under which a node is published, or None."""
    with connect(epmd_port) as sock:
        sock.sendall(frame2(b"z" + alive.encode()))
        answer = b""
        while True:
            part = sock.recv(512)
            if not part:
                break
            answer += part
    return struct.unpack_from(">H", answer, 2)[0] if answer[:2] == b"w\0" else None


UNIQUE = "%x%x" % (os.getpid(), time.monotonic_ns() & 0xffff)


def node_name(alive):
    return "%s-%s@127.0.0.1" % (alive, UNIQUE)
