"""dnsmasq on loopback, with a hosts file that tests rewrite."""

import os
import signal
import socket
import subprocess

from backends_rig import DNSMASQ
from rig.proc import free_port


class Dnsmasq:
    def __init__(self, directory):
        self.port, self.hosts = free_port(socket.SOCK_DGRAM), f"{directory}/hosts"
        self.directory, self.process = directory, None

    def write(self, *lines):
        with open(self.hosts + ".new", "w") as f:
            f.write("".join(line + "\n" for line in lines))
        os.replace(self.hosts + ".new", self.hosts)
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def start(self, *options):
        self.process = subprocess.Popen(
            [DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
             f"--port={self.port}", f"--addn-hosts={self.hosts}", "--local=/test/", "--user=root",
             f"--pid-file={self.directory}/dnsmasq.pid", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
