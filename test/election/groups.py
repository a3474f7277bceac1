"""Leader groups: fail-over, orderly ends, transfers, observers, several groups."""
import os
import signal
import time

from member import SLOW, Member, agreed, last_told, member_of, node_names, start_all, wait_agreed
from rig.checks import check, percentile
from rig.etf import Atom
from rig.waiting import wait_for
from watching import LeaderWatch, settled, settled_leader

ROUNDS = int(os.environ.get("ELECTION_ROUNDS", "30"))


def elect_and_fail_over(home, letters):
    """The members."""
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
        times.append(last_told(rest) - killed)
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
    return members


def orderly(members):
    last, leader, rest = settled_leader(members)
    began = time.monotonic()
    leader.ask("stop")
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    took = last_told(rest) - began
    check("an orderly stop hands over", found and took < 0.030 * SLOW, f"{took * 1000:.1f} ms")
    check("and tells the end of it", leader.saw(lambda e: e == ("left",), 2))
    check("which forgets the group", leader.ask("status")[1][0] == "unknown_group")
    leader.start([m.node for m in members])
    check("and it can come back", wait_agreed(members, 5 * SLOW))


def end_of_beam(members):
    last, leader, rest = settled_leader(members)
    began = time.monotonic()
    took, code = leader.end_of_file()
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    known = last_told(rest) - began
    check("a BEAM that ends: its C node hands over", found and known < 0.050 * SLOW,
          f"{known * 1000:.1f} ms")
    check("leaves and exits within 1 s", took < 1 * SLOW and code == 0, f"{took * 1000:.0f} ms")
    members[members.index(leader)] = back = Member(leader.home, leader.alive)
    back.start([m.node for m in members])
    check("and is taken back", wait_agreed(members, 5 * SLOW))


def silent_beam(members):
    last, leader, rest = settled_leader(members)
    leader.answers = False
    began = time.monotonic()
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    took = time.monotonic() - began
    check("a BEAM that does not answer: another leads", found and found[0] != leader.node and
          took < 1 * SLOW, f"{took * 1000:.0f} ms")
    leader.answers = True
    check("and its member follows", wait_agreed(members, 5 * SLOW))


def transferred(members, leader, target, last):
    """The next leadership. Asked again where the target was too slow to find a majority: nothing has changed then."""
    leader.ask("transfer", node=target.node.encode())
    return wait_agreed(members, 0.4 * SLOW, other_than=last[1])


def transfer(members):
    last = settled(members)
    leader = member_of(members, last[0])
    target = next(m for m in members if m is not leader)
    check("transfer by another than the leader is refused",
          target.ask("transfer", node=leader.node.encode()) == ("error", "not_leader"))
    check("transfer to nobody known is refused",
          leader.ask("transfer", node=b"nobody@127.0.0.1") == ("error", "invalid"))
    found = wait_for(lambda: transferred(members, leader, target, last), 5 * SLOW)
    check("transfer: the target leads", found and found[0] == target.node)
    target.ask("resign")
    check("resign: another leads", (found := wait_agreed(members, 5 * SLOW, other_than=found[1]))
          and found[0] != target.node)


def stop_process(member):
    member.process.send_signal(signal.SIGSTOP)


def wake_process(member):
    member.process.send_signal(signal.SIGCONT)


def stopped_leader(members):
    watch = LeaderWatch(members)
    slowest = 0
    for _ in range(3):
        last, leader, rest = settled_leader(members)
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


def observers(members):
    home, names = members[0].home, [m.node for m in members]
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
    leader.ask("resign")
    found = wait_agreed(everybody, 5 * SLOW, other_than=last[1])
    check("and never lead", found and observer.status()["role"] == "observer" and
          stranger.status()["role"] == "observer" and
          leader.ask("transfer", node=b"x@127.0.0.1")[0] == "error")
    refused = observer.ask("start", kind=Atom("leader"), bootstrap=[observer.node.encode()],
                            observer=True)
    check("a voter cannot observe", refused[0] == "error" and b"observer" in refused[1][1])
    for m in rest[1:]:
        m.ask("stop")
    rest[0].ask("stop")
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
    member_of(members, found[0]).ask("resign", group=b"other")
    moved = wait_agreed(members, 5 * SLOW, group=b"other", other_than=found[1])
    check("two groups: an election in one", moved and moved[0] != found[0])
    check("two groups: does not touch the other", token and agreed(members) == token)
    for m in members:
        m.ask("stop", group=b"other")
    check("two groups: the end of one does not, either", agreed(members) == token and
          all(m.status()["missing"] == 0 for m in members))
