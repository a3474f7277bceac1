"""What comes last: handshakes that have stalled all the while, and the end of the node."""
import time

from attacks import Attacks
from behaviours import CUTS
from dialled import expect_none, states_of
from process import PATIENCE
from rig.dist import connect, name_message, node_name

attack = Attacks()


@attack
def stalled_handshakes(world):
    """dialled: peers that stall in the handshake time out after 7 s, the others unaffected."""
    def wrong():
        states = states_of(world)
        return {a: states[a] for a in [c[0] for c in CUTS if c[2]] + ["silent", "asim"]
                if states[a] != "timeout"}
    expect_none(wrong, "not timed out", 8)


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
