"""Sandbox.run(): what goes in, what comes out, and how it fails."""

import pickle
import sys
import unittest

import clawrun
from clawrun import NonzeroExit, Sandbox, SandboxOOM, SandboxTimeout, SetupError
from support import Case, limits_reason


class RunTest(Case):
    def test_output_and_exit_code(self):
        result = Sandbox().run(["sh", "-c", "echo out; echo err >&2; exit 7"])
        self.assertEqual((result.stdout, result.stderr, result.exit_code), ("out\n", "err\n", 7))
        self.assertEqual((result.status, result.signal, result.reason, result.ok), ("exited", None, "", False))
        self.assertFalse(result.stdout_truncated or result.stderr_truncated)
        self.assertGreater(result.wall_us, 0)
        self.assertEqual(result.report["exit_code"], 7)
        self.assertEqual(result.report["status"], "exited")

    def test_death_by_signal(self):
        result = Sandbox().run(["sh", "-c", "kill -9 $$"])
        self.assertEqual((result.status, result.signal, result.exit_code), ("signaled", 9, 137))

    def test_is_a_sandbox(self):
        """Another user, no network but the loopback, a host name of its own, and nothing of the caller's environment."""
        import os

        os.environ["CLAWRUN_TEST_SECRET"] = "secret"
        try:
            result = Sandbox().run(["sh", "-c", "id -u; cat /proc/net/dev | grep -c :; hostname; echo $CLAWRUN_TEST_SECRET; echo $PPID"])
        finally:
            del os.environ["CLAWRUN_TEST_SECRET"]
        self.assertEqual(result.stdout, "1000\n1\nsandbox\n\n1\n")

    def test_standard_input_is_empty_unless_it_is_given(self):
        self.assertEqual(Sandbox().run(["cat"]).stdout, "")
        self.assertEqual(Sandbox().run(["cat"], input="").stdout, "")
        self.assertEqual(Sandbox().run(["cat"], input="tea").stdout, "tea")

    def test_every_byte_passes(self):
        data = bytes(range(256)) * 4096
        self.assertEqual(Sandbox().run(["cat"], input=data).stdout_bytes, data)
        self.assertEqual(Sandbox().run(["cat"], input=memoryview(bytearray(data))).stdout_bytes, data)

    def test_unicode(self):
        text = "zażółć 鴨 \N{DUCK}\n"
        self.assertEqual(Sandbox().run(["cat"], input=text).stdout, text)
        self.assertEqual(Sandbox().run(["printf", "%s", text]).stdout, text)
        self.assertEqual(Sandbox().run(["sh", "-c", "printf %s \"$T\""], env={"T": text}).stdout, text)
        self.assertEqual(Sandbox().run(["printf", r"a\377b"]).stdout, "a\N{REPLACEMENT CHARACTER}b")

    def test_huge_input(self):
        size = 64 << 20
        result = Sandbox().run(["wc", "-c"], input=bytes(size))
        self.assertEqual(int(result.stdout), size)

    def test_input_that_nobody_reads(self):
        for command in (["true"], ["sh", "-c", "exec <&-; sleep 0.1"]):
            with self.subTest(command=command):
                self.assertEqual(Sandbox().run(command, input=bytes(1 << 20)).exit_code, 0)

    def test_truncation_is_told(self):
        result = Sandbox(max_output="10k").run(["sh", "-c", "head -c 30000 /dev/zero; echo short >&2"])
        self.assertEqual((len(result.stdout_bytes), result.stdout_lost_bytes), (10240, 30000 - 10240))
        self.assertTrue(result.stdout_truncated)
        self.assertEqual((result.stderr, result.stderr_truncated), ("short\n", False))

    def test_there_is_a_limit_by_default(self):
        result = Sandbox().run(["head", "-c", "20000000", "/dev/zero"])
        self.assertEqual((len(result.stdout_bytes), result.stdout_lost_bytes), (16 << 20, 20000000 - (16 << 20)))

    def test_environment(self):
        sandbox = Sandbox(env={"A": "1", "B": "2"})
        self.assertEqual(sandbox.run(["sh", "-c", "echo $A $B"], env={"B": "=3="}).stdout, "1 =3=\n")
        self.assertEqual(sandbox.run(["sh", "-c", "echo $A $B"]).stdout, "1 2\n")

    def test_files(self):
        sandbox = Sandbox(files={"data/in.txt": "tea"})
        result = sandbox.run(["sh", "-c", "cat data/in.txt; ./run.sh"], files={"run.sh": (b"#!/bin/sh\necho two\n", 0o755)})
        self.assertEqual(result.stdout, "teatwo\n")

    def test_one_sandbox_runs_many_times_each_from_nothing(self):
        sandbox = Sandbox()
        self.assertEqual(sandbox.run(["sh", "-c", "ls; touch here"]).stdout, "")
        self.assertEqual(sandbox.run(["ls"]).stdout, "")


