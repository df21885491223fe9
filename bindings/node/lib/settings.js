'use strict';
// The caller's words as steps for the addon: [KIND, VALUE...] each.
//
// Settings are those of clawrun-profile(5), in camelCase: tmpSize is tmp-size. A name may say its unit: timeoutMs: 500 is
// timeout 500ms, memoryBytes: 2 ** 26 is memory 67108864.

const DEFAULT_MODE = 0o644;

function kebab(name) {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function word(name, value) {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return String(value);
  // Never 1e-7, which is no number on the command line.
  if (Number.isFinite(value)) return value.toFixed(5).replace(/0+$/, '');
  throw new TypeError(`${name}: a string, a finite number, a boolean or an array of them is expected, not ${String(value)}`);
}

// Rounded up: 0 would be no limit at all.
function milliseconds(name, value) {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw new TypeError(`${name}: a number of milliseconds above 0 is expected, not ${String(value)}`);
  return `${Math.ceil(value)}ms`;
}

function byteCount(name, value) {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new TypeError(`${name}: a whole number of bytes is expected, not ${String(value)}`);
  return String(value);
}

const UNITS = { Ms: milliseconds, Bytes: byteCount };

function* settingSteps(name, value) {
  if (value === undefined) return;
  if (name === 'env' && typeof value === 'object' && !Array.isArray(value) && value !== null) {
    yield* environmentSteps(value);
    return;
  }
  if (name === 'profile') {
    for (const profile of [value].flat()) yield ['profile', word(name, profile)];
    return;
  }
  const unit = Object.keys(UNITS).find((suffix) => name.endsWith(suffix));
  const setting = kebab(unit ? name.slice(0, -unit.length) : name);
  for (const one of [value].flat()) yield ['set', setting, (unit ? UNITS[unit] : word)(name, one)];
}

// null passes the caller's own variable on.
function* environmentSteps(variables) {
  for (const [name, value] of Object.entries(variables)) {
    if (name.includes('=')) throw new TypeError(`env: ${name} is no name of a variable: it has a =`);
    if (value !== undefined) yield ['set', 'env', value === null ? name : `${name}=${word(`env.${name}`, value)}`];
  }
}

function bytesOf(name, data) {
  if (typeof data === 'string') return Buffer.from(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  throw new TypeError(`${name}: a string, a Buffer, a typed array or an ArrayBuffer is expected`);
}

// {path: content} or {path: {data, mode}}
function* fileSteps(files = {}) {
  for (const [path, content] of Object.entries(files)) {
    const isBare = typeof content === 'string' || ArrayBuffer.isView(content) || content instanceof ArrayBuffer;
    const { data, mode = DEFAULT_MODE } = isBare ? { data: content } : content ?? {};
    yield ['file', path, bytesOf(`files.${path}`, data), mode];
  }
}

function commandStep(command) {
  if (!Array.isArray(command) || command.length === 0 || command.some((each) => typeof each !== 'string'))
    throw new TypeError('a command is an array of strings that is not empty');
  return ['command', ...command];
}

// `profile` first, whatever its place: it stands below the settings.
function steps({ profile, files, ...settings } = {}) {
  const list = [...settingSteps('profile', profile)];
  for (const [name, value] of Object.entries(settings)) list.push(...settingSteps(name, value));
  list.push(...fileSteps(files));
  return list;
}

module.exports = { DEFAULT_MODE, steps, commandStep, bytesOf, milliseconds };
