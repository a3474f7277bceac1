"""Attacks on the control port: what a BEAM gone wrong could write, or not read."""
import os
import signal
import socket
import struct
import subprocess
import time

from attacks import Attacks
from process import COMMAND, ENVIRONMENT, VALGRIND, Port, Process
from rig.dist import frame4, node_name
from rig.etf import VERSION, Atom, atom, binary, integer, list_, map_, tuple_

attack = Attacks()


class World:
    def __init__(self):
        self.ports = []

    def port(self, **options):
        port = Port(**options)
        self.ports.append(port)
        return port

    def configured(self, **options):
        port = self.port(**options)
        port.configure((atom("heartbeat_ms"), integer(60)))
        port.frame(lambda f: f[0] == "hello", "hello")
        return port

    def check(self):
        self.close()
        self.ports = []

    def close(self):
        for port in self.ports:
            port.kill()


def hello(f):
    return f[0] == "hello"


@attack
def end_of_file_at_each_stage(world):
    """control: end of file before, within and after each frame."""
    configure = frame4(VERSION + tuple_(atom("configure"), integer(1), map_([])))
    for cut in (0, 1, 4, 5, 12, len(configure) - 1, len(configure)):
        port = world.port()
        port.write(configure[:cut])
        port.eof()
    port = world.configured()
    port.write(struct.pack(">I", 1 << 20) + b"x" * 5000)
    port.eof()


@attack
def terminated(world):
    """control: SIGTERM, as systemd sends it to a whole service, is as good as the end of file."""
    port = world.configured()
    port.process.send_signal(signal.SIGTERM)
    port.ends_with(0)


@attack
def cut_at_every_byte(world):
    """control: configure and a call cut at every byte."""
    port = world.port()
    data = frame4(VERSION + tuple_(atom("configure"), integer(1), map_([]))) + frame4(
        VERSION + tuple_(atom("call"), integer(9), atom("node"), atom("info"), map_([])))
    for i in range(len(data)):
        port.write(data[i:i + 1])
        time.sleep(0.0005)
    assert port.reply(9)[0] == "ok"
    port.eof()


@attack
def garbage_before_configure(world):
    """control: garbage and requests before configure are passed over."""
    port = world.port()
    for frame in (b"", b"\x83", b"garbage", os.urandom(300), VERSION + b"\x68\xff",
                  VERSION + tuple_(atom("call"), integer(1), atom("node"), atom("info"), map_([])),
                  VERSION + tuple_(atom("configure"), integer(1)), VERSION + tuple_(),
                  VERSION + b"\x6c\xff\xff\xff\xff"):
        port.write(frame4(frame))
    port.configure()
    port.frame(hello, "hello after garbage")
    port.eof()


def refusal(world, term):
    port = world.port()
    port.send(term)
    text = port.frame(lambda f: f[0] == "refused", "refusal")[1].decode()
    port.ends_with(2)
    return text


@attack
def unusable_configurations(world):
    """control: wrong versions, options and values are refused by name, secrets are not repeated."""
    def configure(version, config):
        return tuple_(atom("configure"), version, config)

    def one(key, value):
        return configure(integer(1), map_([(atom(key), value)]))
    assert "version 1" in refusal(world, configure(integer(2), map_([])))
    assert "version 1" in refusal(world, configure(atom("one"), map_([])))
    assert "map" in refusal(world, configure(integer(1), integer(5)))
    assert "hartbeat_ms" in refusal(world, one("hartbeat_ms", integer(50)))
    text = refusal(world, one("heartbeat_ms", integer(5)))
    assert "heartbeat_ms" in text and "5" in text and "10" in text, text
    assert "geheim" not in refusal(world, one("distribution", list_([tuple_(atom("cookie"),
                                                                            atom("geheim"))])))
    name = (atom("name"), binary(b"x@127.0.0.1"))
    text = refusal(world, one("distribution", map_([name, (atom("cookie"), atom("geheim"))])))
    assert "cookie" in text and "geheim" not in text, text
    assert "nam " in refusal(world, one("distribution", map_([(atom("nam"), integer(1))])))
    assert "cookie" in refusal(world, one("distribution", map_([name])))
    assert "zero byte" in refusal(world, one("distribution", map_(
        [name, (atom("cookie"), binary(b"a\0b"))])))
    for bad in (b"", b"@", b"a@", b"@b", b"a@b@c", b"a b@c", b"x" * 256 + b"@h", b"a\0@b"):
        assert "name" in refusal(world, one("distribution", map_([(atom("name"), binary(bad))])))


