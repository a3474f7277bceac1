"""A DNS server that misbehaves on request: each name has a behaviour of its own."""

import errno
import ipaddress
import socket
import socketserver
import struct
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def pack_name(name):
    labels = [label for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), at + 1


def record(name, kind, ttl, value):
    if kind in ("A", "AAAA"):
        rdata = ipaddress.ip_address(value).packed
    elif kind == "SRV":
        rdata = struct.pack(">HHH", 10, 50, 0) + pack_name(value)
    else:
        rdata = pack_name(value)
    return pack_name(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(rdata)) + rdata


def both_at_one_port(listen):
    """A UDP socket and a TCP server at the same free port: what is free for the one may be taken for the other."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, listen(udp.getsockname()[1])
        except OSError as error:
            udp.close()
            if error.errno != errno.EADDRINUSE:
                raise


class DnsServer:
    """`names`: name -> list of (type, ttl, value), or a rcode, or 'silent', 'garbage', 'cut'."""

    def __init__(self):
        self.names, self.asked = {}, []
        server = self

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self):
                head = self.request.recv(2)
                if len(head) == 2:
                    answer = server.answer(self.request.recv(struct.unpack(">H", head)[0]), "tcp")
                    if answer:
                        self.request.sendall(struct.pack(">H", len(answer)) + answer)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

        self.udp, self.tcp = both_at_one_port(lambda port: Server(("127.0.0.1", port), Tcp))
        self.port = self.udp.getsockname()[1]
        threading.Thread(target=self.tcp.serve_forever, daemon=True).start()
        threading.Thread(target=self._serve_udp, daemon=True).start()

    def _serve_udp(self):
        while True:
            try:
                query, address = self.udp.recvfrom(4096)
            except OSError:
                return
            answer = self.answer(query, "udp")
            if answer:
                self.udp.sendto(answer, address)

    def times(self, name):
        return [t for n, t, _, _ in self.asked if n == name]

    def answer(self, query, transport):
        name, end = read_name(query, 12)
        kind = struct.unpack_from(">H", query, end)[0]
        self.asked.append((name, time.monotonic(), transport, kind))
        behaviour = self.names.get(name.lower(), NXDOMAIN)
        question = query[12:end + 4]
        if behaviour == "silent":
            return None
        if behaviour == "garbage":
            return query[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + question + b"\xc0\xff\xfe\x07" * 9
        records, rcode = (behaviour, 0) if isinstance(behaviour, list) else ([], 0)
        rcode = behaviour if isinstance(behaviour, int) else rcode
        if behaviour == "cut":
            body = record(name, "A", 60, "10.0.0.1")[:-3]
            return query[:2] + b"\x85\x80\0\1\0\1\0\0\0\0" + question + body
        wanted = [r for r in records if TYPES[r[0]] == kind or r[0] == "CNAME"]
        body = b"".join(record(name, *r) for r in wanted)
        flags, count = 0x8580 | rcode, len(wanted)
        if transport == "udp" and len(body) > 450:
            flags, count, body = flags | 0x0200, 0, b""
        return query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question + body

    def close(self):
        self.udp.close()
        self.tcp.shutdown()
        self.tcp.server_close()
