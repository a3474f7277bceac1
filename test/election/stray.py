"""A node of the distribution that says whatever it likes, under the cluster's cookie."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
import dist  # noqa: E402
from rig import COOKIE, etf  # noqa: E402


class Stray:
    """The C node that would stand beside `alive`@ip, connected to one member."""

    def __init__(self, home, member, alive):
        port = member.call("info", service="node")[1]["listen_port"]
        self.link = dist.Link.dial(port, f"{alive}-muster@{home.ip}", COOKIE.decode())

    def send(self, name, term):
        """Any term to a registered name."""
        control = dist.tuple_(dist.integer(6), self.link.pid, dist.atom(""), dist.atom(name))
        self.link.send(control, etf.encode(term)[1:])

    def close(self):
        self.link.close()
