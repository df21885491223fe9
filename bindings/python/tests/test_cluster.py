"""SandboxCluster: code in, output out."""

import os
import shutil
import tempfile
import unittest

from clawrun import ClosedError, LibraryError, NonzeroExit, Sandbox, SandboxCluster, SandboxOOM, SandboxTimeout, SetupError
from support import Case, children, limits_reason, pools_reason


class ColdTest(Case):
    """Without a pool: each piece of code starts its interpreter."""

    options = {"pool_size": 0}

    def cluster(self, **options):
        cluster = SandboxCluster(**{**self.options, **options})
        self.addCleanup(cluster.close)
        return cluster

    def tearDown(self):
        self.doCleanups()
        super().tearDown()

    def test_as_the_documentation_has_it(self):
        if reason := limits_reason():
            self.skipTest(reason)
        cluster = self.cluster(image="host", network_mode="none", mem_limit="128m", cpu_shares=512)
        self.assertEqual(cluster.run_code("print(6 * 7)", timeout_seconds=10).stdout, "42\n")

    def test_output_and_exit_code(self):
        result = self.cluster().run_code("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
        self.assertEqual((result.stdout, result.stderr, result.exit_code), ("out\n", "err\n", 3))

    def test_failures(self):
        cluster = self.cluster(grace="100ms")
        with self.assertRaisesRegex(NonzeroExit, "ZeroDivisionError: division by zero"):
            cluster.run_code("1 / 0", check=True)
        with self.assertRaises(SandboxTimeout) as caught:
            cluster.run_code("print('before', flush=True)\nwhile True: pass", timeout_seconds=1)
        self.assertEqual(caught.exception.result.stdout, "before\n")
        self.assertEqual(cluster.run_code("def broken(").exit_code, 1)

    def test_out_of_memory(self):
        if reason := limits_reason():
            self.skipTest(reason)
        with self.assertRaises(SandboxOOM):
            self.cluster(mem_limit="64m").run_code("x = bytearray(500 << 20)")

    def test_limits_reach_the_sandbox(self):
        if reason := limits_reason():
            self.skipTest(reason)
        limits = self.cluster(mem_limit=64 << 20, cpu_shares=512, cpus=0.5, pids_limit=20).run_code("pass").report["limits"]
        self.assertEqual((limits["memory_bytes"], limits["pids"], limits["cpu_quota_us"]), (64 << 20, 20, 50000))

    def test_files_environment_and_input(self):
        code = "import os, helper; print(helper.answer, open('d/x').read(), os.environ['A'], input())"
        result = self.cluster().run_code(code, files={"helper.py": "answer = 42", "d/x": b"tea"}, env={"A": "1"}, input="line\n")
        self.assertEqual(result.stdout, "42 tea 1 line\n", result.stderr)

    def test_code_is_the_main_module(self):
        code = "import sys\nprint(__name__)\nclass A: pass\nprint(A.__module__, sys.modules['__main__'].A is A)"
        self.assertEqual(self.cluster().run_code(code).stdout, "__main__\n__main__ True\n")

    def test_code_of_any_size_and_with_any_letters(self):
        self.assertEqual(self.cluster().run_code("x = '''" + "y" * 500_000 + "'''\nprint(len(x), '鴨')").stdout, "500000 鴨\n")

    def test_nothing_stays_from_run_to_run(self):
        cluster = self.cluster()
        cluster.run_code("open('here', 'w').write('x'); open('/tmp/here', 'w').write('x')")
        self.assertEqual(cluster.run_code("import os; print(os.path.exists('here'), os.path.exists('/tmp/here'))").stdout, "False False\n")

    def test_there_is_no_network(self):
        code = "import socket; print(socket.if_nameindex())"
        self.assertEqual(self.cluster(network_mode="none").run_code(code).stdout, "[(1, 'lo')]\n")

    def test_other_languages(self):
        cluster = self.cluster()
        self.assertEqual(cluster.run_code("echo $((6 * 7))", language="sh").stdout, "42\n")
        with self.assertRaisesRegex(ValueError, "python, sh, node"):
            cluster.run_code("", language="cobol")
        if os.path.exists("/usr/bin/node"):
            self.assertEqual(cluster.run_code("console.log(6 * 7)", language="node").stdout, "42\n")

    def test_run_command(self):
        self.assertEqual(self.cluster().run_command(["cat"], 20, input="tea").stdout, "tea")

    def test_files_of_a_run(self):
        with self.cluster().start_code("open('out', 'w').write('made')") as process:
            self.assertEqual(process.wait().exit_code, 0)
            self.assertEqual(process.get_file("out"), b"made")

    def test_settings_that_are_wrong(self):
        for options, words in (({"network_mode": "no-such-network"}, "is not one of"), ({"mem_limit": "many"}, "is not a size"),
                               ({"cpu_shares": 1}, "shares"), ({"pids_limit": -1}, "pids"), ({"memry": 1}, 'did you mean "memory"')):
            with self.subTest(options=options):
                with self.assertRaises(SetupError) as caught:
                    SandboxCluster(**options)
                self.assertIn(words, str(caught.exception))

    def test_an_image_that_is_not_there(self):
        with self.assertRaisesRegex(SetupError, "no-such-image"):
            self.cluster(image="no-such-image").run_code("pass")

    def test_closed(self):
        with SandboxCluster(**self.options) as cluster:
            pass
        self.assertRaises(ClosedError, cluster.run_code, "pass")
        self.assertRaises(ClosedError, cluster.run_command, ["true"])
        cluster.close()


class WorkspaceTest(Case):
    """The caller's own directory as the work directory: the code is not put there."""

    def test_run_code(self):
        folder = tempfile.mkdtemp()
        try:
            with SandboxCluster(workspace=folder, pool_size=0) as cluster:
                result = cluster.run_code("import os; print(os.listdir()); open('out', 'w').write('made')")
                self.assertEqual(result.stdout, "[]\n", result.stderr)
                with open(os.path.join(folder, "out")) as file:
                    self.assertEqual(file.read(), "made")
                with self.assertRaisesRegex(ValueError, "run_command"):
                    cluster.run_code("#" * 200_000)
        finally:
            shutil.rmtree(folder)

    def test_code_does_not_replace_a_file(self):
        with SandboxCluster(pool_size=0) as cluster:
            with self.assertRaisesRegex(ValueError, "main.py"):
                cluster.run_code("pass", files={"main.py": "pass"})


class WarmTest(ColdTest):
    """The same promises by interpreters that wait in a pool."""

    options = {"pool_size": 1}

    def setUp(self):
        if reason := pools_reason():
            self.skipTest(reason)
        super().setUp()

    def test_prime(self):
        cluster = self.cluster(prime="import json; answer = 42")
        self.assertEqual(cluster.run_code("print(json.dumps(answer))").stdout, "42\n")

    def test_concurrent(self):
        import threading

        cluster, outputs = self.cluster(pool_size=4), []
        threads = [threading.Thread(target=lambda n=n: outputs.append(cluster.run_code(f"print({n})").stdout)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(outputs), sorted(f"{n}\n" for n in range(12)))


class WithoutPoolsTest(Case):
    def test_what_needs_a_pool_says_so(self):
        self.assertRaises(ValueError, SandboxCluster, pool_size=0, prime="import json")
        if pools_reason():
            with self.assertRaisesRegex(LibraryError, "no pools"):
                SandboxCluster(pool_size=2)
            with SandboxCluster() as cluster:
                self.assertEqual(cluster.run_code("print(1)").stdout, "1\n")
        self.assertEqual(children(), self._children)
        self.assertEqual(Sandbox().run(["true"]).exit_code, 0)


if __name__ == "__main__":
    unittest.main()
