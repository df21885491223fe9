'use strict';
// What the tests share.

const fs = require('node:fs');
const clawrun = require('..');

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition, what, limitMs = 10_000) {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await later(10);
  }
}

const openFds = () => fs.readdirSync('/proc/self/fd').length;

// Children of this process, which are the first processes of sandboxes here.
function children() {
  return fs.readdirSync('/proc/self/task').flatMap((task) => {
    try {
      return fs.readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean);
    } catch {
      return [];
    }
  });
}

// The reason to skip what needs a memory limit, or false.
function withoutMemoryLimit() {
  try {
    new clawrun.Sandbox({ memory: '64m' }).plan(['true']);
    return false;
  } catch (error) {
    return `no memory limit for this user: ${error.message.slice(0, 80)}`;
  }
}

const without = (program) => (fs.existsSync(`/usr/bin/${program}`) ? false : `no /usr/bin/${program} on this machine`);

module.exports = { ...clawrun, later, until, openFds, children, withoutMemoryLimit, without };
