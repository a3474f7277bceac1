"""Members on hosts of their own, which are cut off from each other."""
import random
import subprocess
import time

from member import SLOW, TIMEOUT_MIN, Member, agreed, member_of, wait_agreed
from rig.checks import check, percentile
from rig.waiting import wait_for
from watching import LeaderWatch, history, settled, settled_leader


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


def one_way(members):
    last, leader, rest = settled_leader(members)
    try:
        for m in rest:
            m.home.lose_from([leader.home])
    except (OSError, subprocess.CalledProcessError):
        print("     one-way: there is no nftables here")
        return
    cut = time.monotonic()
    wait_for(lambda: leader.status()["is_leader"] == "false", 5)
    took = time.monotonic() - cut
    found = wait_agreed(rest, 5 * SLOW, other_than=last[1])
    check("one-way: a leader that is not heard steps down, another leads", found and
          took < TIMEOUT_MIN + 0.025 + 0.02 * SLOW, f"{took * 1000:.0f} ms")
    for m in rest:
        m.home.lose_none()
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
        m.ask("stop")
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
                  for m in pair for _, e, key, _ in m.events if key == b"pair"))
    net.move([pair[0].home], "bridge0")
    check("two nodes, healed: one leader", wait_agreed(pair, 2 * SLOW, group=b"pair"))
