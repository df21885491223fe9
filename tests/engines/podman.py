#!/usr/bin/env python3
"""Podman and Buildah, rootful and rootless, with clawrun as their runtime. Prints TAP.

Usage: tests/engines/podman.py [--mode rootful|rootless] [--runtime NAME] [--reference NAME|none] [--hybrid] [--list] [PATTERN]...

Each case is run first with a reference (runc, or crun where only that can do it) and must pass there, so that the test itself is
right; then with clawrun ($CLAWRUN). A case may return a text, which then has to be the same with both. PATTERN is a part of a
case's name. With --hybrid cgroup v2 is there beside v1, where the machine has both (crun refuses that). Everything runs in a box: own mount, network, pid, uts, ipc and cgroup namespaces, with an /etc, a /run and a user
of its own, which end with it; the box's cgroups are below one group of each hierarchy, which is removed.
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pty
import pwd
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import termios
import time
import traceback
from io import BytesIO
from pathlib import Path

BOX = Path("/run/box")
USER = "clawrun-box"
IMAGE = "localhost/bb:latest"
GROUP_PREFIX = "clawrun-engines-podman-"
NEEDED = ("podman", "buildah", "conmon", "busybox", "runc", "crun", "newuidmap", "slirp4netns", "iptables", "ip", "unshare",
          "useradd", "setpriv")
COMMAND_LIMIT_S = 60
MS_BIND, MS_REC, MS_SHARED = 0x1000, 0x4000, 0x100000
BOTH = ("rootful", "rootless")
ROOTFUL = ("rootful",)
ROOTLESS = ("rootless",)


# ---------------------------------------------------------------------------------------------------------------- the box

def mount(source, target, kind, options="", flags=0):
    """mount(2): mount(8) would note it in files that are shared with the host."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} on {target}")


def hierarchies(hybrid):
    """The cgroup hierarchies that the box is to have: by controllers or name, the type and the host's group that we are in."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        own[names] = path
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        after = fields[fields.index("-") + 1:]
        if after[0] not in ("cgroup", "cgroup2"):
            continue
        options = set(after[2].split(","))
        name = next((n for n in own if n and set(n.split(",")) <= options), "" if after[0] == "cgroup2" else None)
        if name is None or name not in own:
            continue
        # The mount shows the hierarchy from fields[3] on.
        below = os.path.relpath(own[name], fields[3])
        if not below.startswith(".."):
            found[name] = (after[0], Path(fields[4]) / below)
    v1 = {name: (kind, path) for name, (kind, path) in found.items() if kind == "cgroup"}
    return found if hybrid else v1 or found


def remove_group(group):
    """Everything in it has been killed, but leaves it in the kernel's own time."""
    deadline = time.monotonic() + 10
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() > deadline:
            print(f"# left behind: {group}")
            return
        time.sleep(0.02)


def enter_groups(groups):
    """As the child that becomes the box; it is not to outlive the one that cleans up."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    for _, group in groups.values():
        (group / "cgroup.procs").write_text(str(os.getpid()))


def run_box(arguments, hybrid):
    """Makes the box, runs this file in it, removes what the box cannot remove itself."""
    found = hierarchies(hybrid)
    groups = {}
    for name, (kind, parent) in found.items():
        for stale in parent.glob(GROUP_PREFIX + "*"):
            if not Path(f"/proc/{stale.name.removeprefix(GROUP_PREFIX)}").exists():
                remove_group(stale)
        group = parent / f"{GROUP_PREFIX}{os.getpid()}"
        group.mkdir()
        groups[name] = (kind, group)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if name == "cpuset" or "cpuset" in name.split(","):
                (group / file).write_text((parent / file).read_text())
    status = 1
    try:
        box = subprocess.Popen(
            ["unshare", "-m", "-n", "-p", "-u", "-i", "-C", "-f", "--mount-proc", "--propagation", "private",
             "--kill-child=SIGKILL", sys.executable, os.path.abspath(__file__), "--inside",
             ",".join(f"{kind}:{'+'.join(name.split(','))}" for name, (kind, _) in groups.items()), *arguments],
            stdin=subprocess.DEVNULL, preexec_fn=lambda: enter_groups(groups))
        def end(number, _frame):
            box.kill()
            raise SystemExit(128 + number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        status = box.wait()
    finally:
        for _, group in groups.values():
            remove_group(group)
    return status


def copy_etc():
    """An /etc of the box's own: users, subordinate ids, the engines' configuration."""
    (BOX / "etc").mkdir()
    subprocess.run(["cp", "-a", "/etc/.", BOX / "etc"], check=True)
    mount(str(BOX / "etc"), "/etc", "none", flags=MS_BIND)
    shutil.rmtree("/etc/containers", ignore_errors=True)
    Path("/etc/containers").mkdir()
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Podman asks for 1048576 of each, which needs a capability where the limits are lower.
    Path("/etc/containers/containers.conf").write_text(f"""\
