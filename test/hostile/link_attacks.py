"""Attacks over the distribution protocol, as a peer that dials, as one that is dialled, as an epmd."""
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
import time

import dist
import process
from dist import (ALIAS, FLAGS, VERSION, Acceptor, Closed, Link, ack_message, atom, connect, frame2, frame4,
                  integer, list_, name_message, node_name, pid, read_frame2, reply_message, tuple_)
from process import COOKIE, PATIENCE, VALGRIND, Epmd, Node, wait_for

ATTACKS = []


def attack(function):
    ATTACKS.append(function)
    return function


def accept_well(name):
    def behave(sock):
        link = Link.accept(sock, name, COOKIE)
        while True:
            link.receive(60)
    return behave


class World:
    """One epmd, one node that bears most attacks, and a well-behaved connection to it."""

    def __init__(self):
        self.epmd = Epmd()
        self.acceptors, self.nodes = {}, []
        peers = []
        for alive, behave in BEHAVIOURS.items():
            name = node_name(alive)
            behave = accept_well(name) if behave is accept_well else behave
            self.acceptors[alive] = Acceptor(self.epmd.port, name, behave)
            peers += ["--peer", name]
        self.node = self.start("m", *peers, "--peer", node_name("unregistered"))
        self.port = self.node.listen_port()
        self.good = self.dial("good")
        self.started = time.monotonic()

    def start(self, alive, *arguments, epmd_port=None, **options):
        node = Node(node_name(alive), epmd_port or self.epmd.port, *arguments, **options)
        self.nodes.append(node)
        return node

    def dial(self, alive, cookie=COOKIE, flags=FLAGS, port=None, receive_buffer=None):
        return Link.dial(port or self.port, node_name(alive), cookie, flags, 3 * PATIENCE,
                         receive_buffer)

    def check(self):
        assert self.good.call(atom("ping"), 1.5 * PATIENCE) == "pong"

    def peers(self):
        return {p["node"].decode(): p for p in self.good.call(atom("peers"), 3 * PATIENCE)}

    def state(self, alive):
        return self.peers().get(node_name(alive), {"state": None})["state"]

    def close(self):
        for node in self.nodes:
            node.kill()
        for acceptor in self.acceptors.values():
            acceptor.close()
        self.epmd.close()


# --- Peers that are dialled ---

def part_of(message, cut, stall):
    """Sends a message's first bytes; then closes, or keeps the connection open in silence."""
    def finish(sock):
        sock.sendall(message[:cut])
        if stall:
            time.sleep(30)
        sock.close()
    return finish


def cut_status(cut, stall):
    def behave(sock):
        read_frame2(sock)
        part_of(frame2(b"sok"), cut, stall)(sock)
    return behave


def cut_challenge(alive, cut, stall):
    def behave(sock):
        read_frame2(sock)
        sock.sendall(frame2(b"sok"))
        part_of(dist.challenge_message(node_name(alive), 1), cut, stall)(sock)
    return behave


def to_acknowledgement(alive, finish):
    def behave(sock):
        read_frame2(sock)
        sock.sendall(frame2(b"sok") + dist.challenge_message(node_name(alive), 1))
        finish(sock, struct.unpack_from(">I", read_frame2(sock), 1)[0])
    return behave


def cut_acknowledgement(alive, cut, stall):
    return to_acknowledgement(
        alive, lambda sock, theirs: part_of(ack_message(COOKIE, theirs), cut, stall)(sock))


def answer(*messages):
    """Reads the node's name, sends the messages, and reads on until the end."""
    def behave(sock):
        read_frame2(sock)
        for message in messages:
            sock.sendall(message)
        while sock.recv(4096):
            pass
    return behave


def silence(sock):
    time.sleep(30)


def wrong_acknowledgement(sock, theirs):
    sock.sendall(ack_message("another cookie", theirs))
    while sock.recv(4096):
        pass


def alive_first(sock):
    link = Link.accept(sock, node_name("alivefirst"), COOKIE, b"salive")
    while True:
        link.receive(60)


