#!/usr/bin/env python3
"""Docker with clawrun as its runtime: a real dockerd in a box, every case with runc first. TAP.

Usage: tests/engines/docker.py [WORD]...      runs the cases whose name has every WORD
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lib
from lib import CAP_SYS_RESOURCE, Box, Failed, Skip, busybox_tar, check, expect, until

IMAGE = "bb"
# The client that belongs to the daemon: another one may lie in front of it in PATH.
CLIENT = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else shutil.which("docker")

ALL_CAPS = lib.bounding_set() >> CAP_SYS_RESOURCE & 1

CASES = []


def case(title):
    def add(function):
        CASES.append((title, function))
        return function
    return add


class Docker:
    """One daemon in one box, which starts everything by one runtime."""

    def __init__(self, runtime, more=(), prepare=None):
        self.runtime = runtime
        self.box = Box()
        try:
            self.files = self.box.folder
            self.inside = self.box.root / self.files.lstrip("/")
            if prepare:
                prepare(self.box)
            # BuildKit does not ask for a runtime: it starts the `runc` that it finds in the daemon's PATH.
            self.write("bin/runc", None)
            (self.inside / "bin/runc").symlink_to(runtime)
            self.write("daemon.json", "{}")
            self.environment = {"HOME": self.files, "DOCKER_HOST": f"unix://{self.files}/docker.sock", "DOCKER_BUILDKIT": "0",
                                "PATH": f"{self.files}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
            self.more = more
            self.serve()
            loaded = self("import", "-c", "ENV PATH=/bin", "-", IMAGE, input=busybox_tar())
            expect(loaded.returncode, 0, f"docker import ({loaded.stderr})")
        except BaseException:
            self.box.end()
            raise

    def serve(self):
        """Starts the daemon and waits for its first answer."""
        with open(f"{self.inside}/log", "ab") as log:
            self.daemon = self.box.spawn(
                "dockerd", "--data-root", f"{self.files}/data", "--exec-root", f"{self.files}/exec", "-p", f"{self.files}/pid",
                "-H", f"unix://{self.files}/docker.sock", "--config-file", f"{self.files}/daemon.json",
                "--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver=overlay2", "--add-runtime", f"tested={self.runtime}",
                "--default-runtime", "tested", *self.more, stdout=log, stderr=log, env=self.environment)
        try:
            until(lambda: self.daemon.poll() is not None or self("version").returncode == 0, "dockerd answers", 30)
            check(self.daemon.poll() is None, "dockerd has ended")
        except Failed as why:
            last = (self.inside / "log").read_text().splitlines()[-3:]
            raise Failed(f"{why}: {' / '.join(last)}") from None

    def write(self, name, text):
        path = self.inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
        return f"{self.files}/{name}"

    def __call__(self, *args, input=None, seconds=60, env=None):
        return self.box.run(CLIENT, *args, input=input, seconds=seconds, env=self.environment | (env or {}))

    def ok(self, *args, **more):
        """What the command wrote to its standard output, without the last line's end; the command must succeed."""
        done = self(*args, **more)
        expect(done.returncode, 0, f"docker {' '.join(args)} ({done.stderr.strip()})")
        return done.stdout.rstrip("\n")

    def out(self, *args, **more):
        return self.ok("run", "--rm", *args, **more)

    def sh(self, script, *options, **more):
        return self.out(*options, IMAGE, "sh", "-c", script, **more)

    def up(self, *options, script="sleep 300"):
        """A container in the background; its id. Its first process does not ignore TERM."""
        return self.ok("run", "-d", *options, IMAGE, "sh", "-c", f"trap 'exit 0' TERM; {script} & wait $!" if script == "sleep 300" else script)

    def get(self, container, field):
        return self.ok("inspect", "-f", "{{" + field + "}}", container)

    def terminal(self, *args):
        return self.box.terminal(CLIENT, *args, env=self.environment | {"TERM": "xterm"})

    def clear(self):
        ids = self("ps", "-aq").stdout.split()
        if ids:
            self("rm", "-f", "-v", *ids)

    def end(self):
        self.box.end()


def fails(d, status, wanted, *args, **more):
    """The command ends with the status, and with the text in what it says."""
    done = d(*args, **more)
    expect(done.returncode, status, f"docker {' '.join(args)} ({done.stderr.strip()})")
    check(re.search(wanted, done.stderr + done.stdout), f"docker {' '.join(args)}: {wanted!r} is not in {done.stderr + done.stdout!r}")


def status_of(d, container):
    return d.get(container, ".State.Status")


def limit(d, container, v1, v2):
    """The content of a file of the container's cgroup, as the container sees it."""
    return d.ok("exec", container, "sh", "-c", f"cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}")


def caps(text, line="CapEff"):
    return int(re.search(rf"^{line}:\s*(\w+)", text, re.M)[1], 16)


