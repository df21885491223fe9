#!/usr/bin/env python3
"""containerd on clawrun, as TAP: what `ctr` does with tasks, and what the kubelet does over the CRI.

Usage: containerd.py [CLAWRUN], which is $CLAWRUN where it is left out.
Each case runs with runc first, where it must pass, so that the test itself is right. Everything is in a box of its own
(tests/oci/torture.py), with an image made here from busybox: no registry and no network is needed."""

import concurrent.futures
import contextlib
import ctypes
import glob
import io
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oci"))
import torture as box  # noqa: E402 pylint: disable=wrong-import-position

PLACE = "/run/engine"
SOCKET = f"{PLACE}/containerd.sock"
IMAGE = "localhost/busybox:latest"
LIMIT_S = 30
PLUGINS = "/usr/lib/cni"


def run(*words, limit=LIMIT_S, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False, **options)


def until(what, condition, limit=LIMIT_S):
    deadline = time.monotonic() + limit
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            assert found, f"not in time: {what}"
            return found
        time.sleep(0.05)


# --- an image --------------------------------------------------------------------------------------------------------------

def make_image(path):
    """A docker archive with one layer, which holds busybox."""
    import hashlib  # pylint: disable=import-outside-toplevel
    busybox = shutil.which("busybox")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for applet in run(busybox, "--list").stdout.split():
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        text = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    layer = layer.getvalue()
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


# --- the CRI: gRPC is HTTP/2 (RFC 9113) with messages of protocol buffers in it ---------------------------------------------

def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def message(fields):
    """{number: int, str, bytes, dict (a message), or a list of these} as protocol buffer."""
    out = b""
    for number, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, (bool, int)):
                out += varint(number << 3) + varint(int(each))
            else:
                data = message(each) if isinstance(each, dict) else each.encode() if isinstance(each, str) else each
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def parsed(data):
    """{number: the last value}: ints, and bytes for what has a length."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 2:
            size = number()
            found[key >> 3] = data[at:at + size]
            at += size
        else:
            size = 8 if key & 7 == 1 else 4
            found[key >> 3] = data[at:at + size]
            at += size
    return found


def text_of(fields, *path):
    for number in path[:-1]:
        fields = parsed(fields.get(number, b""))
    return fields.get(path[-1], b"")


class Refused(Exception):
    """The call ended without an answer. Why is in the trailers, compressed; containerd's log has it in words."""


