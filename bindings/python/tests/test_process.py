"""Process: streams, signals, files, and its end by whatever way."""

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unittest

import clawrun
from clawrun import CAPTURE, DEVNULL, INHERIT, PIPE, ClosedError, FileError, Sandbox, SetupError, StillRunning
from support import Case, children, eventually


class StreamTest(Case):
    def test_a_conversation(self):
        with Sandbox().start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            for line in (b"one\n", b"two\n"):
                process.stdin.write(line)
                self.assertEqual(process.stdout.readline(), line)
            process.stdin.close()
            self.assertEqual(process.stdout.read(), b"")
            self.assertEqual(process.wait().exit_code, 0)

    def test_more_than_a_pipe_holds(self):
        data = os.urandom(3 << 20)
        with Sandbox().start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            writer = threading.Thread(target=lambda: (process.stdin.write(data), process.stdin.close()))
            writer.start()
            self.assertEqual(process.stdout.read(), data)
            writer.join()

    def test_a_limited_pipe_is_filled_by_its_reader(self):
        with Sandbox(max_output="10k").start(["head", "-c", "100000", "/dev/zero"], stdout=PIPE) as process:
            self.assertEqual(len(process.stdout.read()), 10240)
            self.assertEqual(process.wait().stdout_lost_bytes, 100000 - 10240)

    def test_a_stream_alone_keeps_the_sandbox_alive(self):
        stdout = Sandbox().start(["sh", "-c", "sleep 0.2; echo late"], stdout=PIPE).stdout
        gc.collect()
        self.assertEqual(list(stdout), [b"late\n"])
        stdout.close()

    def test_descriptors_and_files(self):
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as out, os.fdopen(writer, "wb") as into:
            result = Sandbox().start(["sh", "-c", "echo out; echo err >&2"], stdout=into, stderr=writer).finish()
            self.assertEqual((result.stdout_bytes, result.stderr_bytes), (b"", b""))
            into.close()
            self.assertEqual(out.read(), b"out\nerr\n")

    def test_a_directory_is_no_stream(self):
        fd = os.open("/", os.O_RDONLY)
        try:
            with self.assertRaisesRegex(SetupError, "directory"):
                Sandbox().start(["true"], stdin=fd)
        finally:
            os.close(fd)

    def test_streams_that_are_none(self):
        self.assertRaises(ValueError, Sandbox().start, ["true"], stdout=-7)
        self.assertRaises(SetupError, Sandbox().start, ["true"], stdin=CAPTURE)
        self.assertRaises(SetupError, Sandbox().start, ["true"], stdout=1 << 20)
        with Sandbox().start(["true"], stdout=DEVNULL, stderr=INHERIT) as process:
            self.assertEqual((process.stdin, process.stdout, process.stderr), (None, None, None))
            self.assertRaises(ValueError, process.communicate, "nobody gets this")
            self.assertEqual(process.wait().exit_code, 0)

    def test_what_is_captured_so_far(self):
        with Sandbox().start(["sh", "-c", "echo now; sleep 60"]) as process:
            self.assertTrue(eventually(lambda: process.captured(1) == b"now\n"))
            self.assertEqual(process.captured(2), b"")


