'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { test } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Sandbox, SandboxProcess, errors, children, later, openFds, until } = require('./support.js');

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

const sandbox = new Sandbox();
const sh = (script, options) => sandbox.spawn(['sh', '-c', script], options);

test('streams in both directions, and the end', async () => {
  const running = await sh('read line; echo "got $line"; cat >&2');
  assert.match(running.id, /^[0-9a-f]{12}$/);
  assert.equal(running.outcome, null);
  running.stdin.write('first\n');
  const [chunk] = await Promise.all([new Promise((resolve) => running.stdout.once('data', resolve))]);
  assert.equal(`${chunk}`, 'got first\n');
  running.stdin.end('rest');
  assert.equal(await text(running.stderr), 'rest');
  const outcome = await running.exited;
  assert.equal(outcome.ok, true);
  assert.equal(running.outcome, outcome);
  assert.equal(running.exited, running.exited);
  await running.close();
});

test('output that is read late is there, also after the end', async () => {
  const running = await sh('echo late');
  await running.exited;
  assert.equal(await text(running.stdout), 'late\n');
  await running.close();
});

test('back-pressure reaches the writer on both sides', async () => {
  const running = await sandbox.spawn(['cat']);
  let isFull = false;
  for (let i = 0; i < 100 && !isFull; i++) isFull = !running.stdin.write(Buffer.alloc(1 << 16));
  assert.equal(isFull, true);
  let size = 0;
  running.stdin.end();
  for await (const chunk of running.stdout) size += chunk.length;
  assert.ok(size > 0 && size % (1 << 16) === 0);
  await running.close();
});

test('a command that stops reading does not end the program', async () => {
  const running = await sh('exec <&-; sleep 0.1');
  running.stdin.write(Buffer.alloc(1 << 20));
  assert.equal((await running.exited).ok, true);
  await until(() => running.stdin.destroyed, 'the stream notices');
  assert.equal(running.stdin.errored.code, 'EPIPE');
  await running.close();
});

test('kill ends all of it; other signals go to the command', async () => {
  const killed = await sh('sleep 30 & sleep 30', { stdio: 'ignore' });
  assert.equal(killed.kill(), true);
  const outcome = await killed.exited;
  assert.deepEqual([outcome.status, outcome.signal], ['signaled', 'SIGKILL']);
  assert.equal(killed.kill(), false);
  const told = await sh("trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
  await new Promise((resolve) => told.stdout.once('data', resolve));
  told.kill('SIGTERM');
  assert.equal((await told.exited).exitCode, 5);
  assert.throws(() => told.kill('SIGNOT'), TypeError);
  const other = await sh('sleep 30', { stdio: 'ignore' });
  assert.throws(() => other.kill('SIGSTOP'), errors.SetupError);
  await Promise.all([killed, told, other].map((each) => each.close()));
});

test('streams can be nothing, the caller\'s own, or a descriptor', async () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'clawrun-node-')), 'out');
  const fd = fs.openSync(file, 'w');
  const running = await sh('cat; echo to file; echo gone >&2', { stdio: ['ignore', fd, 'ignore'] });
  assert.deepEqual([running.stdin, running.stdout, running.stderr], [null, null, null]);
  assert.equal((await running.exited).ok, true);
  await running.close();
  fs.writeSync(fd, 'still open');
  fs.closeSync(fd);
  assert.equal(fs.readFileSync(file, 'utf8'), 'to file\nstill open');
  fs.rmSync(path.dirname(file), { recursive: true });
  await assert.rejects(sh('true', { stdio: 'pipes' }), TypeError);
  await assert.rejects(sh('true', { stdio: ['pipe'] }), TypeError);
});

test('files in and out, before the end and after it', async () => {
  const running = await sh('while [ ! -e go ]; do sleep 0.01; done; mkdir out; tr a-z A-Z <in/text >out/text; ln -s /etc/passwd out/link; mkfifo out/fifo');
  await Promise.all([running.putFile('in/text', 'héllo'), running.putFile('in/data', new Uint8Array([1, 2]), { mode: 0o600 })]);
  assert.deepEqual((await running.list('in')).map(({ name, type, size, mode }) => [name, type, size, mode]), [
    ['data', 'file', 2, 0o600],
    ['text', 'file', 6, 0o644],
  ]);
  await running.putFile('go', '');
  await running.exited;
  assert.equal(await running.getFile('out/text', { encoding: 'utf8' }), 'HéLLO');
  assert.deepEqual(await running.getFile('in/data'), Buffer.from([1, 2]));
  assert.deepEqual((await running.list('out')).map(({ name, type }) => [name, type]), [['fifo', 'other'], ['link', 'symlink'], ['text', 'file']]);
  assert.ok(Math.abs((await running.list())[0].mtimeMs - Date.now()) < 60_000);
  for (const name of ['out/link', 'out/fifo', 'out', 'no', '../x', '/etc/passwd', ''])
    await assert.rejects(running.getFile(name), errors.FileError, name);
  await assert.rejects(running.getFile('out/text', { maxBytes: 3 }), { code: 'EFBIG' });
  await assert.rejects(running.putFile('a\0b', ''), TypeError);
  await running.close();
  await assert.rejects(running.list(), errors.ClosedError);
});

