#!/usr/bin/env python3
"""The life of OCI containers made as hard as it can be, as TAP: what is killed, repeated, raced, starved and misconfigured.

Usage: torture.py [RUNTIME] [--cycles N] [--kills N] [--mutations N] [--seed N] [--only WORD]... [--full]
       --full: 5,000 cycles, 200 kills of each verb, 10,000 mutated configurations.

RUNTIME is $CLAWRUN where it is left out. Everything runs in a box: mount, pid, network, UTS, IPC and cgroup namespaces of its own, the host's root read-only, below a
cgroup directory of its own, so that nothing can be left on the host; process 1 of the box collects the orphans. RUNTIME may
be runc, for which the cases must pass that every runtime passes (what is special to this one is left out then)."""

import argparse
import array
import collections
import concurrent.futures
import contextlib
import copy
import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STATUSES = {"creating", "created", "running", "paused", "stopped"}
LIMIT_S = 10  # no command may take longer
SETTLE_S = 5  # cgroups and namespaces go away in the kernel's own time
AT_ONCE = 8
CGROUPS = "/sys/fs/cgroup"


# --- the box ---------------------------------------------------------------------------------------------------------------

def hierarchies():
    """(mount point, controllers of v1 or None for v2) of the cgroup mounts that are there."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split()[:3]
            where = left.split()[4]
            if kind == "cgroup2":
                found[where] = None
            elif kind == "cgroup":
                # The super block's options, without the flags of every file system.
                words = [w for w in options.split(",") if w not in ("rw", "ro") and not w.startswith(("seclabel", "release_agent"))]
                found[where] = ",".join(("none," + w) if w.startswith("name=") else w for w in words)
    return found


def own_groups(name):
    """A directory in each hierarchy: {mount point: directory}."""
    made = {}
    for where, controllers in hierarchies().items():
        here = os.path.join(where, name)
        os.mkdir(here)
        made[where] = here
        if controllers and "cpuset" in controllers.split(","):
            for file in ("cpuset.cpus", "cpuset.mems"):
                with open(f"{where}/{file}", encoding="ascii") as old, open(f"{here}/{file}", "w", encoding="ascii") as new:
                    new.write(old.read())
    return made


def thaw(folder):
    for place, _, files in os.walk(folder):
        for file, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if file in files:
                with contextlib.suppress(OSError), open(f"{place}/{file}", "w", encoding="ascii") as out:
                    out.write(word)


def remove_groups(made):
    """With whoever is left in them: all of them are processes of the box."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        for folder in made.values():
            thaw(folder)
            for place, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(place)
        if not any(os.path.isdir(folder) for folder in made.values()):
            return []
        time.sleep(0.1)
    return [folder for folder in made.values() if os.path.isdir(folder)]


def enter(made):
    for folder in made.values():
        with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as out:
            out.write("0")


def skip(why):
    print(f"ok 1 - {os.path.basename(sys.argv[0])} # SKIP {why}\n1..1", flush=True)
    return 0


def outside():
    """Makes the box, runs this program in it, and takes away what belonged to it."""
    if os.geteuid() != 0:
        return skip("needs root: cgroups and namespaces of the test's own")
    busybox = shutil.which("busybox")
    if busybox is None or sh("ldd", busybox).returncode == 0:
        return skip("needs a static busybox (Debian: busybox-static)")
    made = {}
    child = None
    status = 1
    # Both ends of a way out take the groups with them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        try:
            made = own_groups(f"clawrun-torture-{os.getpid()}")
        except OSError as error:
            return skip(f"cannot make cgroups of its own: {error}")
        views = json.dumps(hierarchies())
        # The cgroup namespace begins where the process is when it is made.
        child = subprocess.Popen(["unshare", "-m", "-p", "-n", "-u", "-i", "-C", "-f", "--mount-proc", "--propagation", "private",
                                  "--kill-child=SIGKILL", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]],
                                 stdin=subprocess.DEVNULL, env={**os.environ, "TORTURE_BOX": views}, preexec_fn=lambda: enter(made))
        status = child.wait()
    finally:
        if child is not None and child.poll() is None:
            child.kill()
            child.wait()
        left = remove_groups(made)
        if left:
            print("# the cgroups of the box could not be removed: " + ", ".join(left))
    return status if status >= 0 else 1


def mount(*words):
    subprocess.run(["mount", *words], check=True, stdin=subprocess.DEVNULL)


def furnish():
    """Process 1 of the box: nothing of the host can be written to from here on."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        hosts = {line.split()[4] for line in mounts}
    for place in sorted(hosts - {"/proc"} - set(json.loads(os.environ["TORTURE_BOX"]))):
        # One below a mount that hides it cannot be reached, and needs nothing.
        sh("mount", "-o", "remount,bind,ro", place)
    mount("-t", "tmpfs", "-o", "mode=755,size=1g", "torture", "/run")
    # Nodes of its own: who changes the owner of one, which is a runtime's fault, changes that of the machine's.
    nodes = {name: os.stat(f"/dev/{name}") for name in ("null", "zero", "full", "random", "urandom", "tty") if os.path.exists(f"/dev/{name}")}
    mount("-t", "tmpfs", "-o", "mode=755", "torture", "/dev")
    for name, node in nodes.items():
        os.mknod(f"/dev/{name}", node.st_mode, node.st_rdev)
        os.chmod(f"/dev/{name}", 0o666)
    for place, kind in (("/dev/shm", ["-t", "tmpfs", "-o", "mode=1777"]), ("/dev/pts", ["-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620"])):
        os.mkdir(place)
        mount(*kind, "torture", place)
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"/dev/{name}")
    mount("-o", "remount,bind,ro", "/dev")  # a --pid-file /dev/full would take its place
    # Where the runtime looks for cgroups there are those of the box alone.
    views = json.loads(os.environ.pop("TORTURE_BOX"))
    mount("-t", "tmpfs", "-o", "mode=755", "torture", CGROUPS)
    for where, controllers in views.items():
        if where == CGROUPS:
            subprocess.run(["umount", CGROUPS], check=True)
        os.makedirs(where, exist_ok=True)
        if controllers is None:
            mount("-t", "cgroup2", "cgroup2", where)
            # Groups with controllers may not have processes of their own beside their children's.
            os.mkdir(f"{where}/torture")
            with open(f"{where}/torture/cgroup.procs", "w", encoding="ascii") as out:
                out.write("0")
        else:
            mount("-t", "cgroup", "-o", controllers, "cgroup", where)
    with contextlib.suppress(OSError):
        os.mkdir("/torture-writes-here")
        sys.exit("the box is not closed: the host's root can be written to")
    mount("--make-rshared", "/")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False, stdin=subprocess.DEVNULL)


def first_process():
    """Collects every orphan at once, so that whoever waits for a pid to be gone does not wait for ever."""
    furnish()
    worker = os.fork()
    if worker == 0:
        return None
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


# --- what is there ---------------------------------------------------------------------------------------------------------

def sh(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **options)


class Answer:
    """How one command ended: status < 0 is a signal, None is a hang."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        ending = "did not end" if self.status is None else f"status {self.status}"
        return f"{ending}, stdout {self.out[-200:]!r}, stderr {self.err[-300:]!r}"