OLD_CHALLENGE = frame2(b"n" + struct.pack(">HII", 5, 0x37fbd, 1) + b"old@127.0.0.1")

EXPECTED = {
    "normal": "connected", "alivefirst": "connected", "wrongcookie": "cookie_mismatch",
    "closing": "cookie_mismatch", "tlsalert": "tls_required", "othername": "name_mismatch",
    "forbids": "not_allowed", "yields": "simultaneous", "feeble": "flags_rejected",
    "old": "unsupported_distribution", "garbage": "handshake_failed", "http": "handshake_failed",
    "badstatus": "handshake_failed", "nonname": "handshake_failed", "hugelength": "handshake_failed",
    "unregistered": "name_unknown",
}

BEHAVIOURS = {
    "normal": accept_well,
    "alivefirst": alive_first,
    "wrongcookie": to_acknowledgement("wrongcookie", wrong_acknowledgement),
    "closing": to_acknowledgement("closing", lambda sock, theirs: sock.close()),
    "tlsalert": answer(b"\x15\x03\x03\x00\x02\x02\x28"),
    "othername": answer(frame2(b"sok"), dist.challenge_message(node_name("another"), 1)),
    "forbids": answer(frame2(b"snot_allowed")),
    "yields": answer(frame2(b"snok")),
    "feeble": answer(frame2(b"sok"), dist.challenge_message(node_name("feeble"), 1, 0x4 | 0x1000000)),
    "old": answer(frame2(b"sok"), OLD_CHALLENGE),
    "garbage": answer(os.urandom(4000)),
    "http": answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "badstatus": answer(frame2(b"sok_perhaps")),
    "nonname": answer(frame2(b"sok"), dist.challenge_message("no name at all", 1)),
    "hugelength": answer(frame2(b"sok"), b"N" * 3000),
    "silent": silence,
    "zsim": silence,
    "asim": silence,
}

CUTS = []


def add_cuts():
    status = len(frame2(b"sok"))
    acknowledgement = len(ack_message("", 1))
    for kind, length in (("cs", status), ("cc", 2 + 19 + len(node_name("ccx00"))),
                         ("ca", acknowledgement)):
        for cut in range(length):
            stall = cut % 4 == 3
            alive = "%s%s%02d" % (kind, "s" if stall else "c", cut)
            BEHAVIOURS[alive] = cut_status(cut, stall) if kind == "cs" else \
                cut_challenge(alive, cut, stall) if kind == "cc" else \
                cut_acknowledgement(alive, cut, stall)
            CUTS.append((alive, kind, stall))


add_cuts()


def wait_for_none(wrong, what, seconds):
    """Until `wrong()` finds nothing; else says what it still finds."""
    try:
        wait_for(lambda: not wrong(), what, seconds)
    except AssertionError as e:
        raise AssertionError("%s: %s" % (what, wrong())) from e


def states_of(world):
    return {name.split("-")[0]: p["state"] for name, p in world.peers().items()}


@attack
def wrong_answers(world):
    """dialled: each kind of wrong answer to a handshake has its own state."""
    def wrong():
        states = states_of(world)
        return {a: states.get(a) for a, s in EXPECTED.items()
                if states.get(a) != s and not (a == "garbage" and states.get(a) == "tls_required")}
    wait_for_none(wrong, "states differ", 4)


@attack
def cut_by_acceptor(world):
    """dialled: status, challenge and acknowledgement cut at every byte, then closed."""
    def wrong():
        states = states_of(world)
        return [a for a, kind, stall in CUTS if not stall and states.get(a) != (
            "cookie_mismatch" if kind == "ca" else "handshake_failed")]
    wait_for_none(wrong, "not settled", 4)


