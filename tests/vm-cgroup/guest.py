"""cgroup v2 without systemd: root, an ordinary user with a delegated group, and what can go wrong. In the guest, as root."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

import limits  # noqa: E402 # pylint: disable=wrong-import-position
from lib import (CGROUPS, LOAD, SLOWER, UID, Caller, Sandbox, add_swap, comment, expect, leaves, main, prepare, read,  # noqa: E402
                 refused, sandbox, test, wait_for, waiting, write)

CGROUPFS = ["--cgroup-driver", "cgroupfs"]
CONTROLLERS = ["cpu", "cpuset", "io", "memory", "pids"]
DELEGATED = CGROUPS / "delegated"

root = Caller("root", options=CGROUPFS)
user = Caller("user", UID, DELEGATED / "shell", options=CGROUPFS)


def enable(group, controllers):
    write(group, "cgroup.subtree_control", " ".join(f"+{c}" for c in controllers))


def delegate(group):
    """As kernel.org, cgroup-v2, "Model of Delegation" has it; with a group below it for the user's shell."""
    (group / "shell").mkdir(parents=True)
    for path in [group, *(group / file for file in Path("/sys/kernel/cgroup/delegate").read_text().split() if (group / file).exists())]:
        os.chown(path, UID, UID)
    for path in [group / "shell", *(group / "shell").iterdir()]:
        os.chown(path, UID, UID)


@test("a caller in the root of all cgroups enables the controllers that it needs")
def _():
    write(CGROUPS, "cgroup.subtree_control", " ".join(f"-{c}" for c in CONTROLLERS))
    leaf = waiting(root, "--memory", "64m", "--cpuset", "0").leaf()
    expect(leaf.parent == CGROUPS, leaf)
    enabled = read(CGROUPS, "cgroup.subtree_control").split()
    enable(CGROUPS, CONTROLLERS)  # again for the user
    expect({"memory", "pids", "cpuset"} <= set(enabled), enabled)


limits.register(root)


@test("root: devices are denied but for those granted, as they are granted")
def _():
    limits.devices(root)


@test("a user's sandboxes are in the group that was delegated")
def _():
    leaf = waiting(user, "--memory", "64m").leaf()
    expect(leaf.parent == DELEGATED, leaf)


limits.register(user)
limits.crowd_test([root, user], 300)


# ---- What can go wrong ----

@test("processes in the delegated group itself are moved out of the way of its controllers")
def _():
    group = CGROUPS / "unprepared"
    delegate(group)
    (group / "shell").rmdir()
    caller = Caller("user", UID, group, options=CGROUPFS)
    leaf = waiting(caller, "--memory", "64m").leaf()
    expect(leaf.parent == group and read(leaf, "memory.max") == str(64 << 20), leaf)


@test("a full tree of cgroups is said, for root and for a user")
def _():
    group = CGROUPS / "full"
    group.mkdir(exist_ok=True)
    write(group, "cgroup.max.descendants", "0")
    refused(root, ["--memory", "64m", "--cgroup-path", "/full"], "/full", "cgroup.max.descendants")
    write(DELEGATED, "cgroup.max.descendants", "1")
    try:
        refused(user, ["--memory", "64m"], str(DELEGATED), "cgroup.max.descendants")
    finally:
        write(DELEGATED, "cgroup.max.descendants", "max")


@test("a controller that is missing is named, with the remedy")
def _():
    middle = CGROUPS / "middle"
    middle.mkdir()
    enable(middle, ["pids"])
    delegate(middle / "poor")
    caller = Caller("user", UID, middle / "poor" / "shell", options=CGROUPFS)
    refused(caller, ["--memory", "64m"], "memory", "subtree_control|delegat")
    # The limit that can be had is there, and what cannot be had is said where that was allowed.
    box = sandbox(caller, ["--pids", "7", "--memory", "64m", "--allow-degraded"], ["forks", "100"])
    expect(box.status == 0 and "forked 5 EAGAIN" in box.out and "memory" in box.err, box)


@test("cgroups that are mounted read-only are said")
def _():
    caller = Caller("root", options=CGROUPFS, prefix=["unshare", "--mount", "sh", "-c",
                                                      'mount -o remount,bind,ro /sys/fs/cgroup && exec "$@"', "sh"])
    refused(caller, ["--memory", "64m"], "/sys/fs/cgroup", "read-only", "writable")