def below_worker(parents, pid):
    """The children of the worker that are its own doing: commands that run on purpose."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = parents.get(pid, 0)
    return False


def processes():
    """All of the box but process 1, the worker and its children: {pid: (command, state)}."""
    parents, named = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        parents[int(entry)] = int(parent)
        named[int(entry)] = (name, state)
    return {pid: name for pid, name in named.items() if pid != 1 and not below_worker(parents, pid)}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def groups():
    return {folder for where in hierarchies() for folder, _, _ in os.walk(where)}


def surroundings(root):
    found = {f"process {pid} {name}" for pid, name in processes().items()}
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        found.update(f"mount {line.split()[4]}" for line in mounts)
    found.update(f"cgroup {folder}" for folder in groups())
    for folder, names, files in os.walk(root):
        found.update(f"state {folder}/{name}" for name in names + files)
    return found


# --- the runtime under test ------------------------------------------------------------------------------------------------

class Torture:
    def __init__(self, runtime, arguments):
        self.runtime = runtime
        self.ours = "clawrun" in os.path.basename(runtime) or "clawrun" in sh(runtime, "--version").stdout
        self.arguments = arguments
        self.place = "/run/torture"
        self.state = f"{self.place}/state"
        os.makedirs(f"{self.place}/rootfs")
        os.chmod(self.place, 0o755)
        self.make_root()
        self.count = self.bad = 0
        self.number = 0
        self.problems = []
        self.lock = threading.Lock()
        self.random = random.Random(arguments.seed)

    def make_root(self):
        root = f"{self.place}/rootfs"
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "root", "run"):
            os.makedirs(f"{root}/{name}")
        busybox = shutil.which("busybox")
        shutil.copy(busybox, f"{root}/bin/busybox")
        for applet in sh(busybox, "--list").stdout.split():
            if not os.path.lexists(f"{root}/bin/{applet}"):
                os.symlink("busybox", f"{root}/bin/{applet}")

    # Configurations

    def config(self, *args, **extra):
        kinds = ("pid", "mount", "network", "ipc", "uts")
        config = {
            "ociVersion": "1.0.2",
            "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args) or ["/bin/sleep", "1000"],
                        "env": ["PATH=/bin"], "cwd": "/",
                        "capabilities": {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")}},
            "root": {"path": f"{self.place}/rootfs", "readonly": True},
            "hostname": "torture",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                       {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}],
            "linux": {"namespaces": [{"type": kind} for kind in kinds], "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
        }
        config.update(extra)
        return config

    def bundle(self, config, ident):
        """A bundle of its own; the cgroup is below one name, so that what is left shows whose it was."""
        path = f"{self.place}/bundles/{ident}"
        os.makedirs(path, exist_ok=True)
        if isinstance(config, dict) and isinstance(config.get("linux"), dict):
            config["linux"].setdefault("cgroupsPath", f"/torture/{ident}")
        with open(f"{path}/config.json", "w", encoding="utf-8") as out:
            out.write(config if isinstance(config, str) else json.dumps(config))
        return path

    def name(self):
        with self.lock:
            self.number += 1
            return f"t{self.number}"

    # Commands

    def spawn(self, *words, root=None, stdin=subprocess.DEVNULL, **options):
        # Files, not pipes: a container that lives on holds its standard output open.
        out, err = tempfile.TemporaryFile(dir="/run"), tempfile.TemporaryFile(dir="/run")
        options.setdefault("stdout", out)
        options.setdefault("stderr", err)
        child = subprocess.Popen([self.runtime, "--root", root or self.state, *words], stdin=stdin, **options)
        return child, out, err

    @staticmethod
    def finish(spawned, limit=LIMIT_S):
        child, out, err = spawned
        try:
            status = child.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
            child.kill()
            child.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        return Answer(status, *texts)

    def do(self, *words, limit=LIMIT_S, **options):
        """One command, which must neither hang nor be ended by a signal."""
        answer = self.finish(self.spawn(*words, **options), limit)
        if answer.status is None or answer.status < 0:
            self.wrong(f"{' '.join(words)}: {answer}")
        return answer

    def create(self, ident, config=None, *words, **options):
        return self.do("create", "--bundle", self.bundle(config or self.config(), ident), *words, ident, **options)

    def wrong(self, text):
        with self.lock:
            self.problems.append(text)

    def want(self, answer, status=0, text=""):
        """The whole error on one line, with the words that are asked for."""
        good = (answer.status == 0) if status == 0 else (answer.status or 0) > 0
        if not good or not re.search(text, answer.err, re.IGNORECASE):
            self.wrong(f"expected {'success' if status == 0 else 'an error'} {text!r}: {answer}")
        elif status != 0:
            self.one_line(answer)
        return good

    def one_line(self, answer, what=""):
        lines = [line for line in answer.err.splitlines() if not line.startswith("clawrun: warning:")]
        if self.ours and (len(lines) != 1 or not lines[0].startswith("clawrun: ") or not lines[0].isprintable()):
            self.wrong(f"{what}not one clear line: {answer}")

    def status_of(self, ident, root=None):
        """One of the specification's words, or None where there is no such container."""
        answer = self.do("state", ident, root=root)
        if answer.status != 0:
            if "does not exist" not in answer.err:
                self.wrong(f"state {ident}: {answer}")
            return None, 0
        try:
            shown = json.loads(answer.out)
        except ValueError:
            self.wrong(f"state {ident}: {answer}")
            return None, 0
        if shown.get("status") not in STATUSES:
            self.wrong(f"state {ident}: {answer}")
        return shown.get("status"), shown.get("pid", 0)

    def check_truth(self, ident, when):
        """What `state` says is so: pid and status against the processes of the container's cgroup."""
        for attempt in range(20):
            status, pid = self.status_of(ident)
            there = {int(line) for folder in groups() if f"/torture/{ident}" in folder and os.path.exists(f"{folder}/cgroup.procs")
                     for line in self.lines(f"{folder}/cgroup.procs")}
            there = {each for each in there if alive(each)}
            lie = None
            if status in ("created", "running", "paused") and not alive(pid):
                lie = f"{status} with pid {pid}, which is dead"
            elif status in ("stopped", None) and there:
                lie = f"{status}, and processes {sorted(there)} live"
            elif status == "creating":
                lie = "creating, and nobody makes it"
            elif status == "paused" and not self.frozen(ident):
                lie = "paused, and its cgroup is not frozen"
            elif status in ("created", "running") and (status == "running") != (self.words_of(pid)[:1] == ["/bin/sleep"]):
                lie = f"{status}, and its process is {self.words_of(pid)}"
            if lie is None:
                return status
            time.sleep(0.01 * attempt)  # what is being killed may take its time
        self.wrong(f"{when}: state says {lie}")
        return status

    @staticmethod
    def words_of(pid):
        """Those of the configuration from the moment on when it has executed."""
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                return file.read().split("\0")[:-1]
        except OSError:
            return []

    @staticmethod
    def lines(path):
        try:
            with open(path, encoding="ascii") as file:
                return file.read().split()
        except OSError:
            return []

    def frozen(self, ident):
        return any(self.lines(f"{folder}/{file}") in (["FROZEN"], ["FREEZING"], ["1"])
                   for folder in groups() if folder.endswith(f"/torture/{ident}") for file in ("freezer.state", "cgroup.freeze"))

    def gone(self, ident, when, root=None):
        """`delete --force` is success and leaves nothing of it."""
        answer = self.do("delete", "--force", ident, root=root)
        if answer.status != 0:
            self.wrong(f"{when}: delete --force: {answer}")
        self.nothing_of(ident, when, root)

    def nothing_of(self, ident, when, root=None):
        folder = f"{root or self.state}/{ident}"
        deadline = time.monotonic() + SETTLE_S
        while True:
            left = [name for name in groups() if f"/{ident}" in name] + ([folder] if os.path.exists(folder) else [])
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if left:
            self.wrong(f"{when}: left behind: {', '.join(left[:5])}")

    # Cases

    def case(self, label, function):
        if self.arguments.only and not any(word in label for word in self.arguments.only):
            return
        self.count += 1
        self.problems = []
        os.makedirs(self.state, exist_ok=True)
        before = surroundings(self.state)
        started = time.monotonic()
        skipped = None
        try:
            skipped = function()
        except Exception as error:  # pylint: disable=broad-except # the other cases are run all the same
            self.wrong(f"the test itself: {type(error).__name__}: {error} at line {error.__traceback__.tb_next.tb_lineno}")
        deadline = time.monotonic() + SETTLE_S
        shared = {f"cgroup {where}/torture" for where in hierarchies()}  # the containers' parent stays, as engines know it
        while (left := surroundings(self.state) - before - shared) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            self.problems.append(f"{len(left)} left behind: " + ", ".join(sorted(left)[:6]))
        self.sweep(left)
        seconds = time.monotonic() - started
        self.bad += bool(self.problems)
        skip = f" # SKIP {skipped}" if isinstance(skipped, str) and not self.problems else ""
        print(f"{'not ok' if self.problems else 'ok'} {self.count} - {label}{skip}", flush=True)
        for line, times in list(collections.Counter(self.problems).items())[:12]:
            print(f"#   {line}" + (f" ({times} times)" if times > 1 else ""))
        print(f"#   {len(self.problems)} problems, {seconds:.1f} s", flush=True)

    def sweep(self, left):
        """So that one failed case does not fail the next."""
        for folder in glob.glob(f"{CGROUPS}/**/torture", recursive=True):
            thaw(folder)
        for line in left:
            if line.startswith("process "):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line.split()[1]), signal.SIGKILL)
        if left:
            time.sleep(0.1)
        for line in sorted(left, reverse=True):
            if line.startswith("cgroup "):
                with contextlib.suppress(OSError):
                    os.rmdir(line.removeprefix("cgroup "))
            if line.startswith("mount "):
                sh("umount", "-l", line.removeprefix("mount "))
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(f"{self.place}/bundles", ignore_errors=True)

    def cycles(self):
        """Every third without a start, every third run in the foreground. One name, so that nothing of the last one helps."""
        ident = "cycle"
        path = self.bundle(self.config(), ident)
        short = self.bundle(self.config("/bin/true"), "short")
        descriptors = len(os.listdir("/proc/self/fd"))
        for number in range(self.arguments.cycles):
            if number % 3 == 2:
                self.want(self.do("run", "--bundle", short, ident))
            else:
                self.want(self.do("create", "--bundle", path, ident))
                if number % 3 == 1:
                    self.want(self.do("start", ident))
                self.want(self.do("delete", "--force", ident))
            if self.problems:
                return
            if number % 500 == 499:
                self.nothing_of(ident, f"after {number + 1} cycles")
        if len(os.listdir("/proc/self/fd")) != descriptors:
            self.wrong("descriptors of the caller have leaked")

    def descriptors(self):
        """The caller's descriptors never reach a container, and none of the runtime's does."""
        ident = self.name()
        leaked = [os.open("/", os.O_PATH), os.open("/dev/null", os.O_RDWR)]
        leaked += [os.dup2(leaked[0], number) for number in (17, 101)]
        for fd in leaked:
            os.set_inheritable(fd, True)
        # The shell's own glob: it has one open itself while it looks, which is the last one.
        path = self.bundle(self.config("/bin/sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done | sort | uniq"), ident)
        answer = self.do("run", "--bundle", path, ident, close_fds=False)
        for fd in leaked:
            os.close(fd)
        lines = [line for line in answer.out.split() if not re.match(r"^(/dev/null|/dev/pts/\d+|pipe:.*|/proc/\d+/fd|/run/.*|/.*deleted.*|\(deleted\)|/#\d+)$", line)]
        if answer.status != 0 or lines:
            self.wrong(f"in the container: {lines}, {answer}")

    def one_id(self):
        """Many processes on one id: each command ends, with success or one clear line."""
        ident = "contended"
        path = self.bundle(self.config(), ident)
        verbs = [("create", "--bundle", path, ident)] * 4 + [("start", ident)] * 3 + [
            ("kill", ident, "KILL"), ("kill", ident, "TERM"), ("delete", ident), ("delete", "--force", ident), ("state", ident),
            ("state", ident), ("pause", ident), ("resume", ident), ("resume", ident), ("ps", "--format", "json", ident),
            ("exec", ident, "/bin/true"), ("list", "-q")]
        done = collections.Counter()

        def actor(seed):
            rng = random.Random(seed)
            for _ in range(60 if not self.arguments.full else 400):
                words = rng.choice(verbs)
                # An exec beside a pause stays where it is until somebody resumes, which is no fault: others resume.
                answer = self.finish(self.spawn(*words), 30)
                done[words[0], answer.status == 0] += 1
                if answer.status is None or answer.status < 0 or answer.status > 255:
                    self.wrong(f"{' '.join(words)}: {answer}")
                elif answer.status != 0 and words[0] != "exec":
                    self.one_line(answer, f"{' '.join(words)}: ")
                if words[0] == "state" and answer.status == 0 and json.loads(answer.out)["status"] not in STATUSES:
                    self.wrong(f"state: {answer}")

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for future in [pool.submit(actor, self.arguments.seed * 100 + number) for number in range(AT_ONCE)]:
                future.result()
        self.gone(ident, "afterwards")
        for verb in ("create", "start", "state", "delete"):
            if not done[verb, True]:
                self.wrong(f"{verb} has not succeeded once: {dict(done)}")

    def at_once(self):
        idents = [f"many{number}" for number in range(100)]
        paths = {ident: self.bundle(self.config(), ident) for ident in idents}
        for words in (("create", "--bundle", None), ("start",), ("state",), ("kill",), ("delete", "--force")):
            spawned = [(ident, self.spawn(*(paths[ident] if word is None else word for word in words), ident,
                                          *(["KILL"] if words[0] == "kill" else []))) for ident in idents]
            for ident, each in spawned:
                answer = self.finish(each, 60)
                if answer.status != 0:
                    self.wrong(f"{words[0]} {ident}: {answer}")
                elif words[0] == "state" and json.loads(answer.out)["status"] != "running":
                    self.wrong(f"state {ident}: {answer}")
            if words[0] == "start":
                listed = self.do("list", "-q").out.split()
                if sorted(listed) != sorted(idents):
                    self.wrong(f"list shows {len(listed)} of {len(idents)}")
        for ident in idents:
            self.nothing_of(ident, "at the end")

    def race_to_create(self):
        """Of many creates of one id exactly one succeeds, and the container is whole."""
        for _ in range(20):
            ident = self.name()
            path = self.bundle(self.config(), ident)
            answers = [self.finish(each) for each in [self.spawn("create", "--bundle", path, ident) for _ in range(AT_ONCE)]]
            won = sum(answer.status == 0 for answer in answers)
            if won != 1:
                self.wrong(f"{won} creates of one id succeeded: {[str(answer) for answer in answers][:3]}")
            started = [self.finish(each) for each in [self.spawn("start", ident) for _ in range(AT_ONCE)]]
            won = sum(answer.status == 0 for answer in started)
            if won != 1:
                self.wrong(f"{won} starts of one id succeeded: {[str(answer) for answer in started if answer.status][:3]}")
            if self.check_truth(ident, "after the race") != "running":
                self.wrong("it does not run")
            ended = [self.finish(each) for each in [self.spawn("delete", "--force", ident) for _ in range(AT_ONCE)]]
            for answer in ended:
                self.want(answer)
            self.nothing_of(ident, "after the race")
            if self.problems:
                return

    def interrupted(self, verb):
        """SIGKILL of the runtime at a random moment of it: state tells the truth, delete --force leaves nothing."""
        update = f"{self.place}/update.json"
        with open(update, "w", encoding="utf-8") as out:
            json.dump({"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}, out)
        hooks = {kind: [{"path": "/bin/true"}] for kind in ("createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
        prepare = {"create": [], "run": [], "start": ["create"]}
        longest = 0.02
        seen = collections.Counter()
        for number in range(-2, self.arguments.kills):
            ident = self.name()
            config = self.config()
            if number % 3 == 0:
                config["hooks"] = hooks
            if number % 3 == 1:
                config["linux"]["namespaces"].append({"type": "user"})
                for ids in ("uidMappings", "gidMappings"):
                    config["linux"][ids] = [{"containerID": 0, "hostID": 0, "size": 65536}]
            path = self.bundle(config, ident)
            for step in prepare.get(verb, ["create", "start"]):
                self.want(self.do(step, *(["--bundle", path] if step == "create" else []), ident))
            if verb == "resume":
                self.want(self.do("pause", ident))
            if verb == "delete":
                self.want(self.do("kill", ident, "KILL"))
                self.until_stopped(ident)
            words = {"create": ["--bundle", path, "--pid-file", f"{path}/pid", ident], "run": ["--detach", "--bundle", path, ident],
                     "exec": [ident, "/bin/true"], "kill": [ident, "KILL"], "update": ["--resources", update, ident],
                     "delete --force": ["--force", ident]}.get(verb, [ident])
            spawned = self.spawn(verb.split()[0], *words)
            if number < 0:  # how long it takes
                began = time.monotonic()
                self.want(self.finish(spawned))
                longest = max(time.monotonic() - began, 0.005)
            else:
                time.sleep(self.random.uniform(0, longest * 1.1))
                spawned[0].kill()
                seen[self.finish(spawned).status] += 1
                seen[self.check_truth(ident, f"{verb} killed")] += 1
            self.gone(ident, f"{verb} killed")
        self.note(f"{verb}: {dict(seen)}")

    def until_stopped(self, ident):
        deadline = time.monotonic() + SETTLE_S
        while self.status_of(ident)[0] != "stopped":
            if time.monotonic() > deadline:
                self.wrong(f"{ident} does not stop")
                return
            time.sleep(0.005)

    @staticmethod
    def note(text):
        print(f"# {text}", flush=True)

    def run_interrupted(self):
        """The foreground run is killed: the container lives on, or it is gone; never something between."""
        for _ in range(self.arguments.kills // 4 or 1):
            ident = self.name()
            spawned = self.spawn("run", "--bundle", self.bundle(self.config(), ident), ident)
            time.sleep(self.random.uniform(0, 0.08))
            spawned[0].kill()
            self.finish(spawned)
            self.check_truth(ident, "run killed")
            self.gone(ident, "run killed")

    def killed_by_hook(self):
        """A hook is the surest moment: it ends the runtime that runs it."""
        shell = shutil.which("sh")
        for kind, verb in (("prestart", "create"), ("createRuntime", "create"), ("poststart", "start"), ("poststop", "delete")):
            ident = self.name()
            config = self.config(hooks={kind: [{"path": shell, "args": ["sh", "-c", "kill -9 $PPID; sleep 0.1"]}]})
            path = self.bundle(config, ident)
            steps = [("create", "--bundle", path, ident), ("start", ident), ("delete", "--force", ident)]
            for words in steps:
                answer = self.finish(self.spawn(*words))
                if words[0] == verb:
                    if answer.status != -signal.SIGKILL:
                        self.wrong(f"{kind}: the hook has not killed it: {answer}")
                    break
                self.want(answer)
            status = self.check_truth(ident, f"killed by its {kind} hook")
            if status != {"create": "stopped", "start": "running", "delete": None}[verb]:
                self.wrong(f"killed by its {kind} hook: {status}")
            self.finish(self.spawn("delete", "--force", ident))  # whose poststop hook may end it once more
            self.nothing_of(ident, f"killed by its {kind} hook")

    def killed_in_start(self):
        """The gate is open and the startContainer hook runs: the container goes on alone, and is running when it has executed."""
        ident = self.name()
        config = self.config(hooks={"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.4"]}]})
        self.want(self.create(ident, config))
        spawned = self.spawn("start", ident)
        time.sleep(0.2)
        if self.check_truth(ident, "in its startContainer hook") != "created":
            self.wrong("not created before it has executed")
        spawned[0].kill()
        self.finish(spawned)
        time.sleep(0.6)
        if self.check_truth(ident, "start killed in a startContainer hook") != "running":
            self.wrong("not running when it has executed")
        self.want(self.do("start", ident), 1, "already running")
        self.want(self.do("exec", ident, "/bin/true"))
        self.gone(ident, "start killed in a startContainer hook")

    def killed_at_the_end(self):
        """`create` waits for a socket that takes nobody, when all but that is done."""
        ident = self.name()
        where = f"{self.place}/full-socket"
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
            listener.bind(where)
            listener.listen(0)
            for _ in range(8):
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(where)
            spawned = self.spawn("create", "--bundle", self.bundle(self.config(), ident), "--pidfd-socket", where, ident)
            time.sleep(0.3)
            status = self.status_of(ident)[0]
            if spawned[0].poll() is None and status != "creating":
                self.wrong(f"{status} while it is being made")
            spawned[0].kill()
            if self.finish(spawned).status != -signal.SIGKILL:
                return "the socket takes everybody"
            if self.check_truth(ident, "create killed at its end") != "stopped":
                self.wrong("not stopped when its maker is dead")
        self.gone(ident, "create killed at its end")
        os.unlink(where)
        return None

    def exec_storm(self):
        ident = self.name()
        self.want(self.create(ident))
        self.want(self.do("start", ident))
        rounds = 40 if not self.arguments.full else 400

        def storm(number):
            for turn in range(rounds):
                expected = (number + turn) % 4
                answer = self.do("exec", ident, "/bin/sh", "-c", f"exit {expected}")
                if answer.status != expected or answer.err:
                    self.wrong(f"exec gave {answer.status} where {expected} was its status: {answer}")

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for future in [pool.submit(storm, number) for number in range(AT_ONCE)]:
                future.result()
        file = f"{self.place}/exec.pid"
        spawned = [self.spawn("exec", "--detach", "--pid-file", f"{file}{number}", ident, "/bin/sleep", "100") for number in range(30)]
        pids = set()
        for number, each in enumerate(spawned):
            self.want(self.finish(each))
            pids.update(self.lines(f"{file}{number}"))
        if len(pids) != 30 or not all(alive(pid) for pid in pids):
            self.wrong(f"{len(pids)} pids of 30 detached execs, {sum(alive(pid) for pid in pids)} alive")
        listed = json.loads(self.do("ps", "--format", "json", ident).out)
        if len(listed) != 31:
            self.wrong(f"ps shows {len(listed)} processes of 31")
        self.gone(ident, "after the storm")
        if any(alive(pid) for pid in pids):
            self.wrong("an exec outlives its container")

    def exec_while_dying(self):
        """Execs beside the end of the container: an error or a status, and nobody is left."""
        for _ in range(10):
            ident = self.name()
            self.want(self.create(ident))
            self.want(self.do("start", ident))
            spawned = [self.spawn("exec", *(["--detach"] if number % 2 else []), ident, "/bin/sleep", "0.02") for number in range(12)]
            time.sleep(self.random.uniform(0, 0.03))
            answer = self.do("delete", "--force", ident)
            self.want(answer)
            for each in spawned:
                ended = self.finish(each)
                if ended.status is None or ended.status < 0:
                    self.wrong(f"exec: {ended}")
            self.nothing_of(ident, "killed under execs")

    def hooks(self, kind):
        """Failure by status, signal, time and absence; and the hook that does not read its state."""
        inside = kind == "startContainer"
        shell = "/bin/sh" if inside else shutil.which("sh")
        mark = f"{self.place}/mark"
        cases = {"status": [shell, ["sh", "-c", "echo why; exit 3"], None, r"why|exit status 3"],
                 "signal": [shell, ["sh", "-c", "kill -SEGV $$"], None, r"."],
                 "time": [shell, ["sh", "-c", "sleep 60"], 1, r"."],
                 "absence": ["/no/such/hook", ["hook"], None, r"no such file"],
                 "ignores its state": [shell, ["sh", "-c", "exec 0<&-; exit 0"], None, ""]}
        for what, (path, args, timeout, text) in cases.items():
            ident = self.name()
            hook = {"path": path, "args": args}
            if timeout:
                hook["timeout"] = timeout
            with contextlib.suppress(FileNotFoundError):
                os.unlink(mark)
            hooks = {kind: [hook]}
            if kind != "poststop":
                hooks["poststop"] = [{"path": shutil.which("sh"), "args": ["sh", "-c", f"echo x >>{mark}"]}]
            config = self.config(hooks=hooks)
            if what == "ignores its state":  # more than a pipe holds
                config["annotations"] = {f"org.example.{number}": "x" * 1000 for number in range(100)}
            when = f"{kind} failing by {what}" if text else f"{kind} that {what}"
            self.problems_with(when, self.hook_case, kind, ident, config, text, mark)

    def problems_with(self, when, function, *words):
        had = len(self.problems)
        function(*words)
        self.problems[had:] = [f"{when}: {line}" for line in self.problems[had:]]

    def hook_case(self, kind, ident, config, text, mark):
        created = self.create(ident, config)
        if text and kind in ("prestart", "createRuntime", "createContainer"):
            self.want(created, 1, f"(?s){kind}.*({text})|{text}" if self.ours else "")
            if self.status_of(ident)[0] is not None:
                self.wrong("the container is there")
            self.nothing_of(ident, "after the failed create")
        else:
            if not self.want(created):
                return
            started = self.do("start", ident)
            self.want(started, 1 if text and kind in ("startContainer", "poststart") else 0,
                      text if self.ours and kind in ("startContainer", "poststart") else "")
            if text and kind in ("startContainer", "poststart"):
                self.until_stopped(ident)
            elif self.status_of(ident)[0] != "running":
                self.wrong("it does not run")
        deleted = self.do("delete", "--force", ident)
        self.want(deleted)
        if kind == "poststop" and text and self.ours and "warning" not in deleted.err:
            self.wrong(f"no warning: {deleted}")
        self.nothing_of(ident, "after the delete")
        if kind != "poststop" and self.ours and self.lines(mark) != ["x"]:
            self.wrong(f"the poststop hook ran {len(self.lines(mark))} times")

    def pid_files(self):
        folder = f"{self.place}/pids"
        os.makedirs(f"{folder}/directory", exist_ok=True)
        with open(f"{folder}/old", "w", encoding="ascii") as out:
            out.write("123456789012345678901234567890 what was there")
        for name, status in (("new", 0), ("old", 0), ("missing/file", 1), ("directory", 1), ("/dev/full", None), ("/proc/x", 1)):
            ident = self.name()
            file = os.path.join(folder, name)
            answer = self.create(ident, None, "--pid-file", file)
            if status is not None:
                self.want(answer, status)
            if answer.status != 0:
                if self.status_of(ident)[0] is not None:
                    self.wrong(f"--pid-file {name}: the container is there after the error")
                self.nothing_of(ident, name)
            elif status == 0:
                with open(file, encoding="ascii") as text:
                    found = text.read()
                if found != str(self.status_of(ident)[1]):
                    self.wrong(f"--pid-file {name} holds {found!r}")
            self.gone(ident, f"--pid-file {name}")
        if sorted(os.listdir(folder)) != ["directory", "new", "old"] or os.listdir(f"{folder}/directory"):
            self.wrong(f"left beside the pid files: {os.listdir(folder)}")

    def consoles(self):
        folder = f"{self.place}/consoles"
        os.makedirs(folder, exist_ok=True)
        terminal = self.config()
        terminal["process"]["terminal"] = True
        with open(f"{folder}/file", "w", encoding="ascii"):
            pass
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/dead")
            dead.listen()
        for name in ("missing", "file", "dead", ".", "x" * 200):
            ident = self.name()
            self.want(self.create(ident, copy.deepcopy(terminal), "--console-socket", f"{folder}/{name}"), 1)
            if self.status_of(ident)[0] is not None:
                self.wrong(f"console socket {name[:10]}: the container is there after the error")
            self.gone(ident, name[:10])
        ident = self.name()
        self.want(self.create(ident, copy.deepcopy(terminal)), 1, "console socket")
        self.gone(ident, "no console socket")
        for what in ("whole", "closes at once", "closes behind it", "never looks"):
            ident = self.name()
            where = f"{folder}/{what.replace(' ', '-')}"
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(where)
                listener.listen()
                listener.settimeout(LIMIT_S)
                spawned = self.spawn("create", "--bundle", self.bundle(copy.deepcopy(terminal), ident), "--console-socket", where, ident)
                master = -1
                if what != "never looks":
                    reader, _ = listener.accept()
                    if what == "whole":
                        _, ancillary, _, _ = reader.recvmsg(4096, socket.CMSG_SPACE(4 * 4))
                        master = array.array("i", ancillary[0][2])[0] if ancillary else -1
                        if master < 0:
                            self.wrong("no terminal came over the console socket")
                    reader.close()
                if what == "closes behind it":
                    listener.close()
                answer = self.finish(spawned)
                # Who gives the terminal to nobody has a container without one, or none; nothing between, and no SIGPIPE.
                if answer.status is None or answer.status < 0 or (what == "whole" and answer.status != 0):
                    self.wrong(f"the reader {what}: {answer}")
                if answer.status == 0:
                    self.want(self.do("start", ident))
                    if self.check_truth(ident, what) != "running":
                        self.wrong(f"the reader {what}: it does not run")
                if master >= 0:
                    os.close(master)
            self.gone(ident, what)

    def closed_stdio(self):
        """Every choice of closed standard streams: nothing else comes to be in their places, for it would be the container's."""
        for closed in ({0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}):
            ident = self.name()
            probe = f"{self.place}/shared"
            os.makedirs(probe, exist_ok=True)
            script = "for n in 0 1 2 3 4 5 6 7 8; do readlink /proc/$$/fd/$n && echo of $n; done >/s/out 2>/s/err; exit 5"
            config = self.config("/bin/sh", "-c", script)
            config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
            config["mounts"].append({"destination": "/s", "type": "bind", "source": probe, "options": ["bind", "rw"]})
            os.makedirs(f"{self.place}/rootfs/s", exist_ok=True)
            path = self.bundle(config, ident)
            words = [self.runtime, "--root", self.state, "run", "--bundle", path, ident]

            def close(closed=closed):
                for fd in closed:
                    os.close(fd)

            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=close)
            try:
                status = child.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                status = None
                child.kill()
                child.wait()
            found = self.lines(f"{probe}/out")
            odd = [word for word in found if word.startswith(("/", "socket:", "pipe:", "anon_inode")) and
                   word not in ("/dev/null", "/s/out", "/s/err")]
            if status is None or status < 0 or (status != 5 and self.ours):
                self.wrong(f"closed {sorted(closed)}: status {status}")
            if odd and self.ours:
                self.wrong(f"closed {sorted(closed)}: the container holds {odd}")
            for file in os.listdir(probe):
                os.unlink(f"{probe}/{file}")
            self.gone(ident, f"closed {sorted(closed)}")
        ident = self.name()
        self.want(self.create(ident))
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in (("state", ident), ("list",), ("ps", ident), ("spec", "--bundle", "/tmp") if False else ("features",)):
                answer = self.do(*words, stdout=full)
                if self.ours and answer.status == 0:
                    self.wrong(f"{words[0]} >/dev/full is success")
        self.gone(ident, "full output")

    def full_state(self):
        """A root of states on a file system without room."""
        where = f"{self.place}/small"
        os.makedirs(where, exist_ok=True)
        for options in [f"nr_inodes={number}" for number in range(2, 10)] + ["size=4k", "size=8k", "size=12k", "size=16k", "size=64k"]:
            mount("-t", "tmpfs", "-o", f"mode=700,{options}", "small", where)
            try:
                ident = self.name()
                root = f"{where}/state"
                answer = self.create(ident, None, root=root)
                if answer.status != 0:
                    self.want(answer, 1, "no space left" if self.ours else "")
                    self.nothing_of(ident, options, root)
                    if (self.do("state", ident, root=root)).status == 0:
                        self.wrong(f"{options}: the container is there after the error")
                else:
                    # Nothing more can be written: all that ends a container must work.
                    with contextlib.suppress(OSError), open(f"{where}/filler", "wb") as out:
                        while True:
                            out.write(b"x" * 4096)
                            out.flush()
                    started = self.do("start", ident, root=root)
                    if self.ours:
                        self.want(started)
                    self.status_of(ident, root)
                    self.want(self.do("kill", ident, "KILL", root=root))
                self.gone(ident, options, root)
            finally:
                sh("umount", "-l", where)

    def bad_roots(self):
        """A root that cannot be one."""
        with open(f"{self.place}/plain", "w", encoding="ascii"):
            pass
        os.makedirs(f"{self.place}/open", exist_ok=True)
        os.chmod(f"{self.place}/open", 0o777)
        roots = [f"{self.place}/plain", f"{self.place}/plain/below", "/proc/root-of-states", "/sys"]
        for root in roots + ([f"{self.place}/open"] if self.ours else []):
            ident = self.name()
            self.want(self.create(ident, None, root=root), 1)
            for words in (("state", ident), ("kill", ident), ("delete", ident)):
                self.want(self.do(*words, root=root), 1)
            self.nothing_of(ident, root)

    def damaged_state(self):
        """Files of the root that are cut off, empty, or something else: a clear error, and delete --force where it may."""
        for damage in ("empty", "cut", "rubbish", "list", "missing", "no gate"):
            ident = self.name()
            self.want(self.create(ident))
            pid = self.status_of(ident)[1]
            file = f"{self.state}/{ident}/state.json"
            with open(file, encoding="utf-8") as old:
                whole = old.read()
            if damage in ("missing", "no gate"):
                os.unlink(file if damage == "missing" else f"{self.state}/{ident}/gate")
            else:
                with open(file, "w", encoding="utf-8") as out:
                    out.write({"empty": "", "cut": whole[:len(whole) // 2], "rubbish": "\x00\xff{", "list": "[]"}[damage])
            for words in (("state", ident), ("start", ident), ("kill", ident, "0"), ("pause", ident), ("list",), ("delete", ident)):
                answer = self.do(*words)
                if answer.status != 0:
                    self.one_line(answer, f"{damage}: {words[0]}: ")
            if not os.path.isdir(f"{self.state}/{ident}"):  # it was removed: then its process is gone, if its pid was known
                if damage == "no gate" and alive(pid):
                    self.wrong(f"{damage}: the process is left")
            else:
                with open(file, "w", encoding="utf-8") as out:
                    out.write(whole)
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(f"{self.state}/{ident}", ignore_errors=True)
            for folder in sorted((each for each in groups() if f"/{ident}" in each), reverse=True):
                for _ in range(100):
                    try:
                        os.rmdir(folder)
                        break
                    except OSError:
                        time.sleep(0.01)

    def preserved(self):
        for words in (("--preserve-fds", "3"), ("--preserve-fds=1",), ("--preserve-fds", "1000000000")):
            ident = self.name()
            self.want(self.create(ident, None, *words), 1, "preserved-fd" if self.ours else "")
            self.gone(ident, "preserve-fds")
        for words in (("--preserve-fds", "-1"), ("--preserve-fds", "x"), ("--preserve-fds", "99999999999999999999")):
            ident = self.name()
            if self.create(ident, None, *words).status == 0:
                self.wrong(f"{words} is taken")
            self.gone(ident, "preserve-fds")
        ident = self.name()
        read, write = os.pipe()
        copies = [os.dup2(write, 3 + number) if write != 3 + number else write for number in range(2)] if min(read, write) > 4 else []
        if copies:
            path = self.bundle(self.config("/bin/sh", "-c", "echo x >&4; test ! -e /proc/self/fd/7"), ident)
            self.want(self.do("run", "--preserve-fds", "2", "--bundle", path, ident, pass_fds=(3, 4)))
            if os.read(read, 10) != b"x\n":
                self.wrong("a preserved descriptor is not there")
            for fd in copies:
                os.close(fd)
        for fd in (read, write):
            with contextlib.suppress(OSError):
                os.close(fd)

    def taken_group(self):
        """A cgroup in which somebody else lives is not the container's, whatever fails; and one that is frozen is no place."""
        folders = [where + "/torture-taken" for where in hierarchies()]
        for folder in folders:
            os.mkdir(folder)
            if os.path.exists(f"{folder}/cpuset.cpus"):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    with open(f"{os.path.dirname(folder)}/{file}", encoding="ascii") as old, open(f"{folder}/{file}", "w", encoding="ascii") as new:
                        new.write(old.read() or "0")
        lodger = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
        try:
            for folder in folders:
                with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs", "w", encoding="ascii") as out:
                    out.write(str(lodger.pid))
            ident = self.name()
            config = self.config()
            config["linux"]["cgroupsPath"] = "/torture-taken"
            answer = self.create(ident, config)
            if self.ours:
                self.want(answer, 1)
            if answer.status != 0 and lodger.poll() is not None:
                self.wrong("a process of somebody else was killed")
            if answer.status != 0:
                self.gone(ident, "taken cgroup")
            if self.ours and lodger.poll() is not None:
                self.wrong("delete --force has killed a process of somebody else")
            if answer.status == 0:
                self.do("delete", "--force", ident)
            if self.ours:
                freezers = [f"{folder}/freezer.state" for folder in folders if os.path.exists(f"{folder}/freezer.state")]
                lodger.kill()
                lodger.wait()
                for file in freezers:
                    with open(file, "w", encoding="ascii") as out:
                        out.write("FROZEN")
                if freezers:
                    ident = self.name()
                    self.want(self.create(ident, config), 1)
                    # It may have been taken away, which is what happens to every empty cgroup of a container.
                    for file in freezers:
                        with contextlib.suppress(FileNotFoundError), open(file, "w", encoding="ascii") as out:
                            out.write("THAWED")
                    self.gone(ident, "frozen cgroup")
        finally:
            lodger.kill()
            lodger.wait()
            for folder in folders:
                thaw(folder)
                for _ in range(100):
                    with contextlib.suppress(FileNotFoundError):
                        try:
                            os.rmdir(folder)
                        except FileNotFoundError:
                            break
                        except OSError:
                            time.sleep(0.01)
                            continue
                    break

    # Mutated configurations

    def fit(self, config):
        """An engine's configuration, with paths and limits of this machine."""
        config["root"]["path"] = f"{self.place}/rootfs"
        config.pop("hooks", None)
        process = config["process"]
        process["args"] = ["/bin/true"]
        process["terminal"] = False
        for key in ("consoleSize", "apparmorProfile", "selinuxLabel", "rlimits"):
            process.pop(key, None)
        process["oomScoreAdj"] = max(process.get("oomScoreAdj") or 0, 0)
        kept = []
        for row in config["mounts"]:
            if row.get("type") != "bind" and not {"bind", "rbind"} & set(row.get("options") or []):
                kept.append(row)
        kept.append({"destination": "/tmp", "type": "bind", "source": f"{self.place}/source", "options": ["rbind", "rw", "rprivate"]})
        config["mounts"] = kept
        config["linux"].pop("mountLabel", None)
        for row in config["linux"].get("namespaces", []):
            row.pop("path", None)
        caps = int(re.search(r"CapBnd:\s*(\w+)", "\n".join(self.lines_of("/proc/self/status")))[1], 16)
        if not caps >> 24 & 1:
            for kind, names in (process.get("capabilities") or {}).items():
                process["capabilities"][kind] = [name for name in names or [] if name != "CAP_SYS_RESOURCE"]
        return config

    @staticmethod
    def lines_of(path):
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()

    def places(self, tree, found, path=()):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, value in items:
            found.append((tree, key))
            self.places(value, found, (*path, key))
        return found

    def mutate(self, rng, config):
        """One to four changes of its structure."""
        values = [None, True, False, 0, 1, -1, 7, 1.5, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63), 1e300, "", "x", "/",
                  "..", "../../..", "/proc/self/fd/3", "/proc/self/exe", "x" * 300, "/" + "y/" * 3000, "a\nb", "\u0000", "a\u0000b", "%s%n",
                  "\u00e4\U0001f600", "0x10", "010", " 1", "SCMP_ACT_KILL", "SCMP_ACT_ERRNO", "rbind", "rshared", "private", "ro",
                  "size=1", "mode=99999", [], {}, [None], [[]], [{}], {"": ""}, {"path": "/"}, ["x"] * 500, [1, 2, 3]]
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
            places = self.places(config, [])
            if not places:
                break
            parent, key = rng.choice(places)
            _, (other, its) = None, rng.choice(places)
            change = rng.randrange(11)
            try:
                if change <= 2:
                    parent[key] = copy.deepcopy(rng.choice(values))
                elif change == 3:
                    del parent[key]
                elif change == 4:
                    parent[key] = copy.deepcopy(other[its])
                elif change == 5 and isinstance(parent, list):
                    parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
                elif change == 5:
                    parent[key.swapcase() if rng.random() < 0.5 else key + "x"] = parent.pop(key)
                elif change == 6 and isinstance(parent[key], int):
                    parent[key] += rng.choice((-1, 1, 1000, -1000, 1 << 20))
                elif change == 6 and isinstance(parent[key], str):
                    text = parent[key]
                    at = rng.randrange(len(text) + 1)
                    parent[key] = text[:at] + rng.choice(("", "/", "..", "\n", "9", "=", ":", ",")) + text[at + rng.randrange(3):]
                elif change == 7 and isinstance(parent[key], list):
                    rng.shuffle(parent[key])
                elif change == 8 and isinstance(parent[key], list):
                    parent[key] *= rng.choice((2, 10))
                elif change == 9:
                    parent[key] = [parent[key]]
                else:
                    parent[key], other[its] = other[its], parent[key]
            except (KeyError, IndexError, TypeError, AttributeError):
                continue
        try:
            text = json.dumps(config)
        except (ValueError, RecursionError):  # a piece that was put into itself
            return None
        if rng.random() < 0.05:
            at = rng.randrange(len(text))
            text = rng.choice((text[:at], text[:at] + rng.choice("{}[]\",:\\x") + text[at + 1:], text + text[:20], text[:at] + text[at:at + 30] + text[at:]))
        return text

    def mutations(self):
        """Each is run: a correct start or one clear line; no signal, no hang, nothing left."""
        os.makedirs(f"{self.place}/source", exist_ok=True)
        files = sorted(glob.glob(f"{HERE}/configs/*config.json"))
        if not files:
            return "no configurations in configs/"
        bases = []
        for file in files:
            with open(file, encoding="utf-8") as text:
                bases.append((os.path.basename(file), self.fit(json.load(text))))
        started = collections.Counter()
        errors = collections.Counter()
        numbers = iter(range(self.arguments.mutations))
        before = surroundings(self.state)
        keep = os.environ.get("TORTURE_KEEP")

        def one(number):
            rng = random.Random(self.arguments.seed * 1000003 + number)
            name, base = rng.choice(bases)
            config = copy.deepcopy(base)
            ident = f"m{number}"
            config["linux"]["cgroupsPath"] = f"/torture/{ident}"
            text = self.mutate(rng, config)
            if text is None:
                return
            had = len(self.problems)
            path = self.bundle(text, ident)
            answer = self.finish(self.spawn("run", "--bundle", path, ident))
            started[answer.status] += 1
            label = f"mutation {number} of {name}"
            if answer.status is None or answer.status < 0:
                self.wrong(f"{label}: {answer}")
            # 127 are the words of a dynamic loader in the container, under a filter that is one no more.
            elif answer.status not in (0, 127) and (answer.err or answer.status == 1):
                self.one_line(answer, f"{label}: ")
                errors[re.sub(r'"[^"]*"|\d+', "#", answer.err)[:90].strip()] += 1
            folder = f"{self.state}/{ident}"
            if os.path.exists(folder):
                self.wrong(f"{label}: left behind: {os.listdir(folder)}, {answer}")
                self.finish(self.spawn("delete", "--force", ident))
            if keep and len(self.problems) > had:
                shutil.copy(f"{path}/config.json", f"{keep}/{ident}.json")
            shutil.rmtree(path, ignore_errors=True)

        def actor():
            while True:
                with self.lock:
                    number = next(numbers, None)
                if number is None:
                    return
                one(number)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(actor) for _ in range(4)]:
                future.result()
        time.sleep(0.2)
        # cgroupsPath is one of the things that were mutated: parents of any name may be left, as engines know it, but empty.
        for folder in sorted({line for line in surroundings(self.state) - before if line.startswith("cgroup ")}, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(folder.removeprefix("cgroup "))
        self.note(f"exit statuses: {dict(started)}; {len(errors)} different errors")
        if os.environ.get("TORTURE_ERRORS"):
            for line, times in errors.most_common():
                self.note(f"{times} x {line}")
        if not started[0]:
            self.wrong("not one of them was started")

    def all(self):
        full = self.arguments
        self.case("create races: of many creates and starts of one id one succeeds each", self.race_to_create)
        self.case("all verbs in parallel on one id", self.one_id)
        self.case("100 containers at once", self.at_once)
        for verb in ("create", "start", "run", "exec", "kill", "pause", "resume", "update", "delete", "delete --force"):
            self.case(f"killed: {verb} {full.kills} times at random moments", lambda verb=verb: self.interrupted(verb))
        self.case("killed: run in the foreground", self.run_interrupted)
        self.case("killed: by the hooks that it runs", self.killed_by_hook)
        if self.ours:
            self.case("killed: start in a startContainer hook", self.killed_in_start)
            self.case("killed: create at its very end", self.killed_at_the_end)
        self.case(f"cycles: {full.cycles} containers one after the other leave nothing", self.cycles)
        self.case("descriptors of the caller do not reach the container", self.descriptors)
        self.case("exec storm: every status is its own", self.exec_storm)
        self.case("exec storm beside the container's end", self.exec_while_dying)
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
            self.case(f"hooks: {kind} fails", lambda kind=kind: self.hooks(kind))
        self.case("pid-file: where it cannot be, and what it replaces", self.pid_files)
        self.case("console-socket: missing, dead, and readers that go away", self.consoles)
        self.case("closed standard streams, full output", self.closed_stdio)
        self.case("full: a root of states without room", self.full_state)
        self.case("roots that cannot be one", self.bad_roots)
        if self.ours:
            self.case("damaged states", self.damaged_state)
        self.case("preserve-fds that are not there", self.preserved)
        self.case("taken: a cgroup that is somebody else's", self.taken_group)
        self.case(f"mutated: {full.mutations} configurations", self.mutations)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runtime", nargs="?", default=os.environ.get("CLAWRUN"))
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--mutations", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    for key, short, full in (("cycles", 200, 5000), ("kills", 24, 200), ("mutations", 400, 10000)):
        if getattr(arguments, key) is None:
            setattr(arguments, key, full if arguments.full else short)
    if not arguments.runtime:
        parser.error("set CLAWRUN to the runtime under test, or name one")
    if "TORTURE_BOX" not in os.environ:
        sys.exit(outside())
    status = first_process()
    if status is not None:
        sys.stdout.flush()
        os._exit(status if status >= 0 else 1)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    runtime = "/run/" + os.path.basename(arguments.runtime)
    shutil.copy(shutil.which(arguments.runtime) or arguments.runtime, runtime)
    torture = Torture(runtime, arguments)
    torture.all()
    print(f"1..{torture.count}", flush=True)
    # Not sys.exit: what a failed case has left is the end of the box's business.
    os._exit(1 if torture.bad else 0)


if __name__ == "__main__":
    main()
