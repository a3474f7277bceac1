#!/usr/bin/env python3
"""Round-trip times of a BEAM peer as the C node measures them, beside a blocking ei program and net_adm:ping.

All three make the same is_auth call to the same BEAM node. Runs alternate, CPUs are pinned, both
placements (same core, other core) are measured back to back, one at a ping a second.
"""

import json
import os
import re
import subprocess
import sys

from bench_support import COOKIE, MUSTER_NODE, ROOT, RUN, Beam, CookieFile, emit, median, pinned

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
BACK_TO_BACK = 5000
SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
EI_PING = os.path.join(ROOT, "build", "bench", "ei_ping")


def build_ei_ping():
    paths = open(os.path.join(ROOT, "build", "erlang.mk")).read()
    var = lambda name: re.search(rf"^{name} := (.*)$", paths, re.M).group(1)
    os.makedirs(os.path.dirname(EI_PING), exist_ok=True)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_REENTRANT", f"-I{var('EI_INCLUDE')}",
                    os.path.join(ROOT, "bench", "ei_ping.c"), "-o", EI_PING, f"-L{var('EI_LIB')}",
                    "-lei", "-lpthread"], check=True)


def muster(cookie_file, beam, count, interval_ms):
    return [MUSTER_NODE, "ping", "--name", f"muster{RUN}@127.0.0.1", "--cookie-file", cookie_file, "--count",
            str(count), "--interval", str(interval_ms), "--json", beam.name]


def ei(beam, count, interval_ms):
    return [EI_PING, COOKIE, f"ei{RUN}@127.0.0.1", beam.name, str(count), str(interval_ms)]


def net_adm(beam, count, interval_ms):
    program = f"""
        Peer = list_to_atom("{beam.name}"),
        pong = net_adm:ping(Peer),
        Us = [begin
                  timer:sleep({interval_ms}),
                  T0 = erlang:monotonic_time(nanosecond),
                  pong = net_adm:ping(Peer),
                  (erlang:monotonic_time(nanosecond) - T0) / 1000
              end || _ <- lists:seq(1, {count})],
        Sorted = lists:sort(Us),
        Pick = fun(F) -> lists:nth(1 + round(F * ({count} - 1)), Sorted) end,
        io:format("{{\\"p50_us\\":~.1f,\\"p99_us\\":~.1f}}~n", [Pick(0.5), Pick(0.99)]),
        halt()."""
    return ["erl", "-noinput", "-name", f"adm{RUN}@127.0.0.1", "-setcookie", COOKIE, "-eval", program]


def start(cpu, command):
    return subprocess.Popen(pinned(cpu, command), stdout=subprocess.PIPE, text=True)


def result(process):
    out, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"bench: {process.args} failed")
    return json.loads(out)


def report(placement, pace, n, runs):
    for percentile in ("p50_us", "p99_us"):
        of = {who: median([r[percentile] for r in rs]) for who, rs in runs.items()}
        metric = f"{percentile[:3]} us, {placement}, {pace}"
        emit("rtt", metric, of["muster"], n, "blocking ei program", of["ei"])
        emit("rtt", metric, of["muster"], n, "net_adm:ping", of["net_adm"])


def back_to_back(cookie_file, placement, cpu):
    with Beam("target", cpu=0) as beam:
        runs = {"muster": [], "ei": [], "net_adm": []}
        for _ in range(ROUNDS):
            runs["ei"].append(result(start(cpu, ei(beam, BACK_TO_BACK, 0))))
            runs["muster"].append(result(start(cpu, muster(cookie_file, beam, BACK_TO_BACK, 0))))
            runs["net_adm"].append(result(start(cpu, net_adm(beam, BACK_TO_BACK, 0))))
    report(placement, "back to back", ROUNDS * BACK_TO_BACK, runs)


def once_a_second(cookie_file, placement, cpu):
    """Side by side, so that each sees the same weather; their pings do not fall together."""
    with Beam("target", cpu=0) as beam:
        running = {"ei": start(cpu, ei(beam, SECONDS, 1000)),
                   "muster": start(cpu, muster(cookie_file, beam, SECONDS, 1000)),
                   "net_adm": start(cpu, net_adm(beam, SECONDS, 1000))}
        runs = {who: [result(p)] for who, p in running.items()}
    report(placement, "1 Hz", SECONDS, runs)


def main():
    build_ei_ping()
    with CookieFile() as cookie_file:
        for placement, cpu in (("same core", 0), ("other core", 1)):
            back_to_back(cookie_file, placement, cpu)
            once_a_second(cookie_file, placement, cpu)


main()
