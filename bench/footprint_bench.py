#!/usr/bin/env python3
"""What a C node costs: time until it has joined, resident memory with ten peers, CPU time when idle."""

import os
import signal
import subprocess
import time

from bench_support import MUSTER_NODE, RUN, Beam, CookieFile, emit, median
from contextlib import ExitStack

STARTS = int(os.environ.get("BENCH_ROUNDS", "25"))
PEERS = 10
IDLE_SECONDS = 10


def node(cookie_file, alive, peers):
    command = [MUSTER_NODE, "--name", f"{alive}{RUN}@127.0.0.1", "--cookie-file", cookie_file]
    for peer in peers:
        command += ["--peer", peer.name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def leave(process):
    process.send_signal(signal.SIGTERM)
    process.wait()


def joined(process, peers):
    """Reads lines until the node is published and all its peers are connected."""
    left = {"published"} | {p.name for p in peers}
    while left:
        words = process.stdout.readline().split()
        if words[0] == "node" and words[2] == "published:":
            left.discard("published")
        elif words[0] == "peer" and words[2] == "connected:":
            left.discard(words[1])


def start_to_joined_ms(cookie_file, peer, i):
    began = time.monotonic()
    process = node(cookie_file, f"start{i}x", [peer])
    joined(process, [peer])
    elapsed = (time.monotonic() - began) * 1000
    leave(process)
    return elapsed


def hidden_beam_kb():
    """Resident memory of a hidden BEAM node, which is what one would start otherwise."""
    with Beam("hidden") as beam:
        return resident_kb(beam.process.pid)


def resident_kb(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    with CookieFile() as cookie_file, ExitStack() as stack:
        peers = [stack.enter_context(Beam(f"peer{i}x")) for i in range(PEERS)]
        times = [start_to_joined_ms(cookie_file, peers[0], i) for i in range(STARTS)]
        emit("footprint", "start to joined, median ms", round(median(times), 1), STARTS)

        process = node(cookie_file, "resident", peers)
        joined(process, peers)
        time.sleep(2)  # two pings to each peer: the memory of a node at work
        emit("footprint", f"resident KB with {PEERS} peers", resident_kb(process.pid), 1, "a hidden BEAM node",
             hidden_beam_kb())
        before = cpu_seconds(process.pid)
        time.sleep(IDLE_SECONDS)
        used = cpu_seconds(process.pid) - before
        emit("footprint", f"CPU ms a second, {PEERS} peers pinged at 1 Hz", round(used / IDLE_SECONDS * 1000, 2), 1)
        leave(process)


main()
