"""What the tests share."""

import os
import time
import unittest

import clawrun

DEADLINE_S = 20  # for what takes milliseconds on an idle machine


def descriptors():
    """What this process has open, but for the directory that is being read."""
    return {fd: target for fd in os.listdir("/proc/self/fd") for target in [_target(fd)] if target and "/fd" not in target}


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None


def children():
    """The first processes of sandboxes, by pid: children of this process that are not reaped."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            found |= set(file.read().split())
    return found


def eventually(condition):
    limit = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def limits_reason():
    """Why no limit on memory can be had here, or None: an ordinary user needs a cgroup that is its own."""
    try:
        clawrun.Sandbox(memory="64m").run(["true"])
    except clawrun.SetupError as error:
        return f"no cgroup for this user: {error}".splitlines()[0]
    return None


def pools_reason():
    """Why there are no pools, or None."""
    try:
        clawrun.SandboxPool(size=1).close()
    except clawrun.LibraryError as error:
        return str(error)
    return None


class Case(unittest.TestCase):
    """Every test leaves as many descriptors and children as it found."""

    def setUp(self):
        clawrun.library_version()
        # What is opened once and kept, such as the state of the cgroups, is opened here.
        clawrun.Sandbox().run(["true"])
        self._descriptors = len(descriptors())
        self._children = children()

    def tearDown(self):
        self.assertTrue(eventually(lambda: children() <= self._children), f"children left: {children() - self._children}")
        self.assertTrue(eventually(lambda: len(descriptors()) <= self._descriptors), f"descriptors left: {descriptors()}")
