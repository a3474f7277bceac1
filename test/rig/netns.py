"""Network namespaces: made by iproute2 (`ip`), entered by a thread. They need root."""
import contextlib
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ip(*args):
    subprocess.run(["ip", *args], check=True, stderr=subprocess.PIPE)


def can_make_namespaces():
    name = f"muster-probe-{os.getpid()}"
    if shutil.which("ip") is None or subprocess.run(["ip", "netns", "add", name], check=False,
                                                    stderr=subprocess.DEVNULL).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "del", name], check=False)
    return True


def _enter(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def enter(name):
    """This thread is in it from now on."""
    _enter(f"/run/netns/{name}")


@contextlib.contextmanager
def inside(name):
    """This thread is in it for a while; sockets made there stay there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    enter(name)
    try:
        yield
    finally:
        libc.setns(before, CLONE_NEWNET)
        os.close(before)
