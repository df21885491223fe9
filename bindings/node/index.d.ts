/// <reference types="node" />
import type { Readable, Writable } from 'node:stream';

export type Data = string | ArrayBuffer | NodeJS.ArrayBufferView;
export type Input = Data | AsyncIterable<string | Uint8Array>;
export type Status = 'exited' | 'signaled' | 'timeout' | 'oom';

/** Content, or content and permission bits (0o644 where they are not given), by path in the work directory. */
export type Files = Record<string, Data | { data: Data; mode?: number }>;
/** null passes the caller's own variable on. */
export type Environment = Record<string, string | number | boolean | null | undefined> | string[];

type Size = string | number;
type Count = number | string;
type Flag = boolean | 'on' | 'off';
type List = string | string[];

/**
 * The settings of clawrun-profile(5), in camelCase. A number where a size stands is bytes; a name that ends with Ms or Bytes says
 * the unit of its number. Lists take one or many.
 */
export interface Settings {
  /** A profile by name or file, or several; they stand below the settings beside them. */
  profile?: List;
  /** Files that are in the work directory when the command starts. */
  files?: Files;
  rootfs?: string;
  writable?: Flag;
  workspace?: string;
  bind?: List;
  tmpfs?: List;
  tmpSize?: Size;
  tmpSizeBytes?: number;
  workdir?: string;
  env?: Environment;
  envFile?: List;
  user?: string | number;
  capAdd?: List;
  idMapping?: 'auto' | 'single' | 'range';
  uidRange?: string;
  hostname?: string;
  network?: 'none' | 'host';
  seccomp?: string;
  allowExec?: List;
  landlock?: 'auto' | 'on' | 'off';
  noInit?: Flag;
  timeNs?: Flag;
  timeout?: string | number;
  timeoutMs?: number;
  grace?: string;
  graceMs?: number;
  cpuTime?: string;
  cpuTimeMs?: number;
  nofile?: Count;
  nproc?: Count;
  fsize?: Size;
  fsizeBytes?: number;
  stack?: Size;
  stackBytes?: number;
  addressSpace?: Size;
  addressSpaceBytes?: number;
  memory?: Size;
  memoryBytes?: number;
  memorySwap?: Size;
  memorySwapBytes?: number;
  memoryHigh?: Size;
  memoryHighBytes?: number;
  oomGroup?: Flag;
  cpus?: Count;
  cpuWeight?: Count;
  cpuShares?: Count;
  cpuset?: string;
  pids?: Count;
  ioMax?: List;
  ioWeight?: Count;
  device?: List;
  coreSched?: Flag;
  cgroupDriver?: 'auto' | 'cgroupfs' | 'systemd';
  cgroupPath?: string;
  name?: string;
  tty?: Flag;
  preserveFd?: number | number[];
  maxOutput?: Size;
  maxOutputBytes?: number;
  allowDegraded?: Flag;
  /** A setting of a later library. */
  [setting: string]: unknown;
}

export interface Outcome {
  readonly status: Status;
  /** The command's; 128+N for signal N, 124 for a timeout. */
  readonly exitCode: number;
  /** That ended it, such as 'SIGKILL'. */
  readonly signal: NodeJS.Signals | null;
  /** A sentence where the status does not say it all, or ''. */
  readonly reason: string;
  readonly wallUs: number;
  readonly cpuUs: number;
  readonly memoryPeakBytes: number;
  /** Thrown away beyond maxOutput; 16 MiB where it is not set and the output is in memory. */
  readonly stdoutLostBytes: number;
  readonly stderrLostBytes: number;
  readonly truncated: boolean;
  /** It exited with 0. */
  readonly ok: boolean;
  /** The object of `clawrun exec --report`, with everything that was measured. */
  readonly report: Record<string, any>;
  /** Throws TimeoutError or OomError where a limit ended the command. */
  checkLimits(): this;
  /** Throws where the command did not exit with 0. */
  check(): this;
}

