"""Attacks by an epmd, and its restart."""
import os
import struct
import time

from attacks import Attacks
from behaviours import silence
from process import Epmd, expect
from rig import dist
from rig.dist import Closed, node_name, read_frame2
from rig.proc import free_port

attack = Attacks()


class FakeEpmd:
    def __init__(self, behave):
        self.server, self.behave = dist.listen(), behave
        self.port = self.server.getsockname()[1]
        dist.serve_each(self.server, self.serve)

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
        port = free_port() if behave is None else FakeEpmd(behave).port
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
    expect(lambda: dist.epmd_port_of(epmd.port, alive), "published again")
    node.stop()
    expect(lambda: dist.epmd_port_of(epmd.port, alive) is None, "gone from epmd")
    epmd.close()
