"""A node by itself in want of what it needs: a reader, descriptors, a name server, an answer."""
import os
import shutil
import socket
import subprocess
import time

import process
from attacks import Attacks
from behaviours import EXPECTED, accept_well, silence
from process import PATIENCE, VALGRIND, Process, cookie_file, expect
from rig import dist
from rig.dist import Acceptor, Closed, connect, node_name
from rig.etf import atom
from rig.proc import free_port

attack = Attacks()

HANGING_GETADDRINFO = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (strstr(n, ".invalid") == 0)
        return real(n, s, h, r);
    sleep(60);
    return EAI_AGAIN;
}
"""


@attack
def stdout_not_read(world):
    """stand-alone: a stdout that nobody reads does not stop the node."""
    node = world.start("so", collect=False)
    port = expect(lambda: dist.epmd_port_of(world.epmd.port, node.name.split("@")[0]), "published")
    link = world.dial("sogood", port=port)
    # Each coming and going is a line; a pipe holds 64 KB.
    for _ in range(700):
        world.dial("sox", port=port).close()
    assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
    link.close()
    node.stop()


@attack
def few_descriptors(world):
    """a node with 40 file descriptors under 100 connections: no spinning, and it recovers."""
    if VALGRIND:
        return  # it keeps descriptors of its own
    node = world.start("fd", descriptors=(40, 40))
    port = node.listen_port()
    crowd = [connect(port) for _ in range(100)]
    began = cpu_seconds(node)
    time.sleep(0.3)
    spent = cpu_seconds(node) - began
    assert spent < 0.15, "%.2f s of CPU in 0.3 s" % spent
    for sock in crowd:
        sock.close()

    def recovered():
        try:
            link = world.dial("afterfd", port=port)
        except (Closed, OSError):
            return False
        pong = link.call(atom("ping"), 1 * PATIENCE) == "pong"
        link.close()
        return pong
    expect(recovered, "a connection afterwards")
    node.stop()


@attack
def low_soft_limit(world):
    """a node under a low soft limit of descriptors, as most systems set it, holds more links than that."""
    node = world.start("sl", descriptors=(64, 1024))
    port = node.listen_port()
    links = [world.dial("sl%d" % i, port=port) for i in range(100)]
    for link in links:
        assert link.call(atom("ping"), 2 * PATIENCE) == "pong"
        link.close()
    node.stop()


def cpu_seconds(node):
    with open("/proc/%d/stat" % node.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_with_hanging_names(world, alive, *peers):
    """A node for which *.invalid has a name server that keeps silent; None where that cannot be had."""
    library = os.path.join(process.DIRECTORY, "hang.so")
    built = shutil.which("cc") and subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"],
        input=HANGING_GETADDRINFO.encode()).returncode == 0
    if VALGRIND or not built:
        return None
    asan = process.ENVIRONMENT["ASAN_OPTIONS"]
    process.ENVIRONMENT.update(LD_PRELOAD=library, ASAN_OPTIONS=asan + ":verify_asan_link_order=0")
    try:
        return world.start(alive, *[a for peer in peers for a in ("--peer", peer)])
    finally:
        del process.ENVIRONMENT["LD_PRELOAD"]
        process.ENVIRONMENT["ASAN_OPTIONS"] = asan


@attack
def hanging_name_server(world):
    """names that hang for a minute: another name, numeric peers and leaving do not wait for them."""
    good = Acceptor(world.epmd.port, "dnsnamed@localhost", accept_well("dnsnamed@localhost"))
    node = start_with_hanging_names(world, "dns", *["x@h%d.invalid" % i for i in range(6)],
                                    "dnsnamed@localhost")
    if node is None:
        return
    link = world.dial("dnsgood", port=node.listen_port())
    assert link.call(atom("ping"), PATIENCE) == "pong"
    node.printed("peer dnsnamed@localhost connected", 5)
    began = time.monotonic()
    node.stop()
    assert time.monotonic() - began < 1, "took %.1f s" % (time.monotonic() - began)
    good.close()


def ping(name, epmd_port):
    return Process(["ping", "--timeout", "60000", "--cookie-file", cookie_file(), "--epmd-port", str(epmd_port),
                    name], stdout=subprocess.DEVNULL)


@attack
def pings_without_an_answer(world):
    """stand-alone: ping says at once why a node does not answer, and fails."""
    gone = Acceptor(world.epmd.port, node_name("gone"), silence)
    gone.server.shutdown(socket.SHUT_RDWR)  # a close would leave the accept under way
    cases = {alive: state for alive, state in EXPECTED.items() if state not in ("connected", "simultaneous")}
    running = [(ping(node_name(alive), world.epmd.port), state) for alive, state in cases.items()]
    running += [(ping(node_name("gone"), world.epmd.port), "connection_refused"),
                (ping(node_name("any"), free_port()), "epmd_unreachable")]
    for node, state in running:
        node.ends_with(1, 10)
        assert ": %s: " % state in node.said(), (state, node.said())
    gone.close()