export interface Result<T extends string | Buffer = string> extends Outcome {
  readonly stdout: T;
  readonly stderr: T;
}

interface Common {
  /** Standard input; empty where it is not given. */
  input?: Input | null;
  /** Rejects with NonzeroExitError where the command does not exit with 0. */
  check?: boolean;
  /** Kills the sandbox and rejects with AbortError. */
  signal?: AbortSignal;
}
interface AsText extends Common {
  /** Of stdout and stderr; 'utf8' where it is not given, 'buffer' for Buffers. */
  encoding?: BufferEncoding;
}
interface AsBuffer extends Common {
  encoding: 'buffer';
}

export type RunOptions = AsText & Settings;
export type BufferRunOptions = AsBuffer & Settings;

export type Stdio = 'pipe' | 'ignore' | 'inherit' | number;
export interface SpawnOptions extends Settings {
  stdio?: 'pipe' | 'ignore' | 'inherit' | [Stdio, Stdio, Stdio];
  /** Kills the sandbox. */
  signal?: AbortSignal;
}

export interface FileEntry {
  name: string;
  type: 'file' | 'directory' | 'symlink' | 'other';
  size: number;
  /** Permission bits. */
  mode: number;
  mtimeMs: number;
}

export interface Problem {
  setting: string;
  message: string;
}

/** What a sandbox is to be. Each run is a new one. */
export class Sandbox {
  constructor(settings?: Settings);
  run(command?: readonly string[], options?: RunOptions): Promise<Result>;
  run(command: readonly string[] | undefined, options: BufferRunOptions): Promise<Result<Buffer>>;
  /** Fulfilled when the command has been executed. */
  spawn(command?: readonly string[], options?: SpawnOptions): Promise<SandboxProcess>;
  /** Everything that is wrong; empty where nothing is. */
  validate(command?: readonly string[], settings?: Settings): Problem[];
  /** What `run` would do now. */
  plan(command?: readonly string[], settings?: Settings): Record<string, any>;
}

/** A sandbox that runs, or has ended. Dropped while nothing waits for it and none of its streams is in use, it is killed. */
export class SandboxProcess implements AsyncDisposable {
  private constructor();
  /** Its name for `clawrun list`. */
  readonly id: string;
  /** null where the stream is no pipe. */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Fulfilled when every process of it has ended, whatever its exit code is. */
  readonly exited: Promise<Outcome>;
  /** null while it runs. */
  readonly outcome: Outcome | null;
  /** SIGKILL, the default, ends all of it; TERM, INT, HUP, QUIT, USR1, USR2 and WINCH go to the command. False: it had ended. */
  kill(signal?: NodeJS.Signals | number): boolean;
  /** Files of the work directory, also after the end, until it is closed. */
  putFile(path: string, data: Data, options?: { mode?: number }): Promise<void>;
  getFile(path: string, options?: { encoding?: null | 'buffer'; maxBytes?: number }): Promise<Buffer>;
  getFile(path: string, options: { encoding: BufferEncoding; maxBytes?: number }): Promise<string>;
  list(path?: string): Promise<FileEntry[]>;
  ref(): this;
  unref(): this;
  /** Kills what still runs; fulfilled when nothing of it is left. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface PoolOptions {
  size?: number;
  grade?: 'parked' | 'primed';
  /** Of a primed pool: 'python3', 'node', 'sh', or the path of one of them inside. */
  interpreter?: string;
  /** Of a primed pool: code that runs once, before the claim. */
  prime?: string;
  whenEmpty?: 'cold' | 'wait';
  wait?: string;
  waitMs?: number;
  workspace?: Flag;
  shrink?: Flag;
}

export interface PoolStats {
  size: number;
  ready: number;
  filling: number;
  hits: number;
  misses: number;
  waited: number;
  starved: number;
  made: number;
  died: number;
  failed: number;
  shrunk: number;
  [count: string]: number;
}