@attack
def simultaneous(world):
    """simultaneous connects: the greater name's attempt goes on, in both orders."""
    wait_for(lambda: world.acceptors["asim"].sockets and world.acceptors["zsim"].sockets, "dials")
    try:
        world.dial("asim")  # a < m, while m's own attempt is under way
        raise AssertionError("the lesser name's attempt went on")
    except Closed as e:
        assert e.args == (b"snok",), e
    link = world.dial("zsim")
    assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
    assert world.state("zsim") == "connected"
    own = world.acceptors["zsim"].sockets[0]
    own.settimeout(3 * PATIENCE)
    read_frame2(own)
    assert own.recv(1) == b"", "its own attempt was not given up"
    link.close()


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


@attack
def cut_frames(world):
    """established: a call's frame cut at every byte, with a pause, and then closed."""
    link = world.dial("cf")
    whole = link.call_frame(tuple_(atom("is_auth"), atom(link.name)), link.next_ref(), "net_kernel")
    for cut in range(1, len(whole)):
        link.sock.sendall(whole[:cut])
        time.sleep(0.001)
        link.sock.sendall(whole[cut:])
        assert link.receive(3 * PATIENCE)[1][1] == "yes"
    link.close()
    for cut in range(0, len(whole), 5):
        link = world.dial("cf")
        link.sock.sendall(whole[:cut])
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
        wait_for(lambda a=alive: refused(world, a) == "cookie_mismatch", "cookie_mismatch")
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


# --- Established connections ---

def nested(depth):
    return b"\x68\x01" * depth + b"\x6a"


@attack
def malformed_frames(world):
    """established: truncated, deep, random and unknown messages are passed over, the link stays."""
    link = world.dial("mf")
    me, to = link.pid, pid(world.node.name, 1)
    send = tuple_(integer(2), atom(""), to)
    whole = link.call_frame(atom("nothing"), link.next_ref())[4:]
    frames = [whole[:cut] for cut in range(1, len(whole))]
    frames += [
        b"\x83D\x00" + b"x" * 50,  # a distribution header
        b"\x83D\x05" + os.urandom(200), b"\x83", b"p", b"p\x83", b"q" * 50, b"\x00",
        b"p" + VERSION + nested(100), b"p" + VERSION + nested(1000000),
        b"p" + VERSION + send, b"p" + VERSION + send + VERSION,
        b"p" + VERSION + send + VERSION + nested(63), b"p" + VERSION + send + VERSION + nested(64),
        b"p" + VERSION + send + VERSION + nested(3000000),
        b"p" + VERSION + send + VERSION + b"\x6c\xff\xff\xff\xff" + b"\x61\x01" * 100,
        b"p" + VERSION + send + VERSION + b"\x6d\xff\xff\xff\xffabc",
        b"p" + VERSION + send + VERSION + b"\x6f\x7f\xff\xff\xff\x00abc",
        b"p" + VERSION + send + VERSION + b"\x50\x00\x00\x10\x00" + os.urandom(64),  # compressed
        b"p" + VERSION + b"\x69\xff\xff\xff\xff", b"p" + VERSION + b"\x74\x7f\xff\xff\xff",
        b"p" + VERSION + tuple_(), b"p" + VERSION + tuple_(atom("six")),
        b"p" + VERSION + tuple_(b"\x62\xff\xff\xff\xff"), b"p" + VERSION + list_([integer(6)]),
        b"p" + VERSION + tuple_(b"\x6e\x09\x00" + b"\xff" * 9, me, to),
        b"p" + VERSION + b"\x70" + os.urandom(80),
    ]
    for operation in range(256):
        for fields in ((), (me, to), (me, to, link.next_ref()), (atom("a"), atom("b"), atom("c"))):
            frames.append(b"p" + VERSION + tuple_(integer(operation), *fields))
    generator = random.Random(4711)
    for _ in range(400):
        frames.append(b"p\x83" + generator.randbytes(generator.randrange(1, 90)))
    for _ in range(1500):  # one byte of a good frame changed
        i = generator.randrange(len(whole))
        frames.append(whole[:i] + generator.randbytes(1) + whole[i + 1:])
    reader = threading.Thread(target=drain, args=(link, len(frames)), daemon=True)
    reader.start()
    for frame in frames:
        link.sock.sendall(frame4(frame))
    tag = link.next_ref()
    link.last = tag
    link.sock.sendall(link.call_frame(atom("ping"), tag))
    reader.join(10 * PATIENCE)
    assert not reader.is_alive() and link.answer == "pong", "the last call is not answered"
    link.close()


