"""A process spoken to as the BEAM speaks to a port: external terms in frames of {packet, 4}."""
import contextlib
import struct
import threading

from rig import etf


class Framed:
    """Over two files, `attach`ed. What comes is kept in the order in which it came: `events`, as
    `event_of` makes them, `replies` by their numbers, and `others`."""

    def __init__(self):
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.events, self.replies, self.others = [], {}, []
        self.calls = 0
        self.ended = False
        self.into = None

    def attach(self, into, out):
        """`into` is what the process reads, `out` what it writes: without it, nothing of that is read.
        Again for one that was restarted."""
        self.into, self.ended = into, False
        if out is not None:
            threading.Thread(target=self._read, args=(out,), daemon=True).start()

    # --- What it says ---

    def _read(self, out):
        try:
            while len(header := out.read(4)) == 4:
                size = struct.unpack(">I", header)[0]
                if len(frame := out.read(size)) < size:
                    break  # killed in the midst of it
                self.take(etf.decode(frame))
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify_all()

    def take(self, term):
        with self.changed:
            if term[0] == "event":
                self.events.append(self.event_of(term))
            elif term[0] == "reply":
                self.replies[term[1]] = term[2]
            else:
                self.others.append(term)
            self.changed.notify_all()

    def event_of(self, term):
        return term

    def wait(self, condition, seconds):
        """The condition's value, as soon as it is a true one: tried whenever something has come. Its last
        one when the time is over, or the process has ended."""
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.ended, seconds)
            return condition()

    def mark(self):
        """Where the events are now, for those who look at later ones only."""
        with self.changed:
            return len(self.events)

    # --- What it is told ---

    def write(self, data):
        """As it is. One that has ended reads nothing, which is no error here."""
        with self.writing, contextlib.suppress(OSError, ValueError):
            self.into.write(data)
            self.into.flush()

    def send(self, term):
        frame = etf.encode(term)
        self.write(struct.pack(">I", len(frame)) + frame)

    def request(self, *what):
        """Returns its number, for `reply`."""
        with self.changed:
            self.calls += 1
            number = self.calls
        self.send((etf.Atom("call"), number, *what))
        return number

    def reply(self, number, what, seconds=10):
        assert self.wait(lambda: number in self.replies, seconds), f"no reply to {what}"
        return self.replies.pop(number)