/** Sandboxes that are kept ready. Each serves one claim and dies. */
export class SandboxPool implements AsyncDisposable {
  /** Whether the library that is loaded has pools. */
  static readonly isSupported: boolean;
  constructor(sandbox?: Sandbox | Settings, options?: PoolOptions);
  /** Begins to fill it, as the first use does. */
  open(): Promise<this>;
  /** Of a parked pool. The settings are those that a claim may change. */
  run(command?: readonly string[], options?: RunOptions): Promise<Result>;
  run(command: readonly string[] | undefined, options: BufferRunOptions): Promise<Result<Buffer>>;
  /** Of a primed pool. */
  runCode(code: Data, options?: RunOptions): Promise<Result>;
  runCode(code: Data, options: BufferRunOptions): Promise<Result<Buffer>>;
  claim(command?: readonly string[], options?: SpawnOptions & { code?: Data }): Promise<SandboxProcess>;
  /** Whether so many became ready within that time; without one it waits for as long as it takes. */
  waitReady(count: number, timeoutMs?: number): Promise<boolean>;
  resize(size: number): Promise<void>;
  stats(): Promise<PoolStats>;
  /** In the text format of Prometheus, with `name` as the label pool. */
  prometheus(name: string): Promise<string>;
  /** Fulfilled when what was ready has ended. What was claimed goes on. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type Language = 'python' | 'sh' | 'node';

/** What is not named here is a setting. */
export interface ClusterOptions extends Settings {
  /** A root in the store (`clawrun rootfs list`), a directory, or 'host', the host's own /usr, read-only. */
  image?: string;
  networkMode?: 'none' | 'host';
  memLimit?: Size;
  pidsLimit?: Count;
  /** How many warm interpreters are kept of each language that is used: 4 where the library has pools; 0 is none. */
  poolSize?: number;
  /** Code that each warm interpreter runs once, before it is needed: Python's, or by language. */
  prime?: string | Partial<Record<Language, string>>;
}

interface ClusterRun {
  timeoutSeconds?: number;
}
interface CodeRun extends ClusterRun {
  language?: Language;
}

/** Code in, output out. */
export class SandboxCluster implements AsyncDisposable {
  constructor(options?: ClusterOptions);
  runCode(code: string, options?: CodeRun & RunOptions): Promise<Result>;
  runCode(code: string, options: CodeRun & BufferRunOptions): Promise<Result<Buffer>>;
  spawnCode(code: string, options?: CodeRun & SpawnOptions): Promise<SandboxProcess>;
  runCommand(command: readonly string[], options?: ClusterRun & RunOptions): Promise<Result>;
  runCommand(command: readonly string[], options: ClusterRun & BufferRunOptions): Promise<Result<Buffer>>;
  spawnCommand(command: readonly string[], options?: ClusterRun & SpawnOptions): Promise<SandboxProcess>;
  /** Ends what is kept ready. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Of the library that is loaded. */
export const version: string;

export namespace errors {
  class ClawrunError extends Error {}
  /** clawrun_node.node or libclawrun is not there, or is not the version that this package needs. */
  class LibraryError extends ClawrunError {}
  /** A handle was used that has been closed. */
  class ClosedError extends ClawrunError {}
  /** The command was never run: a bad setting, a missing command, or something that this host cannot give. */
  class SetupError extends ClawrunError {
    /** What `clawrun exec` would have returned: 125, 126 or 127. */
    readonly exitCode: number;
    /** Of the system call that failed, or 0. */
    readonly errno: number;
    /** The name of errno, such as 'ENOENT'. */
    readonly code?: string;
  }
  /** A file of the work directory could not be read, written or listed. */
  class FileError extends SetupError {}
  /** The command ran, and ended in a way that the caller does not want. */
  class OutcomeError extends ClawrunError {
    readonly result: Result<any>;
  }
  class TimeoutError extends OutcomeError {}
  class OomError extends OutcomeError {}
  class NonzeroExitError extends OutcomeError {}
  /** The caller's AbortSignal ended it; `cause` is the signal's reason. */
  class AbortError extends ClawrunError {
    readonly code: 'ABORT_ERR';
  }
}
