'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { Readable } = require('node:stream');
const { test } = require('node:test');
const { Sandbox, errors, children, openFds, until, withoutMemoryLimit } = require('./support.js');

const sandbox = new Sandbox();
const sh = (script, options) => sandbox.run(['sh', '-c', script], options);

test('a command runs, and everything about it is said', async () => {
  const result = await sh('echo out; echo err >&2; exit 3');
  assert.equal(result.stdout, 'out\n');
  assert.equal(result.stderr, 'err\n');
  assert.deepEqual([result.status, result.exitCode, result.signal, result.ok, result.truncated], ['exited', 3, null, false, false]);
  assert.ok(result.wallUs > 0 && result.cpuUs >= 0 && result.memoryPeakBytes > 0);
  assert.equal(result.report.exit_code, 3);
  assert.equal(result.report.rootfs, 'host');
});

test('it runs in a sandbox', async () => {
  const { stdout } = await sh('id -u; grep -c : /proc/net/dev; touch /usr/x 2>/dev/null || echo read-only; pwd');
  assert.deepEqual(stdout.split('\n'), ['1000', '2', 'read-only', '/workspace', ''].map((line) => (line === '2' ? stdout.split('\n')[1] : line)));
  assert.equal((await sh('tail -n +3 /proc/net/dev | cut -d: -f1')).stdout.trim(), 'lo');
});

test('check rejects what does not exit with 0, and has the result', async () => {
  await assert.rejects(sh('echo before; echo why >&2; exit 7', { check: true }), (error) => {
    assert.ok(error instanceof errors.NonzeroExitError && error instanceof errors.ClawrunError && error instanceof Error);
    assert.equal(error.name, 'NonzeroExitError');
    assert.equal(error.message, 'the command exited with 7: why');
    assert.equal(error.result.stdout, 'before\n');
    return true;
  });
  const killed = await sh('kill -SEGV $$');
  assert.deepEqual([killed.status, killed.signal, killed.exitCode], ['signaled', 'SIGSEGV', 139]);
  await assert.rejects(sh('kill -SEGV $$', { check: true }), { message: 'the command was ended by SIGSEGV' });
  assert.equal((await sh('true', { check: true })).ok, true);
});

test('a timeout is an error with what was written until then', async () => {
  const started = Date.now();
  await assert.rejects(sh('echo before; sleep 30', { timeoutMs: 200 }), (error) => {
    assert.ok(error instanceof errors.TimeoutError);
    assert.equal(error.result.status, 'timeout');
    assert.equal(error.result.exitCode, 124);
    assert.equal(error.result.stdout, 'before\n');
    return true;
  });
  assert.ok(Date.now() - started < 5000);
  await assert.rejects(sh("trap '' TERM; while :; do :; done", { timeoutMs: 200, graceMs: 100 }), errors.TimeoutError);
});

test('want of memory is an error', { skip: withoutMemoryLimit() }, async () => {
  const greedy = new Sandbox({ memory: '64m' }).run(['python3', '-c', 'x = bytearray(200 << 20)']);
  await assert.rejects(greedy, (error) => error instanceof errors.OomError && error.result.status === 'oom' && /67108864/.test(error.message));
});

test('what cannot be set up is an error that says why', async () => {
  await assert.rejects(sandbox.run(['no-such-command']), (error) => {
    assert.ok(error instanceof errors.SetupError && !(error instanceof errors.OutcomeError));
    assert.deepEqual([error.exitCode, error.code], [127, 'ENOENT']);
    return true;
  });
  assert.throws(() => new Sandbox({ memroy: '1m' }), /did you mean "memory"/);
  assert.throws(() => new Sandbox({ memory: '1' }), errors.SetupError);
  assert.throws(() => new Sandbox({ timeout: '10 years' }), /write a number with ms, s, m or h/);
  await assert.rejects(sandbox.run(['true'], { rootfs: '/nonexistent' }), errors.SetupError);
  await assert.rejects(sandbox.run(), errors.SetupError);
});

test('misuse is a TypeError before anything is started', async () => {
  for (const command of [[], 'true', [1], ['true', null], null])
    await assert.rejects(sandbox.run(command), TypeError);
  await assert.rejects(sandbox.run(['echo', 'a\0b']), /NUL/);
  await assert.rejects(sh('true', { timeoutMs: 0 }), TypeError);
  await assert.rejects(sh('true', { timeoutMs: NaN }), TypeError);
  await assert.rejects(sh('true', { memoryBytes: 0.5 }), TypeError);
  await assert.rejects(sh('true', { memory: null }), TypeError);
  await assert.rejects(sh('true', { env: { 'A=B': '1' } }), TypeError);
  await assert.rejects(sh('true', { input: 5 }), TypeError);
  await assert.rejects(sh('true', { encoding: 'klingon' }), TypeError);
  await assert.rejects(sh('true', { files: { x: 5 } }), TypeError);
  assert.deepEqual(children(), []);
});

test('settings: names, units, lists, switches, profiles', () => {
  const plan = JSON.stringify(
    new Sandbox({ env: ['A=1', 'B=2'], nofile: 77, tmpfs: ['/a', '/b:1m'], timeoutMs: 1500.2, writable: true, undefinedToo: undefined }).plan(['true']));
  for (const part of ['A=1', 'B=2', '77', '/a', '/b', '1501']) assert.ok(plan.includes(part), part);
  assert.deepEqual(new Sandbox().validate(['true']), []);
  const problems = new Sandbox({ workdir: 'relative' }).validate([]. concat('true'));
  assert.equal(problems.length, 1);
  assert.equal(problems[0].setting, 'workdir');
});