@attack
def unknown_and_malformed_requests(world):
    """control: unknown services, operations, options and malformed calls get exactly one answer."""
    port = world.configured()
    assert port.call("node", "dance")[1][0] == "unknown_request"
    assert port.call("x" * 255, "y" * 255)[1][0] == "unknown_request"
    assert port.call("monitor", "start", arg=integer(1))[1][0] == "invalid_argument"
    assert "colour" in port.call("monitor", "start", (atom("colour"), integer(1)))[1][1].decode()
    assert port.call("monitor", "list", (atom("monitor"), binary(b"none")))[1][0] == "unknown_monitor"
    assert port.call("node", "peer", (atom("node"), binary(b"a@b")))[1] == "unknown"
    deep = atom("x")
    for _ in range(40):
        deep = tuple_(deep)
    assert port.call("node", "peer", (atom("node"), deep))[1][0] == "invalid_argument"
    port.send(tuple_(atom("call"), integer(200), integer(1), integer(2), integer(3)))
    assert port.reply(200)[1] == "malformed_request"
    port.send(tuple_(atom("cast"), atom("node"), atom("nothing"), map_([])))
    port.send(tuple_(atom("cast"), integer(1), integer(2), integer(3)))
    port.send(tuple_(atom("heartbeat"), atom("x")))
    port.send(tuple_(atom("event")))
    assert port.call("node", "info")[0] == "ok"
    numbers = [f[1] for f in port.frames if f[0] == "reply"]
    assert len(numbers) == len(set(numbers)), "answered twice"
    port.eof()


@attack
def oversized_frame(world):
    """control: a frame over 64 MB is drained, not kept, and the next is answered."""
    port = world.configured()
    before = port.resident_kb()
    size = (64 << 20) + 1
    port.write(struct.pack(">I", size))
    block = b"z" * (1 << 20)
    for _ in range(64):
        port.write(block)
    port.write(b"z")
    assert port.call("node", "info")[0] == "ok"
    grown = port.resident_kb() - before
    assert port.instrumented() or grown < 4096, "grew by %d KB" % grown
    port.eof()


@attack
def beam_that_never_reads(world):
    """control: a BEAM that never reads: exit code 3, memory bounded."""
    port = world.port(reads=False)
    port.configure((atom("heartbeat_ms"), integer(10)))
    many = frame4(VERSION + tuple_(atom("call"), integer(1), atom("node"), atom("info"), map_([])))
    most = 0
    instrumented = port.instrumented()
    deadline = time.monotonic() + 20
    while port.process.poll() is None and time.monotonic() < deadline:
        port.write(many * 500)
        try:
            most = max(most, port.resident_kb())
        except OSError:
            break
    port.ends_with(3)
    assert instrumented or most < 48 << 10, "%d KB resident" % most


@attack
def thousand_monitors(world):
    """control: 1000 monitors and watches made, replaced and dropped leave no memory behind."""
    port = world.configured()

    def round_of(n):
        for i in range(n):
            key = (atom("monitor"), binary(b"m%d" % i))
            node = (atom("node"), binary(b"n%d@127.0.0.1" % (i % 90)))
            port.request("monitor", "start", key)
            port.request("monitor", "watch", key, node)
            if i % 3 == 0:
                port.request("monitor", "pause", key, node)
            if i % 5 == 0:
                port.request("monitor", "watch", key, node)
            if i % 7 == 0:
                port.request("monitor", "start", key)
        last = 0
        for i in range(n):
            key = (atom("monitor"), binary(b"m%d" % i))
            node = (atom("node"), binary(b"n%d@127.0.0.1" % (i % 90)))
            if i % 2 == 0:
                port.request("monitor", "forget", key, node)
            last = port.request("monitor", "stop", key)
        assert port.reply(last, 10)[0] == "ok"
    round_of(1000)
    before = port.resident_kb()
    round_of(1000)
    grown = port.resident_kb() - before
    assert port.instrumented() or grown < 1024, "grew by %d KB" % grown
    assert port.call("node", "info")[1]["peers"] <= 64
    port.eof()


