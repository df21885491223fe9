"""What the engine tests share: boxes to run an engine in, a busybox image, terminals, and cases printed as TAP.

A case is a function that gets an engine. It runs with runc first and has to pass there, so that what it expects is known to
be right; then with clawrun. It fails by `expect` or `check`, and says with `Skip` what this machine lacks.
"""

import fcntl
import io
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import time
import traceback
from pathlib import Path

SOURCE = Path(os.environ.get("CLAWRUN_SOURCE", Path(__file__).resolve().parents[2]))
CLAWRUN = os.environ.get("CLAWRUN", str(SOURCE / "build/src/clawrun"))
BUSYBOX = "/bin/busybox"
CGROUPS = Path("/sys/fs/cgroup")
CAP_SYS_RESOURCE = 24

# The first process of a box. It ends with its standard input, which the test holds: however the test ends, so does everything
# in the box. /run and the folder given (where the engine keeps its files) are memory that goes away with the mount namespace.
BOX = r"""
set -e
scratch=$1 v1=$2
ip link set lo up
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock
mount -t tmpfs -o mode=755 scratch "$scratch"
# Device nodes of its own: a runtime that gives one another owner changes that for the machine.
mkdir "$scratch/dev"
mount -t tmpfs -o mode=755,size=1m dev "$scratch/dev"
for node in /dev/* /dev/net/tun; do
  case $node in /dev/net/*) mkdir "$scratch/dev/net";; esac
  if [ -c "$node" ] || [ -b "$node" ] || [ -L "$node" ]; then cp -a "$node" "$scratch$node"; fi
done
(cd "$scratch/dev"; chown 0:0 null zero full random urandom tty; mkdir pts shm; ln -sf pts/ptmx ptmx)
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$scratch/dev/pts"
mount -t tmpfs -o mode=1777 shm "$scratch/dev/shm"
mount --move "$scratch/dev" /dev
rmdir "$scratch/dev"
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
for name in $v1; do
  mkdir /sys/fs/cgroup/$name
  case $name in systemd) what=none,name=systemd;; *) what=$name;; esac
  mount -t cgroup -o $what cgroup /sys/fs/cgroup/$name
done
[ -n "$v1" ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --make-rshared /
exec python3 -c 'import os, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.write(1, b"up\n"); os.read(0, 1)'
"""


class Skip(Exception):
    """The machine has not what the case is about."""


class Failed(Exception):
    """The case saw something else than it expects."""


def check(truth, what):
    if not truth:
        raise Failed(what)


def expect(got, wanted, what):
    check(got == wanted, f"{what}: {got!r} instead of {wanted!r}")


def until(truth, what, seconds=15):
    """Waits for what becomes true in its own time; what it became."""
    end = time.monotonic() + seconds
    while not (value := truth()):
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.05)
    return value