def drain(link, _):
    """Reads what comes until the last call's answer."""
    link.answer, link.last = None, None
    while True:
        try:
            _, message = link.receive(10 * PATIENCE)
        except ValueError:
            continue  # echoes of terms that our small decoder does not know
        if link.last and isinstance(message, tuple) and message[0] == ("ref", link.last):
            link.answer = message[1]
            return


@attack
def oversized_frames(world):
    """established: frames over the limit are drained, memory stays bounded, the link stays."""
    link = world.dial("of")
    before = world.node.resident_kb()
    block = b"p" * (1 << 20)
    for size in ((16 << 20) + 1, 40 << 20):
        link.sock.settimeout(20 * PATIENCE)
        link.sock.sendall(struct.pack(">I", size))
        for at in range(0, size, len(block)):
            link.sock.sendall(block[:min(len(block), size - at)])
        assert link.call(atom("ping"), 3 * PATIENCE) == "pong"
    grown = world.node.resident_kb() - before
    assert world.node.instrumented() or grown < 2048, "grew by %d KB" % grown
    # Announced and never sent: costs nothing either.
    announcers = [world.dial("of%d" % i) for i in range(8)]
    for announcer in announcers:
        announcer.sock.sendall(struct.pack(">I", 16 << 20) + b"p\x83")
    world.check()
    grown = world.node.resident_kb() - before
    assert world.node.instrumented() or grown < 2048, "grew by %d KB" % grown
    for announcer in announcers + [link]:
        announcer.close()


@attack
def protocol_answers(world):
    """established: links, monitors, sends and calls are answered as the protocol has it."""
    link = world.dial("pr")
    me, wait = link.pid, 3 * PATIENCE
    own, other = pid(world.node.name, 1), pid(world.node.name, 99)
    mine = ("pid", me)
    r = link.next_ref()
    link.send(tuple_(integer(1), me, other))
    assert link.receive(wait)[0] == (3, ("pid", other), mine, "noproc")
    link.send(tuple_(integer(35), integer(7), me, other))
    assert link.receive(wait)[0] == (36, 7, ("pid", other), mine)
    link.send(tuple_(integer(19), me, atom("nobody"), r))
    assert link.receive(wait)[0] == (21, "nobody", mine, ("ref", r), "noproc")
    link.send(tuple_(integer(19), me, other, r))
    assert link.receive(wait)[0] == (21, ("pid", other), mine, ("ref", r), "noproc")
    link.send(tuple_(integer(20), me, atom("nobody"), r))
    link.send(tuple_(integer(19), me, atom("muster"), r))  # stays quiet
    link.send(tuple_(integer(20), me, atom("muster"), r))
    call = tuple_(atom("$gen_call"), tuple_(me, r), atom("ping"))
    token = tuple_(integer(1), integer(2), integer(3), me, integer(4))
    for operation in (tuple_(integer(6), me, atom(""), atom("muster")),
                      tuple_(integer(16), me, atom(""), atom("muster"), token)):
        link.send(operation, call)
        assert link.receive(wait) == ((2, "", mine), (("ref", r), "pong"))
    for operation in (tuple_(integer(2), atom(""), own), tuple_(integer(12), atom(""), own, token),
                      tuple_(integer(22), me, own), tuple_(integer(23), me, own, token)):
        link.send(operation, tuple_(r, atom("yes")))  # an answer that nobody waits for
    # Calls that must not be answered: what to answer to is no pid.
    for caller in (atom("foo"), integer(1), list_([me]), r):
        link.send(tuple_(integer(6), me, atom(""), atom("muster")),
                  tuple_(atom("$gen_call"), tuple_(caller, r), atom("ping")))
    # An alias that is none: the answer goes to the pid.
    tag = list_([atom("alias")], atom("foo"))
    link.send(tuple_(integer(6), me, atom(""), atom("muster")),
              tuple_(atom("$gen_call"), tuple_(me, tag), atom("ping")))
    assert link.receive(wait)[0] == (2, "", mine)
    assert link.call(atom("é" * 127 + "x"), wait)[0] == "error"
    assert link.call(b"\x76\x03\xfc" + "\U0001F600".encode() * 255, wait)[0] == "error"
    assert link.call(b"\x64\x00\xff" + b"\xe9" * 255, wait)[0] == "error"
    link.close()
    link = world.dial("pa", flags=FLAGS | ALIAS)
    tag = list_([atom("alias")], r)
    for alias, to in ((tag, r), (list_([tag], r), r)):
        link.send(tuple_(integer(6), link.pid, atom(""), atom("muster")),
                  tuple_(atom("$gen_call"), tuple_(link.pid, alias), atom("ping")))
        control, message = link.receive(wait)
        assert control == (33, ("pid", pid(world.node.name, 1, 0, 0)), ("ref", to)) or \
            (control[0] == 33 and control[2] == ("ref", to)), control
        assert message[1] == "pong"
    link.send(tuple_(integer(6), link.pid, atom(""), atom("muster")),
              tuple_(atom("$gen_call"), tuple_(link.pid, list_([atom("alias")], integer(3))),
                     atom("ping")))
    assert link.receive(wait)[0][0] == 2
    link.close()