@test("cgroups that are not mounted are said")
def _():
    caller = Caller("root", options=CGROUPFS, prefix=["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup && exec "$@"', "sh"])
    refused(caller, ["--memory", "64m"], "memory", "cgroup", "mount")


@test("a user without a delegated group is told how to get one")
def _():
    (CGROUPS / "alien").mkdir(exist_ok=True)
    caller = Caller("user", UID, CGROUPS / "alien", options=CGROUPFS)
    refused(caller, ["--memory", "64m"], "delegat")
    refused(caller, ["--cpus", "0.5"], "delegat")


@test("a name that somebody else's cgroup has is refused, and that cgroup is left alone")
def _():
    group = CGROUPS / "clawrun-taken"
    group.mkdir()
    sleeper = subprocess.Popen([LOAD, "wait"], stdout=subprocess.DEVNULL)
    write(group, "cgroup.procs", str(sleeper.pid))
    try:
        refused(root, ["--memory", "64m"], "clawrun-taken", "--name|name", name="taken")
        status, _, err = root.clawrun("gc")
        expect(status == 0, err)
        expect(sleeper.poll() is None, "gc killed what is not ours")
        expect(str(sleeper.pid) in read(group, "cgroup.procs").split(), "gc moved what is not ours")
    finally:
        sleeper.kill()
        sleeper.wait()
        wait_for(lambda: "populated 0" in read(group, "cgroup.events"), "its end")
        group.rmdir()


@test("a cgroup that vanishes before its first process is an error, not a sandbox without limits")
def _():
    lost = 0
    for i in range(12):
        name = f"lost{i}"
        remover = subprocess.Popen([LOAD, "rmdir", CGROUPS / f"clawrun-{name}", "20"], stdout=subprocess.PIPE, text=True)
        box = Sandbox(root, ["--memory", "64m"], ["memory", "200"], name)
        box.finish()
        remover.kill()
        was_removed = "removed" in remover.communicate()[0]
        lines = box.err.strip().splitlines()
        expect("touched" not in box.out, "it ran without its limit", box)
        if box.status == 125:
            lost += 1
            expect(was_removed and len(lines) == 1 and "cgroup" in lines[0], box)
        else:
            # Removed when all was over, or not at all: without its files nobody can say any more what killed the command.
            expect(box.report["status"] == ("signaled" if was_removed else "oom"), box)
    comment(f"the cgroup was lost in {lost} of 12 starts")
    expect(lost > 0, "the cgroup was never removed in time: this test tested nothing")


@test("a cgroup that vanishes under a running sandbox is said in one line, and nothing is left")
def _():
    box = Sandbox(root, ["--memory", "64m"], ["spin", "3"])
    leaf = box.leaf()
    wait_for(lambda: read(leaf, "cgroup.procs"), "its processes")
    time.sleep(0.5)
    for pid in read(leaf, "cgroup.procs").split():
        write(CGROUPS, "cgroup.procs", pid)
    wait_for(lambda: not read(leaf, "cgroup.procs"), "its emptiness")
    leaf.rmdir()
    box.finish()
    comment(f"status {box.status}: {box.err.strip()}")
    expect("rounds" in box.out and len(box.err.strip().splitlines()) <= 1, box)
    report = box.report
    expect(report["status"] == "exited" and not report["oom_killed"], box)


@test("the cgroups of a sandbox cost it little")
def _():
    def once(*options):
        started = time.monotonic()
        box = sandbox(root, options, ["memory", "0"])
        took = time.monotonic() - started
        expect(box.status == 0, box)
        return took

    kinds = {"without": ("--memory", "none", "--pids", "none"), "with": ()}
    times = {kind: [] for kind in kinds}
    for _ in range(25):
        for kind, options in kinds.items():
            times[kind].append(once(*options))
    median = {kind: statistics.median(values) for kind, values in times.items()}
    ratio = median["with"] / median["without"]
    comment(f"median {median['with'] * 1000:.2f} ms with, {median['without'] * 1000:.2f} ms without: ratio {ratio:.3f}, expected at most 1.1")
    # A busy machine makes noise, least in the starts that it let through: what fails is far outside of it.
    quiet = {kind: statistics.quantiles(values, n=4)[0] for kind, values in times.items()}
    expect(quiet["with"] / quiet["without"] <= 1.5, f"ratio of the lower quartiles {quiet['with'] / quiet['without']:.3f}")


@test("nothing is left of all of it")
def _():
    expect(leaves() == [], leaves())
    status, out, err = root.clawrun("list")
    expect(status == 0 and len(out.strip().splitlines()) <= 1, out, err)
    found = [path for path in Path("/proc").glob("[0-9]*/comm") if path.exists() and path.read_text().startswith("clawrun")]
    wait_for(lambda: not any(path.exists() for path in found), "the end of all processes", SLOWER)


if __name__ == "__main__":
    prepare()
    add_swap(96)
    enable(CGROUPS, CONTROLLERS)
    delegate(DELEGATED)
    main()
