"""What the checks of gossip share: C nodes that gossip, and packets of others."""
import select
import struct
import time

from discovery_node import DiscoveryNode
from namespace import COOKIE

GROUP, PORT = "233.252.1.32", 45892
A, B, C, D = (f"{x}@127.0.0.1" for x in "abcd")


class Gossiper(DiscoveryNode):
    """A C node beside a BEAM called `name` (which need not be there)."""

    def __init__(self, ns, name, distributed=True, **more):
        self.name = name
        alive, host = name.split("@")
        self.distribution = {"name": f"{alive}-muster@{host}", "cookie": COOKIE, "beam": name,
                             "listen_ip": host} | more
        # Here is nobody who answers heartbeats in time while a flood is made.
        super().__init__(self.distribution if distributed else None, ns.popen, 60000)

    def gossip(self, options):
        return self.start("t", "gossip", options)

    def gossip_and_wait(self, options):
        """Packets that come from now on are heard."""
        mark = self.mark()
        self.gossip(options)
        assert self.saw_sync(2, mark), "no heartbeat went out"


def text_of(event):
    """What a failed sync says."""
    return event and event.what[2].decode()


def drain(sock, seconds):
    """All packets that come within so many seconds, with their times."""
    packets, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([sock], [], [], left)[0]:
            packets.append((time.monotonic(), sock.recv(65536)))
    return packets


def heartbeat(name, tag=b"w"):
    """libcluster's packet with the atoms in one of their forms."""
    def atom(text):
        size = struct.pack(">H" if tag in (b"d", b"v") else ">B", len(text))
        return tag + size + text
    return b"heartbeat::\x83t\0\0\0\1" + atom(b"node") + atom(name.encode())


def say(sock, packet, to=(GROUP, PORT)):
    sock.sendto(packet, to)
