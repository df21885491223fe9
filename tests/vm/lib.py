"""What the suites in the test machine share: TAP, the callers of clawrun, sandboxes, and what the kernel says of their cgroups.

Runs in the guest, as root. What a cgroup is like is read from its files below /sys/fs/cgroup, and never asked of clawrun.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PLACE = Path("/tmp/vm-suite")
ROOTFS = PLACE / "rootfs"
DISK = Path("/run/disk")
USER = "sandboxer"
UID = 4711
MIB = 1 << 20
# What takes a second on a machine may take three in emulation on a busy one.
SLOWER = 3

BIN = PLACE / "bin"
CLAWRUN = BIN / "clawrun"
LOAD = BIN / "vm-load"


# ---- TAP ----

class Skip(Exception):
    """The test cannot run here, and why."""


tests = []


def test(name):
    """Registers a test; they are run in the order in which they are written."""
    def register(function):
        tests.append((name, function))
        return function
    return register


def comment(text):
    for line in str(text).splitlines():
        print(f"#   {line}", flush=True)


def expect(condition, *what):
    """What is said otherwise may be a function: what it costs to find out is paid only then."""
    if not condition:
        raise AssertionError("\n".join(str(w() if callable(w) else w) for w in what))


def expect_about(value, wanted, part, what):
    """Within `part` of what is wanted: 0.1 is 10 %."""
    expect(abs(value - wanted) <= wanted * part, f"{what}: {value:.4g}, expected {wanted:.4g} ± {part:.0%}")


def run_tests(pattern=""):
    """All of them, or those whose names have `pattern`; the exit status."""
    chosen = [(name, function) for name, function in tests if re.search(pattern, name)]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(chosen, 1):
        started, note, problem = time.monotonic(), "", ""
        try:
            function()
        except Skip as skip:
            note = f" # SKIP {skip}"
        except Exception:  # pylint: disable=broad-except # a test that breaks is a test that fails
            problem = traceback.format_exc(limit=-3)
        problem = "\n".join(filter(None, [problem, end_all()]))
        failed += bool(problem)
        print(f"{'not ok' if problem else 'ok'} {number} - {name}{note}", flush=True)
        comment(problem)
        comment(f"{time.monotonic() - started:.1f} s")
    return 1 if failed else 0


# ---- Waiting ----

def wait_for(condition, what, seconds=5 * SLOWER):
    """Until it is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        expect(time.monotonic() < deadline, f"{seconds} s went by without {what}")
        time.sleep(0.02)
    return value


# ---- The cgroups as the kernel shows them ----

def leaves():
    """Every cgroup that a sandbox could be in."""
    found = []
    for folder, names, _ in os.walk(CGROUPS):
        found += [Path(folder, name) for name in names if name.startswith("clawrun-")]
    return found


def leaf_of(name):
    """The cgroup of the sandbox with this name, once it is there."""
    wanted = (f"clawrun-{name}", f"clawrun-{name}.scope")
    return wait_for(lambda: next((leaf for leaf in leaves() if leaf.name in wanted), None), f"a cgroup of {name}")


def read(leaf, file):
    return (leaf / file).read_text().strip()


def numbers(leaf, file):
    """A flat-keyed file, such as cpu.stat."""
    return {key: int(value) for key, value in (line.split() for line in read(leaf, file).splitlines())}


def write(leaf, file, value):
    (leaf / file).write_text(value)


def available_bytes():
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"^MemAvailable: *(\d+)", text, re.M)[1]) * 1024


# ---- Callers ----

class Caller:
    """Somebody who starts sandboxes: as whom, from which cgroup, with which words before clawrun and options after it."""

    def __init__(self, name, uid=0, cgroup=None, options=(), environment=None, prefix=()):
        self.name = name
        self.uid = uid
        self.cgroup = cgroup
        self.options = list(options)
        self.prefix = list(prefix)
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent", **(environment or {})}

    def start(self, words, **kwargs):
        words = [str(w) for w in [*self.prefix, *words]]
        # A program of its own and no preexec_fn, for which Python would copy itself.
        if self.cgroup or self.uid:
            words = [str(LOAD), "as", str(self.cgroup or "-"), str(self.uid), *words]
        return subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, cwd="/", text=True, **kwargs)

    def run(self, words, seconds=60):
        """To its end: (status, stdout, stderr)."""
        child = self.start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"still running after {seconds} s: {words}\n{err}") from None
        return child.returncode, out, err

    def clawrun(self, *words, seconds=60):
        return self.run([CLAWRUN, *words], seconds)

    def json(self, *words):
        status, out, err = self.clawrun(*words)
        expect(status == 0, f"{words}: status {status}", err)
        return json.loads(out)


# ---- Sandboxes ----

