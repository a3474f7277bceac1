"""What members are asked or told by mistake, or by somebody who means no good."""
import random
import time

from member import SLOW, Member, agreed, node_names
from rig.checks import check
from rig.etf import Atom
from rig.waiting import wait_for
from stray import Stray


def refusals(member):
    def text(**arg):
        answer = member.ask("start", group=b"bad", **arg)
        return answer[1][1].decode() if answer[0] == "error" else ""
    leader = Atom("leader")
    check("bad options are named", "heartbeat_interval" in text(kind=leader, heartbeat_interval=200)
          and "bootstrap" in text(kind=leader, bootstrap=[b"x"])
          and "quorum_size" in text(kind=leader, quorum_size=2)
          and "data_dir" in text(kind=Atom("commander"), data_dir=b"/tmp")
          and "data_dir" in text(kind=leader, data_dir=b"/proc/none/such"))
    check("a group that is not there", member.ask("join", group=b"none", node=b"a@b")[1][0] ==
          "unknown_group")


def strays(members):
    """A node that knows the cookie and says what it likes to a member."""
    before = agreed(members)
    target = members[0]
    peer = Stray(target, "stray")
    sender = f"stray@{target.home.ip}".encode()
    hello = b"\1\1\0" + b"\7" * 8
    name, version = Atom("muster_election"), 1
    noise = [7, (), (name,), (name, 2, b"g", sender, hello), (name, b"x"), (Atom("other"), 1, b"g"),
             (name, version, b"nosuch", sender, hello), (name, version, b"g", b"a@b", hello),
             (name, version, b"g", sender, b""), (name, version, b"g", sender, b"\xff"),
             (name, version, b"g", sender, b"\4" + b"\0" * 200), (name, version, b"g", 7, 8)]
    for term in noise:
        peer.send("muster_election", term)
    peer.send("muster_election", (name, version, b"g", sender, hello))
    for size in range(0, 120, 7):
        body = bytes(random.randrange(256) for _ in range(size))
        peer.send("muster_election", (name, version, b"g", sender, b"\4" + body))
        peer.send("muster_election", (name, version, b"g", sender, b"\5" + body))
        peer.send("muster_election", (name, version, b"g", sender, b"\6" + body))
    seen = wait_for(lambda: target.status()["ignored"] >= 20, 5)
    check("malformed and unknown messages are ignored and counted", seen and
          agreed(members) == before and target.process.poll() is None,
          f"{target.status()['ignored']} in the group")
    # A heartbeat of a term beyond all reason.
    bad = bytes([5, 4]) + (1 << 62).to_bytes(8, "big") + b"\1" * 8 + b"\0" * 56 + b"\0"
    peer.send("muster_election", (name, version, b"g", sender, b"\4" + bad))
    time.sleep(0.1)
    check("a term beyond reason is not believed", agreed(members) == before)
    peer.close()


def misfits(home):
    """Members that cannot take part in one group say which other one it is that does not fit."""
    x, y, z = (Member(home, letter) for letter in "xyz")
    x.start(node_names(home, "xy"))
    y.start(node_names(home, "xyw"))
    z.start(kind="commander", quorum_size=1)
    z.ask("join", node=x.node.encode())

    def blames(member, other, what):
        return wait_for(lambda: member.status()["problem"].decode() == f"{other.node} {what}", 5 * SLOW)
    check("a member with other voters is named",
          blames(x, y, "was started with other voters") and x.status()["mismatched"] > 0, str(x.status()["problem"]))
    check("a group of another kind is named",
          blames(z, x, "has a group of this name that is of another kind"), str(z.status()["problem"]))