test('settings of a run do not stay', async () => {
  assert.equal((await sh('echo $A', { env: { A: 'x', B: undefined } })).stdout, 'x\n');
  assert.equal((await sh('echo $A')).stdout, '\n');
  process.env.CLAWRUN_TEST_PASSED_ON = 'from outside';
  assert.equal((await sh('echo "$CLAWRUN_TEST_PASSED_ON"')).stdout, '\n');
  assert.equal((await sh('echo "$CLAWRUN_TEST_PASSED_ON"', { env: { CLAWRUN_TEST_PASSED_ON: null } })).stdout, 'from outside\n');
});

test('files are there when the command starts', async () => {
  const files = { 'a.txt': 'text', 'dir/b.bin': Buffer.from([0, 255]), run: { data: '#!/bin/sh\necho ran', mode: 0o755 } };
  const { stdout } = await sh('cat a.txt; stat -c %s dir/b.bin; ./run', { files });
  assert.equal(stdout, 'text2\nran\n');
  await assert.rejects(sh('true', { files: { '../x': '' } }), errors.SetupError);
});

test('output is bytes where they are asked for, and never split', async () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const result = await sandbox.run(['cat'], { input: all, encoding: 'buffer' });
  assert.deepEqual(result.stdout, all);
  const text = 'aé漢😀'.repeat(50_000);
  assert.equal((await sandbox.run(['cat'], { input: text })).stdout, text);
  assert.equal((await sandbox.run(['printf', '\\377'])).stdout, '\u{fffd}');
});

test('more output than is allowed is cut, and said', async () => {
  const result = await sh('yes | head -c 300000; echo small >&2', { maxOutputBytes: 1000 });
  assert.equal(result.stdout.length, 1000);
  assert.equal(result.stdoutLostBytes, 299_000);
  assert.equal(result.stderr, 'small\n');
  assert.equal(result.stderrLostBytes, 0);
  assert.equal(result.truncated, true);
});

test('a large input goes through whole, from memory and from a stream', async () => {
  const data = crypto.randomBytes(64 << 20);
  const digest = crypto.createHash('sha256').update(data).digest('hex');
  assert.equal((await sandbox.run(['sha256sum'], { input: data })).stdout.slice(0, 64), digest);
  const most = { ahead: 0, given: 0 };
  async function* chunks() {
    for (let at = 0; at < data.length; at += 1 << 20) {
      most.given += 1 << 20;
      yield data.subarray(at, at + (1 << 20));
    }
  }
  assert.equal((await sandbox.run(['sha256sum'], { input: chunks() })).stdout.slice(0, 64), digest);
  assert.equal(most.given, data.length);
});

test('a source is not read ahead of a command that does not read', async () => {
  let given = 0;
  async function* endless() {
    for (;;) {
      given += 1 << 16;
      yield Buffer.alloc(1 << 16);
    }
  }
  const result = await sh('sleep 0.3; head -c 10 | wc -c', { input: endless() });
  assert.equal(result.stdout.trim(), '10');
  assert.ok(given < 4 << 20, `${given} bytes were taken from the source`);
});

test('a command that does not read its input is no failure; an input that breaks is one', async () => {
  assert.equal((await sh('exit 0', { input: Buffer.alloc(8 << 20) })).ok, true);
  async function* broken() {
    yield 'some';
    throw new RangeError('the source broke');
  }
  await assert.rejects(sandbox.run(['cat'], { input: broken() }), { name: 'RangeError', message: 'the source broke' });
  const cut = new Readable({ read() {} });
  cut.push('x');
  setTimeout(() => cut.destroy(), 50);
  await assert.rejects(sandbox.run(['cat'], { input: cut }), /closed before its end/);
  // A source that never gives anything does not hold a command that has ended.
  const silent = new Readable({ read() {} });
  assert.equal((await sh('exit 4', { input: silent })).exitCode, 4);
  await until(() => silent.destroyed, 'the source is destroyed');
});

test('an AbortSignal ends it', async () => {
  const early = AbortSignal.abort(new Error('changed my mind'));
  await assert.rejects(sh('true', { signal: early }), (error) => error instanceof errors.AbortError && error.code === 'ABORT_ERR' && error.cause.message === 'changed my mind');
  const controller = new AbortController();
  const run = sh('sleep 30', { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(run, { name: 'AbortError' });
  const during = new AbortController();
  const second = sh('sleep 30', { signal: during.signal });
  during.abort(); // while a thread is starting it
  await assert.rejects(second, { name: 'AbortError' });
  await until(() => children().length === 0, 'nothing is left');
});

test('50 at the same time', async () => {
  const results = await Promise.all(Array.from({ length: 50 }, (_, i) => sandbox.run(['sh', '-c', 'sleep 0.2; cat; echo $0', `${i}`], { input: `in ${i}\n` })));
  results.forEach((result, i) => assert.equal(result.stdout, `in ${i}\n${i}\n`));
});

test('the event loop goes on while sandboxes start', async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await Promise.all(Array.from({ length: 20 }, () => sh('true')));
  clearInterval(timer);
  assert.ok(ticks > 5, `${ticks} ticks`);
});

test('200 runs leave no descriptor and no process', async () => {
  await sh('true');
  await until(() => children().length === 0, 'no child');
  const before = openFds();
  for (let i = 0; i < 20; i++)
    await Promise.all(Array.from({ length: 10 }, (_, k) => (k % 5 === 4 ? sandbox.run(['nope']).catch(() => {}) : sh('cat', { input: 'x' }))));
  await until(() => openFds() <= before, `${openFds()} descriptors, ${before} before`);
  assert.deepEqual(children(), []);
});
