'use strict';
// How the process ends that has sandboxes, and threads of it.

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { Worker } = require('node:worker_threads');
const { children, openFds, until } = require('./support.js');

const PACKAGE = require.resolve('..');
const prelude = `const { Sandbox } = require(${JSON.stringify(PACKAGE)}); const sandbox = new Sandbox();`;

const node = (script, ...flags) => promisify(execFile)(process.execPath, [...flags, '-e', prelude + script], { timeout: 20_000 });

const isAlive = (pid) => fs.existsSync(`/proc/${pid}`);

// Every cgroup of clawrun's that is there.
function cgroups(folder = '/sys/fs/cgroup', depth = 0) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [];
    const inner = `${folder}/${entry.name}`;
    try {
      return [...(entry.name.startsWith('clawrun-') ? [inner] : []), ...(depth < 6 ? cgroups(inner, depth + 1) : [])];
    } catch {
      return [];
    }
  });
}

test('a program ends by itself when its sandboxes have ended', async () => {
  const { stdout } = await node(`sandbox.spawn(['sh', '-c', 'sleep 0.2; echo $0', 'done'], { stdio: ['ignore', 'inherit', 'inherit'] })`);
  assert.equal(stdout, 'done\n');
});

test('an unref\'d sandbox does not hold it, and dies with it', async () => {
  const { stdout } = await node(`sandbox.spawn(['sleep', '600'], { stdio: 'ignore' }).then((p) => { p.unref(); console.log(p.id); })`);
  const [id] = stdout.split('\n');
  assert.deepEqual(cgroups().filter((folder) => folder.includes(id)), []);
});

test('process.exit takes running sandboxes and their cgroups along', async () => {
  const { stdout } = await node(`
    Promise.all([1, 2, 3].map(() => sandbox.spawn(['sleep', '600'], { stdio: 'ignore' }))).then((all) => {
      const fs = require('fs');
      const pids = fs.readdirSync('/proc/self/task').flatMap((t) => fs.readFileSync('/proc/self/task/' + t + '/children', 'utf8').split(' ').filter(Boolean));
      console.log(JSON.stringify({ ids: all.map((p) => p.id), pids }));
      for (let i = 0; i < 4; i++) sandbox.spawn(['sleep', '600'], { stdio: 'ignore' }).catch(() => {});
      setImmediate(() => process.exit(0));
    })`);
  const { ids, pids } = JSON.parse(stdout);
  assert.equal(pids.length, 3);
  // Not a moment later: what a start elsewhere sweeps away would hide what was left.
  assert.deepEqual(pids.filter(isAlive), []);
  assert.deepEqual(cgroups().filter((folder) => ids.some((id) => folder.includes(id))), []);
});

test('a killed program takes them along too', async () => {
  const child = spawn(process.execPath, ['-e', `${prelude} sandbox.spawn(['sleep', '600'], { stdio: 'ignore' }).then(() => {
    const fs = require('fs');
    console.log(fs.readdirSync('/proc/self/task').flatMap((t) => fs.readFileSync('/proc/self/task/' + t + '/children', 'utf8').split(' ').filter(Boolean)).join());
  })`]);
  const pid = String(await new Promise((resolve) => child.stdout.once('data', resolve))).trim();
  assert.ok(isAlive(pid));
  child.kill('SIGKILL');
  await until(() => !isAlive(pid), 'the sandbox is gone');
});

test('an uncaught error ends the program and its sandboxes', async () => {
  await assert.rejects(node(`sandbox.spawn(['sleep', '600']).then((p) => { throw new Error(p.id); })`), (error) => /Error: [0-9a-f]{12}/.test(error.stderr));
});

const inWorker = (script, options) => new Worker(`${prelude} const { parentPort } = require('node:worker_threads'); ${script}`, { eval: true, ...options });

test('worker threads have sandboxes of their own', async () => {
  const workers = Array.from({ length: 4 }, (_, i) =>
    inWorker(`Promise.all(Array.from({ length: 5 }, (_, k) => sandbox.run(['echo', '${i}', String(k)]))).then((all) => parentPort.postMessage(all.map((r) => r.stdout).join('')))`));
  const ends = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  const outputs = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))));
  outputs.forEach((output, i) => assert.equal(output, [0, 1, 2, 3, 4].map((k) => `${i} ${k}\n`).join('')));
  assert.deepEqual(await Promise.all(ends), [0, 0, 0, 0]);
});

test('a worker that is terminated takes its sandboxes along, and its descriptors', async () => {
  const round = async () => {
    const worker = inWorker(`Promise.all([1, 2, 3].map(() => sandbox.spawn(['sleep', '600']))).then((all) => {
      globalThis.kept = all.map((p) => p.stdout.resume());
      all[0].putFile('f', Buffer.alloc(4 << 20));
      for (let i = 0; i < 3; i++) sandbox.spawn(['sleep', '600']).catch(() => {});
      parentPort.postMessage('up');
    })`);
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    assert.ok(children().length >= 3);
    await worker.terminate();
    await until(() => children().length === 0, 'the sandboxes of the worker are gone');
  };
  await round();
  const before = openFds();
  for (let i = 0; i < 5; i++) await round();
  await until(() => openFds() <= before + 1, `${openFds()} descriptors, ${before} before`);
});

test('it can be imported by name', async () => {
  const script = `import { Sandbox, SandboxCluster, errors } from ${JSON.stringify(PACKAGE)}; const r = await new Sandbox().run(['echo', 'esm']); console.log(r.stdout.trim(), typeof errors.OomError, typeof SandboxCluster);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(stdout, 'esm function function\n');
});

test('a missing addon is an error that says where it was looked for', async () => {
  const missing = promisify(execFile)(process.execPath, ['-e', prelude], { env: { ...process.env, CLAWRUN_NODE_ADDON: '/nonexistent/clawrun_node.node' } });
  await assert.rejects(missing, (error) => /LibraryError: the compiled part of the package is not there \(\/nonexistent/.test(error.stderr));
});