def machine_lacks(*programs):
    """Why no engine test can run here; None where they can."""
    for program in (*programs, "unshare", "nsenter", "ip"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if os.geteuid() != 0:
        return "engines need root"
    if b"ELF" not in Path(BUSYBOX).read_bytes()[:4] if os.path.exists(BUSYBOX) else True:
        return f"there is no {BUSYBOX}"
    if b"/ld-linux" in Path(BUSYBOX).read_bytes():
        return f"{BUSYBOX} is not static"
    return None


def bounding_set():
    return int(re.search(r"^CapBnd:\s*(\w+)", Path("/proc/self/status").read_text(), re.M)[1], 16)


def busybox_tar():
    """The root of a busybox container, as bytes of a tar file."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("home", 0o755), ("dev", 0o755),
                           ("proc", 0o555), ("sys", 0o555), ("var", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        binary = Path(BUSYBOX).read_bytes()
        users = b"root:x:0:0:root:/root:/bin/sh\nguest:x:405:100:guest:/home:/bin/sh\n"
        groups = b"root:x:0:\nusers:x:100:guest\ngames:x:60:guest\n"
        plain = b"not a program\n"
        for name, mode, content in (("bin/busybox", 0o755, binary), ("etc/passwd", 0o644, users), ("etc/group", 0o644, groups),
                                    ("etc/plain", 0o644, plain)):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            tar.addfile(entry, io.BytesIO(content))
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
    return data.getvalue()


class Box:
    """Mount, network, pid, host name and cgroup namespaces of its own, and a folder in memory. `end` takes all of it away."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="clawrun-engine.")
        os.chmod(self.folder, 0o755)
        self.cgroups = self.processes = ()
        self.first = None
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def start(self):
        v1 = self.make_cgroups()
        into = [f"{folder}/cgroup.procs" for folder in self.cgroups]
        self.first = subprocess.Popen(
            ["sh", "-c", 'for f; do [ "$f" != -- ] || break; echo $$ >"$f" || exit 1; shift; done; shift; exec "$@"', "sh", *into, "--",
             "unshare", "-m", "-n", "-p", "-u", "-C", "-f", "--mount-proc", "--propagation", "private", "--kill-child=SIGKILL",
             "sh", "-c", BOX, "sh", self.folder, " ".join(v1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.first.stdout.readline() != b"up\n":
            raise Skip(f"no box can be made here: {self.first.communicate()[1].decode().strip()}")
        children = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children").read_text().split()
        self.pid = int(children[0])
        self.root = Path(f"/proc/{self.pid}/root")
        if not v1:
            # What is below has the controllers; processes may then no longer be where the box began.
            self.processes = (self.cgroups[0] / "own",)
            self.processes[0].mkdir()
            for pid in (self.cgroups[0] / "cgroup.procs").read_text().split():
                (self.processes[0] / "cgroup.procs").write_text(pid)
            names = (self.cgroups[0] / "cgroup.controllers").read_text().split()
            (self.cgroups[0] / "cgroup.subtree_control").write_text(" ".join("+" + n for n in names))

    def make_cgroups(self):
        """A cgroup for the box in every version 1 hierarchy, or in the version 2 one; the names of the former."""
        name = f"clawrun-engines-{os.getpid()}-{os.path.basename(self.folder)[-8:]}"
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        v1 = sorted({Path(m[1]).name for m in mounts if m[2] == "cgroup"})
        if v1:
            own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
            paths = [CGROUPS / n / own.get(n, own.get(f"name={n}", "/")).strip("/") / name for n in v1]
        else:
            paths = [CGROUPS / name]
        self.cgroups = self.processes = tuple(paths)
        for path in paths:
            path.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):
                if v1 and (path / file).exists():
                    (path / file).write_text((path.parent / file).read_text())
        return v1

    def command(self, argv):
        into = [f"{folder}/cgroup.procs" for folder in self.processes]
        return ["sh", "-c", 'for f; do [ "$f" != -- ] || break; echo $$ >"$f" || exit 1; shift; done; shift; exec "$@"', "sh", *into, "--",
                "nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-u", "-C", "--wd=/", "--", *map(str, argv)]

    def run(self, *argv, input=None, seconds=60, env=None):
        """The command in the box: `.returncode`, and what it wrote as text."""
        try:
            return subprocess.run(self.command(argv), input=input, stdin=subprocess.DEVNULL if input is None else None,
                                  capture_output=True, text=not isinstance(input, bytes), timeout=seconds, env=env, check=False)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(map(str, argv))}: still running after {seconds} s; it wrote {late.stdout!r} {late.stderr!r}") from None

    def spawn(self, *argv, **more):
        return subprocess.Popen(self.command(argv), stdin=more.pop("stdin", subprocess.DEVNULL), **more)

    def terminal(self, *argv, env=None, rows=24, columns=80):
        return Terminal(self.command(argv), env, rows, columns)

    def end(self):
        if self.first:
            self.thaw()
            self.first.kill()
            self.first.communicate()
        left = list(self.cgroups)
        for _ in range(100):
            self.thaw()
            for path in self.cgroups:
                for folder, _, _ in os.walk(path, topdown=False):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass
            left = [p for p in self.cgroups if p.exists()]
            if not left:
                break
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)
        check(not left, f"cgroups that cannot be removed: {left}")

    def thaw(self):
        """A frozen task outlives even the end of its pid namespace."""
        for path in self.cgroups:
            for folder, _, files in os.walk(path):
                for file, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                    if file in files:
                        try:
                            Path(folder, file).write_text(word)
                        except OSError:
                            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Terminal:
    """A command on a terminal of its own: write to it, wait for what it shows."""

    def __init__(self, argv, env, rows, columns):
        self.shown = ""
        self.master, theirs = pty.openpty()
        self.resize(rows, columns)
        # setsid -c makes the terminal the controlling one, which is how a change of its size is heard of.
        self.process = subprocess.Popen(["setsid", "-c", *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def write(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, pattern, seconds=15):
        """The match of the pattern in what was shown since the last one."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            check(time.monotonic() < end and (self.read(0.2) or self.process.poll() is None),
                  f"the terminal never showed {pattern!r} but {self.shown!r}")
        self.shown = self.shown[found.end():]
        return found

    def end(self, seconds=15):
        """Reads to the end; the exit status of the command."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        while self.read(0):
            pass
        self.close()
        check(self.process.returncode is not None, f"the command on the terminal does not end; it showed {self.shown!r}")
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master is not None:
            os.close(self.master)
            self.master = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_cases(name, cases, engines, close):
    """Each case with each of `engines` (a dict, runc first); TAP on stdout, and the exit status. `close` is always called.

    `cases` are pairs of a name and a function; a word on the command line chooses those whose name has it. CLAWRUN_RUNTIMES
    (`runc`, `clawrun`) leaves out the others while one works on a test.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    only = os.environ.get("CLAWRUN_RUNTIMES", " ".join(engines)).split()
    cases = [c for c in cases if all(word in c[0] for word in sys.argv[1:])]
    bad = 0
    try:
        print(f"1..{len(cases)}", flush=True)
        for number, (title, function) in enumerate(cases, 1):
            problems, skip = [], ""
            started = time.monotonic()
            for runtime, engine in engines.items():
                if runtime not in only:
                    continue
                try:
                    function(engine)
                except Skip as why:
                    skip = str(why)
                    break
                except Failed as why:
                    problems.append(f"with {runtime}: {why}")
                except Exception:
                    problems.append(f"with {runtime}: {traceback.format_exc()}")
                finally:
                    engine.clear()
            bad += bool(problems)
            word = "not ok" if problems else "ok"
            print(f"{word} {number} - {name}: {title}{' # SKIP ' + skip if skip and not problems else ''}")
            print("".join(f"# {line}\n" for p in problems for line in p.splitlines()), end="")
            print(f"# {time.monotonic() - started:.1f} s", flush=True)
    finally:
        close()
    return 1 if bad else 0
