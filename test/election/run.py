#!/usr/bin/env python3
"""The election among real C nodes: processes, sockets, disks and partitions. One line per check."""
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import stray
from rig import (Atom, Home, Member, Network, agreed, can_make_namespaces, random, wait_agreed, wait_for)
from checks import check, conclude, percentile, skip

ROUNDS = int(os.environ.get("ELECTION_ROUNDS", "30"))
# A sanitized build, or a busy host, is slower; what is promised by the clock stays as it is.
SLOW = float(os.environ.get("ELECTION_SLOW", "1"))
TIMEOUT_MIN = 0.150


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


def stop_process(member):
    member.process.send_signal(signal.SIGSTOP)


def wake_process(member):
    member.process.send_signal(signal.SIGCONT)


def settled(members, seconds=5):
    """The one leader, with all members there and none still abstaining."""
    def whole():
        states = [m.status() for m in members]
        return all(s["missing"] == 0 and s["abstaining"] == "false" and
                   sum(x["link"] == "open" for x in s["members"]) >= len(members) - 1
                   for s in states) and agreed(members)
    return wait_for(whole, seconds * SLOW, 0.01)


def history(members, since):
    """What the members were told since then, for whoever looks at a failure."""
    told = sorted((at - since, m.alive, event) for m in members for at, _, event in m.events
                  if at >= since)
    return "".join(f"\n       {at * 1000:7.1f} ms {alive}: {event}" for at, alive, event in told)


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
        led = {}
        for answered, asked, node, _ in sorted(self.spans):
            first, last = led.get(node, (answered, asked))
            led[node] = (min(first, answered), max(last, asked))
        found = []
        by_token = {}
        for answered, asked, node, token in self.spans:
            begin, end = by_token.get((node, token), (answered, asked))
            by_token[(node, token)] = (min(begin, answered), max(end, asked))
        leads = [(begin, end, node) for (node, _), (begin, end) in by_token.items()]
        for i, (begin, end, node) in enumerate(leads):
            for other_begin, other_end, other in leads[i + 1:]:
                if node != other and begin < other_end and other_begin < end:
                    found.append((node, other))
        return found


# --- Leader groups ---

