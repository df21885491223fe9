'use strict';

const { Sandbox } = require('./lib/sandbox.js');
const { SandboxProcess } = require('./lib/process.js');
const { SandboxPool } = require('./lib/pool.js');
const { SandboxCluster } = require('./lib/cluster.js');
const errors = require('./lib/errors.js');
const { version } = require('./lib/addon.js');

module.exports = { Sandbox, SandboxProcess, SandboxPool, SandboxCluster, errors, version };