[containers]
default_ulimits = ["nofile={hard}:{hard}", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
runtime_supports_json = ["crun", "runc", "clawrun"]
runtime_supports_nocgroup = ["crun", "clawrun"]
[engine.runtimes]
clawrun = ["{BOX}/bin/clawrun"]
runc = ["{shutil.which('runc')}"]
crun = ["{shutil.which('crun')}"]
[network]
network_backend = "netavark"
""")
    Path("/etc/containers/storage.conf").write_text(f"""\
[storage]
driver = "overlay"
graphroot = "{BOX}/storage"
runroot = "{BOX}/storage-run"
rootless_storage_path = "{BOX}/home/storage"
""")
    Path("/etc/containers/policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    Path("/etc/containers/registries.conf").write_text('unqualified-search-registries = []\nshort-name-mode = "permissive"\n')
    subprocess.run(["useradd", "-M", "-l", "-d", BOX / "home", "-s", "/bin/sh", USER], check=True)
    for file in ("/etc/subuid", "/etc/subgid"):
        with open(file, "a", encoding="utf-8") as out:
            out.write("containers:2000000:1000000\n")


def set_up(groups):
    """As pid 1 of the box."""
    clawrun = Path(os.environ["CLAWRUN"]).read_bytes()
    mount("tmpfs", "/run", "tmpfs", "mode=755")
    for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("home", 0o700), ("xdg", 0o700), ("shared", 0o777)):
        (BOX / folder).mkdir(parents=True)
        (BOX / folder).chmod(mode)
    (BOX / "bin/clawrun").write_bytes(clawrun)
    (BOX / "bin/clawrun").chmod(0o755)
    if os.path.isdir("/var/lib/containers"):
        mount("tmpfs", "/var/lib/containers", "tmpfs", "mode=755")
    # Here they are root's alone, elsewhere everybody's.
    for device in ("/dev/net/tun", "/dev/fuse"):
        if os.path.exists(device):
            node = BOX / os.path.basename(device)
            os.mknod(node, 0o666 | stat.S_IFCHR, os.stat(device).st_rdev)
            node.chmod(0o666)
            mount(str(node), device, "none", flags=MS_BIND)
    copy_etc()
    for folder in ("home", "xdg"):
        shutil.chown(BOX / folder, USER, USER)
    if any(kind == "cgroup" for kind, _ in groups):
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", "mode=755")
        for kind, name in groups:
            if kind == "cgroup2":
                Path("/sys/fs/cgroup/unified").mkdir()
                mount("cgroup2", "/sys/fs/cgroup/unified", "cgroup2")
                continue
            folder = Path("/sys/fs/cgroup") / name.removeprefix("name=").replace("+", ",")
            folder.mkdir()
            option = f"none,{name}" if name.startswith("name=") else name.replace("+", ",")
            mount("cgroup", folder, "cgroup", option)
    else:
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
        # A group with processes in it cannot hand controllers down.
        Path("/sys/fs/cgroup/init").mkdir()
        Path("/sys/fs/cgroup/init/cgroup.procs").write_text("0")
        given = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
        Path("/sys/fs/cgroup/cgroup.subtree_control").write_text(" ".join("+" + name for name in given))
    mount("none", "/", "none", flags=MS_REC | MS_SHARED)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.chdir("/")


def inside(groups, arguments):
    """Pid 1 of the box: reaps, and ends with the tests."""
    set_up([tuple(group.split(":", 1)) for group in groups.split(",")])
    tests = os.fork()
    if tests == 0:
        status = 1
        try:
            status = run_cases(arguments)
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    while True:
        pid, status = os.wait()
        if pid == tests:
            return os.waitstatus_to_exitcode(status)


# --------------------------------------------------------------------------------------------------------------- the tools

class Failed(Exception):
    """A case did not give what was expected."""


class Skip(Exception):
    """A case cannot run here."""


def expect(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what))


def equal(got, wanted, what=""):
    expect(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def matches(pattern, text):
    expect(re.search(pattern, text, re.MULTILINE), f"no {pattern!r} in {text!r}")


def eventually(what, question, limit_s=10):
    deadline = time.monotonic() + limit_s
    while not (answer := question()):
        expect(time.monotonic() < deadline, "waited in vain for:", what)
        time.sleep(0.05)
    return answer


class Engine:
    """Podman and Buildah in one mode with one runtime."""

    def __init__(self, mode, runtime):
        self.mode, self.runtime, self.rootful = mode, runtime, mode == "rootful"
        self.stderr = ""
        path = os.environ.get("PATH", "")
        self.env = {"PATH": f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{path}", "TMPDIR": str(BOX / "tmp"),
                    "LANG": "C.UTF-8", "TERM": "xterm", "HOME": "/root"}
        self.prefix = []
        if not self.rootful:
            self.env |= {"HOME": str(BOX / "home"), "XDG_RUNTIME_DIR": str(BOX / "xdg"), "USER": USER}
            self.prefix = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]

    def words(self, tool, args):
        if tool == "podman":
            return [*self.prefix, "podman", "--runtime", self.runtime, *map(str, args)]
        return [*self.prefix, tool, *map(str, args)]

    def tool(self, tool, *args, rc=0, stdin=b"", limit_s=COMMAND_LIMIT_S, pass_fds=(), env=()):
        """Runs it, expects its exit status, gives its stdout without the last newline."""
        words = self.words(tool, args)
        if isinstance(stdin, str):
            stdin = stdin.encode()
        # Not a pipe: conmon keeps stderr open for as long as the container lives.
        with open(BOX / "tmp/stdout", "w+b") as out, open(BOX / "tmp/stderr", "w+b") as err:
            process = subprocess.Popen(words, stdin=subprocess.PIPE if stdin is not None else None, stdout=out, stderr=err,
                                       env=self.env | dict(env), cwd=BOX / "shared", pass_fds=pass_fds, start_new_session=True)
            late = False
            try:
                process.communicate(stdin, limit_s)
            except subprocess.TimeoutExpired:
                late = True
                process.kill()
                process.wait()
            out.seek(0)
            err.seek(0)
            stdout, self.stderr = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
        wanted = rc if isinstance(rc, tuple) else (rc,)
        expect(None in wanted or process.returncode in wanted, f"{' '.join(words[len(self.prefix):])!r} gave "
               f"{'nothing in time' if late else process.returncode}, not {rc}\n{stdout}{self.stderr}")
        self.status = process.returncode
        return stdout.removesuffix("\n")

    def __call__(self, *args, **more):
        return self.tool("podman", *args, **more)

    def run(self, *args, **more):
        """podman run --rm, without a network: that is what takes the time."""
        return self("run", "--rm", "--network", "none", *args, **more)

    def sh(self, script, *options, **more):
        return self.run(*options, IMAGE, "sh", "-c", script, **more)

    def start(self, name, *args):
        """A container that runs until it is stopped; its words default to a sleep that TERM ends."""
        options, words = (args[:args.index("--")], args[args.index("--") + 1:]) if "--" in args else (args, ())
        self("run", "-d", "--name", name, "--network", "none", *options, IMAGE,
             *(words or ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")))
        return name

    def inspect(self, name, template):
        return self("inspect", "--type", "container", "-f", "{{" + template + "}}", name)

    def state(self, name):
        return self.inspect(name, ".State.Status")

    def ended(self, name):
        eventually(f"the end of {name}", lambda: self.state(name) == "exited")
        return int(self.inspect(name, ".State.ExitCode"))

    def terminal(self, *args, steps=(), size=(24, 80), tool="podman"):
        """The command on a terminal of its own; each step is a text to wait for, and what to type (or do) then. Gives exit
        status and all output."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        if not self.rootful:
            shutil.chown(os.ttyname(follower), USER)

        def control():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        process = subprocess.Popen(self.words(tool, args), stdin=follower, stdout=follower, stderr=follower, env=self.env,
                                   cwd=BOX / "shared", start_new_session=True, preexec_fn=control)
        os.close(follower)
        output, seen, steps, deadline = "", 0, list(steps), time.monotonic() + 30
        try:
            while True:
                if steps and (at := output.find(steps[0][0], seen)) >= 0:
                    seen = at + len(steps[0][0])
                    action = steps.pop(0)[1]
                    if callable(action):
                        action(leader, process)
                    else:
                        os.write(leader, action.encode())
                    continue
                left = deadline - time.monotonic()
                expect(left > 0, f"{args}: no {steps[0][0] if steps else 'end'!r} in {output!r}")
                if select.select([leader], [], [], min(left, 0.2))[0]:
                    try:
                        data = os.read(leader, 4096)
                    except OSError:
                        break
                    if not data:
                        break
                    output += data.decode("utf-8", "replace")
                elif process.poll() is not None:
                    break
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(leader)
        expect(not steps, f"{args}: ended before {steps[0][0] if steps else ''!r}: {output!r}")
        return process.returncode, output.replace("\r\n", "\n")

    def group(self, name, controller, file):
        """A file of the container's cgroup, read from outside; v1 or v2."""
        pid = self.inspect(name, ".State.Pid")
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(",") and not V2:
                return (Path("/sys/fs/cgroup") / names / path.lstrip("/") / file).read_text().strip()
            if V2 and not names:
                return (Path("/sys/fs/cgroup") / path.lstrip("/") / file).read_text().strip()
        raise Failed(f"{name} is in no group of {controller}")

    def clean(self):
        self("pod", "rm", "-af", "-t", "0")
        self("rm", "-af", "-t", "0")
        self("volume", "prune", "-f")
        self.tool("buildah", "rm", "-a")

    def left(self):
        """What the runtime keeps of containers that are gone."""
        found = []
        root = Path("/run" if self.rootful else BOX / "xdg") / self.runtime
        if self.runtime == "clawrun":
            found += self.tool(str(BOX / "bin/clawrun"), "list", "-q").split()
        elif root.is_dir():
            found += [entry.name for entry in root.iterdir() if re.fullmatch("[0-9a-f]{64}", entry.name)]
        for folder, _, _ in os.walk("/sys/fs/cgroup"):
            if re.search(r"/libpod-[0-9a-f]{64}$", folder):
                found.append(folder)
        return found


V2 = False
CASES = []


def case(title, modes=BOTH, reference="runc"):
    def keep(function):
        CASES.append((title, modes, reference, function))
        return function
    return keep


def shared(name, text=None):
    """A fresh folder (or file) that containers of any user can be given."""
    path = BOX / "shared" / name
    shutil.rmtree(path, ignore_errors=True)
    if text is None:
        path.mkdir()
        path.chmod(0o777)
    else:
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    return path


def unpack(name):
    """The image as a folder."""
    folder = shared(name)
    subprocess.run(["tar", "-xf", BOX / "image.tar", "-C", folder], check=True)
    folder.chmod(0o755)
    return folder


def status_of(text, field):
    return re.search(rf"^{field}:\s*(\S*)", text, re.MULTILINE)[1]


# --------------------------------------------------------------------------------------------------------------- the cases

@case("run: output, environment, directory, hostname, arguments")
def _(p):
    out = p.sh('echo "$A|$PATH|$(pwd)|$(hostname)|$0|$1"; echo err >&2', "-e", "A=b c", "-w", "/tmp", "--hostname", "there")
    equal(out, "b c|/bin|/tmp|there|sh|")
    equal(p.stderr, "err\n")
    equal(p.run(IMAGE, "echo", "a b", "", "'c"), "a b  'c")
    equal(p.run("-i", IMAGE, "cat", stdin="x" * 200000), "x" * 200000)


@case("exit statuses 0, 3, 125, 126, 127, 137")
def _(p):
    p.sh("exit 0")
    p.sh("exit 3", rc=3)
    p.run("--no-such-option", IMAGE, "true", rc=125)
    p.run(IMAGE, "/etc", rc=126)
    p.run(IMAGE, "/etc/passwd", rc=126)
    matches("permission denied", p.stderr)
    p.run(IMAGE, "no-such-command", rc=127)
    matches("executable file not found in", p.stderr)
    p.run(IMAGE, "/no/such/command", rc=127)
    matches("no such file or directory", p.stderr)
    p.start("c", "--", "sleep", "100")
    p("kill", "c")
    equal(p.ended("c"), 137)
    equal(p("wait", "c"), "137")


@case("run -it: a terminal of its own, its size, its exit status")
def _(p):
    code, out = p.terminal("run", "--rm", "-it", "--network", "none", IMAGE, "sh",
                           steps=[("# ", "tty; stty size; echo a$((1+1))b\n"), ("a2b", "test -t 0 && test -t 2 && exit 5\n")],
                           size=(33, 99))
    equal(code, 5)
    matches("^/dev/pts/0$", out)
    matches("^33 99$", out)
    code, out = p.terminal("run", "--rm", "-it", "--network", "none", "-u", "1000", IMAGE, "sh", "-c",
                           "ls -ln /dev/console /proc/self/fd/0 | wc -l; echo to >/dev/tty; stat -c %u $(tty)")
    equal(code, 0, out)
    matches("^to$", out)
    matches("^1000$", out)


@case("run -it: a resized terminal, Ctrl-C")
def _(p):
    def grow(leader, process):
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        process.send_signal(signal.SIGWINCH)
    code, out = p.terminal("run", "--rm", "-it", "--network", "none", IMAGE, "sh", "-c",
                           "trap 'exit 9' INT; echo ready; until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo big;"
                           "while :; do sleep 0.1; done", steps=[("ready", grow), ("big", "\x03")])
    equal(code, 9, out)


@case("run -t without -i, -i without -t, attach, start -ai")
def _(p):
    equal(p.run("-t", IMAGE, "tty"), "/dev/pts/0\r")
    equal(p.run("-i", IMAGE, "sh", "-c", "cat; tty; exit 4", stdin="in\n", rc=4), "in\nnot a tty")
    p("create", "-i", "--name", "c", "--network", "none", IMAGE, "sh", "-c", "read a; echo got $a; exit 6")
    equal(p("start", "-ai", "c", stdin="x\n", rc=6), "got x")
    equal(p("start", "-ai", "c", stdin="y\n", rc=6), "got y")
    p.start("d", "-i", "--", "sh", "-c", "read a; echo got $a; exit 8")
    equal(p("attach", "d", stdin="z\n", rc=(0, 8)).strip(), "got z")  # 0: it had ended before Podman asked
    equal(p.ended("d"), 8)


@case("exec: exit statuses, directory, environment, user, stdin")
def _(p):
    p.start("c", "-e", "FROM=run", "-u", "1000:1000")
    p("exec", "c", "true")
    p("exec", "c", "sh", "-c", "exit 3", rc=3)
    p("exec", "c", "/etc", rc=126)
    p("exec", "c", "no-such-command", rc=127)
    p("exec", "-w", "/no/such", "c", "true", rc=(126, 127))
    p("exec", "c", "sh", "-c", "kill -9 $$", rc=137)
    equal(p("exec", "-w", "/tmp", "-e", "B=2", "c", "sh", "-c", "pwd; echo $FROM$B; id -u; id -g"), "/tmp\nrun2\n1000\n1000")
    equal(p("exec", "-u", "0", "c", "id", "-u"), "0")
    equal(p("exec", "-u", "user:4000", "c", "sh", "-c", "id -u; id -g"), "1000\n4000")
    equal(p("exec", "-i", "c", "cat", stdin="y" * 100000), "y" * 100000)
    p("exec", "-d", "c", "touch", "/tmp/detached")
    eventually("the detached exec", lambda: p("exec", "c", "ls", "/tmp") == "detached")
    p("exec", "gone", "true", rc=125)
    p("stop", "-t", "5", "c")
    p("exec", "c", "true", rc=(125, 255))


@case("exec -it: a terminal, its size, resized, its exit status")
def _(p):
    def grow(leader, process):
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
        process.send_signal(signal.SIGWINCH)
    p.start("c")
    # The first size comes after the start, as a change.
    wait = "until [ \"$(stty size 2>/dev/null)\" = '%s' ]; do sleep 0.05; done; echo %s;"
    code, out = p.terminal("exec", "-it", "c", "sh", "-c", "tty;" + wait % ("33 99", "small") + wait % ("50 140", "big") +
                           "read a; echo got $a; exit 7", size=(33, 99), steps=[("small", grow), ("big", "word\n")])
    equal(code, 7, out)
    matches("^/dev/pts/0$", out)
    matches("^got word$", out)


@case("exec: the container's confinement, --privileged")
def _(p):
    p.start("c", "--cap-drop", "all", "--cap-add", "KILL", "--security-opt", "no-new-privileges")
    inner = p("exec", "c", "cat", "/proc/self/status")
    equal(status_of(inner, "CapEff"), "0000000000000020")
    equal(status_of(inner, "CapBnd"), "0000000000000020")
    equal(status_of(inner, "NoNewPrivs"), "1")
    equal(status_of(inner, "Seccomp"), "2")
    return "\n".join(p("exec", *options, "c", "grep", "-E", "^(Cap|NoNew|Seccomp:)", "/proc/self/status")
                     for options in ((), ("-u", "1000"), ("--privileged",), ("--privileged", "-u", "1000"), ("-t",)))


@case("--preserve-fds for run and exec")
def _(p):
    read, write = os.pipe()
    os.write(write, b"through\nthe\n")
    os.close(write)
    # Podman counts them from 3.
    os.dup2(read, 3)
    equal(p.run("--preserve-fds", "1", IMAGE, "sh", "-c", "read a <&3; echo $a", pass_fds=(3,)), "through")
    os.close(3)
    read, write = os.pipe()
    os.write(write, b"again\n")
    os.close(write)
    os.dup2(read, 3)
    p.start("c")
    equal(p("exec", "--preserve-fds", "1", "c", "sh", "-c", "read a <&3; echo $a", pass_fds=(3,)), "again")
    os.close(3)
    out = p.run(IMAGE, "ls", "/proc/self/fd")
    equal(sorted(out.split()), ["0", "1", "2", "3"], "descriptors without it")


@case("top, ps, stats")
def _(p):
    p.start("c", "--", "sleep", "1000")
    matches(r"\bsleep 1000", p("top", "c"))
    matches(r"^1\s+\S*\s*sleep", p("top", "c", "pid", "hpid", "comm"))
    matches(r"^Up ", p("ps", "--format", "{{.Status}}"))
    if p.rootful:
        stats = json.loads(p("stats", "--no-stream", "--format", "json", "c"))
        equal(stats[0]["pids"], "1")
        matches(r"^\d", stats[0]["mem_usage"])


@case("pause, unpause", ROOTFUL)
def _(p):
    path = shared("paused")
    count = path / "count"
    p.start("c", "-v", f"{path}:/v", "--", "sh", "-c", "while :; do echo >> /v/count; sleep 0.02; done")
    eventually("the first count", count.exists)
    p("pause", "c")
    equal(p.state("c"), "paused")
    size = count.stat().st_size
    time.sleep(0.3)
    equal(count.stat().st_size, size, "what a paused container wrote")
    p("exec", "c", "true", rc=(125, 255))
    p("pause", "c", rc=125)
    p("unpause", "c")
    equal(p.state("c"), "running")
    eventually("the next count", lambda: count.stat().st_size > size)
    p("exec", "c", "true")
    p("unpause", "c", rc=125)
    # What is paused can be ended.
    p("pause", "c")
    p("rm", "-f", "-t", "0", "c")


@case("update", ROOTFUL)
def _(p):
    p.start("c", "-m", "64m")
    memory, pids = ("memory.max", "pids.max") if V2 else ("memory.limit_in_bytes", "pids.max")
    equal(p.group("c", "memory", memory), str(64 << 20))
    p("update", "-m", "96m", "--memory-swap", "200m", "c")
    equal(p.group("c", "memory", memory), str(96 << 20))
    p("update", "--cpus", "0.5", "c")
    if V2:
        equal(p.group("c", "cpu", "cpu.max"), "50000 100000")
    else:
        equal(p.group("c", "cpu", "cpu.cfs_quota_us"), "50000")
    equal(p.group("c", "memory", memory), str(96 << 20), "memory after the update of cpu")
    p("update", "--cpuset-cpus", "0", "c")
    equal(p.group("c", "cpuset", "cpuset.cpus"), "0")
    p("update", "--pids-limit", "77", "c", rc=None)
    if p.status == 0:
        equal(p.group("c", "pids", pids), "77")


@case("restart, restart policies")
def _(p):
    p.start("c")
    before = p.inspect("c", ".State.Pid")
    p("restart", "-t", "5", "c")
    equal(p.state("c"), "running")
    expect(p.inspect("c", ".State.Pid") != before, "restarted, and the same pid")
    p("exec", "c", "true")
    p("run", "-d", "--name", "d", "--network", "none", "--restart", "on-failure:2", IMAGE, "sh", "-c", "exit 2")
    eventually("two restarts", lambda: p.inspect("d", ".RestartCount") == "2")
    equal(p.ended("d"), 2)


@case("stop and kill: signals, the time to stop, --stop-signal")
def _(p):
    p.start("a", "--", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    p("stop", "-t", "10", "a")
    equal(p.ended("a"), 7)
    p.start("b", "--", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    p("stop", "-t", "1", "b")
    equal(p.ended("b"), 137)
    p.start("c", "--", "sh", "-c", "trap 'exit 11' USR1; while :; do sleep 0.05; done")
    for name in ("USR2", "SIGUSR1"):  # the first is ignored: pid 1 without a handler
        p("kill", "-s", name, "c")
    equal(p.ended("c"), 11)
    p.start("d", "--stop-signal", "QUIT", "--", "sh", "-c", "trap 'exit 12' QUIT; while :; do sleep 0.05; done")
    p("stop", "d")
    equal(p.ended("d"), 12)
    p("kill", "d", rc=125)
    p("stop", "d")
    p.start("e", "--", "sh", "-c", "trap 'exit 13' 40; while :; do sleep 0.05; done")
    p("kill", "-s", "40", "e")
    equal(p.ended("e"), 13)


@case("limits: memory, cpu, pids, cpuset, oom score, ulimits", ROOTFUL)
def _(p):
    p.start("c", "-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "50",
            "--cpuset-cpus", "0", "--oom-score-adj", "500")
    if V2:
        equal(p.group("c", "memory", "memory.max"), str(64 << 20))
        equal(p.group("c", "memory", "memory.low"), str(32 << 20))
        equal(p.group("c", "cpu", "cpu.max"), "50000 100000")
    else:
        equal(p.group("c", "memory", "memory.limit_in_bytes"), str(64 << 20))
        equal(p.group("c", "memory", "memory.soft_limit_in_bytes"), str(32 << 20))
        equal(p.group("c", "cpu", "cpu.cfs_quota_us"), "50000")
        equal(p.group("c", "cpu", "cpu.shares"), "512")
    equal(p.group("c", "pids", "pids.max"), "50")
    equal(p.group("c", "cpuset", "cpuset.cpus"), "0")
    equal(p("exec", "c", "cat", "/proc/self/oom_score_adj"), "500")
    p.sh("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done", "--pids-limit", "4", rc=2)
    matches("can't fork", p.stderr)


@case("ulimits")
def _(p):
    nproc = ("--ulimit", "nproc=20000:20000")
    equal(p.sh("ulimit -n; ulimit -Hn; ulimit -c; ulimit -s", "--ulimit", "nofile=100:200", "--ulimit", "core=0:0",
               "--ulimit", "stack=4194304:8388608", *nproc), "100\n200\n0\n4096")
    p.sh("true", "--ulimit", "nofile=300:200", *nproc, rc=(125, 126))


@case("a container over its memory is killed", ROOTFUL)
def _(p):
    p.run("-m", "16m", "--memory-swap", "16m", IMAGE, "tail", "/dev/zero", rc=137)
    p.sh("tail /dev/zero; echo still $?", "-m", "16m", "--memory-swap", "16m", rc=None)


@case("--read-only, --tmpfs, --shm-size, --read-only-tmpfs=false")
def _(p):
    out = p.sh("touch /file; touch /tmp/file /run/file && echo tmp; touch /dev/shm/file && echo shm", "--read-only")
    equal(out, "tmp\nshm")
    matches("/file: Read-only file system", p.stderr)
    equal(p.sh("touch /tmp/a 2>/dev/null; echo $?", "--read-only", "--read-only-tmpfs=false"), "1")
    out = p.sh("mount | grep -E ' /(t|dev/shm) '; stat -c %a /t", "--tmpfs", "/t:size=4m,mode=711,noexec", "--shm-size", "8m")
    matches(r"^tmpfs on /t type tmpfs \(.*noexec.*size=4096k,mode=711", out)
    matches(r"on /dev/shm type tmpfs \(.*size=8192k", out)
    matches("^711$", out)
    equal(p.sh("cat /etc/passwd | wc -l; cat /etc/copied", "--tmpfs", "/etc", rc=None).split("\n")[0], p.sh("wc -l < /etc/passwd"))


@case("capabilities")
def _(p):
    def caps(*options):
        return p.run(*options, IMAGE, "grep", "Cap", "/proc/self/status")
    none = caps("--cap-drop", "all")
    equal([status_of(none, f"Cap{kind}") for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")], ["0" * 16] * 5)
    equal(status_of(caps("--cap-drop", "all", "--cap-add", "NET_RAW,KILL"), "CapEff"), "0000000000002020")
    user = caps("-u", "1000")
    equal(status_of(user, "CapEff"), "0" * 16)
    expect(status_of(user, "CapBnd") != "0" * 16)
    user = caps("-u", "1000", "--cap-add", "NET_RAW")
    equal(status_of(user, "CapEff"), "0000000000002000")
    equal(status_of(user, "CapAmb"), "0000000000002000")
    return "\n".join(caps(*options) for options in ((), ("--cap-add", "all"), ("--privileged",), ("-u", "1000", "--privileged")))


@case("seccomp: the default, unconfined, profiles of one's own")
def _(p):
    equal(p.run(IMAGE, "grep", "Seccomp:", "/proc/self/status").split(), ["Seccomp:", "2"])
    equal(p.run("--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status").split(), ["Seccomp:", "0"])
    # What the default profile refuses whatever the capabilities.
    p.sh("mount -t tmpfs none /tmp", rc=1)
    p.sh("unshare -m true", rc=1)

    def profile(name, **rule):
        return shared(name, json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                        "syscalls": [{"names": ["mkdir", "mkdirat"], **rule}]}))
    p.sh("mkdir /x", "--security-opt", f"seccomp={profile('eperm.json', action='SCMP_ACT_ERRNO')}", rc=1)
    matches("Operation not permitted", p.stderr)
    p.sh("mkdir /x", "--security-opt", f"seccomp={profile('errno.json', action='SCMP_ACT_ERRNO', errnoRet=28)}", rc=1)
    matches("No space left", p.stderr)
    p.sh("mkdir /x; exit $?", "--security-opt", f"seccomp={profile('kill.json', action='SCMP_ACT_KILL_PROCESS')}", rc=159)
    # An argument: mode 0700 alone is refused.
    rule = {"action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 0o700, "op": "SCMP_CMP_EQ"}]}
    shared("args.json", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], **rule}]}))
    equal(p.sh("mkdir -m 755 /x; echo $?; umask 077; mkdir /y 2>/dev/null; echo $?; ls -d /x", "--security-opt",
               f"seccomp={BOX}/shared/args.json").split("\n")[-1], "/x")
    p.sh("true", "--security-opt", "seccomp=/no/such/file", rc=(125, 126))