def elect_and_fail_over(home, letters):
    members = start_all(home, letters)
    names = node_names(home, letters)
    found = wait_agreed(members, 5 * SLOW)
    check(f"{len(letters)} members: one leader, known to all", found, str(found and found[0]))
    states = [m.status() for m in members]
    check(f"{len(letters)} members: status says the same",
          sum(s["is_leader"] == "true" for s in states) == 1 and
          len({(s["leader"], s["token"], s["term"]) for s in states}) == 1 and
          all(s["quorum"] == len(letters) // 2 + 1 and s["missing"] == 0 for s in states))
    times, last = [], found
    for _ in range(ROUNDS):
        leader = member_of(members, last[0])
        rest = [m for m in members if m is not leader]
        killed = leader.kill()
        last = wait_agreed(rest, 5 * SLOW, other_than=last[1])
        if not last:
            break
        times.append(max(at for m in rest for at, _, e in m.events if e[0] == "leader") - killed)
        back = Member(home, leader.alive)
        back.start(names)
        members[members.index(leader)] = back
        last = settled(members)
        if not last:
            break
    p50, p99 = percentile(times, 0.5) * 1000, percentile(times, 0.99) * 1000
    check(f"{len(letters)} members: a killed leader is replaced, {len(times)} rounds",
          len(times) == ROUNDS and p50 <= 60 * SLOW and p99 <= 400 * SLOW,
          f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {max(times) * 1000:.0f} ms")
    return members, last


def orderly(home, members):
    last = settled(members)
    leader = member_of(members, last[0])
    rest = [m for m in members if m is not leader]
    began = time.monotonic()
    leader.call("stop")
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    took = max(at for m in rest for at, _, e in m.events if e[0] == "leader") - began
    check("an orderly stop hands over", found and took < 0.030 * SLOW, f"{took * 1000:.1f} ms")
    check("and tells the end of it", leader.saw(lambda e: e == ("left",), 2))
    check("which forgets the group", leader.call("status")[1][0] == "unknown_group")
    leader.start(node_names(home, [m.alive for m in members]))
    check("and it can come back", wait_agreed(members, 5 * SLOW))


def end_of_beam(home, members):
    last = settled(members)
    leader = member_of(members, last[0])
    rest = [m for m in members if m is not leader]
    began = time.monotonic()
    took, code = leader.end_of_file()
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    known = max(at for m in rest for at, _, e in m.events if e[0] == "leader") - began
    check("a BEAM that ends: its C node hands over", found and known < 0.050 * SLOW,
          f"{known * 1000:.1f} ms")
    check("leaves and exits within 1 s", took < 1 * SLOW and code == 0, f"{took * 1000:.0f} ms")
    members[members.index(leader)] = back = Member(home, leader.alive)
    back.start(node_names(home, [m.alive for m in members]))
    check("and is taken back", wait_agreed(members, 5 * SLOW))


def silent_beam(members):
    last = settled(members)
    leader = member_of(members, last[0])
    rest = [m for m in members if m is not leader]
    leader.answers = False
    began = time.monotonic()
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    took = time.monotonic() - began
    check("a BEAM that does not answer: another leads", found and found[0] != leader.node and
          took < 1 * SLOW, f"{took * 1000:.0f} ms")
    leader.answers = True
    check("and its member follows", wait_agreed(members, 5 * SLOW))


def transfer(members):
    last = settled(members)
    leader = member_of(members, last[0])
    target = next(m for m in members if m is not leader)
    check("transfer by another than the leader is refused",
          target.call("transfer", node=leader.node.encode()) == ("error", "not_leader"))
    check("transfer to nobody known is refused",
          leader.call("transfer", node=b"nobody@127.0.0.1") == ("error", "invalid"))
    answer = wait_for(lambda: (a := leader.call("transfer", node=target.node.encode())) and
                      a[0] == "ok" and a, 2)
    found = wait_agreed(members, 5 * SLOW, other_than=last[1])
    check("transfer: the target leads", answer and found and found[0] == target.node)
    target.call("resign")
    check("resign: another leads", (found := wait_agreed(members, 5 * SLOW, other_than=found[1]))
          and found[0] != target.node)


def stopped_leader(members):
    watch = LeaderWatch(members)
    slowest = 0
    for _ in range(3):
        last = settled(members)
        leader = member_of(members, last[0])
        rest = [m for m in members if m is not leader]
        stop_process(leader)
        began = time.monotonic()
        found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
        slowest = max(slowest, time.monotonic() - began)
        wake_process(leader)
        if not found or not wait_agreed(members, 5 * SLOW):
            slowest = 99
            break
    watch.stop()
    check("a stopped leader is replaced, and follows when it wakes", slowest < 0.7 * SLOW,
          f"at most {slowest * 1000:.0f} ms")
    check("and never do two lead at once", watch.asked > 100 and not watch.clashes(),
          f"{watch.asked} answers, {watch.clashes()}")


def observers(home, members):
    names = node_names(home, [m.alive for m in members])
    observer = Member(home, "x")
    observer.start(names, observer=True)
    stranger = Member(home, "y")
    stranger.start(names)
    everybody = members + [observer, stranger]
    check("observers learn the leader", wait_agreed(everybody, 5 * SLOW))
    check("and are members who do not vote",
          wait_for(lambda: any(x["node"] == b"x@127.0.0.1" and x["link"] == "open" and
                               x["voter"] == "false" for x in members[0].status()["members"]), 3))
    last = agreed(everybody)
    leader = member_of(members, last[0])
    rest = [m for m in members if m is not leader]
    leader.call("resign")
    found = wait_agreed(everybody, 5 * SLOW, other_than=last[1])
    check("and never lead", found and observer.status()["role"] == "observer" and
          stranger.status()["role"] == "observer" and
          leader.call("transfer", node=b"x@127.0.0.1")[0] == "error")
    refused = observer.call("start", kind=Atom("leader"), bootstrap=[observer.node.encode()],
                            observer=True)
    check("a voter cannot observe", refused[0] == "error" and b"observer" in refused[1][1])
    for m in rest[1:]:
        m.call("stop")
    rest[0].call("stop")
    gone = wait_for(lambda: agreed([leader, observer, stranger]) is None and
                    leader.status()["leader"] == "none", 3 * SLOW)
    check("not even when no voters are left to elect", gone and leader.status()["missing"] > 0)
    observer.end_of_file(), stranger.end_of_file()
    for m in rest:
        m.start(names)
    check("the voters lead again", wait_agreed(members, 5 * SLOW))


def two_groups(members):
    names = [m.node for m in members]
    for m in members:
        m.start(names, group=b"other")
    found = wait_agreed(members, 5 * SLOW, group=b"other")
    token = agreed(members)
    member_of(members, found[0]).call("resign", group=b"other")
    moved = wait_agreed(members, 5 * SLOW, group=b"other", other_than=found[1])
    check("two groups: an election in one", moved and moved[0] != found[0])
    check("two groups: does not touch the other", token and agreed(members) == token)
    for m in members:
        m.call("stop", group=b"other")
    check("two groups: the end of one does not, either", agreed(members) == token and
          all(m.status()["missing"] == 0 for m in members))


def refusals(member):
    def text(**arg):
        answer = member.call("start", group=b"bad", **arg)
        return answer[1][1].decode() if answer[0] == "error" else ""
    leader = Atom("leader")
    check("bad options are named", "heartbeat_interval" in text(kind=leader, heartbeat_interval=200)
          and "bootstrap" in text(kind=leader, bootstrap=[b"x"])
          and "quorum_size" in text(kind=leader, quorum_size=2)
          and "data_dir" in text(kind=Atom("commander"), data_dir=b"/tmp")
          and "data_dir" in text(kind=leader, data_dir=b"/proc/none/such"))
    check("a group that is not there", member.call("join", group=b"none", node=b"a@b")[1][0] ==
          "unknown_group")


def strays(home, members):
    """A node that knows the cookie and says what it likes to a member."""
    before = agreed(members)
    target = members[0]
    peer = stray.Stray(home, target, "stray")
    sender = f"stray@{home.ip}".encode()
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


# --- Disks ---

def durable(home):
    letters = "abc"
    disks = {letter: tempfile.mkdtemp(dir=home.dir) for letter in letters + "d"}

    def begin(letter, voters=letters):
        member = Member(home, letter)
        member.start(node_names(home, voters), data_dir=disks[letter].encode())
        return member
    members = [begin(letter) for letter in letters]
    found = wait_agreed(members, 5 * SLOW)
    check("data_dir: one leader", found and all(m.status()["durable"] == "true" for m in members))
    terms, times, last = [], [], found
    for _ in range(5):
        for m in members:
            m.kill()
        for m in members:
            m.process.wait()
        began = time.monotonic()
        members = [begin(letter) for letter in letters]
        found = wait_agreed(members, 5 * SLOW)
        times.append(time.monotonic() - began)
        if not found:
            break
        terms.append(found[1][0])
    check("data_dir: killed all at once, terms never go back",
          found and last and terms == sorted(set(terms)) and terms[0] > last[1][0],
          f"{[t - last[1][0] for t in terms]}, at most {max(times) * 1000:.0f} ms")
    new = begin("d")
    wait_agreed(members + [new], 5 * SLOW)
    check("a newcomer observes", new.status()["role"] == "observer")
    follower = next(m for m in members if m.node != agreed(members)[0])
    follower.call("join", node=new.node.encode())
    everybody = members + [new]
    joined = wait_for(lambda: all(new.node.encode() in m.status()["voters"] for m in everybody), 5)
    check("join: it becomes a voter, everywhere", joined and new.status()["quorum"] == 3 and
          new.saw(lambda e: e[0] == "voters" and len(e[1]) == 4, 2))
    leader = member_of(everybody, wait_agreed(everybody, 5)[0])
    def hand_over(): # it may still abstain, then it is refused
        leader.call("transfer", node=new.node.encode())
        return wait_for(lambda: (a := agreed(everybody)) and a[0] == new.node and a, 0.4)
    found = wait_for(hand_over, 5)
    check("and can lead", found)
    new.kill()
    new.process.wait()
    check("without it the others go on", wait_agreed(members, 5 * SLOW, other_than=found[1]))
    new = begin("d")
    everybody = members + [new]
    check("its disk says that it votes", wait_agreed(everybody, 5 * SLOW) and
          new.status()["role"] != "observer" and len(new.status()["voters"]) == 4)
    if wait_agreed(everybody, 5)[0] == new.node:
        new.call("resign")
        wait_for(lambda: (a := agreed(everybody)) and a[0] != new.node, 5)
    members[0].call("leave", node=new.node.encode())
    left = wait_for(lambda: all(new.node.encode() not in m.status()["voters"] for m in members), 5)
    check("leave: it votes no more", left and members[0].status()["quorum"] == 2)
    members[0].kill()
    members[0].process.wait()
    path = next(os.path.join(disks["a"], f) for f in os.listdir(disks["a"])
                if f.endswith(".election"))
    with open(path, "r+b") as f:
        f.seek(30)
        byte = f.read(1)
        f.seek(30)
        f.write(bytes([byte[0] ^ 1]))
    broken = Member(home, "a")
    answer = broken.call("start", kind=Atom("leader"), data_dir=disks["a"].encode(),
                         bootstrap=[n.encode() for n in node_names(home, letters)])
    check("a damaged record is refused, not forgotten",
          answer[0] == "error" and b"checksum" in answer[1][1], answer[1][1].decode()[-60:])
    for m in members[1:] + [new, broken]:
        m.end_of_file()


# --- Partitions ---

def silent_hosts(net, members):
    times = []
    for _ in range(6):
        last = settled(members)
        if not last:
            break
        leader = member_of(members, last[0])
        rest = [m for m in members if m is not leader]
        net.move([leader.home], "bridge1")
        cut = time.monotonic()
        found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
        if found:
            times.append(time.monotonic() - cut)
        net.move([leader.home], "bridge0")
    check("a leader's host falls silent, 6 rounds", len(times) == 6 and
          percentile(times, 0.5) < 0.3 * SLOW and max(times) < 0.7 * SLOW,
          ", ".join(f"{t * 1000:.0f}" for t in sorted(times)) + " ms")


def deafen(members, to, on):
    """What one host sends reaches no other, which it hears."""
    rules = "add table ip muster; add chain ip muster in { type filter hook input priority 0; }; " \
            f"add rule ip muster in ip saddr {to.home.ip} drop" if on else "delete table ip muster"
    for m in members:
        subprocess.run(["ip", "netns", "exec", m.home.name, "nft", rules], check=True,
                       stderr=subprocess.DEVNULL)


def one_way(members):
    last = settled(members)
    leader = member_of(members, last[0])
    rest = [m for m in members if m is not leader]
    try:
        deafen(rest, leader, True)
    except (OSError, subprocess.CalledProcessError):
        print("     one-way: there is no nftables here")
        return
    cut = time.monotonic()
    wait_for(lambda: leader.status()["is_leader"] == "false", 5)
    took = time.monotonic() - cut
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    check("one-way: a leader that is not heard steps down, another leads", found and
          took < TIMEOUT_MIN + 0.025 + 0.02 * SLOW, f"{took * 1000:.0f} ms")
    deafen(rest, leader, False)
    healed = time.monotonic()
    one = wait_for(lambda: agreed(members), 5)
    check("one-way: and one does when it is heard again", one == found,
          f"{(time.monotonic() - healed) * 1000:.0f} ms")


def flapping(net, members):
    last = settled(members)
    flapper = next(m for m in members if m.node != last[0])
    rest = [m for m in members if m is not flapper]
    for _ in range(12):
        net.move([flapper.home], "bridge1")
        time.sleep(random.uniform(0.02, 0.25))
        net.move([flapper.home], "bridge0")
        time.sleep(random.uniform(0.02, 0.25))
    check("a flapping link disturbs nobody else", agreed(rest) == last)
    check("and its member follows in the end", settled(members) == last)



def partitions(net):
    hosts = net.hosts
    for host in hosts:
        host.epmd()
    members = [Member(host, "abcde"[i]) for i, host in enumerate(hosts)]
    names = [m.node for m in members]
    for m in members:
        m.start(names)
    found = settled(members)
    check("five hosts: one leader", found)
    watch = LeaderWatch(members)
    leader = member_of(members, found[0])
    minority = [leader, next(m for m in members if m is not leader)]
    majority = [m for m in members if m not in minority]
    net.move([minority[1].home, leader.home], "bridge1")
    cut = time.monotonic()
    wait_for(lambda: leader.status()["is_leader"] == "false", 5)
    took = time.monotonic() - cut
    check("2|3: the minority's leader steps down in time", took < TIMEOUT_MIN + 0.025 + 0.02 * SLOW,
          f"{took * 1000:.0f} ms after the cut was made")
    new = wait_agreed(majority, 5 * SLOW, other_than=found[1])
    check("2|3: the majority elects", new, f"{(time.monotonic() - cut) * 1000:.0f} ms")
    time.sleep(1.5)
    alone = [m.status() for m in minority]
    check("2|3: the minority does not", all(s["leader"] == "none" and s["is_leader"] == "false" and
                                            s["missing"] == 1 for s in alone))
    term = majority[0].status()["term"]
    net.move([m.home for m in minority], "bridge0")
    healed = time.monotonic()
    one = wait_for(lambda: (a := agreed(members)) and
                   all(m.status()["leader"] == a[0].encode() for m in members) and a, 5)
    took = time.monotonic() - healed
    check("2|3: one leader after the heal", one and took < 1 * SLOW, f"{took * 1000:.0f} ms")
    check("2|3: which is the majority's still", one == new and majority[0].status()["term"] == term,
          "" if one == new else history(members, cut))
    net.move([members[4].home], "bridge1")
    time.sleep(0.3)
    net.move([members[4].home], "bridge0")
    took = time.monotonic()
    one = wait_for(lambda: (a := agreed(members)) and all(
        s["leader"] == a[0].encode() and all(x["link"] == "open" for x in s["members"])
        for s in (m.status() for m in members)) and a, 5)
    check("a short cut is got over", one, f"{(time.monotonic() - took) * 1000:.0f} ms")
    silent_hosts(net, members)
    one_way(members)
    flapping(net, members)
    watch.stop()
    check("partitions: never do two lead at once", watch.asked > 100 and not watch.clashes(),
          f"{watch.asked} answers, {watch.clashes()}")
    for m in members:
        m.call("stop")
    pair = members[:2]
    for m in pair:
        m.start([p.node for p in pair], group=b"pair")
    found = wait_agreed(pair, 5 * SLOW, group=b"pair")
    check("two nodes: one leader", found)
    net.move([pair[0].home], "bridge1")
    none = wait_for(lambda: all(m.status(b"pair")["leader"] == "none" for m in pair), 3)
    time.sleep(1)
    check("two nodes, cut: no leader", none and
          all(m.status(b"pair")["leader"] == "none" for m in pair) and
          not any(e[0] == "leader" and e[1] != "none" and e[2] != found[1]
                  for m in pair for _, g, e in m.events if g == b"pair"))
    net.move([pair[0].home], "bridge0")
    check("two nodes, healed: one leader", wait_agreed(pair, 2 * SLOW, group=b"pair"))


# --- The commander ---

def roles_of(member):
    return {node.decode(): str(role) for node, role in member.status(b"t")["roles"]}


def same_roles(members, want, seconds=30):
    return wait_for(lambda: all(roles_of(m) == want for m in members), seconds * SLOW, 0.02)


def commander(home):
    members = [Member(home, letter) for letter in "pqr"]
    p, q, r = members
    ages = {"p": 5000, "q": 60000, "r": 30000}
    for m in members:
        m.start(group=b"t", kind="commander", quorum_size=2, age_ms=ages[m.alive])
    for m in members:
        for other in members:
            if other is not m:
                m.call("join", group=b"t", node=other.node.encode())
    check("commander: one, known to all", wait_agreed(members, 5 * SLOW, group=b"t"))
    wing = {p.node: "wingmate", q.node: "wingmate", r.node: "wingmate"}
    check("commander: the oldest takes over", same_roles(members, {**wing, q.node: "commander"}),
          str(roles_of(p)))
    check("promote: an unknown node", p.call("promote", group=b"t", node=b"no@where",
                                             role=Atom("relay")) == ("error", "unknown_node"))
    answer = r.call("promote", group=b"t", node=p.node.encode(), role=Atom("relay"))
    check("promote: a role, asked of another than the commander", answer == ("ok", {}) and
          same_roles(members, {**wing, q.node: "commander", p.node: "relay"}), str(answer))
    answer = p.call("promote", group=b"t", node=r.node.encode(), role=Atom("commander"))
    check("promote: a commander by hand", answer == ("ok", {}) and
          same_roles(members, {**wing, r.node: "commander", p.node: "relay"}), str(answer))
    time.sleep(1.5)
    check("promote: who stays", agreed(members, b"t")[0] == r.node)
    for m in members:
        m.call("node_joined", group=b"t", node=b"injected@nowhere")
    check("a member without a C node is listed", same_roles(
        members, {**wing, r.node: "commander", p.node: "relay", "injected@nowhere": "wingmate"}))
    p.call("node_left", group=b"t", node=b"injected@nowhere")
    check("and no more", same_roles(members, {**wing, r.node: "commander", p.node: "relay"}))
    last = agreed(members, b"t")
    r.kill()
    found = wait_agreed([p, q], 5 * SLOW, group=b"t", other_than=last[1])
    check("commander: killed, another commands", found)
    check("commander: its row says that it is gone", wait_for(
        lambda: all(r.node not in roles_of(m) for m in (p, q)), 5 * SLOW))
    last = agreed([p, q], b"t")
    member = member_of([p, q], last[0])
    other = q if member is p else p
    member.call("stop", group=b"t")
    check("commander: quorum_size not met, no commander", wait_for(
        lambda: other.status(b"t")["commander"] == "none", 3) and
        other.call("promote", group=b"t", node=other.node.encode(), role=Atom("relay")) ==
        ("error", "no_commander"))
    alone = Member(home, "s")
    alone.start(group=b"alone", kind="commander", quorum_size=1, age_ms=1)
    check("commander: alone with quorum 1, at once",
          alone.saw(lambda e: e[0] == "leader" and e[1] == alone.node.encode(), 0.1, group=b"alone"))
    loner = Member(home, "n", distributed=False)
    loner.start([])
    check("single-node mode: it leads itself", loner.saw(
        lambda e: e[0] == "leader" and e[1] == b"nonode@nohost", 0.5))


def twenty(home):
    """All started at once, in any order of age."""
    members = [Member(home, f"n{i}") for i in range(20)]
    ages = [1000 + 2000 * i for i in range(20)]
    random.shuffle(ages)
    for m, age in zip(members, ages):
        m.start(group=b"t", kind="commander", quorum_size=11, age_ms=age)
    for m in members:
        for other in members:
            if other is not m:
                m.call("join", group=b"t", node=other.node.encode())
    wait_for(lambda: all(sum(x["link"] == "open" for x in m.status(b"t")["members"]) == 19
                         for m in members), 20, 0.02)
    began = time.monotonic()
    found = wait_agreed(members, 10, group=b"t")
    took = time.monotonic() - began
    check("20 members, quorum 11: one commander", found and took < 2 * SLOW,
          f"{took * 1000:.0f} ms after all were connected")
    oldest = members[ages.index(max(ages))].node
    check("20 members: the oldest has it in the end",
          wait_for(lambda: (a := agreed(members, b"t")) and a[0] == oldest, 60 * SLOW, 0.01),
          f"{(time.monotonic() - began) * 1000:.0f} ms")
    check("20 members: one role table", wait_for(
        lambda: len({tuple(sorted(roles_of(m).items())) for m in members}) == 1 and
        len(roles_of(members[0])) == 20, 5 * SLOW, 0.02))


def run(name, function, *args):
    began = time.monotonic()
    try:
        result = function(*args)
    except Exception:  # noqa: BLE001: the other checks can still run
        traceback.print_exc()
        check(f"{name} goes through", False)
        result = None
    print(f"     {name}: {time.monotonic() - began:.1f} s", flush=True)
    return result


def on_host(*functions):
    home = Home()
    home.epmd()
    try:
        for function in functions:
            run(function.__name__, function, home)
    finally:
        home.close()


def leader_groups(home, letters, *more):
    members, _ = elect_and_fail_over(home, letters)
    for function in more:
        args = (home, members) if function.__code__.co_argcount == 2 else (members,)
        run(function.__name__, function, *args)


def misfits(home):
    """Members that cannot take part in one group say which other one it is that does not fit."""
    x, y, z = (Member(home, letter) for letter in "xyz")
    x.start(node_names(home, "xy"))
    y.start(node_names(home, "xyw"))
    z.start(kind="commander", quorum_size=1)
    z.call("join", node=x.node.encode())

    def blames(member, other, what):
        return wait_for(lambda: member.status()["problem"].decode() == f"{other.node} {what}", 5 * SLOW)
    check("a member with other voters is named",
          blames(x, y, "was started with other voters") and x.status()["mismatched"] > 0, str(x.status()["problem"]))
    check("a group of another kind is named",
          blames(z, x, "has a group of this name that is of another kind"), str(z.status()["problem"]))


def three(home):
    leader_groups(home, "abc", orderly, end_of_beam, silent_beam, transfer, stopped_leader,
                  observers, two_groups, strays)
    refusals_member = Member(home, "z")
    refusals(refusals_member)


def five(home):
    leader_groups(home, "abcde", stopped_leader)


def main():
    parts = sys.argv[1:]
    for function in (three, five, misfits, durable, commander, twenty):
        if not parts or function.__name__ in parts:
            on_host(function)
    if not parts or "partitions" in parts:
        if can_make_namespaces():
            network = Network(5)
            try:
                run("partitions", partitions, network)
            finally:
                network.close()
        else:
            skip("partitions", "network namespaces need root and iproute2")
    sys.exit(conclude())


main()
