'use strict';

const assert = require('node:assert/strict');
const { text } = require('node:stream/consumers');
const { test } = require('node:test');
const { Sandbox, SandboxPool, errors, children, until } = require('./support.js');

const skip = SandboxPool.isSupported ? false : 'this library has no pools';

test('a parked pool serves commands, each in a sandbox of its own', { skip }, async () => {
  const pool = await new SandboxPool({}, { size: 2 }).open();
  assert.equal(await pool.waitReady(2, 10_000), true);
  const results = await Promise.all(Array.from({ length: 6 }, (_, i) => pool.run(['sh', '-c', 'ls | wc -l; touch x; echo $0', `${i}`])));
  results.forEach((result, i) => assert.equal(result.stdout, `0\n${i}\n`));
  const stats = await pool.stats();
  assert.equal(stats.size, 2);
  assert.equal(stats.hits + stats.misses, 6);
  assert.match(await pool.prometheus('mine'), /mine/);
  await pool.resize(1);
  await pool.close();
  await pool.close();
  await assert.rejects(pool.run(['true']), errors.ClosedError);
  await until(() => children().length === 0, 'nothing is left');
});

test('a primed pool serves code', { skip }, async () => {
  const pool = new SandboxPool(new Sandbox(), { size: 2, grade: 'primed', interpreter: 'python3', prime: 'import json' });
  assert.equal((await pool.runCode('print(json.dumps([1]))', { timeoutMs: 10_000 })).stdout, '[1]\n');
  const claimed = await pool.claim(undefined, { code: 'print(input())' });
  claimed.stdin.end('line\n');
  assert.equal(await text(claimed.stdout), 'line\n');
  await claimed.close();
  await pool.close();
});

test('options that are none are refused', { skip }, async () => {
  await assert.rejects(new SandboxPool({}, { sizes: 2 }).open(), errors.SetupError);
});