@case("no-new-privileges, mask, unmask, proc-opts")
def _(p):
    status = p.run("--security-opt", "no-new-privileges", IMAGE, "cat", "/proc/self/status")
    equal(status_of(status, "NoNewPrivs"), "1")
    equal(p.sh("cat /proc/meminfo | wc -c; ls /etc | wc -l; wc -c < /proc/keys", "--security-opt", "mask=/proc/meminfo:/etc"), "0\n0\n0")
    p.sh("echo x > /proc/sys/kernel/hostname", rc=1)
    p.sh("echo 1 > /proc/sysrq-trigger", rc=1)
    equal(p.sh("grep -c ' /proc/keys ' /proc/mounts", "--security-opt", "unmask=/proc/keys", rc=1), "0")
    if p.rootful:
        matches("hidepid", p.sh("grep ' /proc ' /proc/mounts", "--security-opt", "proc-opts=hidepid=2"))


@case("user: numbers, names, additional groups, umask")
def _(p):
    equal(p.sh("id -u; id -g; umask", "-u", "1000:2000"), "1000\n2000\n0022")
    equal(p.sh("id -un; id -gn", "-u", "user"), "user\nuser")
    equal(p.sh("id -u; id -G", "-u", "user", "--group-add", "3000,3001"), "1000\n1000 3000 3001")
    equal(p.sh("umask", "--umask", "0077"), "0077")
    p.sh("true", "-u", "no-such-user", rc=(125, 126))
    equal(p.sh("touch /tmp/f; stat -c %u:%g /tmp/f; echo $HOME", "-u", "1000"), "1000:1000\n/tmp")


