"""asyncio: no threads, nothing that blocks the loop, nothing that is left."""

import asyncio
import gc
import threading
import time
import unittest

import clawrun
from clawrun import PIPE, AsyncSandbox, AsyncSandboxCluster, NonzeroExit, Sandbox, SandboxTimeout, SetupError
from support import Case, children, pools_reason


class AsyncCase(Case, unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        pass

    def tearDown(self):
        pass

    async def asyncSetUp(self):
        # The loop has descriptors of its own.
        Case.setUp(self)

    async def asyncTearDown(self):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        Case.tearDown(self)


class RunTest(AsyncCase):
    async def test_output_and_input(self):
        result = await AsyncSandbox(env={"A": "1"}).run(["sh", "-c", "echo $A; cat; echo err >&2; exit 3"], input="tea")
        self.assertEqual((result.stdout, result.stderr, result.exit_code), ("1\ntea", "err\n", 3))

    async def test_huge_input(self):
        self.assertEqual(int((await AsyncSandbox().run(["wc", "-c"], input=bytes(32 << 20))).stdout), 32 << 20)
        self.assertEqual((await AsyncSandbox().run(["true"], input=bytes(1 << 20))).exit_code, 0)

    async def test_failures(self):
        with self.assertRaises(NonzeroExit):
            await AsyncSandbox().run(["false"], check=True)
        with self.assertRaises(SandboxTimeout):
            await AsyncSandbox().run(["sleep", "60"], timeout=0.2)
        with self.assertRaises(SetupError):
            await AsyncSandbox().run(["/nowhere"])

    async def test_fifty_at_once_without_a_thread(self):
        sandbox, started, threads = AsyncSandbox(), time.monotonic(), threading.active_count()

        async def one(number):
            return (await sandbox.run(["sh", "-c", f"sleep 1; echo {number}; cat"], input="x" * 100_000)).stdout

        outputs = await asyncio.gather(*(one(number) for number in range(50)))
        self.assertEqual(outputs, [f"{number}\n" + "x" * 100_000 for number in range(50)])
        self.assertLess(time.monotonic() - started, 25)
        self.assertEqual(threading.active_count(), threads)

    async def test_the_loop_runs_meanwhile(self):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        await AsyncSandbox().run(["sleep", "0.5"])
        ticker.cancel()
        self.assertGreater(ticks, 10)

    async def test_cancelling_kills(self):
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(AsyncSandbox().run(["sleep", "60"]), 0.2)
        self.assertEqual(children(), self._children)
        task = asyncio.ensure_future(AsyncSandbox().run(["sleep", "60"], input=bytes(1 << 20)))
        await asyncio.sleep(0.1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(children(), self._children)


class ProcessTest(AsyncCase):
    async def test_a_conversation(self):
        async with await AsyncSandbox().start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            for line in (b"one\n", b"two\n"):
                process.stdin.write(line)
                await process.stdin.drain()
                self.assertEqual(await process.stdout.readline(), line)
            process.stdin.close()
            self.assertEqual(await process.stdout.read(), b"")
            self.assertEqual((await process.wait()).exit_code, 0)

    async def test_a_limited_pipe(self):
        async with await AsyncSandbox(max_output="10k").start(["head", "-c", "100000", "/dev/zero"], stdout=PIPE, stderr=PIPE) as process:
            self.assertEqual(len(await process.stdout.read()), 10240)
            self.assertEqual(await process.stderr.read(), b"")
            self.assertEqual((await process.wait()).stdout_lost_bytes, 100000 - 10240)

    async def test_many_wait_and_one_gives_up(self):
        async with await AsyncSandbox().start(["sleep", "60"]) as process:
            waiting = [asyncio.ensure_future(process.wait()) for _ in range(3)]
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 0.1)
            process.kill()
            self.assertEqual([result.signal for result in await asyncio.gather(*waiting)], [9, 9, 9])

    async def test_files(self):
        async with await AsyncSandbox().start(["sh", "-c", "read line; echo $line > out"], stdin=PIPE) as process:
            process.put_file("in", "tea")
            process.stdin.write(b"line\n")
            await process.wait()
            self.assertEqual((process.get_file("in"), process.get_file("out")), (b"tea", b"line\n"))
            self.assertEqual([entry.name for entry in process.list()], ["in", "out"])

    async def test_leaving_kills(self):
        async with await AsyncSandbox().start(["sleep", "60"], stdin=PIPE, stdout=PIPE) as process:
            process.stdin.write(bytes(1 << 20))
            process.stdin.close()
        self.assertEqual(children(), self._children)
        with self.assertRaises(asyncio.CancelledError):
            await process.wait()

    async def test_dropping_kills_and_its_descriptor_can_be_used_again(self):
        for options in ({}, {"stdin": PIPE, "stdout": PIPE}):
            process = await AsyncSandbox().start(["sleep", "60"], **options)
            del process
            gc.collect()
            await asyncio.sleep(0.05)
            self.assertEqual(children(), self._children)
            results = await asyncio.gather(*(AsyncSandbox().run(["echo", "again"]) for _ in range(5)))
            self.assertEqual([result.stdout for result in results], ["again\n"] * 5)


class LoopTest(Case):
    def test_a_loop_that_ends_before_its_sandbox(self):
        async def forget():
            return await AsyncSandbox().start(["sleep", "60"])

        process = asyncio.run(forget())
        del process
        gc.collect()
        self.assertEqual(children(), self._children)


class ClusterTest(AsyncCase):
    async def test_run_code(self):
        async with AsyncSandboxCluster(pool_size=0) as cluster:
            results = await asyncio.gather(*(cluster.run_code(f"print({n} * 2)", timeout_seconds=20) for n in range(4)))
            self.assertEqual([result.stdout for result in results], ["0\n", "2\n", "4\n", "6\n"])
            self.assertEqual((await cluster.run_command(["cat"], input="tea")).stdout, "tea")
            with self.assertRaises(NonzeroExit):
                await cluster.run_code("raise SystemExit(3)", check=True)


class PoolTest(AsyncCase):
    async def test_run(self):
        if reason := pools_reason():
            self.skipTest(reason)
        async with clawrun.AsyncSandboxPool(Sandbox(), size=2) as pool:
            results = await asyncio.gather(*(pool.run(["cat"], input=str(n)) for n in range(6)))
            self.assertEqual([result.stdout for result in results], list("012345"))
        async with clawrun.AsyncSandboxPool(Sandbox(), size=1, grade="primed", interpreter="python3") as pool:
            self.assertEqual((await pool.run_code("print(6 * 7)")).stdout, "42\n")


if __name__ == "__main__":
    unittest.main()
