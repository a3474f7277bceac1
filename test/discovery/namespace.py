"""A network namespace with loopback, in which gossip can be heard and nothing else."""
import os
import shutil
import socket
import subprocess
import tempfile

from rig import netns

COOKIE = "gossip_cookie"


class Namespace:
    """With multicast over loopback unless told otherwise. What was started there ends with close()."""

    def __init__(self, name, multicast=True):
        self.name = name
        self.home = tempfile.mkdtemp(prefix="muster-gossip-")
        self.processes = []
        netns.ip("netns", "add", name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "set", "lo", "multicast", "on")
        if multicast:
            self.add_route()

    def ip(self, *args):
        netns.ip("-n", self.name, *args)

    def inside(self):
        return netns.inside(self.name)

    def add_route(self):
        self.ip("route", "add", "224.0.0.0/4", "dev", "lo", "src", "127.0.0.1")

    def delete_route(self):
        self.ip("route", "del", "224.0.0.0/4")

    def connect(self, other, own_address, other_address):
        """A cable to another namespace; its ends are called cable."""
        self.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other.name)
        for ns, address in ((self, own_address), (other, other_address)):
            ns.ip("address", "add", f"{address}/24", "brd", "+", "dev", "cable")
            ns.ip("link", "set", "cable", "up")

    def popen(self, args, **options):
        env = {"HOME": self.home, "PATH": os.environ["PATH"]}
        process = subprocess.Popen(args, env=env, cwd=self.home,
                                   preexec_fn=lambda: netns.enter(self.name), **options)
        self.processes.append(process)
        return process

    def epmd(self, address="127.0.0.1"):
        return self.popen(["epmd", "-address", address], stderr=subprocess.DEVNULL)

    def beam(self, name, *more):
        return self.popen(["erl", "-noinput", "-name", name, "-setcookie", COOKIE, "-start_epmd",
                           "false", *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def epmd_names(self):
        with self.inside():
            try:
                with socket.create_connection(("127.0.0.1", 4369), 2) as s:
                    s.sendall(b"\0\1n")
                    answer = b""
                    while chunk := s.recv(4096):
                        answer += chunk
            except OSError:
                return []
        return [line.split()[1].decode() for line in answer[4:].splitlines()]

    def udp(self, port=0, group=None, address="0.0.0.0", reuse=True):
        with self.inside():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if reuse:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.bind((address, port))
        if group is not None:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                         socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
        return s

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        netns.ip("netns", "del", self.name)
        shutil.rmtree(self.home, ignore_errors=True)
