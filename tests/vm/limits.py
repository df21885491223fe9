"""The limits, for one caller: each is set, read back from the outside, and felt. Used by both suites of the test machine."""

import os
import signal
import time

from lib import (DISK, MIB, SLOWER, Sandbox, Skip, available_bytes, comment, disk_number, expect, expect_about, leaf_of, leaves,
                 numbers, read, sandbox, test, wait_for, waiting, work_folder)

SIGKILL = 128 + signal.SIGKILL


def cpu_us(report):
    return report["cpu_user_us"] + report["cpu_system_us"]


def values_of(text):
    """"rounds 5" and "bytes 1 calls 2" -> their numbers."""
    words = text.split()
    return {key: float(value) for key, value in zip(words[::2], words[1::2])}


def register(caller, without=()):
    """All of it as tests for this caller. `without`: controllers that it does not have."""
    who = caller.name

    def limit_test(name, *controllers):
        missing = [c for c in controllers if c in without]
        return (lambda function: None) if missing else test(f"{who}: {name}")

    @limit_test("the defaults are set, and none lifts them")
    def _():
        memory = available_bytes()
        leaf = waiting(caller).leaf()
        expect(read(leaf, "pids.max") == "512", read(leaf, "pids.max"))
        expect(read(leaf, "memory.swap.max") == "0", read(leaf, "memory.swap.max"))
        limit = int(read(leaf, "memory.max"))
        expect(limit <= 2 << 30, limit)
        expect_about(limit, min(memory / 2, 2 << 30), 0.1, "memory.max by default")
        # With a limit that needs a cgroup, so that there is one.
        leaf = waiting(caller, "--memory", "none", "--pids", "none", "--cpus", "1.5").leaf()
        expect((read(leaf, "memory.max"), read(leaf, "pids.max")) == ("max", "max"), read(leaf, "memory.max"), read(leaf, "pids.max"))
        expect(read(leaf, "cpu.max") == "150000 100000", read(leaf, "cpu.max"))

    @limit_test("every limit is read back from the cgroup", "io", "cpuset")
    def _():
        number = disk_number()
        leaf = waiting(caller, "--memory", "96m", "--memory-swap", "32m", "--memory-high", "80m", "--cpus", "0.75", "--cpu-weight", "321",
                       "--cpuset", "1", "--pids", "33", "--io-max", f"{number}:rbps=3m,wbps=2m,riops=300,wiops=200", "--io-weight", "250",
                       "--oom-group").leaf()
        wanted = {"memory.max": str(96 * MIB), "memory.swap.max": str(32 * MIB), "memory.high": str(80 * MIB), "cpu.max": "75000 100000",
                  "cpu.weight": "321", "cpuset.cpus": "1", "pids.max": "33", "memory.oom.group": "1", "io.weight": "default 250",
                  "io.max": f"{number} rbps={3 * MIB} wbps={2 * MIB} riops=300 wiops=200"}
        found = {file: read(leaf, file) for file in wanted}
        expect(found == wanted, "in the cgroup:", found, "expected:", wanted)

    @limit_test("shares are converted to a weight")
    def _():
        leaf = waiting(caller, "--cpu-shares", "1024").leaf()
        # 39 is the older of the two conversions in use, 100 the newer.
        expect(read(leaf, "cpu.weight") in ("39", "100"), read(leaf, "cpu.weight"))

    @limit_test("a memory bomb at 64m is killed and reported, and the host does not feel it")
    def _():
        limit, lowest = 64 * MIB, []
        sandbox(caller, ["--memory", "64m"], ["memory", "1"])
        before = available_bytes()
        box = Sandbox(caller, ["--memory", "64m"], ["memory", "4096"])
        while box.process.poll() is None:
            lowest.append(available_bytes())
            expect(time.monotonic() - box.started < 60, "the bomb is never killed", box.end)
        box.finish()
        report = box.report
        expect(box.seconds < 2 * SLOWER, f"{box.seconds:.1f} s", box)
        expect("touched" not in box.out, box)
        expect(box.status == SIGKILL, box)
        expect(report["status"] == "oom" and report["oom_killed"] is True, box)
        expect(limit * 0.9 <= report["memory_peak_bytes"] <= limit, box)
        lines = box.err.strip().splitlines()
        expect(len(lines) == 1 and "--memory" in lines[0] and "64" in lines[0], "not one line with the limit and the flag", box)
        dip = before - min(lowest)
        comment(f"the host had {dip / MIB:.1f} MiB less at worst")
        expect(dip <= limit * 1.1, f"the host had {dip / MIB:.1f} MiB less")

    @limit_test("a command within its memory is not touched, and its peak is true")
    def _():
        report = sandbox(caller, ["--memory", "64m"], ["memory", "40"]).report
        expect(report["status"] == "exited" and report["exit_code"] == 0 and not report["oom_killed"], report)
        expect(40 * MIB <= report["memory_peak_bytes"] <= 48 * MIB, report)

    @limit_test("without --memory-swap nothing is swapped out; with it, so much")
    def _():
        box = sandbox(caller, ["--memory", "32m"], ["memory", "60"])
        expect(box.report["oom_killed"], box)
        box = sandbox(caller, ["--memory", "32m", "--memory-swap", "64m"], ["memory", "60"])
        expect(box.status == 0 and "touched" in box.out and not box.report["oom_killed"], box)

    @limit_test("want of memory of a child ends the child alone, or with --oom-group all")
    def _():
        box = sandbox(caller, ["--memory", "64m"], ["family", "512"])
        expect(box.status == 0 and "child 9" in box.out and "survived" in box.out and box.report["oom_killed"], box)
        box = sandbox(caller, ["--memory", "64m", "--oom-group"], ["family", "512"])
        expect("survived" not in box.out and box.report["status"] == "oom" and box.status == SIGKILL, box)

    @limit_test("a fork bomb stays at the limit of pids, and the host can fork")
    def _():
        box = Sandbox(caller, ["--pids", "20"], ["crowd", "1", "100000"])
        # Of the twenty, one is init and one the command.
        expect(box.line() == "ready 18", box.end)
        leaf = box.leaf()
        expect(read(leaf, "pids.current") == "20", read(leaf, "pids.current"))
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7, "the host's child")
        box.stop()
        expect(box.report["pids_peak"] == 20, box)

    @limit_test("--cpus 0.5 makes 5 s of spinning cost 2.5 s")
    def _():
        report = sandbox(caller, ["--cpus", "0.5"], ["spin", "5"]).report
        expect_about(cpu_us(report) / 1e6, 2.5, 0.1, "seconds of processor time")
        throttling = report["cpu_throttling"]
        expect(throttling["periods"] >= throttling["throttled_periods"] >= 40 and throttling["throttled_us"] > 2e6, throttling)
        expect(set(report["psi"]) == {"cpu", "memory", "io"} and report["psi"]["cpu"]["some_us"] > 0, report["psi"])

    @limit_test("weights of 100 and 900 on one processor share 1:9", "cpuset")
    def _():
        boxes = [Sandbox(caller, ["--cpuset", "1", "--cpu-weight", weight], ["spin", "9"]) for weight in ("100", "900")]
        groups = [box.leaf() for box in boxes]
        wait_for(lambda: all(numbers(leaf, "cpu.stat")["usage_usec"] > 50_000 for leaf in groups), "both spinning")
        first = [numbers(leaf, "cpu.stat")["usage_usec"] for leaf in groups]
        time.sleep(5)
        second = [numbers(leaf, "cpu.stat")["usage_usec"] for leaf in groups]
        low, high = (b - a for a, b in zip(first, second))
        expect_about(high / low, 9, 0.15, "share of the heavier to the lighter")

    @limit_test("--io-max holds a writer and a reader to their rates", "io")
    def _():
        folder = work_folder(caller)
        limit = ["--io-max", f"{disk_number()}:wbps=2m,riops=100", "--workspace", folder]
        box = sandbox(caller, limit, ["write", "/workspace/file", "65536", "4"])
        expect(box.status == 0, box)
        found = values_of(box.out)
        expect_about(found["bytes"] / found["seconds"] / MIB, 2, 0.2, "MiB a second written")
        expect(box.report["io"][disk_number()]["written_bytes"] >= found["bytes"], box)
        # Somewhere to read 16 MiB from; the page cache is not used.
        (folder / "data").write_bytes(bytes(16 * MIB))
        os.chown(folder / "data", caller.uid, caller.uid)
        box = sandbox(caller, limit, ["read", "/workspace/data", "4096", "4"])
        expect(box.status == 0, box)
        found = values_of(box.out)
        expect_about(found["calls"] / found["seconds"], 100, 0.2, "reads a second")

    @limit_test("a frozen sandbox does nothing until it is resumed")
    def _():
        box = Sandbox(caller, [], ["spin", "6"])
        leaf = box.leaf()
        used = lambda: numbers(leaf, "cpu.stat")["usage_usec"]  # noqa: E731
        wait_for(lambda: used() > 100_000, "a start")
        status, _, err = caller.clawrun("pause", box.name)
        expect(status == 0, err)
        expect("frozen 1" in read(leaf, "cgroup.events"), read(leaf, "cgroup.events"))
        before = used()
        time.sleep(1)
        expect(used() - before < 20_000, f"{used() - before} us while it was paused")
        status, _, err = caller.clawrun("resume", box.name)
        expect(status == 0, err)
        wait_for(lambda: used() > before + 100_000, "going on")
        expect(box.finish().status == 0, box)

    @limit_test("a limit of a running sandbox is changed, and felt")
    def _():
        box = Sandbox(caller, ["--memory", "64m", "--pids", "40"], ["wait"])
        box.line()
        leaf = box.leaf()
        status, _, err = caller.clawrun("update", box.name, "--memory", "80m", "--pids", "50")
        expect(status == 0, err)
        expect((read(leaf, "memory.max"), read(leaf, "pids.max")) == (str(80 * MIB), "50"), read(leaf, "memory.max"), read(leaf, "pids.max"))

    @limit_test("list and stats say what runs and what it uses")
    def _():
        box = Sandbox(caller, ["--memory", "64m", "--pids", "40"], ["crowd", "20", "5"])
        box.line()
        rows = caller.json("list", "--json")
        expect([row["id"] for row in rows] == [box.name], rows)
        stats = caller.json("stats", box.name, "--json")
        comment(stats)
        expect(20 * MIB <= stats["memory_bytes"] <= 24 * MIB and stats["pids"] == 7, stats)
        status, out, err = caller.clawrun("list")
        expect(status == 0 and box.name in out, out, err)
        expect(caller.clawrun("stats", box.name)[0] == 0)
        box.stop()
        status, out, err = caller.clawrun("stats", box.name)
        expect(status != 0 and not out and len(err.splitlines()) == 1 and box.name in err, status, out, err)

    @limit_test("a timeout ends a crowd, and nothing of it is left")
    def _():
        box = sandbox(caller, ["--timeout", "2s", "--grace", "0s", "--pids", "60"], ["crowd", "1", "100000"])
        expect(box.status == 124 and box.report["status"] == "timeout", box)
        expect(leaves() == [], leaves())

    @limit_test("what a killed supervisor left is swept by gc, and by the next start")
    def _():
        for sweep in (lambda: caller.clawrun("gc"), lambda: sandbox(caller, [], ["memory", "1"])):
            box = waiting(caller)
            leaf = box.leaf()
            box.process.send_signal(signal.SIGKILL)
            box.finish()
            sweep()
            wait_for(lambda: not leaf.exists(), f"the end of {leaf}", 2 * SLOWER)

    @limit_test("a name is taken once")
    def _():
        box = waiting(caller)
        taken = sandbox(caller, [], ["wait"], name=box.name)
        lines = taken.err.strip().splitlines()
        expect(taken.status == 125 and len(lines) == 1 and box.name in lines[0], taken)
        expect(box.leaf().exists() and box.process.poll() is None, "the first one is gone")
        expect(leaf_of(box.name) == box.leaf())


