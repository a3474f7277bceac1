"""Attacks by those who connect: on the handshake, under wrong names, in crowds."""
import os
import socket
import struct
import time

from attacks import Attacks
from process import COOKIE, PATIENCE, expect
from rig import dist
from rig.dist import FLAGS, Closed, Link, connect, frame2, name_message, node_name, read_frame2, reply_message
from rig.etf import atom

attack = Attacks()


@attack
def cut_by_initiator(world):
    """dialling: name and reply cut at every byte, then closed; every fourth keeps silent."""
    name, kept = node_name("ci"), []

    def finish(sock, cut):
        if cut % 4 == 3:
            kept.append(sock)
        else:
            sock.close()
    message = name_message(name)
    for cut in range(len(message)):
        sock = connect(world.port)
        sock.sendall(message[:cut])
        finish(sock, cut)
    for cut in range(23):
        sock = connect(world.port)
        sock.sendall(message)
        assert read_frame2(sock) == b"sok"
        theirs = dist.challenge_of(read_frame2(sock))
        sock.sendall(reply_message(COOKIE, theirs)[:cut])
        finish(sock, cut)
    world.dial("ci").close()
    for sock in kept:
        sock.close()


@attack
def byte_by_byte(world):
    """dialling: a whole handshake and calls sent byte by byte, and all in one piece."""
    name = node_name("bb")
    sock = connect(world.port)
    for byte in name_message(name):
        sock.sendall(bytes([byte]))
        time.sleep(0.0003)
    read_frame2(sock)
    reply = reply_message(COOKIE, dist.challenge_of(read_frame2(sock)))
    link = Link(sock, name, world.node.name)
    first, second = link.next_ref(), link.next_ref()
    for byte in reply[:-1]:
        sock.sendall(bytes([byte]))
        time.sleep(0.0003)
    frames = link.call_frame(atom("ping"), first)
    # The handshake's last byte comes with the first frame.
    sock.sendall(reply[-1:] + b"\0\0\0\0" + frames[:7])
    assert read_frame2(sock)[:1] == b"a"
    for byte in frames[7:] + link.call_frame(atom("ping"), second):
        sock.sendall(bytes([byte]))
        time.sleep(0.0003)
    for expected in (first, second):
        assert link.receive(3 * PATIENCE)[1] == (("ref", expected), "pong")
    coalesced = b"".join(link.call_frame(atom("ping"), link.next_ref()) + b"\0\0\0\0"
                         for _ in range(200))
    sock.sendall(coalesced)
    for _ in range(200):
        assert link.receive(3 * PATIENCE)[1][1] == "pong"
    link.close()


def refused(world, alive):
    try:
        world.dial(alive, cookie="another cookie")
    except Closed:
        return world.state(alive)


@attack
def wrong_names(world):
    """dialling: wrong cookies, bad names, own name, old versions, missing flags, TLS, HTTP."""
    for alive in ("wc1", "wc2"):
        try:
            world.dial(alive, cookie="another cookie")
            raise AssertionError("let in with the wrong cookie")
        except Closed:
            pass
        # So many unproven names a second are remembered: it may take a second attempt.
        expect(lambda a=alive: refused(world, a) == "cookie_mismatch", "cookie_mismatch")
    own = world.node.name
    for first in (name_message(own), name_message("no name"), name_message("a@b@c"),
                  name_message("\x00@h"), name_message("x" * 255 + "@h"), name_message(""),
                  name_message(node_name("few"), 0), name_message(node_name("dyn"), FLAGS | 2 << 32),
                  frame2(b"n" + struct.pack(">HI", 5, 0x37fbd) + b"old@127.0.0.1"), frame2(b""),
                  frame2(b"N"), frame2(b"N" + b"\xff" * 200), b"\x16\x03\x01\x02\x00\x01" + b"x" * 512,
                  b"GET / HTTP/1.1\r\n\r\n", os.urandom(70000), frame2(b"sok"), b"\xff" * 4000):
        sock = connect(world.port)
        sock.settimeout(3 * PATIENCE)
        try:
            sock.sendall(first)
            while True:
                part = sock.recv(4096)
                assert part == b"" or part[2:] in (b"snot_allowed",), part
                if not part:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
        except socket.timeout:
            # Random bytes may announce a message that never comes; so may those of HTTP.
            pass
        sock.close()


@attack
def alive_flows(world):
    """dialling: a second connection of the same name is asked; true replaces, false keeps."""
    first = world.dial("al")
    sock = connect(world.port)
    sock.sendall(name_message(node_name("al")))
    assert read_frame2(sock) == b"salive"
    sock.sendall(frame2(b"sfalse"))
    assert sock.recv(1) == b""
    assert first.call(atom("ping"), 2 * PATIENCE) == "pong"
    # A stranger who says true but cannot prove it takes nothing over.
    sock = connect(world.port)
    sock.sendall(name_message(node_name("al")))
    assert read_frame2(sock) == b"salive"
    sock.sendall(frame2(b"strue"))
    dist.challenge_of(read_frame2(sock))
    sock.sendall(reply_message("another cookie", 1))
    assert sock.recv(1) == b""
    assert first.call(atom("ping"), 2 * PATIENCE) == "pong"
    second = world.dial("al")
    assert second.call(atom("ping"), 2 * PATIENCE) == "pong"
    first.sock.settimeout(3 * PATIENCE)
    try:
        assert first.sock.recv(1) == b"", "the old connection was kept"
    except ConnectionResetError:
        pass
    second.close()


@attack
def silent_crowd(world):
    """dialling: 200 silent connections at once do not keep a node out."""
    crowd = [connect(world.port) for _ in range(200)]
    world.check()
    link = world.dial("crowd")
    assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
    link.close()
    for sock in crowd:
        sock.close()


@attack
def flood_of_names(world):
    """dialling: 400 distinct names that prove nothing: at most 64 are remembered."""
    before = world.node.resident_kb()
    wanted = sum(1 for p in world.peers().values() if p["wanted"] == "true")
    for i in range(400):
        sock = connect(world.port)
        sock.sendall(name_message(node_name("flood%d" % i)) + reply_message("no", 1))
        if i % 2:
            sock.close()
        else:
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            sock.close()

    def bounded():
        peers = world.peers()
        idle = [p for p in peers.values() if p["wanted"] == "false" and p["state"] != "connected"]
        bounded.count = len(peers)
        return len(idle) <= 64 and len(peers) <= wanted + 64 + 1
    expect(bounded, "bounded table")
    grown = world.node.resident_kb() - before
    assert world.node.instrumented() or grown < 1024, "grew by %d KB" % grown
