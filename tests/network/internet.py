#!/usr/bin/env python3
"""The servers of a small internet, in the network namespace that it is started in: prints `ready` when all of them listen.

Usage: internet.py CERTIFICATE KEY
Web servers on every address (80, and 443 with TLS), echoes (7000/tcp and 9999/udp), one that speaks first (2525), and a name
server on 192.0.2.2 that knows the names below and writes each question to standard error.
"""

import http.server
import socket
import ssl
import struct
import sys
import threading

NAMES = {
    "api.test": ("203.0.113.10", "2001:db8::10"),
    "other.test": ("203.0.113.11", None),
    "deep.sub.test": ("203.0.113.10", None),
    "metadata.test": ("169.254.169.254", None),
    "loopback.test": ("127.0.0.1", "::1"),
    "mapped.test": (None, "::ffff:10.9.8.7"),
    "private.test": ("10.9.8.7", None),
}


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{self.headers.get('Host')} {self.connection.getsockname()[0]} key={self.headers.get('X-Key')}\n".encode()
        if self.path == "/large":
            body = b"x" * (1 << 20)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class DualStack(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def listener(port, kind):
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(2048)
    return sock


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def greet(connection):
    with connection:
        connection.sendall(b"220 ready\r\n")
        connection.recv(100)


def serve(sock, handle):
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


# recvmsg, so that the answer leaves from the address that was asked.
def echo_datagrams(sock):
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    while True:
        data, ancillary, _, peer = sock.recvmsg(65536, 256)
        info = [(level, kind, value[:16] + struct.pack("i", 0)) for level, kind, value in ancillary
                if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)]
        sock.sendmsg([data], info, 0, peer)


def answer(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += query[at] + 1
    name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
    print(name, kind, file=sys.stderr, flush=True)
    question = query[12:at + 5]
    v4, v6 = NAMES.get(name, (None, None))
    text = {1: v4, 28: v6}.get(kind)
    data = text and socket.inet_pton(socket.AF_INET if kind == 1 else socket.AF_INET6, text)
    flags = 0x8180 if name in NAMES else 0x8183
    header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if data else 0, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data if data else b""
    return header + question + record


def serve_names(sock):
    while True:
        query, peer = sock.recvfrom(4096)
        sock.sendto(answer(query), peer)


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    plain, secure = DualStack(("::", 80), Web), DualStack(("::", 443), Web)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("192.0.2.2", 53))
    jobs = [(plain.serve_forever,), (secure.serve_forever,), (serve, listener(7000, socket.SOCK_STREAM), echo),
            (serve, listener(2525, socket.SOCK_STREAM), greet), (echo_datagrams, listener(9999, socket.SOCK_DGRAM)),
            (serve_names, names)]
    for job, *args in jobs:
        threading.Thread(target=job, args=args, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


main()