@attack
def distribute_twice(world):
    """control: distribute is refused the second time and with a port that is taken."""
    port = world.configured()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        pairs = [(atom("name"), binary(node_name("cp").encode())), (atom("cookie"), binary(b"c")),
                 (atom("listen_ip"), binary(b"127.0.0.1")), (atom("epmd_port"), integer(1))]
        range_ = [(atom("listen_min"), integer(number)), (atom("listen_max"), integer(number))]
        assert port.call("node", "distribute", *pairs, *range_)[1][0] == "cannot_listen"
    bad = pairs[:2] + [(atom("listen_ip"), binary(b"not an address"))]
    refused = port.call("node", "distribute", *bad)[1]
    assert refused[0] == "invalid_argument" and b"listen_ip" in refused[1], refused
    assert port.call("node", "distribute", *pairs)[0] == "ok"
    assert port.call("node", "distribute", *pairs)[1][0] == "already_distributed"
    unpublished = port.frame(lambda f: f[0] == "event" and f[3][0] == "published", "published event")
    assert unpublished[3][1] == Atom("false")
    port.eof()


@attack
def own_name_wanted_early(world):
    """control: its own name and the BEAM's, watched before they were known, are not dialled."""
    port = world.configured()
    own, beam = node_name("ow").encode(), node_name("be").encode()
    key = (atom("monitor"), binary(b"k"))
    port.call("monitor", "start", key)
    for node in (own, beam):
        assert port.call("monitor", "watch", key, (atom("node"), binary(node)))[0] == "ok"
    assert port.call("node", "distribute", (atom("name"), binary(own)), (atom("beam"), binary(beam)),
                     (atom("cookie"), binary(b"c")), (atom("epmd_port"), integer(1)))[0] == "ok"
    for node in (own, beam):
        peer = port.call("node", "peer", (atom("node"), binary(node)))[1]
        assert peer["state"] == "idle" and peer["attempts"] == 0, peer
    port.eof()


@attack
def not_pipes(world):
    """control: --port on something else than pipes says so and exits with 2."""
    for path in ("/dev/null", __file__):
        with open(path) as f:
            node = Process(["--port"], stdin=f, stdout=f)
            node.ends_with(2)


@attack
def standard_files_closed(world):
    """control: started with stdin, stdout and stderr closed it ends, and no socket takes their place."""
    if VALGRIND:
        return  # it does not run so itself

    def close():
        os.close(0), os.close(1), os.close(2)
    code = subprocess.Popen(COMMAND + ["--port"], preexec_fn=close, env=ENVIRONMENT).wait(20)
    assert code == 2, code


@attack
def discovery_over_tls(world):
    """control: discovery where nothing may be dialled, or every dial fails at once, goes on."""
    def options(*names):
        return (atom("options"), map_([(atom("nodes"), list_([binary(n) for n in names]))]))
    for transport in ("tls", "tcp"):
        port = world.configured()
        assert port.call("node", "distribute", (atom("name"), binary(node_name("dt").encode())),
                         (atom("cookie"), binary(b"c")), (atom("epmd_port"), integer(1)),
                         (atom("transport"), atom(transport)))[0] == "ok"
        for key in (b"one", b"two", b"one"):
            answer = port.call("discovery", "start", (atom("topology"), binary(key)),
                               (atom("strategy"), atom("static")),
                               options(b"a@127.0.0.1", b"b@255.255.255.255", b"c@0.0.0.0"))
            assert answer[0] == "ok", answer
        assert port.call("discovery", "status", (atom("topology"), binary(b"one")))[0] == "ok"
        assert port.call("discovery", "stop", (atom("topology"), binary(b"two")))[0] == "ok"
        port.eof()


@attack
def zero_bytes_in_texts(world):
    """control: an option that is a text is refused with a zero byte in it, not cut off there."""
    port = world.configured()
    basename, query = (b"node_basename", b"app"), (b"query", b"app.test")
    cases = [("dns", [basename, (b"query", b"app.test\0x")], "query"),
             ("dns", [basename, query, (b"nameservers", b"127.0.0.1\0x")], "nameservers"),
             ("dns", [query, (b"node_basename", b"app\0x")], "node_basename"),
             ("dns_srv", [basename, (b"query", b"app.test\0x")], "query"),
             ("hosts_file", [(b"path", b"/tmp/hosts\0x")], "path"),
             ("tailscale", [basename, (b"command", b"/bin/true\0x")], "command"),
             ("kubernetes", [(b"kubernetes_node_basename", b"app"), (b"kubernetes_selector", b"a=b"),
                             (b"kubernetes_master", b"10.0.0.1\0x")], "kubernetes_master")]
    for strategy, options, wrong in cases:
        answer = port.call("discovery", "start", (atom("topology"), binary(b"t")),
                           (atom("strategy"), atom(strategy)),
                           (atom("options"), map_([(atom(k.decode()), binary(v)) for k, v in options])))
        assert answer[0] == "error" and answer[1][0] == "invalid_argument", (strategy, wrong, answer)
        assert ("option %s:" % wrong).encode() in answer[1][1], answer
    port.eof()
