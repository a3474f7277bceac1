"""A C node with discovery's requests; a topology's key is "t" unless it is given."""
from rig.cnode import CNode
from rig.etf import Atom


class DiscoveryNode(CNode):
    def start(self, key, strategy, options):
        return self.call("discovery", "start",
                         {"topology": key, "strategy": Atom(strategy), "options": options})

    def stop(self, key="t"):
        return self.call("discovery", "stop", {"topology": key})

    def sync(self, key="t"):
        return self.call("discovery", "sync", {"topology": key})

    def status(self, key="t"):
        return self.call("discovery", "status", {"topology": key})[1]

    def counters(self, key="t"):
        return self.status(key)["counters"]

    def listed(self, key="t"):
        return {n["node"].decode() for n in self.status(key)["nodes"] if n["listed"] == "true"}

    def set_metadata(self, version, metadata):
        return self.call("discovery", "set_metadata", {"version": version, "metadata": metadata})

    def saw(self, predicate, seconds=10, since=0, key="t"):
        return super().saw(predicate, seconds, since, key.encode())

    def saw_node(self, kind, node, seconds=10, since=0, key="t"):
        return self.saw(lambda e: e[0] == kind and e[1] == node.encode(), seconds, since, key)

    def saw_sync(self, seconds=10, since=0, key="t"):
        return self.saw(lambda e: e[:2] == ("sync", "ok"), seconds, since, key)

    def saw_failure(self, seconds=10, since=0, key="t", words=()):
        """Of a sync, with all these words in its text."""
        return self.saw(lambda e: e[:2] == ("sync", "error") and all(w.encode() in e[2] for w in words),
                        seconds, since, key)
