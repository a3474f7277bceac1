"""What the attacks over the distribution protocol are made in."""
from behaviours import BEHAVIOURS, accept_well
from process import COOKIE, PATIENCE, Epmd, Node
from rig.dist import FLAGS, Acceptor, Link, node_name
from rig.etf import atom


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
