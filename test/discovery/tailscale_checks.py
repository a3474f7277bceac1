"""Discovery by Tailscale, with a stand-in for its command."""

import json
import os
import stat
import subprocess

from backends_rig import BEAM, expect_failure, found
from rig.checks import check
from rig.proc import children
from rig.waiting import wait_for


def tailscale_status(*peers, state="Running"):
    return json.dumps({"Version": "1.50", "BackendState": state, "Self": {"Online": True},
                       "Peer": {f"nodekey:{i}": peer for i, peer in enumerate(peers)}})


def machine(name, ip, online=True, tags=("tag:raxol",)):
    return {"HostName": "h", "DNSName": name, "TailscaleIPs": [ip, "fd7a::1"], "Online": online,
            "Tags": list(tags)}


def tailscale_checks(cluster, directory):
    node, command = cluster.node, f"{directory}/tailscale"
    with open(command, "w") as f:
        f.write(f"#!/bin/sh\n[ \"$*\" = 'status --json' ] || exit 9\n. {directory}/does\n")
    os.chmod(command, os.stat(command).st_mode | stat.S_IXUSR)

    def does(script, output=None):
        if output is not None:
            with open(f"{directory}/output", "w") as f:
                f.write(output)
        with open(f"{directory}/does.new", "w") as f:
            f.write(script + "\n")
        os.replace(f"{directory}/does.new", f"{directory}/does")

    def shows(*peers, **options):
        does(f"cat {directory}/output", tailscale_status(*peers, **options))

    options = {"node_basename": "x", "command": command, "poll_interval": 100, "timeout": 1000}
    good = [machine("127.0.0.1.", "127.0.0.1"), machine("b.ts.net.", "100.64.0.2", tags=[]),
            machine("c.ts.net.", "100.64.0.3", online=False),
            {"Online": True, "Tags": ["tag:raxol"]}, {"DNSName": "d.ts.net."},
            {"Online": True, "DNSName": "e.ts.net.", "Tags": None, "TailscaleIPs": None}]
    shows(*good)
    node.start("ts", "tailscale", dict(options, use_dns_names=True))
    check("tailscale: the BEAM on a machine that is online is found and proven", found(node, "ts"))
    check("tailscale: machines online, missing fields tolerated",
          node.listed("ts") == {BEAM, "x@b.ts.net", "x@e.ts.net"}, node.listed("ts"))
    node.start("tag", "tailscale", dict(options, tag_filter="tag:raxol"))
    check("tailscale: a tag, and addresses, the default",
          wait_for(lambda: node.listed("tag") == {BEAM}), node.listed("tag"))
    node.stop("tag")
    shows(good[0], machine("n.ts.net.", "100.64.0.9"))
    check("tailscale: machines come and go",
          wait_for(lambda: node.listed("ts") == {BEAM, "x@n.ts.net"}), node.listed("ts"))

    big = "head -c 5000000 /dev/zero | tr '\\0' ' '"
    for name, script, words in (
            ("an exit status", "echo 'no daemon today' >&2; exit 3", ["exit status 3",
                                                                      "no daemon today"]),
            ("garbage", "echo 'hello {'", ["no status"]),
            ("nothing", "true", ["no status"]),
            ("half of it", f"head -c 100 {directory}/output", ["no status"]),
            ("other JSON", "echo '{}'", ["no status"]),
            ("a signal", "kill -SEGV $$", ["signal 11"]),
            ("not logged in", "echo '{\"BackendState\":\"NeedsLogin\",\"Peer\":null}'",
             ["NeedsLogin", "tailscale up"]),
            ("much too much", big, ["more than is sensible"]),
            ("a hang", "sleep 4760 & sleep 4761", ["1000 ms", "killed"]),
            ("a helper that keeps the pipe", "sleep 4762 & exit 0", ["1000 ms"])):
        does(script)
        mark = node.mark()
        node.sync("ts")
        expect_failure(node, "ts", f"tailscale: {name}", mark, *words)
        check(f"tailscale: {name} removes nothing", node.listed("ts") == {BEAM, "x@n.ts.net"})
    shows(good[0])
    mark = node.mark()
    node.sync("ts")
    check("tailscale: it returns",
          node.saw_sync(10, mark, "ts") and
          wait_for(lambda: node.listed("ts") == {BEAM}))
    does("yes error | head -c 5000000 >&2; cat " + f"{directory}/output")
    mark = node.mark()
    node.sync("ts")
    check("tailscale: much on standard error does not stop it",
          node.saw_sync(10, mark, "ts"))
    does("echo $$ > " + f"{directory}/pid; sleep 4763")
    os.path.exists(f"{directory}/pid") and os.unlink(f"{directory}/pid")
    node.sync("ts")
    wait_for(lambda: os.path.exists(f"{directory}/pid"))
    node.stop("ts")
    check("tailscale: stopped while it runs, the command is killed and no zombie stays",
          wait_for(lambda: children(node.pid) == [], 3), children(node.pid))
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    check("tailscale: what commands started is gone",
          not any(f"sleep 476{i}" in left for i in range(4)))
    for path, words in (("no-such-tailscale", ["no command", "PATH"]),
                        (f"{directory}/output", ["cannot be run"])):
        mark = node.mark()
        node.start("ts", "tailscale", dict(options, command=path))
        expect_failure(node, "ts", f"tailscale: {words[0]}", mark, *words)
        node.stop("ts")
    answer = node.start("ts", "tailscale", {"command": "x"})
    check("tailscale: refused by name: node_basename",
          answer[0] == "error" and b"node_basename" in answer[1][1], answer[1][1].decode())
