"""Checkpoint and restore. Runs in the guest, as root; one counter in a busybox container is what most of it is about."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vm"))
# pylint: disable=wrong-import-position
from lib import CGROUPS, CLAWRUN, BIN, PLACE, expect, main, prepare, test, wait_for  # noqa: E402

STATES = PLACE / "states"
COUNT = "i=0; while :; do i=$((i+1)); echo $i >/tmp/n; sleep 0.1; done"


class Bundle:
    """A bundle with a busybox root, the images of its checkpoints, and the container made of it."""

    count = 0

    def __init__(self, command=("sh", "-c", COUNT), change=lambda config: None):
        Bundle.count += 1
        self.id = f"c{Bundle.count}"
        self.path = PLACE / self.id
        self.root = self.path / "rootfs"
        for folder in ["bin", "proc", "dev", "sys", "tmp", "data"]:
            (self.root / folder).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        for name in ["sh", "sleep", "echo", "cat"]:
            (self.root / "bin" / name).symlink_to("busybox")
        subprocess.run([CLAWRUN, "spec", "--bundle", self.path], check=True, capture_output=True)
        self.config = json.loads((self.path / "config.json").read_text())
        self.config["process"].update(terminal=False, args=list(command))
        self.config["root"]["readonly"] = False
        change(self.config)
        (self.path / "config.json").write_text(json.dumps(self.config))
        self.images = self.path / "images"
        self.log = self.path / "out"

    def call(self, verb, *words, env=None):
        # Pipes, as engines give them: a file of the outside would be none that CRIU could find in the container.
        outside = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=open(self.path / name, mode))
                   for name, mode in (("out", "ab"), ("err", "wb"))]
        try:
            status = subprocess.run([CLAWRUN, "--root", STATES, verb, *map(str, words)], stdin=subprocess.DEVNULL,
                                    stdout=outside[0].stdin, stderr=outside[1].stdin, cwd=self.path,
                                    env={**os.environ, **(env or {})}, timeout=90, check=False).returncode
        finally:
            for cat in outside:
                cat.stdin.close()
        if status != 0:
            outside[1].wait(timeout=10)
        self.err = (self.path / "err").read_text()
        return status

    def ok(self, verb, *words, **kwargs):
        status = self.call(verb, *words, **kwargs)
        expect(status == 0, f"{verb}: status {status}", self.err, self.criu_log)
        return self

    def refused(self, part, verb, *words, **kwargs):
        status = self.call(verb, *words, **kwargs)
        expect(status == 1, f"{verb}: status {status} in place of 1", self.err)
        expect(part in self.err and len(self.err.strip().splitlines()) == 1, f"not one line with {part!r}", self.err)

    def criu_log(self):
        return "\n".join(line for log in self.path.rglob("*.log") for line in log.read_text(errors="replace").splitlines()[-25:])

    def run(self):
        return self.ok("run", "-d", "--bundle", self.path, self.id)

    def checkpoint(self, *words, images=None):
        return self.ok("checkpoint", "--image-path", images or self.images, *words, self.id)

    def restore(self, *words, images=None):
        return self.ok("restore", "-d", "--bundle", self.path, "--image-path", images or self.images, *words, self.id)

    def state(self):
        done = subprocess.run([CLAWRUN, "--root", STATES, "state", self.id], capture_output=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def status(self):
        state = self.state()
        return state["status"] if state else None

    def number(self):
        text = (self.root / "tmp/n").read_text().strip()
        return int(text) if text else 0

    def counted(self):
        """That it counts: the number when it has gone on twice."""
        start = wait_for(lambda: (self.root / "tmp/n").exists() and self.number(), "a first number")
        return wait_for(lambda: self.number() > start + 1 and self.number(), "a counter that goes on")

    def stands(self):
        before = self.number()
        time.sleep(0.6)
        expect(self.number() == before, "it still counts")
        return before

    def gone(self):
        """Nothing is left of it: no state, no cgroup, no mount, no process."""
        expect(not (STATES / self.id).exists(), "its state is left", lambda: list((STATES / self.id).rglob("*")), lambda: self.err, self.state)
        wait_for(lambda: not (CGROUPS / self.id).exists() and not list(CGROUPS.rglob(f"*{self.id}")), "the end of its cgroup")
        mounts = Path("/proc/self/mountinfo").read_text()
        expect(f"/{self.id}/" not in mounts and "criu-root" not in mounts, "a mount is left", mounts)
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in os.listdir("/proc") if pid.isdigit() and Path(f"/proc/{pid}/comm").exists()]
        expect("criu" not in names and "clawrun-criu" not in names, f"CRIU is left: {names}")

    def end(self):
        self.ok("delete", "--force", self.id)
        self.gone()


@test("a counter goes on from where it was, in a container of the same id, and nothing is left")
def _():
    box = Bundle().run()
    box.counted()
    pid_file = box.path / "pid"
    box.checkpoint()
    expect(box.status() == "stopped", box.state)
    stopped_at = box.stands()
    box.ok("delete", box.id)
    box.gone()
    box.restore("--pid-file", pid_file)
    state = box.state()
    expect(state["status"] == "running" and state["pid"] == int(pid_file.read_text()), state)
    expect(box.counted() > stopped_at, "it has begun anew")
    expect(Path(f"/proc/{state['pid']}/cgroup").read_text().strip().endswith(box.id), "it is in another cgroup")
    expect(not (STATES / box.id / "criu-root").exists(), "the place of CRIU's root is left")
    box.ok("exec", box.id, "echo", "inside")
    box.ok("pause", box.id)
    box.stands()
    box.ok("resume", box.id)
    box.counted()
    box.end()


@test("--leave-running: it goes on, and the images can be restored later")
def _():
    box = Bundle().run()
    box.counted()
    box.checkpoint("--leave-running")
    expect(box.status() == "running", box.state)
    box.counted()
    box.end()
    at = box.number()
    box.restore()
    # What it holds in memory is from then: the file is behind.
    expect(box.counted() < at + 1000, "no number")
    box.end()


@test("--pre-dump and a dump that has it for its parent")
def _():
    box = Bundle().run()
    box.counted()
    box.checkpoint("--pre-dump", images=box.path / "first")
    expect(box.status() == "running", box.state)
    box.counted()
    box.refused("must be relative", "checkpoint", "--image-path", box.images, "--parent-path", box.path / "first", box.id)
    box.refused("nowhere", "checkpoint", "--image-path", box.images, "--parent-path", "../nowhere", box.id)
    box.checkpoint("--parent-path", "../first")
    expect((box.images / "parent").is_symlink(), "no parent in the images")
    at = box.stands()
    box.ok("delete", box.id)
    box.restore()
    expect(box.counted() > at, "it has begun anew")
    box.end()


@test("a bind mount of the host is not in the images, and is there again")
def _():
    data = PLACE / "data"
    data.mkdir(exist_ok=True)
    def add(config):
        config["mounts"].append({"destination": "/data", "type": "bind", "source": str(data), "options": ["bind", "rw"]})
    box = Bundle(("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/data/n; echo $i >/tmp/n; sleep 0.1; done"), add).run()
    box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    at = int((data / "n").read_text())
    box.restore()
    wait_for(lambda: (data / "n").read_text().strip() and int((data / "n").read_text()) > at, "a counter that goes on in the bind mount")
    box.end()


@test("the exit status of a restored process comes to a restore in the foreground, which deletes the container")
def _():
    box = Bundle(("sh", "-c", "i=0; until [ -e /tmp/end ]; do i=$((i+1)); echo $i >/tmp/n; sleep 0.1; done; echo said; exit 7")).run()
    box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    (box.root / "tmp/end").touch()
    status = box.call("restore", "--bundle", box.path, "--image-path", box.images, box.id)
    expect(status == 7, f"status {status}", box.err, box.criu_log)
    wait_for(lambda: "said" in box.log.read_text(), "what it says")
    box.gone()


@test("createRuntime hooks run for a restored container, and one that fails leaves nothing of it")
def _():
    seen = PLACE / "hook"
    def add(config):
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >>{seen}; test ! -e {seen}.fail"]}]}
    box = Bundle(change=add).run()
    box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    seen.unlink()
    seen.with_name("hook.fail").touch()
    box.refused("error running createRuntime hook #0", "restore", "-d", "--bundle", box.path, "--image-path", box.images, box.id)
    expect(json.loads(seen.read_text())["pid"] > 0, "a hook without a pid")
    box.gone()
    seen.with_name("hook.fail").unlink()
    box.restore()
    box.end()


@test("the annotations for the output of hooks and for a pidfd hold for a restored container, too")
def _():
    box = Bundle(change=lambda config: config.update(
        hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo heard; echo complaint >&2"]}]},
        annotations={"run.oci.hooks.stdout": str(PLACE / "hook.out"), "run.oci.hooks.stderr": str(PLACE / "hook.err"),
                     "run.oci.pidfd_receiver": str(PLACE / "receiver")}))
    with socket.socket(socket.AF_UNIX) as receiver:
        receiver.bind(str(PLACE / "receiver"))
        receiver.listen()
        receiver.settimeout(10)
        box.run()
        receiver.accept()[0].close()
        box.counted()
        box.checkpoint()
        box.ok("delete", box.id)
        for file in ("hook.out", "hook.err"):
            (PLACE / file).unlink()
        box.restore()
        with receiver.accept()[0] as sender:
            sender.settimeout(10)
            _, (pidfd,), _, _ = socket.recv_fds(sender, 64, 1)
    expect(f"Pid:\t{box.state()['pid']}\n" in Path(f"/proc/self/fdinfo/{pidfd}").read_text(), "another process's pidfd")
    os.close(pidfd)
    expect((PLACE / "hook.out").read_text() == "heard\n" and (PLACE / "hook.err").read_text() == "complaint\n", "the output of hooks")
    box.end()


@test("an id that is taken, images that are none, and a container that is not running are refused")
def _():
    box = Bundle().run()
    box.counted()
    box.checkpoint("--leave-running")
    box.refused("already exists", "restore", "-d", "--bundle", box.path, "--image-path", box.images, box.id)
    expect(box.status() == "running", box.state)
    other = Bundle()
    other.refused("no such file", "restore", "-d", "--bundle", other.path, "--image-path", other.path / "none", other.id)
    other.gone()
    (other.path / "empty").mkdir()
    other.refused("inventory.img", "restore", "-d", "--bundle", other.path, "--image-path", other.path / "empty", other.id)
    other.gone()
    shutil.copytree(box.images, other.images)
    for image in other.images.glob("*.img"):
        image.write_bytes(os.urandom(4096))
    other.refused("CRIU", "restore", "-d", "--bundle", other.path, "--image-path", other.images, other.id)
    expect("restore.log" in other.err, "the log is not named", other.err)
    other.gone()
    box.ok("kill", box.id, "KILL")
    wait_for(lambda: box.status() == "stopped", "its end")
    box.refused("stopped", "checkpoint", "--image-path", box.images, box.id)
    box.end()


@test("without criu the package is named, and the container goes on")
def _():
    box = Bundle().run()
    box.counted()
    nowhere = {"PATH": "/nonexistent"}
    box.refused("install the package criu", "checkpoint", "--image-path", box.images, box.id, env=nowhere)
    box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    box.refused("install the package criu", "restore", "-d", "--bundle", box.path, "--image-path", box.images, box.id, env=nowhere)
    box.gone()


@test("what CRIU cannot dump is said in its words and with its log, and the container goes on")
def _():
    # Its output is a file of the host, which is not in the container to be opened again.
    box = Bundle()
    with open(PLACE / "host-file", "wb") as file:
        subprocess.run([CLAWRUN, "--root", STATES, "run", "-d", "--bundle", box.path, box.id], stdin=subprocess.DEVNULL, stdout=file,
                       stderr=file, check=True)
    box.counted()
    box.refused("dump.log", "checkpoint", "--image-path", box.images, box.id)
    expect("CRIU failed" in box.err and "Error (" in box.err, box.err)
    expect(box.status() == "running", box.state)
    box.counted()
    box.end()


@test("a Landlock domain, which CRIU would lose, is no container to be checkpointed")
def _():
    def confine(config):
        config["annotations"] = {"run.clawrun.landlock": "rw:/tmp"}
    box = Bundle(change=confine).run()
    box.refused("Landlock", "checkpoint", "--image-path", box.images, box.id)
    box.end()


def stand_in(folder, script):
    """A criu of ours in a folder, for a PATH."""
    folder.mkdir(exist_ok=True)
    (folder / "criu").write_text("#!/bin/sh\n" + script)
    (folder / "criu").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@test("a CRIU that dies, or that says nonsense, leaves nothing behind")
def _():
    box = Bundle().run()
    box.counted()
    dies = stand_in(PLACE / "dies", "kill -9 $$\n")
    talks = stand_in(PLACE / "talks", "echo nonsense >&$2\nsleep 1\n")
    for env in (dies, talks):
        box.refused("CRIU died", "checkpoint", "--image-path", box.images, box.id, env=env)
        expect(box.status() == "running", box.state)
        box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    for env in (dies, talks):
        box.refused("CRIU died", "restore", "-d", "--bundle", box.path, "--image-path", box.images, box.id, env=env)
        box.gone()


@test("a restore that is killed at any moment leaves what `delete` removes, and no process")
def _():
    box = Bundle().run()
    box.counted()
    box.checkpoint()
    box.ok("delete", box.id)
    for after in (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9):
        restore = subprocess.Popen([CLAWRUN, "--root", STATES, "restore", "-d", "--bundle", box.path, "--image-path", box.images, box.id],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        restore.send_signal(signal.SIGKILL)
        restore.wait()
        box.call("delete", "--force", box.id)
        box.gone()
    box.restore()
    box.end()


@test("its terminal comes back through the console socket")
def _():
    def terminal(config):
        config["process"]["terminal"] = True
    box = Bundle(("sh", "-c", COUNT), terminal)
    path = str(PLACE / "console")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(2)
    box.ok("run", "-d", "--console-socket", path, "--bundle", box.path, box.id)
    first = socket.recv_fds(listener.accept()[0], 100, 1)[1][0]
    box.counted()
    box.checkpoint()
    os.close(first)
    box.ok("delete", box.id)
    box.restore("--console-socket", path)
    second = socket.recv_fds(listener.accept()[0], 100, 1)[1][0]
    expect(os.isatty(second), "no terminal")
    box.counted()
    box.end()


if __name__ == "__main__":
    prepare()
    shutil.copy(Path(os.environ["CLAWRUN"]).parent / "clawrun-criu", BIN)
    (BIN / "clawrun-criu").chmod(0o755)
    main()
