"""Watching members: until all is settled, what they were told, and whether two ever lead at once."""
import threading
import time

from member import SLOW, agreed, member_of
from rig.waiting import wait_for


def settled(members, seconds=5):
    """The one leader, with all members there and none still abstaining."""
    def whole():
        states = [m.status() for m in members]
        return all(s["missing"] == 0 and s["abstaining"] == "false" and
                   sum(x["link"] == "open" for x in s["members"]) >= len(members) - 1
                   for s in states) and agreed(members)
    return wait_for(whole, seconds * SLOW, 0.01)


def settled_leader(members):
    """As `settled`, with the member that leads and the others."""
    last = settled(members)
    leader = member_of(members, last[0])
    return last, leader, [m for m in members if m is not leader]


def history(members, since):
    """What the members were told since then, for whoever looks at a failure."""
    told = sorted((e.at - since, m.alive, e.what) for m in members for e in m.events if e.at >= since)
    return "".join(f"\n       {at * 1000:7.1f} ms {alive}: {what}" for at, alive, what in told)


class LeaderWatch:
    """Asks all members all the time whether they lead: the spans of asking and answering tell what
    can and cannot have been true at once."""

    def __init__(self, members, group=b"g"):
        self.members, self.group = members, group
        self.spans = []  # (answered, asked, node, token): led at some instant between
        self.asked = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._poll, args=(m,), daemon=True)
                        for m in members]
        for thread in self.threads:
            thread.start()

    def _poll(self, member):
        while not self.over.wait(0.003):
            asked = time.monotonic()
            try:
                status = member.status(self.group, seconds=30)
            except AssertionError:
                return
            self.asked += 1
            if status["is_leader"] == "true":
                self.spans.append((time.monotonic(), asked, member.node, status["token"]))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(35)

    def clashes(self):
        """Answers of two members of which each led before and after one of the other's: then both
        led at once, however long the answers took."""
        found, by_token = [], {}
        for answered, asked, node, token in self.spans:
            begin, end = by_token.get((node, token), (answered, asked))
            by_token[(node, token)] = (min(begin, answered), max(end, asked))
        leads = [(begin, end, node) for (node, _), (begin, end) in by_token.items()]
        for i, (begin, end, node) in enumerate(leads):
            for other_begin, other_end, other in leads[i + 1:]:
                if node != other and begin < other_end and other_begin < end:
                    found.append((node, other))
        return found