def crowd_test(callers, count):
    """So many at once, each at its limits, taking turns among the callers; then all gone."""
    names = " and ".join(caller.name for caller in callers)

    @test(f"{names}: {count} sandboxes at once, each at its limits; then no cgroup is left")
    def _():
        options = ["--memory", "4m", "--pids", "4", "--cpus", "0.5"]
        started = time.monotonic()
        boxes = [Sandbox(callers[i % len(callers)], options, ["crowd", "3", "1000"]) for i in range(count)]
        for box in boxes:
            expect(box.line() == "ready 2", box.end)
        comment(f"all {count} ran after {time.monotonic() - started:.1f} s")
        groups = leaves()
        expect(len(groups) == count, f"{len(groups)} cgroups")
        for leaf in groups:
            limits = (read(leaf, "pids.current"), read(leaf, "pids.max"), read(leaf, "memory.max"), read(leaf, "cpu.max"))
            expect(limits == ("4", "4", str(4 * MIB), "50000 100000"), leaf, limits)
            expect(int(read(leaf, "memory.current")) >= 3 * MIB, leaf, read(leaf, "memory.current"))
        expect(sum(len(caller.json("list", "--json")) for caller in callers) == count, "sandboxes that list shows")
        started = time.monotonic()
        for box in boxes:
            box.process.terminate()
        for box in boxes:
            box.finish()
        comment(f"all ended within {time.monotonic() - started:.1f} s")
        wait_for(lambda: leaves() == [], "an end of all cgroups", 2 * SLOWER)


def devices(caller, disturb=lambda: None):
    """/dev/vcs, which no policy allows by itself: readable and not writable. Before and after `disturb`."""
    os.chmod("/dev/vcs", 0o666)
    box = Sandbox(caller, ["--device", "/dev/vcs:r"], ["open-twice", "/dev/vcs", "/dev/null"])
    wanted = ["/dev/vcs r OK", "/dev/vcs w EPERM", "/dev/null r OK", "/dev/null w OK"]
    found = [box.line() for _ in wanted]
    expect(found == wanted, found, box.end)
    expect(box.line() == "again at USR1", box.end)
    disturb()
    box.process.send_signal(signal.SIGUSR1)
    found = [box.line() for _ in wanted]
    expect(found == wanted, found, box.end)
    expect(box.finish().status == 0, box)