test('50 files at once on one sandbox take their turns', async () => {
  const running = await sh('cat');
  await Promise.all(Array.from({ length: 50 }, (_, i) => running.putFile(`f${i}`, `${i}`)));
  const contents = await Promise.all(Array.from({ length: 50 }, (_, i) => running.getFile(`f${i}`, { encoding: 'utf8' })));
  assert.deepEqual(contents, Array.from({ length: 50 }, (_, i) => `${i}`));
  running.stdin.end();
  assert.equal((await running.exited).ok, true);
  await running.close();
});

test('the end is noticed while files are worked on, and closing waits for them', async () => {
  const running = await sh('sleep 0.05');
  const data = Buffer.alloc(8 << 20);
  const work = Array.from({ length: 10 }, () => running.putFile('big', data));
  await Promise.all([running.exited, ...work]);
  const last = running.putFile('big', data);
  await running.close();
  await last;
});

test('close kills, and is fulfilled when nothing is left', async () => {
  const running = await sh('sleep 30');
  const output = text(running.stdout).catch((error) => error.code);
  await Promise.all([running.close(), running.close()]);
  assert.equal(running.outcome.status, 'signaled');
  assert.deepEqual(children(), []);
  assert.equal(await output, 'ERR_STREAM_PREMATURE_CLOSE');
  assert.equal(running.stderr, null);
  assert.equal(running.kill(), false);
});

test('an AbortSignal kills it, and a long-lived one keeps no listener', async () => {
  const controller = new AbortController();
  const running = await sh('sleep 30', { signal: controller.signal });
  controller.abort();
  assert.equal((await running.exited).signal, 'SIGKILL');
  await running.close();
  const lasting = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = lasting.signal;
  lasting.signal.addEventListener = function (...args) { listeners++; return addEventListener.apply(this, args); };
  lasting.signal.removeEventListener = function (...args) { listeners--; return removeEventListener.apply(this, args); };
  const short = await sh('true', { signal: lasting.signal });
  await short.exited;
  await until(() => listeners === 0, 'the listener is taken back');
  await short.close();
});

test('what is dropped is killed', async () => {
  const before = openFds();
  await (async () => {
    for (let i = 0; i < 5; i++) await sh('sleep 600');
  })();
  assert.equal(children().length, 5);
  await until(() => (gc(), children().length === 0), 'the dropped sandboxes are gone');
  await until(() => (gc(), openFds() <= before), 'and their descriptors');
});

test('what somebody waits for, or reads, is not killed', async () => {
  const waited = sh('sleep 0.4; exit 6').then((running) => running.exited);
  const read = sh('sleep 0.4; echo whole; sleep 0.2; echo output').then((running) => text(running.stdout));
  const timer = setInterval(gc, 20);
  assert.equal((await waited).exitCode, 6);
  assert.equal(await read, 'whole\noutput\n');
  clearInterval(timer);
});

test('only this package makes them', () => {
  assert.throws(() => new SandboxProcess(), TypeError);
});

test('await using closes it', { skip: Symbol.asyncDispose ? false : 'no Symbol.asyncDispose in this Node' }, async () => {
  const running = await sh('sleep 30');
  await running[Symbol.asyncDispose]();
  assert.deepEqual(children(), []);
});

test('the timeout is kept while the event loop is stuck', async () => {
  const running = await sh('sleep 30', { timeoutMs: 100, graceMs: 100, stdio: 'ignore' });
  const stuckUntil = Date.now() + 1500;
  while (Date.now() < stuckUntil); // the loop of a careless host
  const waited = Date.now();
  const outcome = await running.exited;
  assert.equal(outcome.status, 'timeout');
  assert.ok(Date.now() - waited < 1000);
  await running.close();
});

test('unref: nothing waits for it', async () => {
  const running = await sh('sleep 0.1', { stdio: 'ignore' });
  assert.equal(running.unref().ref(), running);
  await running.exited;
  await later(1);
  await running.close();
});
