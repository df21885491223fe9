'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { SandboxCluster, SandboxPool, errors, withoutMemoryLimit, without } = require('./support.js');

const limits = withoutMemoryLimit() ? {} : { memLimit: '128m', cpuShares: 512 };
const make = (options) => new SandboxCluster({ image: 'host', networkMode: 'none', ...limits, ...options });

test('code runs as written', async () => {
  const cluster = make();
  assert.equal((await cluster.runCode('print(6 * 7)', { timeoutSeconds: 10 })).stdout, '42\n');
  await cluster.close();
  await assert.rejects(cluster.runCode('1'), errors.ClosedError);
});

test('code of any size, with files, variables and input', async () => {
  const cluster = make({ poolSize: 0 });
  const code = `${'# long\n'.repeat(50_000)}import os, helper, sys\nprint(helper.answer(), os.environ["A"], sys.stdin.read())`;
  const result = await cluster.runCode(code, { files: { 'helper.py': 'def answer(): return 42' }, env: { A: 'a' }, input: 'in', check: true });
  assert.equal(result.stdout, '42 a in\n');
});

test('other languages', { skip: without('node') }, async () => {
  const cluster = make({ poolSize: 0 });
  assert.equal((await cluster.runCode('console.log(6 * 7)', { language: 'node', timeoutSeconds: 20 })).stdout, '42\n');
  assert.equal((await cluster.runCode('echo $((6 * 7))', { language: 'sh' })).stdout, '42\n');
  await assert.rejects(cluster.runCode('', { language: 'cobol' }), /language: cobol is not one of python, sh, node/);
});

test('failures have their types', async () => {
  const cluster = make({ poolSize: 0 });
  await assert.rejects(cluster.runCode('while True: pass', { timeoutSeconds: 0.3 }), errors.TimeoutError);
  await assert.rejects(cluster.runCode('1 / 0', { check: true }), (error) => error instanceof errors.NonzeroExitError && /ZeroDivisionError/.test(error.message));
  assert.equal((await cluster.runCode('1 / 0')).exitCode, 1);
  assert.throws(() => make({ networkMode: 'bridge' }), /networkMode: bridge is not one of none, host/);
  assert.throws(() => make({ memlimit: '1m' }), /memlimit/);
  await assert.rejects(make({ image: 'no-such-root', poolSize: 0 }).runCode('1'), errors.SetupError);
});

test('its memory is limited', { skip: withoutMemoryLimit() }, async () => {
  await assert.rejects(make({ poolSize: 0 }).runCode('x = bytearray(300 << 20)'), errors.OomError);
});

test('commands', async () => {
  const result = await make({ env: ['B=b'] }).runCommand(['sh', '-c', 'cat f; echo $B'], { files: { f: 'content ' }, timeoutSeconds: 5 });
  assert.equal(result.stdout, 'content b\n');
});

test('a process for who wants its output while it runs', async () => {
  const cluster = make({ poolSize: 0 });
  const running = await cluster.spawnCode('print(input())\nopen("f", "w").write("file")', { timeoutSeconds: 10 });
  running.stdin.end('line\n');
  assert.equal((await running.exited).ok, true);
  assert.deepEqual((await running.list()).map(({ name }) => name), ['f', 'main.py']);
  await running.close();
  const command = await cluster.spawnCommand(['true']);
  assert.equal((await command.exited).ok, true);
  await command.close();
});

test('code in a workspace of the caller\'s, which takes no files', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'clawrun-node-'));
  fs.writeFileSync(path.join(folder, 'mine.txt'), 'mine');
  const cluster = make({ poolSize: 0, workspace: folder });
  assert.equal((await cluster.runCode('print(open("mine.txt").read())')).stdout, 'mine\n');
  await assert.rejects(cluster.runCode('#'.repeat(1 << 17)), /in a workspace at most 131071/);
  assert.deepEqual(fs.readdirSync(folder), ['mine.txt']);
  fs.rmSync(folder, { recursive: true });
});

test('what would have no effect is refused', async () => {
  assert.throws(() => make({ poolSize: 0, prime: 'import json' }), /there is no pool/);
  await assert.rejects(make({ poolSize: 0 }).runCode('1', { files: { 'main.py': '2' } }), /give yours another name/);
});

test('pools are refused by a library without them', { skip: SandboxPool.isSupported ? 'this library has pools' : false }, async () => {
  assert.throws(() => make({ poolSize: 2 }), /this libclawrun has no pools/);
  await assert.rejects(new SandboxPool().open(), (error) => error instanceof errors.SetupError && error.code === 'ENOSYS');
});