@case("volumes: read-write, read-only, named, tmpfs, from another, a file, propagation")
def _(p):
    path = shared("volume")
    (path / "in").write_text("from outside\n")
    equal(p.sh("cat /v/in; echo back > /v/out; grep ' /v ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", "-v", f"{path}:/v"), "from outside\nrw")
    equal((path / "out").read_text(), "back\n")
    p.sh("echo > /v/no", "-v", f"{path}:/v:ro", rc=1)
    matches("Read-only file system", p.stderr)
    options = p.sh("grep ' /v ' /proc/mounts", "-v", f"{path}:/v:noexec,nosuid,nodev")
    matches("noexec", options)
    p("volume", "create", "named")
    p.sh("echo kept > /n/file", "-v", "named:/n")
    equal(p.sh("cat /n/file", "-v", "named:/n:ro"), "kept")
    # A new named volume starts as what the image has there.
    equal(p.sh("ls /etc/copied", "-v", "copy:/etc"), "/etc/copied")
    p.start("c", "-v", f"{path}:/v", "-v", "/anonymous")
    equal(p.sh("cat /v/in; test -d /anonymous", "--volumes-from", "c"), "from outside")
    equal(p.sh("cat /a/b/c/file", "-v", f"{path}/in:/a/b/c/file:ro"), "from outside")
    equal(p.sh("wc -l < /proc/self/mountinfo > /dev/null; grep -c ' /m ' /proc/mounts", "--mount",
               "type=tmpfs,destination=/m,tmpfs-size=1m"), "1")
    equal(p.sh("cat /i/etc/copied", "--mount", f"type=image,source={IMAGE},destination=/i"), "copied")
    for word, wanted in (("rslave", "master:"), ("rshared", "shared:"), ("rprivate", "")):
        line = p.sh("grep ' /v ' /proc/self/mountinfo", "-v", f"{path}:/v:{word}")
        expect((wanted in line) if wanted else not re.search("master:|shared:", line), word, line)


