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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import control_attacks  # noqa: E402
import dialled  # noqa: E402
import dialling  # noqa: E402
import endings  # noqa: E402
import epmds  # noqa: E402
import established  # noqa: E402
import process  # noqa: E402
import standalone  # noqa: E402
import world  # noqa: E402

# In this order: what stalls does so from the start, and is looked at towards the end.
ON_LINKS = [dialled, dialling, established, standalone, epmds, endings]


def run(attacks, at, wanted):
    passed = failed = 0
    for attack in attacks:
        name = attack.__doc__.strip().splitlines()[0].rstrip(".")
        if wanted and not any(w in name or w in attack.__name__ for w in wanted):
            continue
        began = time.monotonic()
        try:
            attack(at)
            at.check()
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
    for begin, attacks in ((world.World, [a for file in ON_LINKS for a in file.attack]),
                           (control_attacks.World, control_attacks.attack)):
        at = begin()
        try:
            for i, n in enumerate(run(attacks, at, sys.argv[1:])):
                totals[i] += n
        finally:
            at.close()
    shutil.rmtree(process.DIRECTORY, ignore_errors=True)
    print("%d passed, %d failed" % tuple(totals))
    return 1 if totals[1] > 0 or totals[0] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
