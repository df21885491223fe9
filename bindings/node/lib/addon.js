'use strict';
// Finds clawrun.node and turns its failures into ours.

const path = require('node:path');
const { ClawrunError, LibraryError, SetupError } = require('./errors.js');
const { version } = require('../package.json');

const NAME = 'clawrun_node.node';
const PLACES = [NAME, `build/Release/${NAME}`]; // of meson install, and of npm

function load() {
  const places = process.env.CLAWRUN_NODE_ADDON
    ? [path.resolve(process.env.CLAWRUN_NODE_ADDON)]
    : PLACES.map((place) => path.join(__dirname, '..', place));
  for (const place of places) {
    try {
      return require(place);
    } catch (error) {
      // There, but not to be loaded: want of libclawrun.so, most often, which the message names.
      if (error.code !== 'MODULE_NOT_FOUND') throw new LibraryError(`${place} cannot be loaded: ${error.message}`, { cause: error });
    }
  }
  throw new LibraryError(
    `the compiled part of the package is not there (${places.join(', ')}): ` +
      'install with meson -Dnode=enabled, or with npm where the headers of Node and libclawrun are');
}

// Before 1.0, minor versions are not compatible with each other.
function check(loaded) {
  const series = (text) => text.split('.').slice(0, 2).join('.');
  if (series(loaded.version()) !== series(version))
    throw new LibraryError(`libclawrun is ${loaded.version()}, and this package needs ${series(version)}`);
  return loaded;
}

const native = check(load());

// What runs when the process exits by itself is killed before, so that none of its cgroups stays.
process.on('exit', () => native.closeAll());

// Of the addon are the errors that carry an exit code; everything else is a TypeError of the caller's.
function translated(error, Kind) {
  if (error instanceof ClawrunError || error?.exitCode === undefined) return error;
  const { message, exitCode, errno } = error;
  return new Kind(message, { exitCode, errno });
}

function call(name, ...args) {
  try {
    return native[name](...args);
  } catch (error) {
    throw translated(error, SetupError);
  }
}

async function callAsync(Kind, name, ...args) {
  try {
    return await native[name](...args);
  } catch (error) {
    throw translated(error, Kind);
  }
}

module.exports = { call, callAsync, version: native.version() };