@case("what is mounted outside later appears in an rslave volume", ROOTFUL)
def _(p):
    path = shared("slave")
    (path / "m").mkdir()
    p.start("c", "-v", f"{path}:/v:rslave")
    mount("tmpfs", path / "m", "tmpfs")
    try:
        (path / "m/late").write_text("late")
        equal(p("exec", "c", "cat", "/v/m/late"), "late")
        p.sh("touch /v/m/x", "-v", f"{path}:/v:ro,rslave", rc=None)
    finally:
        subprocess.run(["umount", path / "m"], check=True)
    equal(p("exec", "c", "ls", "/v/m"), "")


@case("id-mapped and chowned volumes", ROOTFUL, reference="crun")
def _(p):
    path = shared("mapped")
    (path / "file").write_text("x")
    shutil.chown(path / "file", 0, 0)
    equal(p.sh("stat -c %u /v/file", "--uidmap", "0:100000:65536", "-v", f"{path}:/v:idmap"), "0")
    p.sh("touch /v/new", "--uidmap", "0:100000:65536", "-v", f"{path}:/v:idmap")
    equal((path / "new").stat().st_uid, 0)
    equal(p.sh("stat -c %u /v/file", "-u", "1000", "-v", f"{path}:/v:U"), "1000")


@case("--init: a reaper as pid 1")
def _(p):
    out = p.sh("(sleep 0.1 &) ; sleep 0.4; grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null; cat /proc/1/comm; exit 3", "--init", rc=3)
    matches("catatonit|podman-init|tini", out)
    expect("/status" not in out, "zombies:", out)
    p.start("c", "--init", "--", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    p("stop", "c")
    equal(p.ended("c"), 9)


def fetch(address, port):
    with socket.create_connection((address, port), 5) as connection:
        connection.settimeout(5)
        data = b""
        while chunk := connection.recv(4096):
            data += chunk
    return data.decode().strip()


@case("network: bridge and a published port")
def _(p):
    if not p.rootful and not os.access("/dev/net/tun", os.F_OK):
        raise Skip("no /dev/net/tun")
    network = ("--network", "bridge") if p.rootful else ("--network", "slirp4netns")
    p("run", "-d", "--name", "c", *network, "-p", "18080:80", IMAGE, "sh", "-c", "while :; do echo served | nc -l -p 80; done")

    def answer():
        with contextlib.suppress(OSError):
            return fetch("127.0.0.1", 18080)
        return None
    equal(eventually("an answer of the published port", answer), "served")
    matches("18080", p("port", "c"))
    out = p("exec", "c", "ip", "-o", "addr")
    matches(r"^\d+: (eth0|tap0)\s+inet ", out)
    matches(r"127.0.0.1/8", out)


@case("network: none, host, that of another container, of a path")
def _(p):
    equal(p.sh("ls /sys/class/net || true; ip -o link | wc -l").split("\n")[-1], "1")
    here = os.readlink("/proc/self/ns/net")
    equal(p("run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net"), here)
    p.start("c")
    inner = p("exec", "c", "readlink", "/proc/self/ns/net")
    expect(inner != here)
    equal(p("run", "--rm", "--network", "container:c", IMAGE, "readlink", "/proc/self/ns/net"), inner)
    if p.rootful:
        pid = p.inspect("c", ".State.Pid")
        equal(p("run", "--rm", "--network", f"ns:/proc/{pid}/ns/net", IMAGE, "readlink", "/proc/self/ns/net"), inner)


@case("a network of one's own: names, hosts", ROOTFUL)
def _(p):
    p("network", "create", "--disable-dns", "--subnet", "10.77.0.0/24", "net1")
    try:
        p("run", "-d", "--name", "c", "--network", "net1", "--ip", "10.77.0.9", IMAGE, "sh", "-c",
          "while :; do echo reached | nc -l -p 90; done")
        out = p("run", "--rm", "--network", "net1", "--add-host", "extra:10.1.2.3", IMAGE, "sh", "-c",
                "echo | nc -w 5 10.77.0.9 90; grep extra /etc/hosts")
        matches("^reached$", out)
        matches(r"10\.1\.2\.3\s+extra", out)
        p("rm", "-f", "-t", "0", "c")
    finally:
        p("network", "rm", "-f", "net1")


@case("namespaces: pid, ipc, uts of the host and of another container")
def _(p):
    p.start("c", "--hostname", "other", "--ipc", "shareable")
    for kind in ("pid", "ipc", "uts"):
        link = f"/proc/self/ns/{kind}"
        other = p("exec", "c", "readlink", link)
        expect(other != os.readlink(link), kind)
        equal(p.run(f"--{kind}", "container:c", IMAGE, "readlink", link), other)
        if kind != "ipc":  # Podman wants the host's /dev/mqueue
            equal(p.run(f"--{kind}", "host", IMAGE, "readlink", link), os.readlink(link))
    p.start("d", "--pid", "host")
    p("stop", "-t", "0", "d")
    equal(p.run("--pid", "private", IMAGE, "sh", "-c", "echo $$"), "1")


@case("cgroup namespaces and parents", ROOTFUL)
def _(p):
    host, own = os.readlink("/proc/self/ns/cgroup"), "/proc/self/ns/cgroup"
    equal(p.run("--cgroupns", "host", IMAGE, "readlink", own), host)
    expect(p.run("--cgroupns", "private", IMAGE, "readlink", own) != host)
    out = p.run("--cgroupns", "private", IMAGE, "cat", "/proc/self/cgroup")
    equal({line.split(":", 2)[2] for line in out.split("\n")}, {"/"})
    p.start("c", "--cgroup-parent", "/parent")
    matches(r":/parent/libpod-[0-9a-f]{64}", Path(f"/proc/{p.inspect('c', '.State.Pid')}/cgroup").read_text())
    p.sh("true", "--cgroups", "no-conmon")


@case("--cgroups=disabled", reference="crun")
def _(p):
    p.start("c", "--cgroups", "disabled")
    pid = p.inspect("c", ".State.Pid")
    expect("libpod-" not in Path(f"/proc/{pid}/cgroup").read_text())
    p("exec", "c", "true")
    p("stop", "-t", "5", "c")


@case("sysctls, devices, device rules")
def _(p):
    equal(p.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax", "--sysctl",
               "net.ipv4.ip_unprivileged_port_start=99", "--sysctl", "kernel.msgmax=9999"), "99\n9999")
    p.sh("true", "--sysctl", "kernel.core_pattern=x", rc=(125, 126))
    equal(p.sh("stat -c %t:%T /dev/here", "--device", "/dev/null:/dev/here"), "1:3")
    if p.rootful:
        p.sh("mknod /d b 7 0 && head -c 1 /d", "--cap-add", "MKNOD", rc=1)
        matches("Operation not permitted", p.stderr)
        p.sh("mknod /n c 1 3 && echo > /n", "--cap-add", "MKNOD")
        if os.path.exists("/dev/fuse"):
            p.sh("mknod /f c 10 229 && exec 3<> /f", "--cap-add", "MKNOD", rc=(1, 2))
            p.sh("mknod /f c 10 229 && exec 3<> /f", "--cap-add", "MKNOD", "--device-cgroup-rule", "c 10:229 rwm")
            p.sh("exec 3< /dev/here", "--device", "/dev/fuse:/dev/here:r")
            p.sh("exec 3<> /dev/here", "--device", "/dev/fuse:/dev/here:r", rc=(1, 2))


