#!/usr/bin/env python3
"""Sends signals to clawrun at random moments of its start, and looks for what is left behind.

Usage: storm.py SIGNAL COUNT CLAWRUN ARGUMENT...

Every process that an ended clawrun leaves becomes a child of this one (it is a subreaper), so none can hide. Prints what
is left, and exit statuses that are neither the signal's nor that of a failed set-up; exits 1 if there was anything.
"""

import collections
import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LATEST_S = 0.015
SETTLE_S = 5
# What suites make for themselves, which may come and go meanwhile.
OF_A_SUITE = re.compile(r"^clawrun-[a-z]+\.\w+$")


def surroundings():
    """Mounts, cgroups, and files of clawrun's in the places for temporary ones."""
    found = set()
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        found.update("mount " + line.split()[4] for line in mounts)
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/clawrun", os.environ.get("XDG_RUNTIME_DIR", "")):
        try:
            names = os.listdir(place)
        except OSError:
            continue
        mine = [n for n in names if "clawrun" in n or place.endswith("clawrun")]
        found.update(f"file {place}/{name}" for name in mine if not OF_A_SUITE.match(name))
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(f"cgroup {folder}/{name}" for name in names if "clawrun" in name)
    return found


def reap():
    """True once no child is left, dead or alive."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return False


def alive():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                with open(f"/proc/{pid}/wchan", encoding="utf-8") as file:
                    yield f"process {pid} ({name}), state {rest.split()[0]}, in {file.read()}"
        except (OSError, IndexError):
            continue


def main():
    number, count, command = getattr(signal, "SIG" + sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)  # what we ignore, clawrun would not forward
    before, wrong, seen = surroundings(), [], collections.Counter()
    for _ in range(count):
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 process_group=0)
        time.sleep(random.uniform(0, LATEST_S))
        child.send_signal(number)
        try:
            status = child.wait(20)
        except subprocess.TimeoutExpired:
            wrong.append("did not end within 20 s")
            child.kill()
            status = child.wait()
        seen[status] += 1
        if status not in (-number, 128 + number):
            wrong.append(f"exit status {status}")
    end = time.monotonic() + SETTLE_S
    while not reap() and time.monotonic() < end:
        time.sleep(0.02)
    wrong += alive()
    # What a killed supervisor leaves of its cgroup, and the record that names it, the next start would take away, or this.
    swept = subprocess.run([command[0], "gc"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False)
    wrong += [f"gc: {line}" for line in swept.stderr.decode().splitlines()]
    wrong += sorted(surroundings() - before)
    print("statuses:", dict(seen))
    for line in wrong:
        print(line)
    for line in list(alive()):
        os.kill(int(line.split()[1]), signal.SIGKILL)
    sys.exit(1 if wrong else 0)


main()