def call(method, request, limit=LIMIT_S):
    """One unary call to the CRI, on a connection of its own."""
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def header(name, value):  # a literal that is not indexed: RFC 7541, 6.2.2
        return b"\0" + b"".join(bytes([len(word)]) + word.encode() for word in (name, value))

    headers = b"".join(header(*row) for row in (
        (":method", "POST"), (":scheme", "http"), (":path", f"/runtime.v1.RuntimeService/{method}"), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers")))
    data = message(request)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(limit)
        peer.connect(SOCKET)
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, headers) +
                     frame(0, 1, 1, b"\0" + struct.pack(">I", len(data)) + data))
        answer = b""
        stream = peer.makefile("rb")
        while True:
            head = stream.read(9)
            if len(head) < 9:
                raise Refused(f"{method}: the connection has ended")
            size = int.from_bytes(head[:3], "big")
            kind, flags, number = struct.unpack(">BBI", head[3:])
            payload = stream.read(size)
            if kind == 4 and not flags & 1:
                peer.sendall(frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                peer.sendall(frame(6, 1, 0, payload))
            elif kind == 0:
                answer += payload
            elif kind in (3, 7):
                raise Refused(f"{method}: the stream was reset")
            if number == 1 and kind in (0, 1) and flags & 1:
                break
    if len(answer) < 5:
        raise Refused(method)
    return parsed(answer[5:])


# --- the tests -------------------------------------------------------------------------------------------------------------

class Containerd:
    def __init__(self, runtimes):
        self.runtimes = runtimes
        self.process = None
        self.count = self.bad = 0

    def up(self):
        for folder in ("tmp", "root", "cni", "net.d", "bundles"):
            os.makedirs(f"{PLACE}/{folder}")
        box.mount("-t", "tmpfs", "-o", "mode=755", "torture", "/var/lib")
        os.environ["TMPDIR"] = f"{PLACE}/tmp"
        handlers = "".join(f"""
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
      BinaryName = "{path}"
""" for name, path in self.runtimes)
        with open(f"{PLACE}/config.toml", "w", encoding="utf-8") as out:
            out.write(f"""version = 2
root = "{PLACE}/root"
state = "{PLACE}/state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{PLACE}/net.d"
{handlers}""")
        with open(f"{PLACE}/net.d/10-test.conf", "w", encoding="utf-8") as out:
            json.dump({"cniVersion": "0.4.0", "name": "test", "type": "bridge", "bridge": "torture0", "isGateway": True,
                       "ipam": {"type": "host-local", "subnet": "10.99.0.0/24", "dataDir": f"{PLACE}/cni"}}, out)
        log = open(f"{PLACE}/log", "w", encoding="utf-8")  # pylint: disable=consider-using-with # as long as containerd
        self.process = subprocess.Popen(["containerd", "-c", f"{PLACE}/config.toml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("containerd answers", lambda: self.process.poll() is not None or self.ctr("version").returncode == 0)
        make_image(f"{PLACE}/image.tar")
        for namespace in ("default", "k8s.io"):
            done = run("ctr", "-a", SOCKET, "-n", namespace, "images", "import", f"{PLACE}/image.tar", limit=60)
            assert done.returncode == 0, done.stderr

    @staticmethod
    def ctr(*words, **options):
        return run("ctr", "-a", SOCKET, *words, **options)

    def ctr_run(self, path, *words, **options):
        return self.ctr("run", "--runc-binary", path, *words, **options)

    def log(self):
        with open(f"{PLACE}/log", encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().splitlines() if "level=error" in line]

    def case(self, label, function, *words):
        for name, path in self.runtimes:
            self.count += 1
            ident = f"{name}-{self.count}"
            problem, before = None, len(self.log())
            try:
                function(name, path, ident, *words)
            except Exception as error:  # pylint: disable=broad-except # the other cases are run all the same
                trace = error.__traceback__
                while trace.tb_next is not None:
                    trace = trace.tb_next
                problem = f"{type(error).__name__} in line {trace.tb_lineno} of {trace.tb_frame.f_code.co_name}: {error}"
            self.sweep(ident)
            try:
                self.nothing_of(ident)
            except AssertionError as error:
                problem = problem or str(error)
            self.bad += problem is not None
            print(f"{'not ok' if problem else 'ok'} {self.count} - {name}: {label}", flush=True)
            if problem:
                for line in problem[:600].splitlines()[:10] + self.log()[before:][:5]:
                    print(f"#   {line}")

    def sweep(self, ident):
        for words in (("tasks", "kill", "-s", "KILL", ident), ("tasks", "rm", "-f", ident), ("containers", "rm", ident)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ctr(*words)

    @staticmethod
    def nothing_of(ident):
        """In the state of the runtime, in the cgroups, among the mounts."""
        def left():
            with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
                return ([path for path in glob.glob("/run/containerd/runc/*/*") + glob.glob(f"{PLACE}/state/*/*/*") if ident in path] +
                        [path for path in box.groups() if ident in path] + [line for line in mounts if ident in line])
        deadline = time.monotonic() + 5
        while left() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left(), f"left behind: {left()[:3]}"

    # ctr

    def output_and_status(self, _, path, ident):
        done = self.ctr_run(path, "--rm", IMAGE, ident, "/bin/sh", "-c", "echo out; echo err >&2; exit 3")
        assert (done.returncode, done.stdout) == (3, "out\n") and "err" in done.stderr, done

    def killed_status(self, _, path, ident):
        # Without --init the shell is process 1, which only a signal from outside ends.
        with subprocess.Popen(["ctr", "-a", SOCKET, "run", "--rm", "--runc-binary", path, IMAGE, ident, "/bin/sleep", "100"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            until("it runs", lambda: "RUNNING" in self.status(ident))
            assert self.ctr("tasks", "kill", "-s", "SIGKILL", ident).returncode == 0
            assert child.wait(LIMIT_S) == 137, child.stdout.read()

    def options(self, _, path, ident):
        script = "pwd; echo $WORD; touch /x 2>/dev/null || echo read-only; grep NoNewPrivs /proc/self/status; ls /data; touch /data/x 2>/dev/null || echo kept"
        os.makedirs(f"{PLACE}/data", exist_ok=True)
        with open(f"{PLACE}/data/file", "w", encoding="ascii"):
            pass
        done = self.ctr_run(path, "--rm", "--cwd", "/tmp", "--env", "WORD=here", "--read-only",
                            "--mount", f"type=bind,src={PLACE}/data,dst=/data,options=rbind:ro", IMAGE, ident, "/bin/sh", "-c", script)
        assert done.stdout.split() == ["/tmp", "here", "read-only", "NoNewPrivs:", "1", "file", "kept"], done

    def not_found(self, _, path, ident):
        done = self.ctr_run(path, "--rm", IMAGE, ident, "/no/such/program")
        assert done.returncode != 0 and "no such file or directory" in done.stderr, done
        done = self.ctr_run(path, "--rm", IMAGE, ident + "b", "no-such-program")
        assert done.returncode != 0 and "executable file not found" in done.stderr, done
        done = self.ctr_run(path, "--rm", IMAGE, ident + "c", "/etc")
        assert done.returncode != 0 and "permission denied" in done.stderr, done

    def terminal(self, _, path, ident):
        master, slave = pty.openpty()
        child = subprocess.Popen(["ctr", "-a", SOCKET, "run", "-t", "--rm", "--runc-binary", path, IMAGE, ident, "/bin/sh", "-c", "tty; read x; echo got $x; exit 4"],
                                 stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        text = b""
        try:
            os.set_blocking(master, False)
            deadline, said = time.monotonic() + LIMIT_S, False
            while time.monotonic() < deadline and child.poll() is None:
                with contextlib.suppress(OSError):
                    text += os.read(master, 4096)
                if b"/dev/" in text and not said:
                    os.write(master, b"word\n")
                    said = True
                time.sleep(0.02)
            with contextlib.suppress(OSError):
                text += os.read(master, 4096)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            os.close(master)
        assert child.returncode == 4 and b"/dev/pts/0" in text and b"got word" in text, (child.returncode, text)

    def detached(self, path, ident, *words):
        done = self.ctr_run(path, "--detach", "--cgroup", f"/engines/{ident}", *words, IMAGE, ident, "/bin/sleep", "1000")
        assert done.returncode == 0, done
        until("it runs", lambda: "RUNNING" in self.status(ident))

    def status(self, ident):
        for line in self.ctr("tasks", "ls").stdout.splitlines()[1:]:
            if line.split()[0] == ident:
                return line.split()[-1]
        return ""

    def end(self, ident):
        done = self.ctr("tasks", "kill", "-s", "SIGKILL", ident)
        assert done.returncode == 0, done
        until("it has stopped", lambda: "STOPPED" in self.status(ident))
        self.ctr("tasks", "rm", ident)
        done = self.ctr("containers", "rm", ident)
        assert done.returncode == 0, done

    def execs(self, _, path, ident):
        self.detached(path, ident)
        done = self.ctr("tasks", "exec", "--exec-id", "one", ident, "/bin/sh", "-c", "echo out; exit 7")
        assert (done.returncode, done.stdout) == (7, "out\n"), done
        done = self.ctr("tasks", "exec", "--exec-id", "two", "--user", "1000", "--cwd", "/tmp", ident, "/bin/sh", "-c", "id -u; pwd")
        assert done.stdout.split() == ["1000", "/tmp"], done
        done = self.ctr("tasks", "exec", "--exec-id", "three", ident, "no-such-program")
        assert done.returncode != 0 and "executable file not found" in done.stderr, done
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(self.ctr, "tasks", "exec", "--exec-id", f"many{number}", ident, "/bin/sh", "-c", f"exit {number}")
                       for number in range(12)]
            assert [future.result().returncode for future in futures] == list(range(12))
        self.end(ident)

    def pauses(self, _, path, ident):
        self.detached(path, ident)
        assert self.ctr("tasks", "pause", ident).returncode == 0
        assert self.status(ident) == "PAUSED", self.status(ident)
        done = self.ctr("tasks", "exec", "--exec-id", "one", ident, "/bin/true")
        assert done.returncode != 0, done
        assert self.ctr("tasks", "resume", ident).returncode == 0
        assert self.status(ident) == "RUNNING", self.status(ident)
        assert self.ctr("tasks", "exec", "--exec-id", "two", ident, "/bin/true").returncode == 0
        self.end(ident)

    def metrics(self, _, path, ident):
        self.detached(path, ident, "--memory-limit", str(64 << 20))
        done = self.ctr("tasks", "metrics", "--format", "json", ident)
        assert done.returncode == 0, done
        numbers = json.dumps(json.loads(done.stdout))
        assert str(64 << 20) in numbers and re.search(r'"current": ?1\b', numbers), numbers[:300]
        done = self.ctr("tasks", "ps", ident)
        pids = [line.split()[0] for line in done.stdout.splitlines()[1:]]
        assert len(pids) == 1 and "sleep" in run("cat", f"/proc/{pids[0]}/cmdline").stdout, done
        self.end(ident)

    def kills(self, _, path, ident):
        done = self.ctr_run(path, "--detach", IMAGE, ident, "/bin/sh", "-c", "trap 'exit 9' TERM; while true; do sleep 0.05; done")
        assert done.returncode == 0, done
        done = self.ctr("tasks", "rm", ident)
        assert done.returncode != 0, done
        assert self.ctr("tasks", "kill", "-s", "SIGTERM", ident).returncode == 0
        until("it has stopped", lambda: "STOPPED" in self.status(ident))
        # The status of the container is that of this command.
        done = self.ctr("tasks", "rm", ident)
        assert done.returncode == 9 or "9" in done.stderr, done
        assert self.ctr("containers", "rm", ident).returncode == 0
        self.nothing_of(ident)
        done = self.ctr_run(path, "--detach", "--pid-file", f"{PLACE}/pid", IMAGE, ident, "/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait")
        assert done.returncode == 0, done
        with open(f"{PLACE}/pid", encoding="ascii") as file:
            assert box.alive(int(file.read()))
        assert self.ctr("tasks", "kill", "--all", "-s", "KILL", ident).returncode == 0
        until("it has stopped", lambda: "STOPPED" in self.status(ident))

    def many(self, _, path, ident):
        idents = [f"{ident}-{number}" for number in range(12)]
        try:
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                for done in pool.map(lambda each: self.ctr_run(path, "--detach", IMAGE, each, "/bin/sleep", "1000"), idents):
                    assert done.returncode == 0, done
                for status in pool.map(self.status, idents):
                    assert status == "RUNNING", status
        finally:
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                list(pool.map(self.sweep, idents))

    # The CRI. Numbers of the fields: k8s.io/cri-api, runtime/v1.

    def sandbox_config(self, ident):
        return {1: {1: ident, 2: ident, 3: "tests", 4: 0}, 2: "pod", 3: PLACE, 8: {1: "/pods/test"}}

    def pod(self, name, _, ident):
        config = self.sandbox_config(ident)
        sandbox = until("the pod's sandbox", lambda: self.start_sandbox(name, config))
        container = None
        try:
            status = call("PodSandboxStatus", {1: sandbox})
            assert parsed(status[1]).get(3, 0) == 0, status  # READY
            address = text_of(status, 1, 5, 1).decode()
            assert address.startswith("10.99.0."), address
            container = self.start_container(sandbox, config, ident)
            self.in_pod(container, address)
            self.watched(container)
            call("StopContainer", {1: container, 2: 0})
            status = parsed(call("ContainerStatus", {1: container})[1])
            assert status[3] == 2 and status[7] == 137, status  # EXITED
            call("RemoveContainer", {1: container})
        finally:
            with contextlib.suppress(Refused):
                call("StopPodSandbox", {1: sandbox})
            call("RemovePodSandbox", {1: sandbox})
        for each in filter(None, (sandbox, container)):
            self.nothing_of(each)

    @staticmethod
    def start_sandbox(name, config):
        # The image is known a moment after its import.
        with contextlib.suppress(Refused):
            return call("RunPodSandbox", {1: config, 2: name})[1].decode()
        return None

    @staticmethod
    def start_container(sandbox, config, ident):
        resources = {1: 100000, 2: 50000, 3: 512, 4: 64 << 20, 5: 500}
        security = {1: {1: ["NET_RAW"], 2: ["CHOWN"]}, 3: {1: 0, 2: 1}, 5: {1: 1000}, 12: {1: 1000}, 7: True, 11: True,
                    13: ["/proc/kcore"], 14: ["/proc/sys"]}
        request = {1: sandbox, 3: config,
                   2: {1: {1: ident, 2: 0}, 2: {1: IMAGE}, 3: ["/bin/sleep"], 4: ["1000"], 5: "/tmp", 6: {1: "WORD", 2: "here"},
                       15: {1: resources, 2: security}}}
        container = call("CreateContainer", request)[1].decode()
        call("StartContainer", {1: container})
        status = parsed(call("ContainerStatus", {1: container})[1])
        assert status[3] == 1, status  # RUNNING
        return container

    @staticmethod
    def in_pod(container, address):
        script = ("id -u; pwd; echo $WORD; touch /x 2>/dev/null || echo read-only; hostname; cat /proc/self/oom_score_adj; "
                  "grep -c CapBnd /proc/self/status; ip -4 addr show eth0; exit 5")
        answer = call("ExecSync", {1: container, 2: ["/bin/sh", "-c", script], 3: 10})
        words = answer[1].decode().split()
        assert words[:6] == ["1000", "/tmp", "here", "read-only", "pod", "500"] and f"{address}/24" in words, answer
        assert answer.get(3) == 5, answer
        try:
            call("ExecSync", {1: container, 2: ["/bin/sleep", "100"], 3: 1})
            raise AssertionError("an exec beyond its time is success")
        except Refused:
            pass
        for _ in range(20):  # as probes do
            assert call("ExecSync", {1: container, 2: ["/bin/true"], 3: 10}).get(3, 0) == 0

    @staticmethod
    def watched(container):
        stats = call("ContainerStats", {1: container})
        memory = parsed(text_of(stats, 1, 3, 2)).get(1, 0)
        assert memory > 0 and parsed(text_of(stats, 1, 2, 2)).get(1, 0) > 0, stats
        call("UpdateContainerResources", {1: container, 2: {3: 1024, 4: 48 << 20}})
        files = [path for where in box.hierarchies() for name in ("memory.limit_in_bytes", "memory.max")
                 for path in glob.glob(f"{where}/pods/test/{container}/{name}")]
        assert files or not any("memory" in (each or "memory") for each in box.hierarchies().values()), "no cgroup with a limit of memory"
        for path in files:
            with open(path, encoding="ascii") as file:
                assert file.read().strip() == str(48 << 20), path

    def all(self):
        self.case("ctr run: output and exit status", self.output_and_status)
        self.case("ctr run: the status of a killed one is 137", self.killed_status)
        self.case("ctr run: directory, environment, read-only, mounts", self.options)
        self.case("ctr run: what cannot be executed", self.not_found)
        self.case("ctr run -t: a terminal", self.terminal)
        self.case("ctr tasks exec: statuses, users, twelve at once", self.execs)
        self.case("ctr tasks pause and resume", self.pauses)
        self.case("ctr tasks metrics and ps", self.metrics)
        self.case("ctr tasks kill and rm, --all, --pid-file", self.kills)
        self.case("ctr: twelve at once", self.many)
        missing = [name for name in ("bridge", "host-local", "loopback") if not os.access(f"{PLUGINS}/{name}", os.X_OK)]
        label = "the CRI: a pod, its container, execs, stats, update, stop, remove"
        if missing:
            self.count += 1
            print(f"ok {self.count} - {label} # SKIP no CNI plugins in {PLUGINS}: {', '.join(missing)}")
        else:
            self.case(label, self.pod)

    def down(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.process.kill()


def main():
    clawrun = sys.argv[1] if len(sys.argv) == 2 else os.environ.get("CLAWRUN")
    if not clawrun:
        sys.exit("usage: containerd.py [CLAWRUN]")
    for name in ("containerd", "ctr", "containerd-shim-runc-v2", "runc", "ip"):
        if shutil.which(name) is None:
            sys.exit(box.skip(f"needs {name} (Debian: containerd, runc, iproute2)"))
    if "TORTURE_BOX" not in os.environ:
        sys.exit(box.outside())
    status = box.first_process()
    if status is not None:
        sys.stdout.flush()
        os._exit(status if status >= 0 else 1)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    shutil.copy(clawrun, "/run/clawrun-binary")
    tests = Containerd([("runc", shutil.which("runc")), ("clawrun", "/run/clawrun-binary")])
    try:
        tests.up()
        tests.all()
        print(f"1..{tests.count}", flush=True)
    except Exception as error:  # pylint: disable=broad-except # what the box could not be given
        print(f"not ok - containerd in its box: {error}", flush=True)
        tests.bad += 1
    finally:
        tests.down()
    sys.stdout.flush()
    # What is left is the end of the box's business.
    os._exit(1 if tests.bad else 0)


main()