@case("healthcheck run")
def _(p):
    p.start("good", "--health-cmd", "test -f /tmp/well", "--health-interval", "disable")
    p("healthcheck", "run", "good", rc=1)
    p("exec", "good", "touch", "/tmp/well")
    p("healthcheck", "run", "good")
    equal(p.inspect("good", ".State.Health.Status"), "healthy")


@case("pods: shared namespaces, one life")
def _(p):
    p("pod", "create", "--name", "pod", "--network", "none", "--hostname", "podhost")
    p("run", "-d", "--name", "a", "--pod", "pod", "--stop-timeout", "1", IMAGE, "sh", "-c", "while :; do echo from-a | nc -l -p 9000; done")
    equal(eventually("the neighbour", lambda: p("run", "--rm", "--pod", "pod", IMAGE, "sh", "-c", "nc 127.0.0.1 9000 </dev/null",
                                                rc=None)), "from-a")
    equal(p("run", "--rm", "--pod", "pod", IMAGE, "hostname"), "podhost")
    ids = [p("exec", "a", "readlink", f"/proc/self/ns/{kind}") for kind in ("net", "ipc", "uts")]
    equal([p("run", "--rm", "--pod", "pod", IMAGE, "readlink", f"/proc/self/ns/{kind}") for kind in ("net", "ipc", "uts")], ids)
    if p.rootful:
        p("pod", "pause", "pod")
        equal(p.state("a"), "paused")
        p("pod", "unpause", "pod")
    p("pod", "top", "pod")
    p("pod", "stop", "-t", "0", "pod")
    equal(p.state("a"), "exited")
    p("pod", "start", "pod")
    equal(p.state("a"), "running")
    p("pod", "restart", "pod")
    p("pod", "kill", "pod")
    p("pod", "rm", "-f", "-t", "0", "pod")


@case("pods: one pid namespace, init containers, limits of the pod")
def _(p):
    p("pod", "create", "--name", "pod", "--network", "none", "--share", "+pid")
    path = shared("init")
    p("create", "--pod", "pod", "--init-ctr", "once", "-v", f"{path}:/d", IMAGE, "sh", "-c", "echo done > /d/init")
    p("create", "--pod", "pod", "--name", "a", "-v", f"{path}:/d", IMAGE, "sh", "-c", "cat /d/init; sleep 100")
    p("pod", "start", "pod")
    equal(eventually("the log", lambda: p("logs", "a")), "done")
    p("run", "-d", "--pod", "pod", "--name", "b", IMAGE, "sleep", "101")
    out = p("exec", "a", "ps")
    matches("sleep 101", out)
    matches("catatonit|pause", out)
    p("stop", "-t", "0", "b")
    p("pod", "rm", "-f", "-t", "0", "pod")


KUBE = """
apiVersion: v1
kind: Pod
metadata:
  name: kube
spec:
  restartPolicy: Never
  hostname: kubehost
  volumes:
  - {name: data, hostPath: {path: SHARED, type: Directory}}
  initContainers:
  - name: first
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "echo initialised > /data/init"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: main
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "cat /data/init; id -u; id -g; hostname; echo $GREETING; touch /x || echo read-only; grep -E 'CapEff|NoNewPrivs' /proc/self/status; sleep 100"]
    env: [{name: GREETING, value: hello}]
    volumeMounts: [{name: data, mountPath: /data}]
    LIMITS
    securityContext:
      runAsUser: 1000
      runAsGroup: 2000
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
  - name: second
    image: IMAGE
    imagePullPolicy: Never
    command: [sleep, "100"]
    securityContext: {privileged: true}
"""