@attack
def never_reads(world):
    """established: a peer that calls and never reads is dropped, memory stays bounded."""
    before = world.node.resident_kb()
    link = world.dial("nr", receive_buffer=16384)
    call = link.call_frame(atom("health"), link.next_ref()) * 20
    link.sock.settimeout(8 * PATIENCE)
    try:
        for _ in range(2000):
            link.sock.sendall(call)
        raise AssertionError("not dropped")
    except (ConnectionResetError, BrokenPipeError):
        pass
    wait_for(lambda: world.state("nr") == "overloaded", "overloaded")
    grown = world.node.resident_kb() - before
    assert world.node.instrumented() or grown < 12 << 10, "grew by %d KB" % grown


@attack
def ticks_never_read(world):
    """established: a peer that ticks, unlinks and never reads: memory stays bounded."""
    for kind in ("ticks", "unlinks"):
        before, most = world.node.resident_kb(), 0
        link = world.dial("t" + kind, receive_buffer=16384)
        block = b"\0" * 60000 if kind == "ticks" else \
            link.frame(tuple_(integer(35), integer(1), link.pid, pid("x@y", 1))) * 800
        link.sock.settimeout(4 * PATIENCE)
        try:
            for _ in range(240):
                link.sock.sendall(block)
                most = max(most, world.node.resident_kb())
            if kind == "unlinks":
                raise AssertionError("not dropped")
        except (ConnectionResetError, BrokenPipeError):
            pass
        except TimeoutError:
            raise AssertionError("%s are not read, state %s, %d KB" % (kind, world.state("t" + kind), most - before))
        grown = most - before
        assert world.node.instrumented() or grown < 12 << 10, "%s: grew by %d KB" % (kind, grown)
        world.check()
        link.close()


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
    wait_for(bounded, "bounded table")
    grown = world.node.resident_kb() - before
    assert world.node.instrumented() or grown < 1024, "grew by %d KB" % grown


