"""SandboxPool, where the library has pools."""

import threading
import unittest

from clawrun import PIPE, ClosedError, NonzeroExit, Sandbox, SandboxPool, SandboxTimeout, SetupError
from support import Case, children, eventually, pools_reason


class PoolCase(Case):
    def setUp(self):
        if reason := pools_reason():
            self.skipTest(reason)
        super().setUp()


class ParkedTest(PoolCase):
    def test_run(self):
        with SandboxPool(Sandbox(env={"A": "1"}), size=2) as pool:
            self.assertTrue(pool.wait_ready(2, 20))
            result = pool.run(["sh", "-c", "echo $A $B; cat f; cat"], input="tea", env={"B": "2"}, files={"f": "file\n"})
            self.assertEqual(result.stdout, "1 2\nfile\ntea")
            self.assertEqual(pool.stats()["hits"], 1)
            with self.assertRaises(NonzeroExit):
                pool.run(["false"], check=True)
            with self.assertRaises(SandboxTimeout):
                pool.run(["sleep", "60"], timeout=0.2, grace="100ms")

    def test_each_serves_once(self):
        with SandboxPool(size=1) as pool:
            pool.run(["sh", "-c", "touch here /tmp/here"])
            self.assertEqual(pool.run(["sh", "-c", "ls . /tmp"]).stdout, ".:\n\n/tmp:\n")

    def test_streams(self):
        with SandboxPool(size=1) as pool, pool.start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            process.stdin.write(b"one\n")
            self.assertEqual(process.stdout.readline(), b"one\n")

    def test_size_and_statistics(self):
        with SandboxPool(size=1) as pool:
            self.assertTrue(pool.wait_ready(1, 20))
            self.assertRaisesRegex(SetupError, "more than the 1", pool.wait_ready, 2, 0.1)
            pool.resize(3)
            self.assertTrue(pool.wait_ready(3, 20))
            self.assertEqual((pool.stats()["size"], pool.stats()["ready"]), (3, 3))
            self.assertIn('pool="mine"', pool.prometheus("mine"))

    def test_closing(self):
        pool = SandboxPool(size=2)
        pool.wait_ready(2, 20)
        claimed = pool.start(["sh", "-c", "read line; echo alive"], stdin=PIPE)
        pool.close()
        pool.close()
        for use in (pool.stats, lambda: pool.run(["true"]), lambda: pool.resize(1), lambda: pool.wait_ready(1, 0)):
            self.assertRaises(ClosedError, use)
        self.assertEqual(claimed.finish("line\n").stdout, "alive\n")

    def test_dropping_closes(self):
        pool = SandboxPool(size=2)
        self.assertTrue(pool.wait_ready(2, 20))
        del pool
        self.assertTrue(eventually(lambda: children() == self._children))

    def test_threads_and_closing_meanwhile(self):
        pool, outcomes = SandboxPool(size=2), []

        def work():
            try:
                for _ in range(10):
                    outcomes.append(pool.run(["echo", "x"]).stdout)
            except ClosedError:
                outcomes.append("x\n")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        pool.close()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertEqual(set(outcomes), {"x\n"})

    def test_what_is_refused(self):
        for options, words in (({"size": 0}, "size"), ({"grade": "boiled"}, "grade"), ({"when_empty": "weep"}, "when-empty"),
                               ({"grade": "primed", "interpreter": "cobol"}, "interpreter")):
            with self.subTest(options=options), self.assertRaises(SetupError) as caught:
                SandboxPool(**options)
            self.assertIn(words, str(caught.exception))
        with SandboxPool(size=1) as pool:
            self.assertRaises(SetupError, pool.run_code, "print(1)")
            self.assertRaises(SetupError, pool.run, ["true"], seccomp="strict")
            self.assertRaises(ValueError, pool.run, ["true"], timeout=0)


class PrimedTest(PoolCase):
    def test_run_code(self):
        with SandboxPool(size=2, grade="primed", interpreter="python3", prime="import json") as pool:
            result = pool.run_code("print(json.dumps([open('f').read(), input()]))", files={"f": "file"}, input="line\n")
            self.assertEqual(result.stdout, '["file", "line"]\n', result.stderr)
            self.assertRaises(SetupError, pool.run, ["true"])

    def test_a_prime_that_fails(self):
        with SandboxPool(size=1, grade="primed", interpreter="python3", prime="1 / 0") as pool:
            with self.assertRaises(SetupError):
                pool.wait_ready(1, 20)


if __name__ == "__main__":
    unittest.main()
