"""The election's live tests drive members: C nodes whose BEAMs are played here, and what all of them say."""
import os
import time

from rig.cnode import CNode
from rig.etf import Atom
from rig.waiting import wait_for

COOKIE = "election_cookie"
# A sanitized build, or a busy host, is slower; what is promised by the clock stays as it is.
SLOW = float(os.environ.get("ELECTION_SLOW", "1"))
TIMEOUT_MIN = 0.150


class Member(CNode):
    """A C node beside a BEAM called `alive`@ip, in one home. A group is b"g" unless it is given."""

    def __init__(self, home, alive, distributed=True):
        self.home, self.alive = home, alive
        self.node = f"{alive}@{home.ip}"
        distribution = {"name": f"{alive}-muster@{home.ip}", "cookie": COOKIE, "beam": self.node,
                        "epmd_port": home.epmd_port, "listen_ip": home.ip}
        super().__init__(distribution if distributed else None, home.popen, 500)

    def ask(self, op, seconds=10, group=b"g", **arg):
        return self.call("election", op, {"group": group, **arg}, seconds)

    def start(self, members=(), group=b"g", kind="leader", **more):
        if kind == "leader":
            more["bootstrap"] = [m.encode() for m in members]
        answer = self.ask("start", group=group, kind=Atom(kind), **more)
        assert answer[0] == "ok", answer

    def status(self, group=b"g", seconds=10):
        answer = self.ask("status", group=group, seconds=seconds)
        assert answer[0] == "ok", answer
        return answer[1]

    def known(self, group=b"g"):
        """The leader last told of, and its token."""
        with self.changed:
            for event in reversed(self.events):
                if event.key == group and event.what[0] == "leader":
                    _, node, token = event.what
                    return (None, None) if node == "none" else (node.decode(), token)
        return None, None

    def saw(self, predicate, seconds=10, since=0, key=b"g"):
        return super().saw(predicate, seconds, since, key)

    def kill(self):
        self.process.kill()
        return time.monotonic()


def node_names(home, letters):
    return [f"{letter}@{home.ip}" for letter in letters]


def start_all(home, letters, **more):
    """Members of the group b"g", each with all of them as its voters."""
    members = [Member(home, letter) for letter in letters]
    for member in members:
        member.start(node_names(home, letters), **more)
    return members


def member_of(members, node):
    return next(m for m in members if m.node == node)


def agreed(members, group=b"g", other_than=None):
    """The one leader that all know under one token, else None."""
    known = {m.known(group) for m in members}
    if len(known) != 1:
        return None
    node, token = known.pop()
    return (node, token) if node is not None and token != other_than else None


def wait_agreed(members, seconds, group=b"g", other_than=None):
    return wait_for(lambda: agreed(members, group, other_than), seconds, 0.001)


def last_told(members):
    """The moment at which the last of them was told of a leader."""
    return max(event.at for m in members for event in m.events if event.what[0] == "leader")
