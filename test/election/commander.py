"""The commander: seniority, promotion, the role table, many members at once."""
import random
import time

from member import SLOW, Member, agreed, member_of, wait_agreed
from rig.checks import check
from rig.etf import Atom
from rig.waiting import wait_for


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
                m.ask("join", group=b"t", node=other.node.encode())
    check("commander: one, known to all", wait_agreed(members, 5 * SLOW, group=b"t"))
    wing = {p.node: "wingmate", q.node: "wingmate", r.node: "wingmate"}
    check("commander: the oldest takes over", same_roles(members, {**wing, q.node: "commander"}),
          str(roles_of(p)))
    check("promote: an unknown node", p.ask("promote", group=b"t", node=b"no@where",
                                             role=Atom("relay")) == ("error", "unknown_node"))
    answer = r.ask("promote", group=b"t", node=p.node.encode(), role=Atom("relay"))
    check("promote: a role, asked of another than the commander", answer == ("ok", {}) and
          same_roles(members, {**wing, q.node: "commander", p.node: "relay"}), str(answer))
    answer = p.ask("promote", group=b"t", node=r.node.encode(), role=Atom("commander"))
    check("promote: a commander by hand", answer == ("ok", {}) and
          same_roles(members, {**wing, r.node: "commander", p.node: "relay"}), str(answer))
    time.sleep(1.5)
    check("promote: who stays", agreed(members, b"t")[0] == r.node)
    for m in members:
        m.ask("node_joined", group=b"t", node=b"injected@nowhere")
    check("a member without a C node is listed", same_roles(
        members, {**wing, r.node: "commander", p.node: "relay", "injected@nowhere": "wingmate"}))
    p.ask("node_left", group=b"t", node=b"injected@nowhere")
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
    member.ask("stop", group=b"t")
    check("commander: quorum_size not met, no commander", wait_for(
        lambda: other.status(b"t")["commander"] == "none", 3) and
        other.ask("promote", group=b"t", node=other.node.encode(), role=Atom("relay")) ==
        ("error", "no_commander"))
    alone = Member(home, "s")
    alone.start(group=b"alone", kind="commander", quorum_size=1, age_ms=1)
    check("commander: alone with quorum 1, at once",
          alone.saw(lambda e: e[0] == "leader" and e[1] == alone.node.encode(), 0.1, key=b"alone"))
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
                m.ask("join", group=b"t", node=other.node.encode())
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