@attack
def floods(world):
    """established: peers that flood with ticks, calls and garbage do not hold up the others."""
    for kind in ("ticks", "calls", "garbage"):
        link = world.dial("flood" + kind)
        data = {"ticks": b"\0" * 64000, "garbage": frame4(b"p\x83\x68\x01") * 8000,
                "calls": link.call_frame(atom("info"), link.next_ref()) * 800}[kind]
        child = os.fork()
        if child == 0:  # a process of its own: threads would share the interpreter's lock
            flood(link.sock, data)
        try:
            times = []
            end = time.monotonic() + 0.6
            while time.monotonic() < end:
                began = time.monotonic()
                world.check()
                times.append(time.monotonic() - began)
            median = sorted(times)[len(times) // 2]
            assert median < (0.5 if VALGRIND else 0.05), "%s: %.0f ms" % (kind, 1e3 * median)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            link.close()


def flood(sock, data):
    def read():
        try:
            while sock.recv(1 << 20):
                pass
        finally:
            os._exit(0)
    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            sock.sendall(data)
    finally:
        os._exit(0)


@attack
def stdout_not_read(world):
    """stand-alone: a stdout that nobody reads does not stop the node."""
    node = world.start("so", collect=False)
    port = wait_for(lambda: dist.epmd_port_of(world.epmd.port, node.name.split("@")[0]), "published")
    link = world.dial("sogood", port=port)
    # Each coming and going is a line; a pipe holds 64 KB.
    for _ in range(700):
        world.dial("sox", port=port).close()
    assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
    link.close()
    node.stop()


@attack
def few_descriptors(world):
    """a node with 40 file descriptors under 100 connections: no spinning, and it recovers."""
    if VALGRIND:
        return  # it keeps descriptors of its own
    node = world.start("fd", descriptors=(40, 40))
    port = node.listen_port()
    crowd = [connect(port) for _ in range(100)]
    began = cpu_seconds(node)
    time.sleep(0.3)
    spent = cpu_seconds(node) - began
    assert spent < 0.15, "%.2f s of CPU in 0.3 s" % spent
    for sock in crowd:
        sock.close()

    def recovered():
        try:
            link = world.dial("afterfd", port=port)
        except (Closed, OSError):
            return False
        pong = link.call(atom("ping"), 1 * PATIENCE) == "pong"
        link.close()
        return pong
    wait_for(recovered, "a connection afterwards")
    node.stop()


@attack
def low_soft_limit(world):
    """a node under a low soft limit of descriptors, as most systems set it, holds more links than that."""
    node = world.start("sl", descriptors=(64, 1024))
    port = node.listen_port()
    links = [world.dial("sl%d" % i, port=port) for i in range(100)]
    for link in links:
        assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
        link.close()
    node.stop()


def cpu_seconds(node):
    with open("/proc/%d/stat" % node.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- epmd ---

class FakeEpmd:
    def __init__(self, behave):
        self.server, self.behave = dist.listen(), behave
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            self.behave(sock)
        except (OSError, Closed):
            pass


def epmd_closes(sock):
    sock.close()


def epmd_garbage(sock):
    sock.sendall(os.urandom(2000).replace(b"w", b"x").replace(b"y", b"x").replace(b"v", b"x"))
    time.sleep(5)


def epmd_refuses(sock):
    request = read_frame2(sock)
    sock.sendall(b"y\x01\x00\x00" if request[:1] == b"x" else b"w\x01")
    time.sleep(5)


def epmd_lies(sock):
    """Registers, then never stops talking; look-ups lead to a port where nobody is."""
    if read_frame2(sock)[:1] == b"x":
        sock.sendall(b"v\x00\x00\x00\x00\x01")
        for _ in range(200):
            sock.sendall(b"v" * 65536)
        time.sleep(30)
    else:
        sock.sendall(b"w\x00" + struct.pack(">HBBHHH", 1, 77, 0, 6, 5, 65535) + b"x" * 70000)


@attack
def fake_epmds(world):
    """epmd: none, silent, garbage, closing, refusing and lying ones: states told apart, still leaves."""
    cases = [(None, "epmd_unreachable", "unpublished"), (silence, "epmd_unreachable", None),
             (epmd_garbage, "epmd_unreachable", "unpublished"),
             (epmd_closes, "epmd_unreachable", "unpublished"),
             (epmd_refuses, "name_unknown", "unpublished"),
             (epmd_lies, "connection_refused", "published")]
    running = []
    for i, (behave, state, published) in enumerate(cases):
        port = dist.free_port() if behave is None else FakeEpmd(behave).port
        node = world.start("ep%d" % i, "--peer", node_name("x"), epmd_port=port)
        running.append((node, state, published))
    for node, state, published in running:
        node.printed("peer .* %s:" % state, 5)
        if published:
            node.printed("node .* %s:" % published)
    for node, _, _ in running:
        node.stop()


@attack
def epmd_restarted(world):
    """epmd: a node that started before epmd, and outlives it, is published again."""
    epmd = Epmd()
    node = world.start("re", epmd_port=epmd.port)
    node.printed("published: port")
    epmd.close()
    node.printed("unpublished: .*gone")
    alive = node.name.split("@")[0]
    epmd.start()
    wait_for(lambda: dist.epmd_port_of(epmd.port, alive), "published again")
    node.stop()
    wait_for(lambda: dist.epmd_port_of(epmd.port, alive) is None, "gone from epmd")
    epmd.close()


# --- The end ---

HANGING_GETADDRINFO = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (strstr(n, ".invalid") == 0)
        return real(n, s, h, r);
    sleep(60);
    return EAI_AGAIN;
}
"""


def start_with_hanging_names(world, alive, *peers):
    """A node for which *.invalid has a name server that keeps silent; None where that cannot be had."""
    library = os.path.join(process.DIRECTORY, "hang.so")
    built = shutil.which("cc") and subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"],
        input=HANGING_GETADDRINFO.encode()).returncode == 0
    if VALGRIND or not built:
        return None
    asan = process.ENVIRONMENT["ASAN_OPTIONS"]
    process.ENVIRONMENT.update(LD_PRELOAD=library, ASAN_OPTIONS=asan + ":verify_asan_link_order=0")
    try:
        return world.start(alive, *[a for peer in peers for a in ("--peer", peer)])
    finally:
        del process.ENVIRONMENT["LD_PRELOAD"]
        process.ENVIRONMENT["ASAN_OPTIONS"] = asan


@attack
def hanging_name_server(world):
    """names that hang for a minute: another name, numeric peers and leaving do not wait for them."""
    good = Acceptor(world.epmd.port, "dnsnamed@localhost", accept_well("dnsnamed@localhost"))
    node = start_with_hanging_names(world, "dns", *["x@h%d.invalid" % i for i in range(6)],
                                    "dnsnamed@localhost")
    if node is None:
        return
    link = world.dial("dnsgood", port=node.listen_port())
    assert link.call(atom("ping"), PATIENCE) == "pong"
    node.printed("peer dnsnamed@localhost connected", 5)
    began = time.monotonic()
    node.stop()
    assert time.monotonic() - began < 1, "took %.1f s" % (time.monotonic() - began)
    good.close()


@attack
def stalled_handshakes(world):
    """dialled: peers that stall in the handshake time out after 7 s, the others unaffected."""
    def wrong():
        states = states_of(world)
        return {a: states[a] for a in [c[0] for c in CUTS if c[2]] + ["silent", "asim"]
                if states[a] != "timeout"}
    wait_for_none(wrong, "not timed out", 8)


@attack
def leaves_in_order(world):
    """SIGTERM with handshakes, links and dials under way: exit code 0, at once, nothing to report."""
    sockets = [connect(world.port) for _ in range(5)]
    sockets[0].sendall(name_message(node_name("late"))[:9])
    sockets[1].sendall(name_message(node_name("late2")))
    links = [world.dial("last%d" % i) for i in range(5)]
    began = time.monotonic()
    world.node.stop()
    took = time.monotonic() - began
    assert took < 1 * PATIENCE, "took %.2f s" % took
    for sock in sockets + [link.sock for link in links]:
        sock.close()
    world.check = lambda: None