@case("play kube: init containers, limits, securityContext; down")
def _(p):
    path = shared("kube")
    limits = 'resources: {limits: {memory: 64Mi, cpu: 500m}}' if p.rootful else ""
    file = shared("kube.yaml", KUBE.replace("SHARED", str(path)).replace("IMAGE", IMAGE).replace("LIMITS", limits))
    p("play", "kube", "--network", "none", file)
    wanted = ["initialised", "1000", "2000", "kubehost", "hello", "read-only", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"]
    out = eventually("the log", lambda: (lambda text: text if "NoNewPrivs" in text else "")(p("logs", "kube-main")))
    for line in wanted:
        expect(line in out.split("\n"), line, "is not in", out)
    if p.rootful:
        equal(p.group("kube-main", "memory", "memory.max" if V2 else "memory.limit_in_bytes"), str(64 << 20))
    equal(p("exec", "kube-second", "sh", "-c", "mount -t tmpfs none /tmp && echo privileged"), "privileged")
    p("play", "kube", "--down", file)
    equal(p("pod", "ps", "-q"), "")


@case("--userns=auto, --uidmap", ROOTFUL)
def _(p):
    out = p.sh("cat /proc/self/uid_map; id -u; touch /f; stat -c %u /f", "--userns", "auto")
    inside_id, outside_id, count = out.split("\n")[0].split()
    equal(inside_id, "0")
    expect(int(outside_id) >= 2000000 and int(count) >= 1024, out)
    equal(out.split("\n")[1:], ["0", "0"])
    equal(p.sh("cat /proc/self/uid_map | tr -s ' '; id -u; id -g", "--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000", "-u",
               "77:88").strip(), "0 100000 5000\n77\n88")
    p.start("c", "--userns", "auto:size=2000")
    out = p("exec", "-u", "1000", "c", "sh", "-c", "id -u; echo x > /dev/null && cat /proc/1/uid_map")
    matches(r"^1000$", out)
    matches(r"\s2000$", out)
    p.terminal("exec", "-it", "c", "tty")
    code, out = p.terminal("run", "--rm", "-it", "--network", "none", "--userns", "auto", IMAGE, "sh", "-c", "tty; stat -c %u $(tty)")
    equal((code, out), (0, "/dev/pts/0\n0\n"))
    matches(r"eth0\s+inet ", p("run", "--rm", "--userns", "auto", IMAGE, "ip", "-o", "addr"))


@case("--userns=keep-id, host", ROOTLESS)
def _(p):
    uid = pwd.getpwnam(USER).pw_uid
    path = shared("mine")
    equal(p.sh("id -u; id -un; touch /v/file", "--userns", "keep-id", "-v", f"{path}:/v"), f"{uid}\n{USER}")
    equal((path / "file").stat().st_uid, uid)
    equal(p.sh("id -u", "--userns", "host"), "0")
    equal(p.sh("id -u", "--userns", "keep-id", "-u", "0"), "0")
    p.sh("true", "--userns", "nomap", rc=(0, 125, 126))


@case("secrets: as a file with an owner, as a variable")
def _(p):
    p("secret", "create", "word", "-", stdin="hidden")
    try:
        equal(p.sh("cat /run/secrets/word", "--secret", "word"), "hidden")
        equal(p.sh("cat /run/secrets/other; stat -c %u:%g:%a /run/secrets/other", "--secret",
                   "word,target=other,uid=1000,gid=2000,mode=0400"), "hidden1000:2000:400")
        equal(p.sh("echo $WORD", "--secret", "word,type=env,target=WORD"), "hidden")
    finally:
        p("secret", "rm", "word")


@case("generate kube and play it, generate systemd, generate spec")
def _(p):
    p("run", "-d", "--name", "c", "--network", "none", "-e", "A=1", "--cap-drop", "NET_RAW", IMAGE, "sh", "-c", "echo $A; sleep 100")
    made = p("generate", "kube", "c")
    matches("kind: Pod", made)
    unit = p("generate", "systemd", "--new", "c")
    matches(r"--runtime " + p.runtime + r" run ", unit)
    p("generate", "spec", "c", rc=None)  # newer Podmans
    p("rm", "-f", "-t", "0", "c")
    p("play", "kube", "--network", "none", "-", stdin=made.replace("image: ", "imagePullPolicy: Never\n    image: "))
    name = p("ps", "--format", "{{.Names}}", "--filter", "name=c$").split("\n")[0]
    equal(eventually("the log", lambda: p("logs", name)), "1")


@case("--rootfs, and with an overlay over it")
def _(p):
    folder = unpack("rootfs")
    if not p.rootful:
        subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    equal(p.run("--rootfs", folder, "/bin/sh", "-c", "echo in; echo kept > /kept"), "in")
    equal((folder / "kept").read_text(), "kept\n")
    if p.rootful:
        equal(p.run("--rootfs", f"{folder}:O", "/bin/sh", "-c", "cat /kept; rm /kept"), "kept")
        equal((folder / "kept").read_text(), "kept\n")
    p.run("--read-only", "--rootfs", folder, "/bin/sh", "-c", "touch /x", rc=1)


@case("--systemd=always: its mounts and its stop signal")
def _(p):
    out = p.sh("grep -E ' /(run|run/lock|tmp|sys/fs/cgroup/systemd) ' /proc/mounts | cut -d' ' -f2,3 | sort; echo $container",
               "--systemd", "always")
    matches("^/run tmpfs", out)
    matches("^/run/lock tmpfs", out)
    matches("^podman$", out)
    p.start("c", "--systemd", "always", "--", "sh", "-c", "trap 'exit 5' 37; while :; do sleep 0.05; done")
    p("stop", "c")
    equal(p.ended("c"), 5)
    return "\n".join(sorted(set(out.split("\n"))))  # some mount the hierarchy twice


@case("logs: both streams, follow, tail, times")
def _(p):
    p("run", "-d", "--name", "c", "--network", "none", IMAGE, "sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; sleep 0.2; done")
    equal(p("logs", "-f", "c"), "out1\nout2\nout3")
    equal(p.stderr, "err1\nerr2\nerr3\n")
    equal(p("logs", "--tail", "2", "c"), "out3")
    matches(r"^\d{4}-.*out1", p("logs", "-t", "c"))


@case("cp into and out of containers, running and not")
def _(p):
    file = shared("copied-in", "payload")
    p.start("c")
    p("cp", file, "c:/tmp/in")
    equal(p("exec", "c", "cat", "/tmp/in"), "payload")
    p("cp", "c:/etc/copied", BOX / "shared/copied-out")
    equal((BOX / "shared/copied-out").read_text(), "copied\n")
    p("stop", "-t", "5", "c")
    p("cp", file, "c:/late")
    p("start", "c")
    equal(p("exec", "c", "cat", "/late"), "payload")
    (BOX / "shared/copied-out").unlink()


@case("inspect: what a container is at each step")
def _(p):
    p("create", "--name", "c", "--network", "none", IMAGE, "sleep", "100")
    equal(p.state("c"), "created")
    p("init", "c")
    equal(p.state("c"), "initialized")
    expect(int(p.inspect("c", ".State.Pid")) > 0)
    p("start", "c")
    equal(p.inspect("c", ".State.Running"), "true")
    equal(p.inspect("c", ".OCIRuntime"), p.runtime)
    pid = int(p.inspect("c", ".State.Pid"))
    equal(Path(f"/proc/{pid}/cmdline").read_bytes(), b"sleep\x00100\x00")
    p("kill", "-s", "KILL", "c")
    equal(p.ended("c"), 137)
    equal(p.inspect("c", ".State.Pid"), "0")
    p("start", "c")
    os.kill(int(p.inspect("c", ".State.Pid")), signal.SIGKILL)
    equal(p.ended("c"), 137)
    p("init", "c")
    p("rm", "-f", "-t", "0", "c")


@case("--sdnotify=container: what it says arrives")
def _(p):
    notify = shutil.which("systemd-notify")
    if not notify:
        raise Skip("systemd-notify is not installed")
    folder = unpack("notify-root")
    libraries = re.findall(r"(/\S+) \(", subprocess.run(["ldd", notify], capture_output=True, text=True, check=True).stdout)
    for file in (notify, *libraries):
        (folder / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.lstrip("/"))
    if not p.rootful:
        subprocess.run(["chown", "-R", f"{USER}:{USER}", folder], check=True)
    path = BOX / "shared/notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.settimeout(20)
        p("run", "-d", "--name", "c", "--network", "none", "--sdnotify", "container", "--rootfs", folder, "/bin/sh", "-c",
          f"{notify} --ready; sleep 100", env={"NOTIFY_SOCKET": str(path)})
        told = ""
        while "READY=1" not in told:
            told += listener.recv(4096).decode() + "\n"
        matches("MAINPID=", told)


@case("OCI hooks", ROOTFUL)
def _(p):
    folder, log = shared("hooks"), shared("hooks.log", "")
    log.chmod(0o666)
    script = shared("hook.sh", f"#!/bin/sh\nread -r state\necho \"$1 $state\" >> {log}\nexit $2\n")
    script.chmod(0o755)

    def hook(stages, status="0"):
        (folder / "h.json").write_text(json.dumps({"version": "1.0.0", "hook": {"path": str(script), "args": [
            "hook", stages, status]}, "when": {"always": True}, "stages": [stages]}))
    for stage in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        hook(stage)
        if stage == "createContainer":
            equal(p("--hooks-dir", folder, "run", "--rm", "--network", "none", "-v", f"{BOX}/shared:{BOX}/shared", IMAGE, "true"), "")
        else:
            p("--hooks-dir", folder, "run", "--rm", "--network", "none", IMAGE, "true")
    eventually("the last hook", lambda: "poststop" in log.read_text())
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    equal([name for name, _ in lines], ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])
    for name, state in lines:
        state = json.loads(state)
        equal(set(state) >= {"ociVersion", "id", "status", "bundle"}, True, name)
    hook("prestart", "1")
    p("--hooks-dir", folder, "run", "--rm", "--network", "none", IMAGE, "true", rc=(125, 126, 127))


@case("many containers at once, many execs at once")
def _(p):
    # Ten processes of the engine, each with a runtime of its own.
    words = [p.words("podman", ["run", "--rm", "--network", "none", IMAGE, "sh", "-c", f"exit {n}"]) for n in range(8)]
    running = [subprocess.Popen(w, env=p.env, cwd=BOX / "shared", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for w in words]
    equal([r.wait(COMMAND_LIMIT_S) for r in running], list(range(8)))
    p.start("c")
    words = [p.words("podman", ["exec", "c", "sh", "-c", f"exit {n}"]) for n in range(8)]
    running = [subprocess.Popen(w, env=p.env, cwd=BOX / "shared", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for w in words]
    equal([r.wait(COMMAND_LIMIT_S) for r in running], list(range(8)))


@case("the same inside as with the reference")
def _(p):
    script = """
grep -E '^(Cap|NoNew|Seccomp:|Groups|Umask|Uid)' /proc/self/status; cat /proc/self/oom_score_adj
sed 's/[0-9a-f]\\{64\\}/ID/g; s,overlay-containers/[^ ]*,X,; s,\\(lower\\|upper\\|work\\)dir=[^ ,]*,,g; s/inodes=[0-9]*//' /proc/self/mounts |
  # Of what is masked: that it is. The covers are the runtime's own affair.
  grep -v ' /sys/fs/cgroup' | sed -E 's,^[^ ]+ (/(proc|sys)/[^ ]+) .*,\\1,' | sed 's/,*inode64//' | sort
(cd /dev; stat -c '%n %F %a %u:%g %t:%T' * | sort); readlink /dev/fd /dev/stdin /dev/ptmx /dev/core
env | grep -v HOSTNAME | sort; ulimit -a; ls -l /proc/self/fd | wc -l; cat /proc/sys/net/ipv4/ping_group_range
for f in /proc/* /sys/firmware; do [ -d $f ] && ls $f 2>/dev/null | wc -l | sed "s,^,$f ,"; done | grep -E 'acpi|scsi|asound|firmware'
"""
    return "\n".join(p.sh(script, *options) for options in ((), ("--privileged",), ("--read-only", "-u", "1000")))


@case("the messages of failures reach the user once")
def _(p):
    p.run("--name", "c", IMAGE, "no-such-command", rc=127)
    lines = [line for line in p.stderr.split("\n") if line]
    equal(len(lines), 1, p.stderr)
    expect(lines[0].endswith("OCI runtime attempted to invoke a command that was not found"), lines[0])
    p.run("-w", "/etc/passwd", IMAGE, "true", rc=(125, 126, 127))
    expect("conmon" not in p.stderr or "no logs" not in p.stderr, p.stderr)
    p("rm", "-f", "no-such-container", rc=None)


# -- Buildah, and `podman build`, which is the same code

DOCKERFILE = f"""\
FROM {IMAGE}
ENV WORD=word
ARG GIVEN=default
WORKDIR /work
COPY data /work/data
RUN echo $WORD $GIVEN > made && cat data >> made
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && grep -c ' /scratch ' /proc/mounts >> made
RUN --mount=type=bind,source=data,target=/bound cat /bound >> made
USER 1000:1000
RUN id -u > /tmp/who; id -g >> /tmp/who
CMD ["cat", "/work/made", "/tmp/who"]
"""


@case("buildah bud: RUN with variables, mounts, users; a RUN that fails")
def _(p):
    folder = shared("build")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "data").write_text("data\n")
    for tool in (("buildah", "bud"), ("podman", "build")):
        runtime = ("--runtime", shutil.which(p.runtime) if p.runtime != "clawrun" else BOX / "bin/clawrun") if tool[0] == "buildah" else ()
        p.tool(*tool, *runtime, "--isolation", "oci", "--no-cache", "--network", "none", "--build-arg", "GIVEN=given", "-t", "built", folder)
        equal(p("run", "--rm", "--network", "none", "built"), "word given\ndata\n1\ndata\n1000\n1000")
        (folder / "Bad").write_text(f"FROM {IMAGE}\nRUN exit 7\n")
        p.tool(*tool, *runtime, "--isolation", "oci", "--network", "none", "-f", folder / "Bad", folder, rc=None)
        expect(p.status != 0 and "exit status 7" in p.stderr, p.stderr)
        (folder / "Missing").write_text(f'FROM {IMAGE}\nRUN ["/no/such"]\n')
        p.tool(*tool, *runtime, "--isolation", "oci", "--network", "none", "-f", folder / "Missing", folder, rc=None)
        expect(p.status != 0, p.stderr)
        p("rmi", "-f", "built")


@case("buildah bud with a network, secrets, limits")
def _(p):
    folder = shared("build2")
    (folder / "secret").write_text("hush")
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN --mount=type=secret,id=s cat /run/secrets/s > /s && ip -o addr > /addr\n"
                                       "RUN ulimit -n > /n; grep Cap /proc/self/status > /caps\n")
    limits = ("-m", "64m") if p.rootful else ()
    # Rootless Buildah 1.28 fails over netavark before it comes to the runtime.
    network = () if p.rootful else ("--network", "host")
    p("build", *network, "--isolation", "oci", "--secret", f"id=s,src={folder}/secret", "--ulimit", "nofile=123:123", "--cap-drop",
      "NET_RAW", *limits, "-t", "built2", folder)
    out = p.run("built2", "cat", "/s", "/n", "/caps", "/addr")
    expect(out.startswith("hush123\n"), out)
    p("rmi", "-f", "built2")
    return "\n".join(line for line in out.split("\n") if line.startswith("Cap"))


