"""Where the processes of a cluster live: this host, or hosts of their own on one bridge, which are
network namespaces. What is made is taken away by close()."""
import os
import shutil
import signal
import subprocess
import tempfile

from rig.netns import ip
from rig.proc import free_port


class Home:
    """This host, with an epmd of one's own."""
    prefix = []
    ip = "127.0.0.1"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="muster-election-")
        self.processes = []
        self.epmd_port = free_port()

    def popen(self, args, **options):
        options = {"env": dict(os.environ, HOME=self.dir)} | options
        process = subprocess.Popen(self.prefix + args, cwd=self.dir, **options)
        self.processes.append(process)
        return process

    def epmd(self):
        self.popen(["epmd", "-port", str(self.epmd_port), "-address", self.ip],
                   stderr=subprocess.DEVNULL)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Host(Home):
    """A host of its own on the Network's bridge."""

    def __init__(self, network, number):
        super().__init__()
        self.epmd_port = 4369
        self.name = f"{network.name}-{number}"
        self.ip = f"10.123.7.{number}"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.cable = f"{network.tag}{number}"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", network.name, "link", "add", self.cable, "type", "veth",
           "peer", "name", "eth0", "netns", self.name)
        ip("-n", network.name, "link", "set", self.cable, "master", "bridge0", "up")
        ip("-n", self.name, "address", "add", f"{self.ip}/24", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")

    def lose_from(self, sources, where=""):
        """What comes from these hosts is lost on its way here; `where` chooses some of it, in nftables' words."""
        self._nft("add table ip muster; add chain ip muster in { type filter hook input priority 0; }; " +
                  "; ".join(f"add rule ip muster in ip saddr {s.ip} {where} drop" for s in sources))

    def lose_none(self):
        self._nft("delete table ip muster")

    def _nft(self, rules):
        subprocess.run([*self.prefix, "nft", rules], check=True, stderr=subprocess.DEVNULL)

    def close(self):
        super().close()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Network:
    """Hosts on bridges within a namespace of its own; a partition is another bridge."""

    def __init__(self, count, bridges=2):
        self.tag = "c"
        self.name = f"muster-el-{os.getpid()}"
        self.hosts = []
        ip("netns", "add", self.name)
        for bridge in (f"bridge{number}" for number in range(bridges)):
            ip("-n", self.name, "link", "add", bridge, "type", "bridge")
            ip("-n", self.name, "link", "set", bridge, "up")
        for number in range(1, count + 1):
            self.hosts.append(Host(self, number))

    def move(self, hosts, bridge):
        for host in hosts:
            ip("-n", self.name, "link", "set", host.cable, "master", bridge)

    def close(self):
        for host in self.hosts:
            host.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False)
