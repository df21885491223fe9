"""A world for the gateway: two network namespaces of this process, servers in the one, clients in the other, no way out of either."""

import contextlib
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

CLONE_NEWNET = 0x40000000
os.dup2(os.open("/dev/null", os.O_RDONLY), 3)  # the gateway's request has this number: nothing else may
LIBC = ctypes.CDLL(None, use_errno=True)
GATEWAY = os.path.join(os.environ.get("CLAWRUN_BUILD", "build"), "src/gateway/clawrun-gateway")
REDIRECT_PORT = 15001
PROXY = ("127.0.0.1", 3128)
SYNTHETIC4, SYNTHETIC6 = "198.18.0.0/16", "fd63:6c61:7772:1::/64"
# What "the internet" is: addresses of the outer namespace's loopback.
INTERNET = ["203.0.113.10/32", "203.0.113.11/32", "169.254.169.254/32", "10.9.8.7/32", "2600:db8::10/128", "fd00:ec2::254/128"]


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def own_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def new_namespace():
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run("ip", "link", "set", "lo", "up")
    return own_namespace()


class World:
    """`outside` is where this process is; `inside` is the sandbox's side, where every address is local."""

    def __init__(self):
        # Another process of the test's own would do as well; a second unshare is what leaves the caller's namespace alone.
        self.outside = new_namespace()
        for address in INTERNET:
            run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        self.inside = new_namespace()
        run("ip", "address", "add", "198.19.0.2/32", "dev", "lo")
        run("ip", "address", "add", "fd63:6c61:7772::2/128", "dev", "lo", "nodad")
        run("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "src", "198.19.0.2")
        run("ip", "-6", "route", "add", "local", "::/0", "dev", "lo", "src", "fd63:6c61:7772::2")
        self.redirect()
        enter(self.outside)

    @staticmethod
    def redirect():
        rules = f"""
          table inet clawrun {{
            chain output {{
              type nat hook output priority -100
              ip daddr 127.0.0.0/8 return
              ip6 daddr ::1 return
              tcp dport {{ 53, 8443 }} return
              meta l4proto tcp redirect to :{REDIRECT_PORT}
            }}
          }}
        """
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    @contextlib.contextmanager
    def within(self):
        """Sockets that are made, and processes that are started, are the sandbox's."""
        enter(self.inside)
        try:
            yield
        finally:
            enter(self.outside)

    def new_socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, timeout=10):
        with self.within():
            made = socket.socket(family, kind)
        made.settimeout(timeout)
        return made

    def listen(self, address, port, kind=socket.SOCK_STREAM):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = self.new_socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen(4096)
        return made

    def connect(self, address, port, timeout=10):
        made = self.new_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, timeout=timeout)
        made.connect((address, port))
        return made