@case("run: output, input, environment, folder, host name")
def run(d):
    expect(d.out(IMAGE, "echo", "hello"), "hello", "echo")
    expect(d.out("-i", IMAGE, "cat", input="one\ntwo\n"), "one\ntwo", "cat of the input")
    expect(d.out("-i", IMAGE, "wc", "-c", input="x" * 300000), "300000", "bytes of a long input")
    expect(len(d.out(IMAGE, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' y")), 300000, "bytes of a long output")
    expect(d.sh('echo "$A $HOME $PWD $(hostname)"', "-e", "A=b c", "-w", "/var/new", "--hostname", "box7"), "b c /root /var/new box7", "environment")
    done = d("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    expect((done.stdout, done.stderr), ("out\n", "err\n"), "the two outputs")
    expect(d.sh("echo $$; ls /proc/self/fd | wc -l; cat /proc/1/comm; true"), "1\n4\nsh", "pid, descriptors (0-2 and the folder) and name of the first process")
    check(d.ok("run", "-d", "--name", "n1", IMAGE, "true"), "no id")
    expect(d.ok("wait", "n1"), "0", "docker wait")


@case("exit codes")
def exit_codes(d):
    expect(d("run", "--rm", IMAGE, "true").returncode, 0, "true")
    expect(d("run", "--rm", IMAGE, "sh", "-c", "exit 3").returncode, 3, "exit 3")
    expect(d("run", "--rm", IMAGE, "sh", "-c", "kill -9 $$").returncode, 0, "the first process cannot kill itself")
    fails(d, 125, "no-such-flag", "run", "--no-such-flag", IMAGE)
    fails(d, 127, "executable file not found in \\$PATH", "run", "--rm", IMAGE, "no-such-program")
    fails(d, 127, "no such file or directory", "run", "--rm", IMAGE, "/bin/no-such-program")
    fails(d, 126, "permission denied", "run", "--rm", IMAGE, "/etc")
    fails(d, 126, "permission denied", "run", "--rm", IMAGE, "/etc/plain")
    d.ok("run", "-d", "--name", "killed", IMAGE, "sleep", "300")
    d.ok("kill", "killed")
    expect(d.ok("wait", "killed"), "137", "docker wait after docker kill")
    expect(d.get("killed", ".State.ExitCode"), "137", "exit code")


@case("a failed start leaves nothing and says why")
def failed_start(d):
    fails(d, 127, "executable file not found", "run", "--name", "bad", IMAGE, "nope")
    expect(status_of(d, "bad"), "created", "status")
    check("nope" in d.get("bad", ".State.Error"), "no reason in State.Error")
    fails(d, 1, "executable file not found", "start", "bad")
    d.ok("rm", "bad")
    fails(d, 125, "workdir|not a directory|cwd|chdir", "run", "--rm", "-w", "/etc/passwd", IMAGE, "true")
    state = list((d.inside / "exec/runtime-runc/moby").glob("*"))
    expect([s.name for s in state], [], "what is left in the runtime's state folder")


@case("run -t and -it: terminal, size, keys, exit status")
def run_terminal(d):
    expect(d.sh("test -t 1 && tty", "-t").strip(), "/dev/pts/0", "tty")
    with d.terminal("run", "--rm", "-it", "-e", "PS1=ready> ", IMAGE, "sh") as t:
        t.wait_for("ready> ")
        t.write("stty size; tty\n")
        t.wait_for(r"24 80\r\n/dev/pts/0")
        t.resize(51, 101)
        # The client hears of the new size by a signal and tells the daemon in its own time.
        until(lambda: t.write("stty size\n") or t.wait_for(r"\n(\d+ \d+)\r")[1] == "51 101", "the new size")
        t.write("sleep 100\n")
        time.sleep(0.5)
        t.write("\x03")
        t.write("echo after $?\n")
        t.wait_for("after 130")
        t.write("stat -c %t:%T:%a /dev/console; test -c /dev/console && exit 9\n")
        expect(t.end(), 9, "exit status of run -it")
    d.ok("run", "-dit", "--name", "shell", IMAGE, "sh")
    with d.terminal("attach", "shell") as t:
        t.write("echo $((40+2))\n")
        t.wait_for("\n42")
        t.write("\x10\x11")
        t.end()
    expect(status_of(d, "shell"), "running", "status after the detach keys")


@case("exec: output, input, exit codes, user, folder, environment, detached")
def exec_plain(d):
    c = d.up("-e", "A=1")
    expect(d.ok("exec", c, "echo", "x"), "x", "echo")
    expect(d.ok("exec", "-i", c, "cat", input="in\n"), "in", "cat")
    expect(d.ok("exec", c, "sh", "-c", "echo $A $B", ), "1", "the container's environment")
    expect(d.ok("exec", "-e", "B=2", "-w", "/tmp", "-u", "405:100", c, "sh", "-c", "echo $A $B $PWD $(id -u):$(id -g)"), "1 2 /tmp 405:100", "options")
    expect(d.ok("exec", "-u", "guest", c, "id", "-G"), "100 60", "groups of a user by name")
    expect(d("exec", c, "sh", "-c", "exit 3").returncode, 3, "exit 3")
    expect(d("exec", c, "sh", "-c", "kill -9 $$").returncode, 137, "killed")
    # Clients before 28 have 126 for both.
    check(d("exec", c, "nope").returncode in (126, 127), "exit code of an unknown program")
    fails(d, 126, "permission denied", "exec", c, "/etc")
    d.ok("exec", "-d", c, "sh", "-c", "echo made >/tmp/made; sleep 200")
    until(lambda: d("exec", c, "cat", "/tmp/made").stdout == "made\n", "the file of exec -d")
    same = "ls -l /proc/self/ns | sed -n 's/.*-> //p'; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; cat /proc/self/cgroup /proc/self/oom_score_adj"
    first = d.ok("exec", c, "sh", "-c", same.replace("/self/", "/1/"))
    expect(d.ok("exec", c, "sh", "-c", same), first, "namespaces, capabilities, seccomp, cgroups of exec and of the first process")
    expect(d.ok("exec", c, "sh", "-c", "ls /proc/self/fd | wc -l"), "4", "descriptors (0-2 and the folder)")
    if ALL_CAPS:
        check(caps(d.ok("exec", "--privileged", c, "cat", "/proc/self/status")) > 0xA80425FB, "exec --privileged has no more capabilities")
    d.ok("stop", "-t", "5", c)
    check(d("exec", c, "true").returncode != 0, "exec in a stopped container succeeds")


@case("exec -it: terminal, size, exit status")
def exec_terminal(d):
    c = d.up()
    with d.terminal("exec", "-it", "-e", "PS1=ready> ", c, "sh") as t:
        t.wait_for("ready> ")
        t.write("tty; stty size\n")
        t.wait_for(r"/dev/pts/\d+\r\n24 80")
        t.resize(30, 90)
        until(lambda: t.write("stty size\n") or t.wait_for(r"\n(\d+ \d+)\r")[1] == "30 90", "the new size")
        t.write("exit 5\n")
        expect(t.end(), 5, "exit status")
    with d.terminal("exec", "-it", "-u", "405", c, "sh", "-c", "stat -c %u $(tty); echo x >$(tty)") as t:
        t.wait_for("405\r\nx")
        expect(t.end(), 0, "exit status")


@case("stats")
def stats(d):
    c = d.up(script="dd if=/dev/zero of=/dev/shm/fill bs=1M count=20 2>/dev/null; while :; do :; done")
    d.ok("exec", c, "sleep", "1")
    shown = json.loads(d.ok("stats", "--no-stream", "--format", "{{json .}}", c))
    expect(shown["PIDs"], "1", "PIDs")
    check(float(shown["CPUPerc"].rstrip("%")) > 5, f"CPU of a busy loop is {shown['CPUPerc']}")
    check(re.match(r"2\d(\.\d+)?MiB /", shown["MemUsage"]), f"memory of 20 MiB is {shown['MemUsage']}")


@case("top")
def top(d):
    c = d.up()
    d.ok("exec", "-d", c, "sleep", "77")
    lines = until(lambda: (found := d.ok("top", c, "-eo", "pid,args").splitlines()) and len(found) >= 4 and found, "three processes in docker top")
    check(re.search(r"\d+ +sleep 77$", "\n".join(lines), re.M), f"no sleep 77 in {lines}")
    pids = {int(line.split()[0]) for line in lines[1:]}
    check(int(d.get(c, ".State.Pid")) in pids, "the first process is not in docker top")
    check("UID" in d.ok("top", c).splitlines()[0], "no heading")


@case("pause and unpause")
def pause(d):
    c = d.up(script="i=0; while :; do i=$((i+1)); echo $i >/tmp/n; sleep 0.05; done")
    until(lambda: d("exec", c, "test", "-s", "/tmp/n").returncode == 0, "the counter")
    pid = d.get(c, ".State.Pid")
    d.ok("pause", c)
    expect(status_of(d, c), "paused", "status")

    def counted():
        return (d.box.root / f"proc/{pid}/root/tmp/n").read_text().strip()
    before = counted()
    time.sleep(0.6)
    expect(counted(), before, "the counter of a paused container")
    check("paused" in d("exec", c, "true").stderr, "exec into a paused container does not say so")
    fails(d, 1, "already paused", "pause", c)
    d.ok("unpause", c)
    expect(status_of(d, c), "running", "status")
    until(lambda: counted() not in ("", before), "the counter goes on")
    d.ok("pause", c)
    d.ok("rm", "-f", c)


@case("update")
def update(d):
    c = d.up("-m", "64m", "--memory-swap", "128m")
    d.ok("update", "-m", "96m", "--memory-swap", "192m", "--cpus", "0.4", "--pids-limit", "50", "--cpu-shares", "512", "--cpuset-cpus", "0", c)
    expect(limit(d, c, "memory/memory.limit_in_bytes", "memory.max"), str(96 << 20), "memory")
    expect(limit(d, c, "pids/pids.max", "pids.max"), "50", "pids")
    expect(limit(d, c, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0], "40000", "CPU time")
    expect(limit(d, c, "cpuset/cpuset.cpus", "cpuset.cpus"), "0", "CPUs")
    check(limit(d, c, "cpu/cpu.shares", "cpu.weight") in ("512", "20"), "CPU shares")
    d.ok("update", "-m", "80m", "--memory-swap", "-1", "--pids-limit", "-1", c)
    expect(limit(d, c, "memory/memory.limit_in_bytes", "memory.max"), str(80 << 20), "memory")
    expect(limit(d, c, "pids/pids.max", "pids.max"), "max", "pids")
    expect(limit(d, c, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0], "40000", "CPU time, which was not named")
    expect(d.ok("exec", c, "sh", "-c", "head -c 100 /dev/zero >/dev/null; : >/dev/null; echo $?"), "0", "the devices after an update")


@case("memory limit: read, felt, and the OOM flag")
def memory(d):
    c = d.up("-m", "64m", "--memory-reservation", "32m")
    expect(limit(d, c, "memory/memory.limit_in_bytes", "memory.max"), str(64 << 20), "memory")
    expect(limit(d, c, "memory/memory.soft_limit_in_bytes", "memory.low"), str(32 << 20), "reservation")
    c = d.ok("run", "-d", "-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "sleep 0.5; x=$(head -c 100000000 /dev/zero | tr '\\0' y); echo lived")
    expect(d.ok("wait", c), "137", "exit code after OOM")
    until(lambda: d.get(c, ".State.OOMKilled") == "true", "OOMKilled", 5)
    # A child killed for memory does not end the container.
    c = d.ok("run", "-d", "-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "sh -c 'x=$(head -c 100000000 /dev/zero | tr \"\\\\0\" y)'; echo child $?")
    expect(d.ok("wait", c), "0", "exit code")
    check("child 137" in d.ok("logs", c), f"the child was not killed: {d.ok('logs', c)}")


@case("CPU limits: read and felt")
def cpu(d):
    c = d.up("--cpus", "0.2", "--cpu-shares", "512", "--cpuset-cpus", "0")
    expect(limit(d, c, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0], "20000", "quota")
    check(limit(d, c, "cpu/cpu.shares", "cpu.weight") in ("512", "20"), "shares")
    expect(d.ok("exec", c, "nproc"), "1", "nproc")
    d("exec", c, "timeout", "1", "sh", "-c", "while :; do :; done")
    throttled = re.search(r"nr_throttled (\d+)", limit(d, c, "cpu/cpu.stat", "cpu.stat"))[1]
    check(int(throttled) > 2, f"throttled {throttled} times in a busy second")
    c = d.up("--cpu-period", "50000", "--cpu-quota", "10000")
    expect(limit(d, c, "cpu/cpu.cfs_quota_us", "cpu.max").split()[0], "10000", "quota")


@case("pids limit: read and felt")
def pids(d):
    c = d.up("--pids-limit", "20")
    expect(limit(d, c, "pids/pids.max", "pids.max"), "20", "pids")
    done = d("exec", c, "sh", "-c", "for i in $(seq 40); do sleep 100 & done; echo all")
    check("fork" in done.stderr and "all" not in done.stdout, f"40 processes: {done.stdout!r} {done.stderr!r}")
    expect(status_of(d, c), "running", "status")


@case("--oom-score-adj")
def oom_score(d):
    c = d.up("--oom-score-adj", "300", "--memory", "64m")
    expect(d.ok("exec", c, "cat", "/proc/1/oom_score_adj"), "300", "oom_score_adj")
    expect(d.ok("exec", c, "cat", "/proc/self/oom_score_adj"), "300", "oom_score_adj of exec")


@case("read-only root, and a tmpfs in it")
def read_only(d):
    fails(d, 1, "Read-only file system", "run", "--rm", "--read-only", IMAGE, "touch", "/x")
    expect(d.sh("touch /new/x && echo written; stat -c %a /new", "--read-only", "-v", "/new", "--tmpfs", "/new:size=1m,mode=1770").split(), ["written", "1770"], "the tmpfs")
    mounts = d.sh("grep ' /tmp ' /proc/mounts", "--tmpfs", "/tmp:size=1m,noexec")
    check("noexec" in mounts and "size=1024k" in mounts and "nosuid" in mounts, f"options of the tmpfs: {mounts}")
    fails(d, 1, "No space", "run", "--rm", "--tmpfs", "/t:size=1m", IMAGE, "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=2")


@case("capabilities")
def capabilities(d):
    default = 0xA80425FB
    expect(hex(caps(d.out(IMAGE, "cat", "/proc/self/status"))), hex(default), "default")
    for line in ("CapInh", "CapAmb"):
        check(caps(d.out(IMAGE, "cat", "/proc/self/status"), line) in (0, default if line == "CapInh" else 0), line)
    text = d.out("--cap-drop", "ALL", IMAGE, "cat", "/proc/self/status")
    expect((caps(text), caps(text, "CapBnd")), (0, 0), "--cap-drop ALL")
    text = d.out("--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN", IMAGE, "cat", "/proc/self/status")
    expect(hex(caps(text)), hex((default | 1 << 12) & ~1), "--cap-add NET_ADMIN --cap-drop CHOWN")
    fails(d, 1, "Operation not permitted|not permitted", "run", "--rm", "--cap-drop", "CHOWN", IMAGE, "chown", "405", "/tmp")
    text = d.out("--cap-add", "NET_ADMIN", "--user", "405", IMAGE, "cat", "/proc/self/status")
    expect(caps(text), 0, "capabilities of another user")
    expect(hex(caps(text, "CapBnd")), hex(default | 1 << 12), "bounding set of another user")
    expect(d.sh("ip link set lo down && echo down", "--cap-add", "NET_ADMIN"), "down", "a use of NET_ADMIN")
    args = ("--cap-add", "ALL", *(() if ALL_CAPS else ("--cap-drop", "SYS_RESOURCE")))
    check(caps(d.out(*args, IMAGE, "cat", "/proc/self/status")).bit_count() >= 37, "--cap-add ALL")


@case("user and groups")
def user(d):
    expect(d.sh("id -u; id -g; id -G", "--user", "1000:2000"), "1000\n2000\n2000", "numbers")
    expect(d.sh("id -u; id -g; id -G; echo $HOME", "--user", "guest"), "405\n100\n100 60\n/home", "a name")
    expect(d.sh("id -G", "--user", "1000:2000", "--group-add", "7", "--group-add", "games"), "2000 7 60", "--group-add")
    fails(d, 125, "unable to find user nobodyknows|no matching entries", "run", "--rm", "--user", "nobodyknows", IMAGE, "true")
    expect(d.sh("cat /proc/self/status | grep -c '^CapEff:.*0000000000000000$'", "--user", "1000"), "1", "no capabilities")
    done = d("run", "--rm", "--user", "1000:2000", IMAGE, "sh", "-c", "echo x >/dev/stdout; echo y >/dev/stderr; echo z >/dev/null")
    expect((done.stdout, done.stderr), ("x\n", "y\n"), "the outputs opened by name")
    c = d.up()
    expect(d.ok("exec", "--user", "1000", c, "sh", "-c", "echo x >/dev/stdout"), "x", "the output opened by name in exec")


@case("volumes: bind, read-only, named, tmpfs, one file, propagation")
def volumes(d):
    host = d.write("volume/file", "from outside\n").rpartition("/")[0]
    expect(d.sh("cat /v/file; echo back >/v/new", "-v", f"{host}:/v"), "from outside", "read")
    expect((d.inside / "volume/new").read_text(), "back\n", "written")
    fails(d, 1, "Read-only", "run", "--rm", "-v", f"{host}:/v:ro", IMAGE, "touch", "/v/x")
    expect(d.sh("cat /etc/one", "-v", f"{host}/file:/etc/one:ro"), "from outside", "one file")
    d.ok("volume", "create", "named")
    d.sh("echo kept >/data/k", "-v", "named:/data")
    expect(d.sh("cat /data/k", "-v", "named:/data"), "kept", "a named volume")
    check("plain" in d.sh("ls /etc", "-v", "fresh:/etc"), "a new volume has not the image's content")
    expect(d.sh("grep -c ' /t tmpfs .*size=2048k' /proc/mounts", "--mount", "type=tmpfs,dst=/t,tmpfs-size=2m"), "1", "--mount type=tmpfs")
    fails(d, 125, "does not exist", "run", "--rm", "--mount", f"type=bind,src={host}/none,dst=/v", IMAGE, "true")
    expect(d.sh("grep -o ' /v .*shared:' /proc/self/mountinfo | wc -l", "-v", f"{host}:/v:rshared"), "1", "rshared")
    expect(d.sh("grep -o ' /v .*master:' /proc/self/mountinfo | wc -l", "-v", f"{host}:/v:rslave"), "1", "rslave")
    # What is mounted below a read-write volume while the container runs arrives there by rslave.
    c = d.up("-v", f"{host}:/v:rslave")
    (d.inside / "volume/sub").mkdir(exist_ok=True)
    expect(d.box.run("mount", "-t", "tmpfs", "late", f"{host}/sub").returncode, 0, "mount")
    expect(d.ok("exec", c, "sh", "-c", "grep -c '^late /v/sub' /proc/mounts"), "1", "a mount that came later")
    d.box.run("umount", f"{host}/sub")
    d.ok("volume", "rm", "-f", "named", "fresh")


@case("--init")
def init(d):
    if not (shutil.which("docker-init") or shutil.which("tini") or shutil.which("catatonit")):
        raise Skip("there is no docker-init")
    done = d("run", "--rm", "--init", IMAGE, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; exit 4")
    if "docker-init" in done.stderr and "not found" in done.stderr:
        raise Skip("there is no docker-init")
    expect(done.returncode, 4, f"exit status ({done.stderr})")
    check("init" in done.stdout, f"the first process is {done.stdout}")


@case("networks: none, host, bridge, between containers")
def network(d):
    expect(d.sh("ls /sys/class/net", "--network", "none"), "lo", "interfaces of --network none")
    check("docker0" in d.sh("ls /proc/sys/net/ipv4/conf", "--network", "host"), "--network host has not the box's interfaces")
    check(re.search("^eth0$", d.sh("ls /sys/class/net"), re.M), "no eth0")
    server = d.up("--name", "server", script="mkdir /www; echo page >/www/index.html; httpd -f -p 80 -h /www")
    address = d.get(server, ".NetworkSettings.IPAddress")
    until(lambda: d("exec", server, "wget", "-qO-", "http://127.0.0.1/").stdout == "page\n", "the server")
    expect(d.out(IMAGE, "wget", "-qO-", f"http://{address}/"), "page", "the page from another container")
    expect(d.out("--network", "container:server", IMAGE, "wget", "-qO-", "http://127.0.0.1/"), "page", "the page with the server's network")
    expect(d.out("--network", "container:server", IMAGE, "hostname"), d.ok("exec", server, "hostname"), "the host name that comes with it")
    d.ok("network", "create", "net1")
    try:
        d.ok("network", "connect", "net1", server)
        expect(d.out("--network", "net1", IMAGE, "wget", "-qO-", "http://server/"), "page", "the page by name in a network of one's own")
        d.ok("network", "disconnect", "net1", server)
    finally:
        d.clear()
        d.ok("network", "rm", "net1")
    check(re.search("10.9.8.7\\s+other", d.sh("cat /etc/hosts", "--add-host", "other:10.9.8.7")), "--add-host")
    expect(d.sh("cat /etc/resolv.conf", "--dns", "10.1.1.1").splitlines()[0], "nameserver 10.1.1.1", "--dns")


@case("published port")
def port(d):
    c = d.up("-p", "127.0.0.1:8088:80", script="mkdir /www; echo page >/www/index.html; httpd -f -p 80 -h /www")
    expect(d.ok("port", c, "80"), "127.0.0.1:8088", "docker port")
    page = until(lambda: d.box.run("busybox", "wget", "-qO-", "http://127.0.0.1:8088/").stdout, "an answer on the published port")
    expect(page, "page\n", "the page")
    d.ok("restart", "-t", "0", c)
    until(lambda: d.box.run("busybox", "wget", "-qO-", "http://127.0.0.1:8088/").stdout == "page\n", "an answer after the restart")


@case("healthcheck")
def healthcheck(d):
    options = ("--health-cmd", "test -e /tmp/well && echo fine", "--health-interval", "300ms", "--health-retries", "2", "--health-timeout", "5s")
    c = d.up(*options)
    until(lambda: d.get(c, ".State.Health.Status") == "unhealthy", "unhealthy")
    d.ok("exec", c, "touch", "/tmp/well")
    until(lambda: d.get(c, ".State.Health.Status") == "healthy", "healthy")
    check("fine" in d.get(c, "json .State.Health.Log"), "the log of the check")


@case("restart, stop, kill")
def restart(d):
    c = d.up()
    before = d.get(c, ".State.Pid")
    d.ok("exec", c, "touch", "/kept")
    d.ok("restart", "-t", "5", c)
    check(d.get(c, ".State.Pid") != before, "the same process after a restart")
    d.ok("exec", c, "test", "-e", "/kept")
    d.ok("stop", "-t", "10", c)
    expect(d.get(c, ".State.ExitCode"), "0", "exit code of one that ends on TERM")
    d.ok("start", c)
    expect(status_of(d, c), "running", "status")
    stubborn = d.up(script="trap '' TERM; while :; do sleep 0.1; done")
    d.ok("stop", "-t", "1", stubborn)
    expect(d.get(stubborn, ".State.ExitCode"), "137", "exit code of one that ignores TERM")
    c = d.up(script="trap 'echo got; exit 7' USR1; while :; do sleep 0.1; done")
    time.sleep(0.3)
    d.ok("kill", "-s", "USR1", c)
    expect(d.ok("wait", c), "7", "exit code after kill -s USR1")
    expect(d.ok("logs", c), "got", "its log")
    fails(d, 1, "is not running", "kill", c)
    c = d.up("--stop-signal", "INT", script="trap 'exit 8' INT; while :; do sleep 0.1; done")
    time.sleep(0.3)
    d.ok("stop", c)
    expect(d.get(c, ".State.ExitCode"), "8", "--stop-signal")


@case("--restart")
def restart_policy(d):
    c = d.ok("run", "-d", "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo again; exit 6")
    until(lambda: (status_of(d, c), d.get(c, ".RestartCount")) == ("exited", "2"), "two restarts")
    expect(d.ok("logs", c), "again\nagain\nagain", "three runs")
    c = d.up("--restart", "always")
    before = d.get(c, ".State.Pid")
    os.kill(outer_pid(d, before), signal.SIGKILL)
    until(lambda: status_of(d, c) == "running" and d.get(c, ".State.Pid") not in ("0", before), "a new start after a kill")


def outer_pid(d, pid):
    """The pid, seen from here, of one in the box's pid namespace."""
    namespace = os.readlink(f"/proc/{d.box.pid}/ns/net"), str(pid)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found = re.search(r"^NSpid:(.*)$", (entry / "status").read_text(), re.M)[1].split()
                if len(found) > 1 and found[1] == namespace[1] and same_box(d, entry.name):
                    return int(entry.name)
            except OSError:
                continue
    raise Failed(f"no process {pid} in the box")


def same_box(d, pid):
    """Whether the process is below the first one of the box."""
    while pid not in ("0", "1"):
        if int(pid) == d.box.pid:
            return True
        pid = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    return False


@case("docker build with RUN: the classic builder")
def build_classic(d):
    build(d, {"DOCKER_BUILDKIT": "0"}, "classic")


@case("docker build with RUN: BuildKit")
def build_buildkit(d):
    if d("build", "--help", env={"DOCKER_BUILDKIT": "1"}).stdout.find("--progress") < 0:
        raise Skip("the docker client has no BuildKit")
    build(d, {"DOCKER_BUILDKIT": "1"}, "buildkit")


def build(d, env, tag):
    folder = d.write(f"{tag}/Dockerfile", f"""FROM {IMAGE}
COPY data /data
RUN cat /data >/copy && id -u >/uid && echo $$ >/pid
RUN mkdir /made && chown 405:100 /made && hostname >/dev/null
USER guest
WORKDIR /made
RUN pwd >where && id -u >>where
CMD ["sh", "-c", "cat /copy /uid /pid where"]
""").rpartition("/")[0]
    d.write(f"{tag}/data", "content\n")
    done = d("build", "-t", tag, folder, env=env, seconds=120)
    expect(done.returncode, 0, f"docker build ({(done.stdout + done.stderr)[-1500:]})")
    expect(d.out(tag), "content\n0\n1\n/made\n405", "what the image does")
    bad = d.write(f"{tag}-bad/Dockerfile", f"FROM {IMAGE}\nRUN echo about to fail; exit 5\n").rpartition("/")[0]
    done = d("build", "-t", f"{tag}-bad", bad, env=env, seconds=120)
    check(done.returncode != 0 and re.search("code: 5|non-zero code: 5", done.stdout + done.stderr), f"a failed RUN: {done.returncode} {done.stdout + done.stderr!r}")


@case("userns-remap")
def userns_remap(d):
    for file in ("/etc/subuid", "/etc/subgid"):
        if not os.path.exists(file):
            raise Skip(f"there is no {file}")

    def prepare(box):
        (box.root / box.folder.lstrip("/") / "sub").write_text("daemon:200000:65536\n")
        for file in ("/etc/subuid", "/etc/subgid"):
            expect(box.run("mount", "--bind", f"{box.folder}/sub", file).returncode, 0, "mount")

    r = Docker(d.runtime, ("--userns-remap=daemon",), prepare)
    try:
        expect(r.sh("id -u; cat /proc/self/uid_map").split(), ["0", "0", "200000", "65536"], "the map")
        c = r.up()
        expect(os.stat(f"/proc/{outer_pid(r, r.get(c, '.State.Pid'))}").st_uid, 200000, "the uid outside")
        expect(r.ok("exec", c, "sh", "-c", "id -u; touch /x; stat -c %u /x"), "0\n0", "exec")
        expect(r.ok("exec", "-u", "guest", c, "id", "-u"), "405", "exec -u")
        check(int(r.ok("exec", c, "sh", "-c", "ls /dev | wc -l")) > 8, "devices")
        expect(r.sh("echo x >/dev/null; echo $?; stat -c '%t:%T' /dev/null"), "0\n1:3", "/dev/null")
        expect(r.sh("test -t 0; echo $?; stat -c %u $(tty)", "-t").split(), ["0", "0"], "a terminal")
        expect(r.out("-m", "64m", "--cpus", "0.5", IMAGE, "echo", "limited"), "limited", "limits")
        expect(r.sh("touch /t/x; echo $?", "--read-only", "--tmpfs", "/t"), "0", "a tmpfs below a read-only root")
        expect(r.sh("ls /sys/class/net", "--network", "none"), "lo", "--network none")
        folder = r.write("b/Dockerfile", f"FROM {IMAGE}\nRUN id -u >/uid\nCMD cat /uid\n").rpartition("/")[0]
        r.ok("build", "-t", "b", folder)
        expect(r.out("b"), "0", "a built image")
        fails(r, 127, "executable file not found", "run", "--rm", IMAGE, "nope")
        if ALL_CAPS:
            check(caps(r.out("--privileged", "--userns=host", IMAGE, "cat", "/proc/self/status")) > 0xA80425FB, "--privileged --userns=host")
        r.ok("pause", c)
        r.ok("unpause", c)
        r.ok("stop", "-t", "5", c)
    finally:
        r.end()


@case("docker cp")
def copy(d):
    c = d.up()
    source = d.write("cp/in", "inward\n")
    d.ok("cp", source, f"{c}:/tmp/in")
    expect(d.ok("exec", c, "cat", "/tmp/in"), "inward", "copied in")
    d.ok("exec", c, "sh", "-c", "mkdir /tmp/dir; echo outward >/tmp/dir/out; ln -s out /tmp/dir/link")
    d.ok("cp", f"{c}:/tmp/dir", f"{d.files}/cp/dir")
    expect((d.inside / "cp/dir/out").read_text(), "outward\n", "copied out")
    d.ok("create", "--name", "made", IMAGE, "cat", "/in")
    d.ok("cp", source, "made:/in")
    expect(d.ok("start", "-a", "made"), "inward", "copied into one not yet started")
    expect(d.ok("diff", "made"), "A /in", "docker diff")


@case("logs, attach, events, commit, rename")
def logs(d):
    c = d.up(script="echo one; echo two >&2; sleep 0.5; echo three")
    d.ok("wait", c)
    done = d("logs", c)
    expect((done.stdout, done.stderr), ("one\nthree\n", "two\n"), "docker logs")
    expect(d.ok("logs", "--tail", "1", c), "three", "--tail")
    c = d.up(script="for i in 1 2 3 4 5; do echo $i; sleep 0.2; done")
    expect(d.ok("logs", "-f", c), "1\n2\n3\n4\n5", "logs -f")
    d.ok("create", "-i", "--name", "reader", IMAGE, "cat")
    expect(d.ok("start", "-ai", "reader", input="typed\n"), "typed", "start -ai")
    shown = d.ok("events", "--since", "10m", "--until", str(int(time.time()) + 1), "--filter", "container=reader", "--format", "{{.Action}}").split()
    check(["create", "start", "die"] == [s for s in shown if s in ("create", "start", "die")], f"events: {shown}")
    c = d.up()
    d.ok("exec", c, "sh", "-c", "echo mine >/mine")
    d.ok("commit", c, "committed")
    expect(d.out("committed", "cat", "/mine"), "mine", "a committed image")
    d.ok("rename", c, "renamed")
    expect(d.ok("exec", "renamed", "cat", "/mine"), "mine", "exec by the new name")


@case("seccomp: default, custom, unconfined")
def seccomp(d):
    read = "grep -E '^Seccomp:' /proc/self/status | tr -d 'Seccomp:\\t '"
    expect(d.sh(read), "2", "default")
    expect(d.sh(read, "--security-opt", "seccomp=unconfined"), "0", "unconfined")
    fails(d, 1, "not permitted", "run", "--rm", IMAGE, "unshare", "-U", "true")
    fails(d, 1, "not permitted|permission denied", "run", "--rm", IMAGE, "mount", "-t", "tmpfs", "x", "/tmp")
    expect(d.sh("unshare -U true && echo made", "--security-opt", "seccomp=unconfined"), "made", "unshare, unconfined")
    expect(d.sh("mount -t tmpfs x /tmp && echo mounted", "--cap-add", "SYS_ADMIN"), "mounted", "mount with SYS_ADMIN, which the default profile knows")
    profile = d.write("seccomp.json", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["no_such_system_call"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}))
    options = ("--security-opt", f"seccomp={profile}")
    fails(d, 1, "No space left", "run", "--rm", *options, IMAGE, "mkdir", "/x")
    expect(d.sh("touch /x && echo touched", *options), "touched", "the rest is allowed")
    c = d.up(*options)
    fails(d, 1, "No space left", "exec", c, "mkdir", "/x")
    expect(d.sh(read, "--user", "1000", "--security-opt", "no-new-privileges"), "2", "with no-new-privileges and another user")
    expect(d.sh(read, "--user", "1000"), "2", "with another user")
    kill = d.write("kill.json", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]}))
    expect(d("run", "--rm", "--security-opt", f"seccomp={kill}", IMAGE, "sh", "-c", "mkdir /x; exit $?").returncode, 159, "SCMP_ACT_KILL_PROCESS")


@case("no-new-privileges")
def no_new_privileges(d):
    # Of busybox's programs most give up what set-user-id gave them; this one keeps it, for it needs a raw socket.
    script = ("cp /bin/busybox /tmp/traceroute; chmod 4755 /tmp/traceroute;"
              " su guest -c 'grep NoNewPrivs /proc/self/status; /tmp/traceroute -m 1 -q 1 127.0.0.1 >/dev/null 2>&1; echo $?'")
    expect(d.sh(script).split(), ["NoNewPrivs:", "0", "0"], "a set-user-id program")
    expect(d.sh(script, "--security-opt", "no-new-privileges").split(), ["NoNewPrivs:", "1", "1"], "the same with no-new-privileges")
    c = d.up("--security-opt", "no-new-privileges")
    expect(d.ok("exec", c, "grep", "NoNewPrivs", "/proc/self/status").split(), ["NoNewPrivs:", "1"], "exec")


@case("--privileged")
def privileged(d):
    done = d("run", "--rm", "--privileged", IMAGE, "true")
    if done.returncode != 0 and not ALL_CAPS:
        # Docker before 26 asks for every capability that the kernel knows, and what cannot be given is an error.
        check("not permitted" in done.stderr, f"what is said without CAP_SYS_RESOURCE: {done.stderr}")
        return
    text = d.out("--privileged", IMAGE, "cat", "/proc/self/status")
    expect(re.search(r"Seccomp:\s*(\d)", text)[1], "0", "seccomp")
    expect(d.sh("mount -t tmpfs x /tmp && ls /dev/loop-control && echo 1 >/proc/sys/net/ipv4/ip_forward && echo done", "--privileged").splitlines()[-1],
           "done", "mount, devices, /proc/sys")


@case("devices: --device, its rights, device rules, the default set")
def devices(d):
    expect(d.sh("head -c 3 /dev/zero | wc -c; echo x >/dev/full; echo $?; head -c 4 /dev/urandom | wc -c").split(), ["3", "1", "4"], "default devices")
    names = set(d.sh("ls /dev").split()) - {"core"}
    expect(sorted(names), "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split(), "names in /dev")
    if not os.path.exists("/dev/fuse"):
        raise Skip("there is no /dev/fuse")
    expect(d.sh("stat -c %t:%T /dev/other; : <>/dev/other && echo opened", "--device", "/dev/fuse:/dev/other").split()[-2:], ["a:e5", "opened"], "--device")
    fails(d, 1, "not permitted", "run", "--rm", "--device", "/dev/fuse:/dev/fuse:r", IMAGE, "sh", "-c", ": >/dev/fuse")
    fails(d, 1, "not permitted", "run", "--rm", IMAGE, "sh", "-c", "mknod /dev/f c 10 229 && : <>/dev/f")
    expect(d.sh("mknod /dev/f c 10 229 && : <>/dev/f && echo opened", "--device-cgroup-rule", "c 10:* rwm"), "opened", "--device-cgroup-rule")
    c = d.up("--device", "/dev/fuse")
    expect(d.ok("exec", c, "sh", "-c", ": <>/dev/fuse && echo opened"), "opened", "exec")
    fails(d, 127, "no such file or directory", "run", "--rm", "--device", "/dev/no-such", IMAGE, "true")


@case("--ulimit")
def ulimit(d):
    expect(d.sh("ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -u", "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nproc=500").split(),
           ["100", "200", "0", "500"], "limits")
    c = d.up("--ulimit", "nofile=100:200")
    expect(d.ok("exec", c, "sh", "-c", "ulimit -Sn; ulimit -Hn").split(), ["100", "200"], "limits of exec")
    fails(d, 125, "soft.*hard|soft limit", "run", "--rm", "--ulimit", "nofile=200:100", IMAGE, "true")


@case("--sysctl")
def sysctl(d):
    expect(d.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max",
                "--sysctl", "net.ipv4.ip_unprivileged_port_start=90", "--sysctl", "kernel.shmmax=4096000", "--sysctl", "fs.mqueue.msg_max=20").split(),
           ["90", "4096000", "20"], "values")
    fails(d, 125, "not whitelisted|not in a separate|not allowed", "run", "--rm", "--sysctl", "kernel.hostname=x", IMAGE, "true")
    fails(d, 1, "Read-only", "run", "--rm", IMAGE, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")


@case("--ipc, --pid, --uts: host, container:, private")
def shared_namespaces(d):
    def here(name):
        return os.readlink(f"/proc/{d.box.pid}/ns/{name}")
    for option, name in (("--ipc", "ipc"), ("--pid", "pid"), ("--uts", "uts"), ("--network", "net")):
        expect(d.sh(f"readlink /proc/self/ns/{name}", option, "host"), here(name), f"{option} host")
        check(d.sh(f"readlink /proc/self/ns/{name}") != here(name), f"the default for {option} is the host's")
    c = d.up("--name", "first", "--ipc", "shareable")
    for option, name in (("--ipc", "ipc"), ("--pid", "pid"), ("--network", "net")):
        expect(d.sh(f"readlink /proc/self/ns/{name}", option, "container:first"), d.ok("exec", c, "readlink", f"/proc/self/ns/{name}"), f"{option} container:")
    check("sleep 300" in d.sh("ps -o args", "--pid", "container:first"), "processes of the other container")
    check("dockerd" in d.sh("ps -o args", "--pid", "host"), "processes of the box")
    other = d.up("--pid", "container:first", "--name", "second")
    d.ok("exec", "-d", other, "sleep", "88")
    # Without a pid namespace of its own everything is to be found by the cgroup.
    d.ok("rm", "-f", other)
    until(lambda: "sleep 88" not in d.ok("exec", c, "ps", "-o", "args"), "processes of a removed container are gone")
    h = d.up("--pid", "host", script="sleep 1234 & sleep 1234")
    d.ok("exec", "-d", h, "sleep", "1234")
    d.ok("kill", h)
    d.ok("rm", "-f", h)
    until(lambda: "sleep 1234" not in d.box.run("ps", "-eo", "args").stdout, "processes of a removed container with --pid host are gone")
    expect(d.sh("df -m /dev/shm | awk 'NR==2{print $2}'", "--shm-size", "32m"), "32", "--shm-size")


@case("what is hidden and what is read-only in /proc and /sys")
def hidden(d):
    expect(d.sh("cat /proc/kcore | wc -c; cat /proc/timer_list | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : | tr -d '\\n' | wc -c").split(),
           ["0", "0", "0"], "masked paths")
    fails(d, 1, "Read-only", "run", "--rm", IMAGE, "sh", "-c", "echo 9 >/proc/sys/kernel/pid_max")
    fails(d, 1, "Read-only", "run", "--rm", IMAGE, "sh", "-c", "cd /sys/fs/cgroup; if test -d pids; then cd pids; fi; mkdir x")
    done = d("run", "--rm", "--security-opt", "systempaths=unconfined", IMAGE, "grep", "-c", " /proc/", "/proc/mounts")
    expect(done.stdout, "0\n", f"mounts on /proc with systempaths=unconfined ({done.stderr})")


@case("the host's null device stays as it is")
def null_device(d):
    def node():
        info = os.stat(d.box.root / "dev/null")
        return oct(info.st_mode), info.st_uid
    before = node()
    d.sh("chmod 600 /dev/null /proc/self/fd/0 /proc/timer_list /proc/keys; chown 7 /dev/null /proc/self/fd/0 /proc/timer_list /proc/keys; true")
    expect(node(), before, "mode and owner of the host's /dev/null")


SEEN = {}


def same(name, text):
    """What the first runtime gave is what the second has to give."""
    lines = SEEN.setdefault(name, text).splitlines()
    differ = [f"-{line}" for line in lines if line not in text.splitlines()] + [f"+{line}" for line in text.splitlines() if line not in lines]
    check(not differ and len(lines) == len(text.splitlines()), f"{name} is not what the first runtime gave: {differ or 'repeated lines'}")


@case("what a container sees is what it sees with the first runtime")
def same_view(d):
    # Where something is mounted, and how the file systems that an image does not bring are.
    view = "cut -d' ' -f5 /proc/self/mountinfo | sort; grep -E ' /(proc|sys|dev/pts|dev/mqueue|dev/shm|t) ' /proc/mounts | sort"
    # Groups: runc leaves out those that are given twice; the case of the users has them.
    status = "grep -vE 'Groups|Pid|Tgid|Vm|Rss|switches|Hugetlb|SigQ|Threads|NSpid|NSsid|NSpgid|NStgid|x86|Mems_allowed|Cpus_allowed|SecBits' /proc/self/status"
    for name, options in (("by default", ()), ("--read-only", ("--read-only",)), ("-t", ("-t",)), ("--user 405", ("--user", "405")), ("--ipc host", ("--ipc", "host")),
                          ("--network none", ("--network", "none")), ("--pid host", ("--pid", "host")), ("--tmpfs", ("--tmpfs", "/t:exec,size=64k,mode=700")),
                          ("--volume", ("-v", "/v", "-v", "/usr:/u:ro"))):
        same(f"mounts {name}", d.sh(view, *options))
        same(f"status {name}", d.sh(status, *options))
    same("environment", d.out("--hostname", "same", IMAGE, "env"))
    same("limits", d.out(IMAGE, "cat", "/proc/self/limits"))
    same("/dev", d.sh("ls -ln /dev | sed 's/ [A-Z][a-z][a-z] .*:[0-9][0-9] / /'"))
    same("/dev with a device", d.sh("ls -ln /dev | sed 's/ [A-Z][a-z][a-z] .*:[0-9][0-9] / /'", "--device", "/dev/null:/dev/mine"))
    same("signals", d.sh("grep Sig[BIC] /proc/self/status"))
    same("standard input", d.sh("stat -L -c '%a %u %t:%T' /proc/self/fd/0; readlink /proc/self/fd/0; test $(stat -L -c %d:%i /proc/self/fd/0) = $(stat -c %d:%i /dev/null); echo $?"))
    same("session", d.sh("cut -d' ' -f5-8 /proc/self/stat; cat /proc/self/oom_score_adj /proc/self/personality /proc/self/coredump_filter; umask"))
    c = d.up()
    same("status of exec", d.ok("exec", c, "sh", "-c", status))
    same("environment of exec", "\n".join(e for e in d.ok("exec", c, "env").splitlines() if not e.startswith("HOSTNAME")))
    same("limits of exec", d.ok("exec", c, "cat", "/proc/self/limits"))


@case("--cgroup-parent, and no cgroup is left")
def cgroup_parent(d):
    c = d.up("--cgroup-parent", "/mine", "-m", "64m")
    found = d.box.run("sh", "-c", f"find /sys/fs/cgroup -type d -path '*/mine/{c}'").stdout
    check(found, "no cgroup below --cgroup-parent")
    d.ok("rm", "-f", c)
    check(not d.box.run("sh", "-c", f"find /sys/fs/cgroup -type d -path '*/{c}*'").stdout, "a cgroup of a removed container")


@case("many at once")
def many(d):
    names = [f"m{i}" for i in range(12)]
    started = [d.box.spawn(CLIENT, "run", "-d", "--name", n, "-m", "32m", IMAGE, "sleep", "300", env=d.environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in names]
    expect([s.wait(60) for s in started], [0] * len(names), "exit codes")
    for name in names:
        expect(status_of(d, name), "running", f"status of {name}")
    execs = [d.box.spawn(CLIENT, "exec", "m0", "sh", "-c", f"exit {i}", env=d.environment) for i in range(10)]
    expect([e.wait(60) for e in execs], list(range(10)), "exit codes of ten execs in one container")
    d.ok("rm", "-f", *names)


@case("live restore: containers outlive the daemon")
def live(d):
    r = Docker(d.runtime, ("--live-restore",))
    try:
        c = r.up()
        pid = r.get(c, ".State.Pid")
        r.box.run("sh", "-c", f"kill -9 $(cat {r.files}/pid)")
        r.daemon.wait(10)
        check((r.box.root / f"proc/{pid}").exists(), "the container ended with the daemon")
        r.serve()
        expect((status_of(r, c), r.get(c, ".State.Pid")), ("running", pid), "the container after a restart of the daemon")
        expect(r.ok("exec", c, "echo", "x"), "x", "exec")
        r.ok("stop", "-t", "5", c)
    finally:
        r.end()


def main():
    if why := lib.machine_lacks("dockerd", "docker", "containerd", "runc", "iptables"):
        print(f"1..0 # SKIP {why}")
        return 77
    engines = {}

    def close():
        for engine in engines.values():
            engine.end()
    try:
        engines["runc"] = Docker(shutil.which("runc"))
        engines["clawrun"] = Docker(os.path.abspath(lib.CLAWRUN))
    except Skip as why:
        close()
        print(f"1..0 # SKIP {why}")
        return 77
    except BaseException:
        close()
        raise
    return lib.run_cases("docker", CASES, engines, close)


if __name__ == "__main__":
    sys.exit(main())