@case("buildah run: output, exit status, user, volumes, a terminal, commit")
def _(p):
    runtime = ("--runtime", shutil.which(p.runtime) if p.runtime != "clawrun" else BOX / "bin/clawrun", "--isolation", "oci", "--network", "none")
    name = p.tool("buildah", "from", IMAGE)
    equal(p.tool("buildah", "run", *runtime, name, "echo", "a b"), "a b")
    p.tool("buildah", "run", *runtime, name, "sh", "-c", "exit 9", rc=None)
    expect(p.status != 0 and "exit status 9" in p.stderr, p.stderr)
    p.tool("buildah", "run", *runtime, name, "no-such-command", rc=None)
    expect(p.status != 0, p.status)
    equal(p.tool("buildah", "run", *runtime, "--user", "1000", name, "id", "-u"), "1000")
    path = shared("bv")
    (path / "f").write_text("volume")
    equal(p.tool("buildah", "run", *runtime, "-v", f"{path}:/v:ro", name, "cat", "/v/f"), "volume")
    equal(p.tool("buildah", "run", *runtime, name, "cat", stdin="piped"), "piped")
    code, out = p.terminal("run", *runtime, "-t", name, "sh", "-c", "tty; stty size; exit 0", tool="buildah", size=(31, 91))
    equal(code, 0, out)
    matches("^/dev/pts/0$", out)
    p.tool("buildah", "run", *runtime, name, "touch", "/made")
    p.tool("buildah", "run", *runtime, "--cap-drop", "all", "--hostname", "builder", name, "hostname")
    p.tool("buildah", "commit", name, "localhost/committed")
    equal(p.run("localhost/committed", "ls", "/made"), "/made")
    p("rmi", "-f", "localhost/committed")


# ------------------------------------------------------------------------------------------------------------- the running

def make_image():
    """A root filesystem of busybox alone, with a PATH, users, and something to copy."""
    busybox = Path(shutil.which("busybox")).read_bytes()
    names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(BOX / "image.tar", "w") as tar:
        def add(name, data=None, mode=0o755, link=None, kind=tarfile.REGTYPE):
            info = tarfile.TarInfo(name)
            info.mode, info.type = mode, tarfile.SYMTYPE if link else kind
            info.linkname = link or ""
            info.size = len(data or b"")
            tar.addfile(info, BytesIO(data or b""))
        for folder in ("bin", "etc", "dev", "proc", "sys", "run", "root", "home"):
            add(folder, kind=tarfile.DIRTYPE)
        add("tmp", mode=0o1777, kind=tarfile.DIRTYPE)
        add("bin/busybox", busybox)
        for name in names:
            if name != "busybox":
                add(f"bin/{name}", link="busybox")
        add("etc/passwd", b"root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n", 0o644)
        add("etc/group", b"root:x:0:\nuser:x:1000:\n", 0o644)
        add("etc/copied", b"copied\n", 0o644)
    (BOX / "image.tar").chmod(0o644)


def attempt(engine, function):
    """(None, what the case returned) or (what was wrong, None)."""
    problem, value = None, None
    try:
        value = function(engine)
    except Skip:
        raise
    except Failed as failure:
        problem = str(failure)
    except Exception:  # pylint: disable=broad-except
        problem = traceback.format_exc()
    try:
        engine.clean()
        # conmon has the container deleted after its end.
        deadline = time.monotonic() + 5
        while (left := engine.left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left and not problem:
            problem = f"left behind: {left}"
    except Failed as failure:
        problem = problem or f"cleaning up: {failure}"
    return problem, value


def difference(ours, theirs):
    ours, theirs = (ours or "").split("\n"), (theirs or "").split("\n")
    return "\n".join([f"reference: {line}" for line in theirs if line not in ours] +
                     [f"under test: {line}" for line in ours if line not in theirs] or ["another order"])


def run_cases(arguments):
    global V2  # pylint: disable=global-statement
    V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    make_image()
    failed = number = 0
    for mode in ("rootful", "rootless"):
        if arguments.mode not in (None, mode):
            continue
        chosen = [c for c in CASES if mode in c[1] and (not arguments.pattern or any(w in c[0] for w in arguments.pattern))]
        if not chosen:
            continue
        Engine(mode, "runc")("import", "-c", "ENV PATH=/bin", "-c", 'CMD ["sh"]', BOX / "image.tar", IMAGE)
        for title, _, reference, function in chosen:
            number += 1
            reference = arguments.reference or reference
            began, problem, skipped, times = time.monotonic(), None, None, []
            try:
                theirs = None
                if reference != "none":
                    problem, theirs = attempt(Engine(mode, reference), function)
                    problem = problem and f"the test itself, with {reference}: {problem}"
                    times.append(f"{reference} {time.monotonic() - began:.1f} s")
                if not problem:
                    began = time.monotonic()
                    problem, ours = attempt(Engine(mode, arguments.runtime), function)
                    times.append(f"{arguments.runtime} {time.monotonic() - began:.1f} s")
                    if not problem and reference != "none" and ours != theirs:
                        problem = "not the same:\n" + difference(ours, theirs)
            except Skip as reason:
                skipped = reason
            failed += problem is not None
            print(f"{'not ok' if problem else 'ok'} {number} - podman {mode}: {title}" + (f" # SKIP {skipped}" if skipped else ""))
            print("".join(f"# {line}\n" for line in [", ".join(times), *(problem or "").split("\n")] if line), end="", flush=True)
    print(f"1..{number}", flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inside")
    parser.add_argument("--mode", choices=("rootful", "rootless"))
    parser.add_argument("--runtime", default="clawrun")
    parser.add_argument("--reference")
    parser.add_argument("--hybrid", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("pattern", nargs="*")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{' '.join(modes)}: {title}" for title, modes, _, _ in CASES))
        return 0
    if arguments.inside:
        return inside(arguments.inside, arguments)
    missing = [tool for tool in NEEDED if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    reason = ("needs root" if os.geteuid() != 0 else f"not installed: {' '.join(missing)}" if missing else
              "set CLAWRUN to the binary under test" if "CLAWRUN" not in os.environ else None)
    if reason:
        print(f"1..0 # SKIP podman: {reason}")
        return 77
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    return run_box(sys.argv[1:], arguments.hybrid)


sys.exit(main())