def serve(address, port, talk):
    """A TCP server outside; `talk` gets each connection, in a thread of its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(4096)

    def one(connection):
        with connection, contextlib.suppress(OSError):
            talk(connection)

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def read_all(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


class NameServer:
    """The resolver of the outside: what it was asked is what has left the sandbox."""

    def __init__(self, names):
        self.names, self.asked = names, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, client = self.socket.recvfrom(2048)
            name, at = [], 12
            while query[at]:
                name.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name = ".".join(name).lower()
            kind = struct.unpack(">H", query[at + 1:at + 3])[0]
            self.asked.append((name, kind))
            family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
            found = [a for a in self.names.get(name, []) if family and (":" in a) == (family == socket.AF_INET6)]
            code = 0 if name in self.names else 3
            answer = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found), 0, 0) + query[12:at + 5]
            for address in found:
                raw = socket.inet_pton(family, address)
                answer += struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(raw)) + raw
            self.socket.sendto(answer, client)


def rule(host, ports=((1, 65535),), protocol="tcp"):
    return {"host": host, "ports": [list(p) for p in ports], "protocol": protocol, "rule": host}


class Gateway:
    """One gateway with its sockets, until the end of the `with`."""

    def __init__(self, world, allow, **request):
        self.world, self.events, self.held = world, [], []
        secrets = request.pop("secrets", {})
        authority = request.pop("authority", None)
        self.read_events = request.pop("read_events", True)
        self.user = request.pop("user", None)
        listen = world.listen
        self.sockets = {
            "tcp": [listen("0.0.0.0", REDIRECT_PORT), listen("::", REDIRECT_PORT), listen("0.0.0.0", 8443), listen("::", 8443)],
            "udp": [listen("0.0.0.0", 9999, socket.SOCK_DGRAM), listen("::", 9999, socket.SOCK_DGRAM)],
            "dns_udp": [listen("0.0.0.0", 53, socket.SOCK_DGRAM), listen("::", 53, socket.SOCK_DGRAM)],
            "dns_tcp": [listen("0.0.0.0", 53), listen("::", 53)],
            "proxy": [listen(*PROXY)],
        }
        self.event_read, event_write = os.pipe()
        life_read, self.life_write = os.pipe()
        kept = [event_write, life_read]
        request = {"sandbox": "test", "events": event_write, "lifeline": life_read, "allow": allow, "synthetic4": SYNTHETIC4,
                   "synthetic6": SYNTHETIC6, "sockets": {k: [s.fileno() for s in v] for k, v in self.sockets.items()}, **request}
        kept += [s.fileno() for v in self.sockets.values() for s in v]

        def hand_over(content):
            file = tempfile.TemporaryFile()
            file.write(content)
            file.seek(0)
            self.held.append(file)
            kept.append(file.fileno())
            return file.fileno()

        if secrets:
            request["credentials"] = {name: hand_over(secret.encode()) for name, secret in secrets.items()}
        if authority:
            request["ca"] = {"cert_fd": hand_over(authority[0]), "key_fd": hand_over(authority[1])}
        # Descriptor 3 must be the request; whatever is there now moves away by itself, since the numbers that are passed are above it.
        text = tempfile.TemporaryFile()
        text.write(json.dumps(request).encode())
        text.seek(0)
        source = os.dup(text.fileno())

        def place():
            os.dup2(source, 3)

        self.started = time.monotonic()
        self.process = subprocess.Popen([GATEWAY], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[*kept, 3], preexec_fn=place,
                                        user=self.user, group=self.user, extra_groups=[] if self.user else None)
        os.close(source)
        os.close(event_write)
        os.close(life_read)
        self.pipe = os.fdopen(self.event_read, "rb")
        self.first = json.loads(self.pipe.readline() or b"{}")
        self.ready_after = time.monotonic() - self.started
        if self.read_events:
            self.reader = threading.Thread(target=self.read, daemon=True)
            self.reader.start()

    def read(self):
        for line in self.pipe:
            self.events.append(json.loads(line))

    def event(self, **members):
        """The first event with these members; waited for."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for event in list(self.events):
                if all(event.get(k) == v for k, v in members.items()):
                    return event
            time.sleep(0.005)
        raise AssertionError(f"no event {members} among {self.events[-5:]}")

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(line.split(":", 1)[1].split() for line in file if line.startswith(key + ":"))

    def rss_kib(self):
        return int(self.status("VmRSS")[0])

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, name, kind=1, tcp=False, family=socket.AF_INET):
        """(code, address or None) of the answerer."""
        question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
        answer = self.ask_raw(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question, tcp, family)
        code, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
        if count == 0:
            return code, None
        size = struct.unpack(">H", answer[12 + len(question) + 10:][:2])[0]
        return code, socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, answer[-size:])

    def ask_raw(self, message, tcp=False, family=socket.AF_INET):
        # To an outside resolver's address: whatever it is, the answerer answers.
        to = ("8.8.8.8" if family == socket.AF_INET else "2001:4860:4860::8888", 53)
        if tcp:
            with self.world.connect(*to) as client:
                client.sendall(struct.pack(">H", len(message)) + message)
                size = struct.unpack(">H", client.recv(2))[0]
                return client.recv(size)
        with self.world.new_socket(family, socket.SOCK_DGRAM, timeout=2) as client:
            client.sendto(message, to)
            answer, sender = client.recvfrom(2048)
            assert sender[:2] == to, sender
            return answer

    def connect(self, host, port, kind=1, timeout=10):
        """As a client inside does: by what the answerer gives for a name."""
        address = self.ask(host, kind)[1] if not host.replace(".", "").isdigit() and ":" not in host else host
        assert address, f"{host} has no address"
        return self.world.connect(address, port, timeout)

    def close(self):
        os.close(self.life_write)
        self.life_write = -1
        status = self.process.wait(10)
        if self.read_events:
            self.reader.join(5)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.life_write >= 0:
            os.close(self.life_write)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for group in self.sockets.values():
            for one in group:
                one.close()
        for file in self.held:
            file.close()


def refused(call, within_s=None):
    """The errno of a connection that is refused: at the connect, or at the first thing done with it."""
    start = time.monotonic()
    try:
        call()
    except OSError as error:
        took = time.monotonic() - start
        assert within_s is None or took < within_s, f"refused after {took:.3f} s"
        return errno.errorcode.get(error.errno, str(error))
    raise AssertionError("it was not refused")


def peer_says(connection, data=b""):
    """What is read until the end, after `data` was sent; raises where it is reset."""
    with connection:
        if data:
            connection.sendall(data)
        return read_all(connection)
