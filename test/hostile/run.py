#!/usr/bin/env python3
"""
Attacks a real muster_node over the distribution protocol and over its control port, and checks that
it stays up, bounded and correct. Standard library only.

  MUSTER_NODE=build/asan/muster_node test/hostile/run.py [part of an attack's name]...

MUSTER_NODE may be a command with arguments (valgrind -q --error-exitcode=9 build/release/muster_node).
"""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import control_attacks  # noqa: E402
import link_attacks  # noqa: E402
import process  # noqa: E402


def run(attacks, world, wanted):
    passed = failed = 0
    for attack in attacks:
        name = attack.__doc__.strip().splitlines()[0].rstrip(".")
        if wanted and not any(w in name or w in attack.__name__ for w in wanted):
            continue
        began = time.monotonic()
        try:
            attack(world)
            world.check()
            passed += 1
            verdict = "ok  "
        except Exception as e:  # whatever it is, the next attack is to run
            failed += 1
            verdict = "FAIL"
            name += ": %s: %s" % (type(e).__name__, e)
        print("%s %5.2fs %s" % (verdict, time.monotonic() - began, name), flush=True)
    return passed, failed


def main():
    totals = [0, 0]
    for module in (link_attacks, control_attacks):
        world = module.World()
        try:
            for i, n in enumerate(run(module.ATTACKS, world, sys.argv[1:])):
                totals[i] += n
        finally:
            world.close()
    shutil.rmtree(process.DIRECTORY, ignore_errors=True)
    print("%d passed, %d failed" % tuple(totals))
    return 1 if totals[1] > 0 or totals[0] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
