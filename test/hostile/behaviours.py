"""How the peers behave that the node under attack dials, and what is to become of each."""
import os
import struct
import time

from process import COOKIE
from rig.dist import Link, ack_message, challenge_message, frame2, node_name, read_frame2


def accept_well(name):
    def behave(sock):
        link = Link.accept(sock, name, COOKIE)
        while True:
            link.receive(60)
    return behave


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
        part_of(challenge_message(node_name(alive), 1), cut, stall)(sock)
    return behave


def to_acknowledgement(alive, finish):
    def behave(sock):
        read_frame2(sock)
        sock.sendall(frame2(b"sok") + challenge_message(node_name(alive), 1))
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

GARBAGE = os.urandom(4000)
MAY_BE_TLS = GARBAGE[:2] in (b"\x15\x03", b"\x16\x03")

EXPECTED = {
    "normal": "connected", "alivefirst": "connected", "wrongcookie": "cookie_mismatch",
    "closing": "cookie_mismatch", "tlsalert": "tls_required", "othername": "name_mismatch",
    "forbids": "not_allowed", "yields": "simultaneous", "feeble": "flags_rejected",
    "old": "unsupported_distribution", "garbage": "tls_required" if MAY_BE_TLS else "handshake_failed",
    "http": "handshake_failed", "badstatus": "handshake_failed", "nonname": "handshake_failed",
    "hugelength": "handshake_failed", "unregistered": "name_unknown",
}

BEHAVIOURS = {
    "normal": accept_well,
    "alivefirst": alive_first,
    "wrongcookie": to_acknowledgement("wrongcookie", wrong_acknowledgement),
    "closing": to_acknowledgement("closing", lambda sock, theirs: sock.close()),
    "tlsalert": answer(b"\x15\x03\x03\x00\x02\x02\x28"),
    "othername": answer(frame2(b"sok"), challenge_message(node_name("another"), 1)),
    "forbids": answer(frame2(b"snot_allowed")),
    "yields": answer(frame2(b"snok")),
    "feeble": answer(frame2(b"sok"), challenge_message(node_name("feeble"), 1, 0x4 | 0x1000000)),
    "old": answer(frame2(b"sok"), OLD_CHALLENGE),
    "garbage": answer(GARBAGE),
    "http": answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "badstatus": answer(frame2(b"sok_perhaps")),
    "nonname": answer(frame2(b"sok"), challenge_message("no name at all", 1)),
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
