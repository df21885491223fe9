'use strict';
// The examples of the page run as they are printed there.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');

const PACKAGE = path.join(__dirname, '..');
const page = fs.readFileSync(path.join(PACKAGE, 'README.md'), 'utf8');
const examples = [...page.matchAll(/^## (.*)$(?:(?!^## )[^])*?^```js\n([^]*?)^```$/gm)].map(([, title, code]) => ({ title, code }));

test('the page has examples', () => assert.ok(examples.length >= 5));

for (const { title, code } of examples) {
  test(`README: ${title}`, async () => {
    const project = fs.mkdtempSync(path.join(os.tmpdir(), 'clawrun-node-'));
    try {
      fs.mkdirSync(path.join(project, 'node_modules'));
      fs.symlinkSync(PACKAGE, path.join(project, 'node_modules/clawrun'));
      fs.writeFileSync(path.join(project, 'example.js'), code);
      const { stdout } = await promisify(execFile)(process.execPath, ['example.js'], { cwd: project, timeout: 30_000 });
      const printed = [...code.matchAll(/\/\/ prints: (.*)$/gm)].map(([, line]) => `${line}\n`).join('');
      assert.ok(printed.length > 0);
      assert.equal(stdout, printed);
    } finally {
      fs.rmSync(project, { recursive: true });
    }
  });
}
