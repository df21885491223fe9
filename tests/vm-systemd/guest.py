"""Under systemd: scopes of the system manager and of a user's, delegation, and a manager that does not answer. As root in the guest."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

import limits  # noqa: E402 # pylint: disable=wrong-import-position
from lib import (CGROUPS, MIB, SLOWER, UID, USER, Caller, add_swap, comment, disk_number, expect, leaf_of, leaves, main, prepare,  # noqa: E402
                 read, refused, sandbox, test, wait_for, waiting)

SYSTEMD = ["--cgroup-driver", "systemd"]
RUNTIME = Path(f"/run/user/{UID}")
ENVIRONMENT = {"XDG_RUNTIME_DIR": str(RUNTIME), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUNTIME}/bus"}
DELEGATED_SCOPE = ["systemd-run", "--user", "--scope", "--quiet", "--property=Delegate=yes", "--"]

root = Caller("root", options=SYSTEMD)
user = Caller("user", UID, options=SYSTEMD, environment=ENVIRONMENT)


def systemctl(*words, caller=None):
    words = ["systemctl", *(["--user"] if caller is user else []), *words]
    status, out, err = (caller or root).run(words)
    expect(status == 0, f"{words}: {err}")
    return out.strip()


def start_user_manager():
    """What README tells an administrator to do, and a login that lasts."""
    folder = Path("/etc/systemd/system/user@.service.d")
    folder.mkdir(parents=True)
    (folder / "delegate.conf").write_text("[Service]\nDelegate=cpu cpuset io memory pids\n")
    systemctl("daemon-reload")
    subprocess.run(["loginctl", "enable-linger", USER], check=True)
    wait_for((RUNTIME / "bus").exists, "the user's manager", 20 * SLOWER)
    wait_for(lambda: user.run(["systemctl", "--user", "is-system-running"])[1].strip() == "running", "the user's manager", 20 * SLOWER)


@test("a scope of the system manager is where a sandbox of root is")
def _():
    leaf = waiting(root, "--memory", "64m").leaf()
    expect(leaf.name.endswith(".scope") and leaf.parent == CGROUPS / "system.slice", leaf)
    expect(systemctl("is-active", leaf.name) == "active", leaf)
    expect(systemctl("show", "-P", "MemoryMax", leaf.name) == str(64 * MIB), "MemoryMax")


@test("a scope of the user's manager is where a sandbox of a user is")
def _():
    leaf = waiting(user, "--memory", "64m").leaf()
    expect(leaf.name.endswith(".scope") and f"user@{UID}.service" in str(leaf), leaf)
    expect(systemctl("show", "-P", "MemoryMax", leaf.name, caller=user) == str(64 * MIB), "MemoryMax")


limits.register(root)
limits.register(user)


@test("root: devices are denied but for those granted, as they are granted, after a daemon-reload too")
def _():
    limits.devices(root, lambda: systemctl("daemon-reload"))


def files_of(leaf):
    # memory.oom.group is not among them: systemd has no property for it in scopes before version 253.
    files = ["memory.max", "memory.swap.max", "memory.high", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max",
             "io.max", "io.weight"]
    return {file: read(leaf, file) for file in files}


for caller in (root, user):
    @test(f"{caller.name}: limits outlive a daemon-reload, changed ones too")
    def _(caller=caller):
        box = waiting(caller, "--memory", "96m", "--memory-swap", "32m", "--memory-high", "80m", "--cpus", "0.75", "--cpu-weight", "321",
                      "--cpuset", "1", "--pids", "33", "--io-max", f"{disk_number()}:rbps=3m,wiops=200", "--io-weight", "250")
        leaf = box.leaf()
        before = files_of(leaf)
        systemctl("daemon-reload", caller=caller)
        # What the manager thinks of the unit is written again when any of its properties changes.
        systemctl("set-property", "--runtime", leaf.name, "TasksAccounting=yes", caller=caller)
        expect(files_of(leaf) == before, "before:", before, "after:", files_of(leaf))
        status, _, err = caller.clawrun("update", box.name, "--memory", "90m", "--pids", "44", "--cpus", "0.5")
        expect(status == 0, err)
        changed = files_of(leaf)
        expect((changed["memory.max"], changed["pids.max"], changed["cpu.max"]) == (str(90 * MIB), "44", "50000 100000"), changed)
        systemctl("daemon-reload", caller=caller)
        systemctl("set-property", "--runtime", leaf.name, "TasksAccounting=yes", caller=caller)
        expect(files_of(leaf) == changed, "before:", changed, "after:", files_of(leaf))


@test("slice:prefix:name chooses the slice and the name of the unit")
def _():
    box = waiting(root, "--cgroup-path", "vm-tests.slice:vm:chosen", "--memory", "64m")
    leaf = CGROUPS / "vm.slice/vm-tests.slice/vm-chosen.scope"
    expect(leaf.exists() and read(leaf, "memory.max") == str(64 * MIB), "no such scope", box.end)
    box.stop()
    wait_for(lambda: not leaf.exists(), f"the end of {leaf}")


# ---- The cgroupfs driver under systemd ----

@test("cgroupfs beside systemd: root's sandboxes are in a group of their own")
def _():
    leaf = waiting(Caller("root", options=["--cgroup-driver", "cgroupfs"]), "--memory", "64m").leaf()
    expect(leaf.parent == CGROUPS / "clawrun" and read(leaf, "memory.max") == str(64 * MIB), leaf)
    systemctl("daemon-reload")
    expect(read(leaf, "memory.max") == str(64 * MIB), read(leaf, "memory.max"))


@test("cgroupfs in a delegated scope of the user: limits hold, and the scope is as it was")
def _():
    caller = Caller("user", UID, options=["--cgroup-driver", "cgroupfs"], environment=ENVIRONMENT, prefix=DELEGATED_SCOPE)
    box = waiting(caller, "--memory", "64m", "--pids", "20")
    leaf = box.leaf()
    expect(f"user@{UID}.service" in str(leaf) and read(leaf, "memory.max") == str(64 * MIB), leaf)
    box.stop()
    box = sandbox(caller, ["--memory", "64m"], ["memory", "512"])
    expect(box.report["status"] == "oom", box)


@test("auto: a user outside of any delegated group is served by the user's manager")
def _():
    caller = Caller("user", UID, environment=ENVIRONMENT)
    box = sandbox(caller, ["--memory", "64m"], ["memory", "512"])
    expect(box.report["status"] == "oom", box)


limits.crowd_test([root, user], 100)


# ---- What can go wrong ----

def stopped(pid):
    """Stopped with SIGSTOP for as long as the block lasts."""
    class Stopped:
        def __enter__(self):
            os.kill(pid, signal.SIGSTOP)

        def __exit__(self, *_):
            os.kill(pid, signal.SIGCONT)
    return Stopped()


# Pid 1 cannot be stopped from its own pid namespace (signal(7)): a user's manager stands for it.
@test("a manager that does not answer is an error within its deadline, and nothing is left")
def _():
    pid = int(systemctl("show", "-P", "MainPID", f"user@{UID}.service"))
    started = time.monotonic()
    with stopped(pid):
        line = refused(user, ["--memory", "64m"], "systemd", "answer|time|deadline")
    comment(f"after {time.monotonic() - started:.1f} s: {line}")
    # What was asked of it is done when it goes on; then that must vanish too.
    time.sleep(1)
    wait_for(lambda: leaves() == [], "an end of its cgroups")
    expect(sandbox(user, ["--memory", "64m"], ["memory", "1"]).status == 0, "it does not go on")


@test("a message bus that does not answer holds up nobody for ever")
def _():
    pid = int(systemctl("show", "-P", "MainPID", "dbus.service"))
    with stopped(pid):
        started = time.monotonic()
        box = sandbox(root, ["--memory", "64m"], ["memory", "1"])
        comment(f"status {box.status} after {time.monotonic() - started:.1f} s: {box.err.strip()}")
        # Root may speak to systemd without the bus.
        lines = box.err.strip().splitlines()
        expect(box.status == 0 or (box.status == 125 and len(lines) == 1 and "systemd" in lines[0]), box)


@test("a user without a manager is told what is missing")
def _():
    caller = Caller("nobody", 65534, options=SYSTEMD)
    refused(caller, ["--memory", "64m"], "systemd|manager")


@test("a unit that exists already is said, and left alone")
def _():
    child = subprocess.Popen(["systemd-run", "--scope", "--quiet", "--unit=clawrun-taken.scope", "sleep", "1000"])
    try:
        leaf = leaf_of("taken")
        refused(root, ["--memory", "64m"], "clawrun-taken", "name", name="taken")
        expect(child.poll() is None and leaf.exists(), "the other one is gone")
    finally:
        child.kill()
        child.wait()


@test("a scope that is stopped under a sandbox ends it, and is reported")
def _():
    box = waiting(root, "--memory", "64m")
    systemctl("stop", box.leaf().name)
    box.finish()
    expect(box.status in (128 + signal.SIGTERM, 128 + signal.SIGKILL), box)
    expect(len(box.err.strip().splitlines()) <= 1, box)


@test("nothing is left of all of it")
def _():
    expect(leaves() == [], leaves())
    for manager in (root, user):
        units = systemctl("list-units", "--all", "--plain", "--no-legend", "clawrun-*", caller=manager)
        expect(units == "", units)


if __name__ == "__main__":
    prepare()
    add_swap(96)
    start_user_manager()
    main()