class LimitTest(Case):
    def test_timeout(self):
        with self.assertRaises(SandboxTimeout) as caught:
            Sandbox(grace="100ms").run(["sh", "-c", "echo before; sleep 60"], timeout=0.3)
        self.assertEqual(str(caught.exception), "the command was ended at its time limit of 300 ms")
        self.assertEqual((caught.exception.result.stdout, caught.exception.result.exit_code), ("before\n", 124))
        self.assertIsInstance(caught.exception, TimeoutError)

    def test_timeout_of_the_sandbox_and_of_who_does_not_listen(self):
        with self.assertRaises(SandboxTimeout):
            Sandbox(timeout=0.2, grace="100ms").run(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])

    def test_a_time_limit_that_would_be_none(self):
        for seconds in (0, -1, float("nan"), float("inf")):
            with self.subTest(seconds=seconds):
                with self.assertRaises(ValueError):
                    Sandbox().run(["true"], timeout=seconds)
                with self.assertRaises(ValueError):
                    Sandbox(timeout=seconds)
        # Too little for the sandbox itself.
        with self.assertRaises((SandboxTimeout, SetupError)):
            Sandbox().run(["sleep", "60"], timeout=0.0001)

    def test_out_of_memory(self):
        if reason := limits_reason():
            self.skipTest(reason)
        with self.assertRaises(SandboxOOM) as caught:
            Sandbox(memory="32m").run(["python3", "-c", "x = bytearray(200 << 20)"])
        self.assertEqual(str(caught.exception), f"the kernel killed the command: it used up its memory of {32 << 20} bytes")
        self.assertEqual(caught.exception.result.status, "oom")

    def test_nonzero_exit_when_asked(self):
        self.assertEqual(Sandbox().run(["true"], check=True).exit_code, 0)
        with self.assertRaises(NonzeroExit) as caught:
            Sandbox().run(["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"], check=True)
        self.assertEqual(str(caught.exception), "the command exited with 3: last")
        self.assertEqual(caught.exception.result.stdout, "out\n")
        with self.assertRaisesRegex(NonzeroExit, "signal 15"):
            Sandbox().run(["sh", "-c", "kill $$"], check=True)

    def test_errors_can_be_pickled(self):
        with self.assertRaises(NonzeroExit) as caught:
            Sandbox().run(["sh", "-c", "echo out; exit 3"], check=True)
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((type(copy), str(copy), copy.result.stdout), (NonzeroExit, str(caught.exception), "out\n"))
        with self.assertRaises(SetupError) as setup:
            Sandbox().run(["/nowhere"])
        copy = pickle.loads(pickle.dumps(setup.exception))
        self.assertEqual((str(copy), copy.exit_code, copy.errno), (str(setup.exception), 127, setup.exception.errno))


class SetupTest(Case):
    def test_commands_that_cannot_run(self):
        for command, exit_code in ((["/nowhere"], 127), (["nowhere"], 127), (["/etc/passwd"], 126), ([], 125), ([""], 125)):
            with self.subTest(command=command):
                with self.assertRaises(SetupError) as caught:
                    Sandbox().run(command)
                self.assertEqual(caught.exception.exit_code, exit_code, str(caught.exception))

    def test_settings_that_are_wrong(self):
        for settings, words in (
            ({"memry": "1m"}, 'did you mean "memory"'),
            ({"memory": "lots"}, "is not a size"),
            ({"network": "no-such-network"}, "is not one of"),
            ({"profile": "/nowhere.json"}, "nowhere.json"),
            ({"timeout": "soon"}, "is not a time"),
            ({"files": {"../up": b""}}, "../up"),
            ({"files": {"/abs": b""}}, "/abs"),
            ({"files": {"mode": (b"", 0o7777)}}, "mode"),
        ):
            with self.subTest(settings=settings):
                with self.assertRaises(SetupError) as caught:
                    Sandbox(**settings).run(["true"])
                self.assertIn(words, str(caught.exception))

    def test_values_that_are_no_settings(self):
        for settings, error in (({"env": {"A=B": "1"}}, ValueError), ({"bind": {"/a": "/b"}}, TypeError), ({"bind": [object()]}, TypeError),
                                ({"cpus": float("nan")}, ValueError), ({"hostname": "a\0b"}, ValueError), ({"cpus": 0.0000001}, ValueError)):
            with self.subTest(settings=settings):
                self.assertRaises(error, Sandbox, **settings)

    def test_words_that_are_no_command(self):
        self.assertRaises(TypeError, Sandbox().run, "echo one string")
        # ctypes would run `echo a`.
        self.assertRaises(ValueError, Sandbox().run, ["echo", "a\0b"])
        self.assertRaises(TypeError, Sandbox().run, ["echo", 1])

    def test_settings_reach_the_sandbox(self):
        sandbox = Sandbox(tmpfs=["/a:1m", "/b:2m"], hostname="duck", writable=True, nofile=77, env=["X=1"], allow_degraded=None)
        result = sandbox.run(["sh", "-c", "hostname; ulimit -n; echo $X; touch /new && echo new; mount | grep -c ' on /[ab] '"])
        self.assertEqual(result.stdout, "duck\n77\n1\nnew\n2\n", result.stderr)

    def test_problems_are_told_all_at_once(self):
        self.assertEqual(Sandbox().problems(), [])
        problems = Sandbox(files={"../up": b"", "a": b"", "b": (b"", 0o7777)}).problems()
        self.assertEqual([problem["setting"] for problem in problems], ["files", "files"])

    def test_the_plan(self):
        plan = Sandbox(timeout=1.5, workdir="/tmp").plan(["echo", "tea"])
        self.assertEqual((plan["argv"], plan["workdir"], plan["timeout_ms"]), (["echo", "tea"], "/tmp", 1500))
        self.assertRaises(SetupError, Sandbox().plan, [])

    def test_settings_are_read_once(self):
        with Sandbox() as sandbox:
            self.assertEqual(sandbox.run(["true"]).exit_code, 0)


class VersionTest(unittest.TestCase):
    def test_versions(self):
        self.assertRegex(clawrun.library_version(), r"^0\.[1-9]")
        self.assertGreaterEqual(sys.version_info, (3, 8))


if __name__ == "__main__":
    unittest.main()
