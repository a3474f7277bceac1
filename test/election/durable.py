"""Members with a data directory: restarts, joining, leaving, damage."""
import os
import tempfile
import time

from member import SLOW, Member, agreed, member_of, node_names, wait_agreed
from rig.checks import check
from rig.etf import Atom
from rig.waiting import wait_for


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
    follower.ask("join", node=new.node.encode())
    everybody = members + [new]
    joined = wait_for(lambda: all(new.node.encode() in m.status()["voters"] for m in everybody), 5)
    check("join: it becomes a voter, everywhere", joined and new.status()["quorum"] == 3 and
          new.saw(lambda e: e[0] == "voters" and len(e[1]) == 4, 2))
    leader = member_of(everybody, wait_agreed(everybody, 5)[0])

    def hand_over():  # it may still abstain, then it is refused
        leader.ask("transfer", node=new.node.encode())
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
        new.ask("resign")
        wait_for(lambda: (a := agreed(everybody)) and a[0] != new.node, 5)
    members[0].ask("leave", node=new.node.encode())
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
    answer = broken.ask("start", kind=Atom("leader"), data_dir=disks["a"].encode(),
                         bootstrap=[n.encode() for n in node_names(home, letters)])
    check("a damaged record is refused, not forgotten",
          answer[0] == "error" and b"checksum" in answer[1][1], answer[1][1].decode()[-60:])
    for m in members[1:] + [new, broken]:
        m.end_of_file()
