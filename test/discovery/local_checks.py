"""Discovery by the local epmd and by a hosts file."""
import os
import socket
import time

from gossip_support import A, B, C, D, Gossiper, text_of
from rig.checks import check
from rig.waiting import wait_for


def local_epmd(ns):
    e = "e2@127.0.0.1"
    beam = ns.beam(e)
    wait_for(lambda: "e2" in ns.epmd_names(), 5)
    a, b = Gossiper(ns, A), Gossiper(ns, B)
    a.start("t", "local_epmd", {"poll_interval": 100})
    check("local epmd: all names of this host are found",
          all(a.saw_node("found", n, 3) for n in (B, C, D, e)))
    check("but not C nodes, nor this node", a.listed() == {B, C, D, e}, a.listed())
    mark = a.mark()
    beam.kill()
    check("one that goes is lost", a.saw_node("lost", e, 3, mark))
    a.leave()
    b.leave()


def hosts_file(ns):
    path = os.path.join(ns.home, ".hosts.erlang")
    a = Gossiper(ns, A)
    a.start("t", "hosts_file", {"poll_interval": 200})
    error = a.saw_failure(2, words=[".hosts.erlang"])
    check("hosts file: a missing file is said so", error, text_of(error))
    with open(path, "w") as f:
        f.write("% hosts\n'127.0.0.1'.\n")
    check("it is read anew, and the names of its hosts are found",
          all(a.saw_node("found", n, 3) for n in (B, C, D)))
    check("all answered: the sync is good", a.saw_sync(1))
    with ns.inside():
        silent = socket.create_server(("127.0.0.9", 4369))
    with open(path, "w") as f:
        f.write("'127.0.0.9'.\n'192.0.2.1'.\n'127.0.0.1'.\n")
    a.leave()
    a = Gossiper(ns, A)
    began = time.monotonic()
    a.start("t", "hosts_file", {"poll_interval": 200, "path": path.encode()})
    found = a.saw_node("found", B, 2)
    check("a dead host delays no other", found and found.at - began < 1,
          f"{1000 * (found.at - began):.0f} ms" if found else "never")
    error = a.saw_failure(5, words=["2 of 3 hosts", "127.0.0.9", "192.0.2.1"])
    check("and is named; what was found stays", error and a.listed() == {B, C, D}, text_of(error))
    with open(path, "w") as f:
        f.write("'127.0.0.1'.\n[nonsense].\n")
    error = a.saw_failure(6, words=["line 2"])
    check("a malformed file is named with its line", error and a.listed() == {B, C, D},
          text_of(error))
    silent.close()
    a.leave()
