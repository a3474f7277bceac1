"""What the Python benches share: real BEAM nodes to measure against, and the form of a result."""

import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MUSTER_NODE = os.path.join(ROOT, "priv", "muster_node")
COOKIE = "muster_bench"
RUN = f"{os.getpid()}"


def emit(bench, metric, value, n, baseline=None, baseline_value=None):
    """One JSON line; the ratio is value / baseline_value."""
    ratio = round(value / baseline_value, 3) if baseline_value else None
    print(json.dumps({"bench": bench, "metric": metric, "value": value, "baseline": baseline,
                      "baseline_value": baseline_value, "ratio": ratio, "n": n}), flush=True)


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def pinned(cpu, command):
    """The command on one CPU, where the machine lets us choose."""
    available = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(available[cpu % len(available)])] + command


class CookieFile:
    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".cookie")  # mode 0600
        self.file.write(COOKIE + "\n")
        self.file.flush()
        return self.file.name

    def __exit__(self, *_):
        self.file.close()


class Beam:
    """A plain BEAM node, without muster, that lives as long as the `with` block."""

    def __init__(self, alive, cpu=None):
        self.name = f"{alive}{RUN}@127.0.0.1"
        command = ["erl", "-noinput", "-name", self.name, "-setcookie", COOKIE, "-eval",
                   'io:put_chars("ready\\n").']
        self.command = command if cpu is None else pinned(cpu, command)

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"bench: the BEAM node {self.name} does not start")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

