"""A Kubernetes API server as far as discovery sees one: lists by label, over TLS, with faults."""

import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_ca(directory, name):
    key, cert = f"{directory}/{name}.key", f"{directory}/{name}.crt"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}")
    return key, cert


def make_server_cert(directory, ca, name, names="IP:127.0.0.1,DNS:localhost"):
    key, csr, cert = (f"{directory}/{name}.{e}" for e in ("key", "csr", "crt"))
    with open(f"{directory}/{name}.ext", "w") as f:
        f.write(f"subjectAltName={names}\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", csr, "-subj", "/CN=apiserver")
    openssl("x509", "-req", "-in", csr, "-CA", ca[1], "-CAkey", ca[0], "-CAcreateserial",
            "-out", cert, "-days", "2", "-extfile", f.name)
    return key, cert


def endpoints(addresses, namespace="default"):
    subsets = [{"addresses": [{"ip": ip, "hostname": hostname, "targetRef":
                               {"kind": "Pod", "namespace": namespace}}
                              for ip, hostname in addresses],
                "notReadyAddresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 4000}]}]
    return {"kind": "EndpointsList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
            "items": [{"metadata": {"name": "app", "namespace": namespace}, "subsets": subsets}]}


def pod(number, ip, namespace="default", phase="Running", padding=6000):
    """About as long as pods are in the API: most of it is of no interest here."""
    return {"metadata": {"name": f"app-{number}", "namespace": namespace,
                         "annotations": {"padding": "{[\\\"x\\\"]}" * (padding // 12)}},
            "spec": {"hostname": f"app-{number}", "containers": [{"name": "app"}]},
            "status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}]}}


def pods(items):
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


class ApiServer:
    def __init__(self, cert):
        self.token, self.mode, self.answers, self.requests = "token-1", "ok", {}, []
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.requests.append((self.path, self.headers.get("Authorization")))
                try:
                    server.respond(self)
                except (OSError, ssl.SSLError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def get_request(self):
                connection, address = self.socket.accept()
                server.connections += 1
                return connection, address

            def finish_request(self, request, address):
                # The TLS handshake runs in the connection's own thread.
                try:
                    request = server.context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return
                super().finish_request(request, address)

            def handle_error(self, *_):
                pass

        self.use_cert(cert)
        self.http = Server(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def use_cert(self, cert):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert[1], cert[0])

    def respond(self, h):
        mode = self.mode
        if mode == "close":
            h.close_connection = True
            return
        if mode == "slow":
            time.sleep(1.5)
        if h.headers.get("Authorization") != f"Bearer {self.token}":
            self.status(h, 401, "Unauthorized")
        elif isinstance(mode, int):
            self.status(h, mode, f"test says {mode}: cannot list resource \"pods\"")
        elif mode == "garbage":
            self.send(h, b"<html>I am no API server</html>")
        elif mode == "other":
            self.send(h, json.dumps({"kind": "NodeList", "items": []}).encode())
        elif mode == "half":
            body = self.body(h)
            h.send_response(200)
            h.send_header("Content-Length", str(len(body)))
            h.end_headers()
            h.wfile.write(body[:len(body) // 2])
            h.close_connection = True
        elif mode == "chunked":
            self.send_chunked(h, self.body(h))
        else:
            self.send(h, self.body(h))

    def body(self, h):
        path = h.path.split("?")[0]
        answer = self.answers.get(h.path, self.answers.get(path))
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def status(self, h, code, message):
        body = json.dumps({"kind": "Status", "status": "Failure", "message": message}).encode()
        self.send(h, body, code)

    def send(self, h, body, code=200):
        h.send_response(code)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def send_chunked(self, h, body):
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for at in range(0, len(body), 30011):
            piece = body[at:at + 30011]
            h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        h.wfile.write(b"0\r\n\r\n")

    def close(self):
        self.http.shutdown()
        self.http.server_close()
