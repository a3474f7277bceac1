"""A node of the distribution that says whatever it likes, under the cluster's cookie."""
from member import COOKIE
from rig import dist
from rig.etf import atom, encode, integer, tuple_


class Stray:
    """The C node that would stand beside `alive`@ip, connected to one member."""

    def __init__(self, member, alive):
        port = member.call("node", "info", {})[1]["listen_port"]
        self.link = dist.Link.dial(port, f"{alive}-muster@{member.home.ip}", COOKIE)

    def send(self, name, term):
        """Any term to a registered name."""
        control = tuple_(integer(6), self.link.pid, atom(""), atom(name))
        self.link.send(control, encode(term)[1:])

    def close(self):
        self.link.close()