class Sandbox:
    """One `clawrun exec` of vm-load; what it printed, how it ended, its report."""

    count = 0
    running = []

    def __init__(self, caller, options, load, name=None):
        Sandbox.count += 1
        self.caller = caller
        self.name = name or f"s{Sandbox.count}"
        self.report_file = PLACE / "reports" / f"{Sandbox.count}"
        self.words = [CLAWRUN, "exec", "--rootfs", ROOTFS, "--report", self.report_file, "--name", self.name, *caller.options, *options,
                      "--", "/vm-load", *load]
        self.started = time.monotonic()
        self.process = caller.start(self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        Sandbox.running.append(self)
        self.out = self.err = ""

    def leaf(self):
        try:
            return leaf_of(self.name)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.end()}") from None

    def line(self):
        """The next line of the command, which may be the sign that it runs."""
        text = self.process.stdout.readline()
        expect(text, "no output of the command", self.end)
        self.out += text
        return text.strip()

    def finish(self, seconds=60):
        try:
            out, self.err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.end()}") from None
        self.out += out
        self.seconds = time.monotonic() - self.started
        Sandbox.running.remove(self)
        return self

    @property
    def status(self):
        return self.process.returncode

    @property
    def report(self):
        expect(self.report_file.exists() and self.report_file.stat().st_size > 0, f"no report: {self}")
        return json.loads(self.report_file.read_text())

    def end(self):
        """Whatever it does: gone. It is asked first: a supervisor that is killed cannot tidy up."""
        if self in Sandbox.running:
            self.process.terminate()
            try:
                out, self.err = self.process.communicate(timeout=4 * SLOWER)
            except subprocess.TimeoutExpired:
                self.process.kill()
                out, self.err = self.process.communicate()
            self.out += out
            Sandbox.running.remove(self)
        return self

    def stop(self):
        """As a service manager would."""
        self.process.terminate()
        return self.finish()

    def __str__(self):
        text = f"{' '.join(map(str, self.words))}\nstatus {self.status}\nstdout {self.out[-500:]}\nstderr {self.err[-1000:]}"
        if self.report_file.exists():
            text += f"\nreport {self.report_file.read_text()}"
        return text


def sandbox(caller, options, load, seconds=60, name=None):
    return Sandbox(caller, options, load, name).finish(seconds)


def waiting(caller, *options):
    """A sandbox whose command runs and does nothing."""
    box = Sandbox(caller, options, ["wait"])
    expect(box.line() == "waiting", box)
    return box


def end_all():
    """After each test: what still runs is ended; what is left then is a fault of clawrun, in words."""
    for box in Sandbox.running:
        box.process.terminate()
    for box in list(Sandbox.running):
        box.end()
    # The kernel takes a moment to let a group go after its last process.
    deadline = time.monotonic() + 2 * SLOWER
    while (left := leaves()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not left:
        return ""
    names = ", ".join(str(leaf) for leaf in left)
    for leaf in left:
        remove_leaf(leaf)
    return f"left behind: {names}"


def remove_leaf(leaf):
    if leaf.name.endswith(".scope"):
        subprocess.run(["systemctl", "stop", leaf.name], check=False, capture_output=True)
    try:
        write(leaf, "cgroup.kill", "1")
        wait_for(lambda: "populated 0" in read(leaf, "cgroup.events"), "its end")
        leaf.rmdir()
    except (OSError, AssertionError):
        pass


def refused(caller, options, *parts, status=125, seconds=60, name=None):
    """One clear line, the right status, and nothing was run; the line."""
    box = sandbox(caller, options, ["wait"], seconds, name)
    lines = box.err.strip().splitlines()
    expect(box.status == status, f"status {box.status} in place of {status}", box)
    expect(len(lines) == 1, "not one line", box)
    expect("waiting" not in box.out, "the command ran", box)
    for part in parts:
        expect(re.search(part, lines[0]), f"the line does not have {part!r}: {lines[0]}")
    return lines[0]


# ---- The place of a run ----

def prepare():
    """The programs, a root filesystem for every sandbox, an ordinary user."""
    # In the guest's memory: from the host's filesystem every start would cost several times as much, and a user may not reach it.
    (BIN / "systemd").mkdir(parents=True)
    build = Path(os.environ["CLAWRUN_BUILD"])
    binary = Path(os.environ["CLAWRUN"])
    shutil.copy(binary, CLAWRUN)
    shutil.copy(build / "tests/vm/vm-load", LOAD)
    helper = binary.parent / "systemd/clawrun-systemd"
    if helper.exists():
        shutil.copy(helper, BIN / "systemd")
    for folder in ["proc", "dev", "tmp", "workspace", "etc", "sys"]:
        (ROOTFS / folder).mkdir(parents=True)
    shutil.copy(LOAD, ROOTFS / "vm-load")
    reports = PLACE / "reports"
    reports.mkdir()
    reports.chmod(0o777)
    for path in [PLACE, *PLACE.rglob("*")]:
        if path != reports:
            path.chmod(0o755)
    # By hand: useradd writes /etc/shadow, which an ordinary user who boots this machine cannot read.
    try:
        pwd.getpwnam(USER)
    except KeyError:
        with open("/etc/passwd", "a", encoding="utf-8") as file:
            file.write(f"{USER}:*:{UID}:{UID}::/nonexistent:/bin/sh\n")
        with open("/etc/group", "a", encoding="utf-8") as file:
            file.write(f"{USER}:x:{UID}:\n")


def add_swap(megabytes):
    """Swap in a file of the disk. Without holes: swapon(8)."""
    path = DISK / "swap"
    path.write_bytes(bytes(megabytes * MIB))
    path.chmod(0o600)
    subprocess.run(["mkswap", path], check=True, capture_output=True)
    subprocess.run(["swapon", path], check=True, capture_output=True)


def disk_number():
    device = os.stat(DISK).st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def work_folder(caller):
    """A folder of this caller's on the disk."""
    path = DISK / f"work-{caller.uid}"
    path.mkdir(exist_ok=True)
    os.chown(path, caller.uid, caller.uid)
    return path


def main():
    sys.exit(run_tests(sys.argv[1] if len(sys.argv) > 1 else ""))
