#!/usr/bin/env python3
"""The election among real C nodes: processes, sockets, disks and partitions. One line per check.

  test/election/run.py [three | five | misfits | durable | commander | twenty | partitions]…
"""
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from commander import commander, twenty  # noqa: E402
from durable import durable  # noqa: E402
from groups import (elect_and_fail_over, end_of_beam, observers, orderly, silent_beam,  # noqa: E402
                    stopped_leader, transfer, two_groups)
from member import Member  # noqa: E402
from mistakes import misfits, refusals, strays  # noqa: E402
from partitions import partitions  # noqa: E402
from rig.checks import check, conclude, skip  # noqa: E402
from rig.hosts import Home, Network  # noqa: E402
from rig.netns import can_make_namespaces  # noqa: E402


def run(name, function, *args):
    began = time.monotonic()
    try:
        function(*args)
    except Exception:  # noqa: BLE001: the other checks can still run
        traceback.print_exc()
        check(f"{name} goes through", False)
    print(f"     {name}: {time.monotonic() - began:.1f} s", flush=True)


def on_host(*functions):
    home = Home()
    home.epmd()
    try:
        for function in functions:
            run(function.__name__, function, home)
    finally:
        home.close()


def leader_groups(home, letters, *more):
    members = elect_and_fail_over(home, letters)
    for function in more:
        run(function.__name__, function, members)


def three(home):
    leader_groups(home, "abc", orderly, end_of_beam, silent_beam, transfer, stopped_leader,
                  observers, two_groups, strays)
    refusals(Member(home, "z"))


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