class EndTest(Case):
    def test_poll_and_wait(self):
        with Sandbox().start(["sh", "-c", "read line"], stdin=PIPE) as process:
            self.assertIsNone(process.poll())
            with self.assertRaisesRegex(StillRunning, process.id):
                process.wait(0.05)
            with self.assertRaises(StillRunning):
                process.wait(0)
            process.stdin.close()
            result = process.wait(20)
            self.assertIs(process.poll(), result)
        self.assertIs(process.wait(), result)

    def test_signals(self):
        with Sandbox().start(["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"], stdout=PIPE) as process:
            process.stdout.readline()
            process.terminate()
            self.assertEqual(process.wait().exit_code, 5)
            process.kill()
        with Sandbox().start(["sleep", "60"]) as process:
            with self.assertRaisesRegex(SetupError, "not passed on"):
                process.kill(signal.SIGSTOP)
            process.kill()
            self.assertEqual((process.wait().status, process.wait().signal), ("signaled", 9))

    def test_it_fits_a_selector(self):
        with Sandbox().start(["true"]) as process:
            while process.poll() is None:
                self.assertTrue(select.select([process], [], [], 20)[0])
        with Sandbox().start(["sleep", "60"]) as process:
            self.assertEqual(select.select([process.pidfd], [], [], 0), ([], [], []))
            process.kill()
            self.assertEqual(select.select([process.pidfd], [], [], 20)[0], [process.pidfd])

    def test_leaving_kills(self):
        with Sandbox().start(["sleep", "60"]) as process:
            self.assertEqual(len(children() - self._children), 1)
        self.assertEqual(children(), self._children)
        for use in (process.fileno, process.kill, process.wait, process.poll, process.list, lambda: process.pidfd,
                    lambda: process.put_file("a", b""), lambda: process.get_file("a")):
            self.assertRaises(ClosedError, use)
        process.close()

    def test_dropping_kills(self):
        process = Sandbox().start(["sleep", "60"])
        self.assertEqual(len(children() - self._children), 1)
        del process
        gc.collect()
        self.assertEqual(children(), self._children)

    def test_dropping_kills_with_pipes_too(self):
        process = Sandbox().start(["sleep", "60"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
        del process
        gc.collect()
        self.assertEqual(children(), self._children)

    def test_an_exception_leaves_nothing(self):
        with self.assertRaises(ZeroDivisionError):
            with Sandbox().start(["sleep", "60"], stdin=PIPE):
                1 // 0
        self.assertEqual(children(), self._children)

    def test_a_signal_of_the_host_interrupts_waiting(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with self.assertRaises(KeyboardInterrupt):
                Sandbox().run(["sleep", "60"])
            with Sandbox().start(["sleep", "60"], stdout=PIPE) as process:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with self.assertRaises(KeyboardInterrupt):
                    process.stdout.read()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(children(), self._children)

    def test_the_handler_of_a_signal_may_kill(self):
        process = Sandbox().start(["sleep", "60"])
        before = signal.signal(signal.SIGALRM, lambda *_: process.kill())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            self.assertEqual(process.wait().signal, 9)
        finally:
            signal.signal(signal.SIGALRM, before)
            process.close()


class FileTest(Case):
    def test_in_and_out(self):
        with Sandbox().start(["sh", "-c", "read line; cat in/a; echo $line > out"], stdin=PIPE) as process:
            process.put_file("in/a", b"\0\xff", 0o600)
            process.stdin.write(b"line\n")
            result = process.wait()
            self.assertEqual(result.stdout_bytes, b"\0\xff")
            # The command has ended; its files are still there.
            self.assertEqual(process.get_file("out"), b"line\n")
            entries = process.list()
            self.assertEqual([(entry.name, entry.type) for entry in entries], [("in", "directory"), ("out", "file")])
            self.assertEqual(entries[1].size_bytes, 5)
            self.assertEqual(process.list("in")[0].mode, 0o600)
            self.assertLess(abs(entries[1].mtime_ms / 1000 - time.time()), 60)

    def test_many_bytes(self):
        data = os.urandom(8 << 20)
        with Sandbox().start(["sleep", "60"]) as process:
            process.put_file("big", data)
            self.assertEqual(process.get_file("big"), data)
            with self.assertRaises(FileError) as caught:
                process.get_file("big", max_bytes=len(data) - 1)
            self.assertIn("larger than the allowed", str(caught.exception))
            process.put_file("empty", "")
            self.assertEqual(process.get_file("empty"), b"")

    def test_ways_out_are_refused(self):
        command = "ln -s /etc/passwd link; mkfifo fifo; ln -s / root; mkdir dir; echo ready; sleep 60"
        with Sandbox().start(["sh", "-c", command], stdout=PIPE) as process:
            process.stdout.readline()
            for path in ("link", "fifo", "root/etc/passwd", "dir", "../etc/passwd", "/etc/passwd", "", "nowhere", "a" * 5000):
                with self.subTest(path=path):
                    self.assertRaises(FileError, process.get_file, path)
            for path in ("root/tmp/x", "../x", "/tmp/x", "link/x", "dir"):
                with self.subTest(path=path):
                    self.assertRaises(FileError, process.put_file, path, b"x")
            self.assertRaises(ValueError, process.get_file, "a\0b")
            self.assertRaises(FileError, process.list, "root")
            self.assertEqual({entry.name: entry.type for entry in process.list()},
                             {"link": "symlink", "fifo": "other", "root": "symlink", "dir": "directory"})

    def test_a_full_file_system(self):
        with Sandbox(tmp_size="1m").start(["sleep", "60"]) as process:
            with self.assertRaisesRegex(FileError, "no room"):
                process.put_file("big", bytes(2 << 20))
            self.assertEqual(process.list(), [])


class ThreadTest(Case):
    def test_many_threads(self):
        sandbox, failures = Sandbox(), []

        def work(number):
            try:
                for i in range(5):
                    text = f"{number} {i}"
                    if sandbox.run(["cat"], input=text).stdout != text:
                        failures.append(text)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_it_outlives_the_thread_that_started_it(self):
        started = []
        thread = threading.Thread(target=lambda: started.append(Sandbox().start(["sh", "-c", "sleep 0.3; exit 5"])))
        thread.start()
        thread.join()
        self.assertEqual(started[0].finish().exit_code, 5)

    def test_other_threads_run_meanwhile(self):
        """No call holds the interpreter's lock while it waits."""
        ticks = []
        end = threading.Event()

        def tick():
            while not end.wait(0.01):
                ticks.append(1)

        thread = threading.Thread(target=tick)
        thread.start()
        Sandbox().run(["sleep", "0.5"])
        end.set()
        thread.join()
        self.assertGreater(len(ticks), 10)

    def test_waiting_and_closing_at_the_same_time(self):
        for _ in range(20):
            process = Sandbox().start(["sleep", "60"])
            ended = []

            def wait():
                try:
                    ended.append(process.wait().signal)
                except ClosedError as error:
                    ended.append(error)

            threads = [threading.Thread(target=wait) for _ in range(3)]
            for thread in threads:
                thread.start()
            process.close()
            for thread in threads:
                thread.join(20)
                self.assertFalse(thread.is_alive())
            self.assertEqual(len(ended), 3)


class ForkTest(Case):
    def in_fork(self, body):
        """What a fork of this process says."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, str(body()).encode())
            except BaseException as error:
                os.write(writer, repr(error).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as said:
            text = said.read()
        os.waitpid(pid, 0)
        return text

    def test_a_fork_has_no_hold_on_its_parents_sandbox(self):
        with Sandbox().start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            def misuse():
                refused = 0
                for use in (process.kill, process.wait, process.poll, process.close, lambda: process.list()):
                    try:
                        use()
                    except ClosedError:
                        refused += 1
                process._live._finalizer()
                return refused

            # close() of a foreign handle does nothing.
            self.assertEqual(self.in_fork(misuse), "4")
            process.stdin.write(b"alive\n")
            self.assertEqual(process.stdout.readline(), b"alive\n")

    def test_a_fork_starts_its_own(self):
        self.assertEqual(self.in_fork(lambda: Sandbox().run(["echo", "mine"]).stdout), "mine\n")


class ExitTest(Case):
    """The end of the interpreter, by whatever way, is the end of its sandboxes."""

    CODE = "import clawrun; p = clawrun.Sandbox().start(['sleep', '60']); print(p.id, p.pidfd, flush=True); q = [p]; q.append(q)"

    def groups(self, name):
        return [os.path.join(folder, found) for folder, folders, _ in os.walk("/sys/fs/cgroup") for found in folders if name in found]

    def test_its_exit(self):
        done = subprocess.run([sys.executable, "-c", self.CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(self.groups(done.stdout.decode().split()[0]), [])

    def test_its_death(self):
        with subprocess.Popen([sys.executable, "-c", self.CODE + "; import time; time.sleep(60)"], stdout=subprocess.PIPE) as child:
            name, pidfd = child.stdout.readline().decode().split()
            # The first process inside, seen from here.
            with open(f"/proc/{child.pid}/fdinfo/{pidfd}") as info:
                pid = [line.split()[1] for line in info if line.startswith("Pid:")][0]
            self.assertTrue(os.path.exists(f"/proc/{pid}"))
            child.kill()
        self.assertTrue(eventually(lambda: not os.path.exists(f"/proc/{pid}")))
        # The next start sweeps what the dead could not.
        Sandbox().run(["true"])
        self.assertTrue(eventually(lambda: self.groups(name) == []), self.groups(name))


if __name__ == "__main__":
    unittest.main()
