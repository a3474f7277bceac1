"""Attacks over connections whose handshake is done."""
import os
import random
import struct
import threading
import time

from attacks import Attacks
from process import PATIENCE, VALGRIND, expect
from rig.dist import ALIAS, FLAGS, frame4
from rig.etf import VERSION, atom, integer, list_, pid, tuple_

attack = Attacks()


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
    expect(lambda: world.state("nr") == "overloaded", "overloaded")
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
