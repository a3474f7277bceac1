"""Attacks by peers that the node dials."""
from attacks import Attacks
from behaviours import CUTS, EXPECTED
from process import PATIENCE, expect
from rig.dist import Closed, read_frame2
from rig.etf import atom

attack = Attacks()


def expect_none(wrong, what, seconds):
    """Until `wrong()` finds nothing; else says what it still finds."""
    try:
        expect(lambda: not wrong(), what, seconds)
    except AssertionError as e:
        raise AssertionError("%s: %s" % (what, wrong())) from e


def states_of(world):
    return {name.split("-")[0]: p["state"] for name, p in world.peers().items()}


@attack
def wrong_answers(world):
    """dialled: each kind of wrong answer to a handshake has its own state."""
    def wrong():
        states = states_of(world)
        return {a: states.get(a) for a, s in EXPECTED.items() if states.get(a) != s}
    expect_none(wrong, "states differ", 4)


@attack
def cut_by_acceptor(world):
    """dialled: status, challenge and acknowledgement cut at every byte, then closed."""
    def wrong():
        states = states_of(world)
        return [a for a, kind, stall in CUTS if not stall and states.get(a) != (
            "cookie_mismatch" if kind == "ca" else "handshake_failed")]
    expect_none(wrong, "not settled", 4)


@attack
def simultaneous(world):
    """simultaneous connects: the greater name's attempt goes on, in both orders."""
    expect(lambda: world.acceptors["asim"].sockets and world.acceptors["zsim"].sockets, "dials")
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
