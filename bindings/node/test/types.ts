// Never run: what the compiler of TypeScript must accept, and what it must refuse.
import { Sandbox, SandboxCluster, SandboxPool, SandboxProcess, errors, version, type Outcome, type Result } from '..';

async function use(): Promise<void> {
  const sandbox = new Sandbox({ profile: 'compute', memory: '64m', timeoutMs: 500, env: { A: 'x', B: null }, tmpfs: ['/a'], files: { f: 'x', g: { data: new Uint8Array(1), mode: 0o755 } } });
  const result: Result<string> = await sandbox.run(['true'], { input: 'x', check: true, signal: AbortSignal.timeout(5), pids: 10 });
  const text: string = result.stdout;
  const data: Buffer = (await sandbox.run(['true'], { encoding: 'buffer' })).stdout;
  // @ts-expect-error: a Buffer is no string
  const wrong: string = (await sandbox.run(['true'], { encoding: 'buffer' })).stdout;
  // @ts-expect-error: a command is an array
  await sandbox.run('true');
  // @ts-expect-error: no such network
  new Sandbox({ network: 'bridge' });

  const running: SandboxProcess = await sandbox.spawn(['cat'], { stdio: ['pipe', 'pipe', 1] });
  running.stdin?.end('x');
  for await (const chunk of running.stdout!) String(chunk);
  const outcome: Outcome = await running.exited;
  const status: 'exited' | 'signaled' | 'timeout' | 'oom' = outcome.status;
  running.kill('SIGTERM');
  await running.putFile('f', data, { mode: 0o600 });
  const content: string = await running.getFile('f', { encoding: 'utf8' });
  const bytes: Buffer = await running.getFile('f');
  for (const entry of await running.list()) entry.type satisfies string;
  await running.close();
  // @ts-expect-error: only the package makes them
  new SandboxProcess();

  const pool = await new SandboxPool({ memory: '64m' }, { size: 2, grade: 'primed', interpreter: 'python3', whenEmpty: 'wait', waitMs: 5 }).open();
  (await pool.runCode('1')).exitCode satisfies number;
  (await pool.stats()).hits satisfies number;
  await pool.close();

  const cluster = new SandboxCluster({ image: 'host', networkMode: 'none', memLimit: '128m', cpuShares: 512, tmpSize: '64m', prime: 'import json' });
  (await cluster.spawnCode('1')).id satisfies string;
  (await cluster.runCode('print(1)', { timeoutSeconds: 10, language: 'python' })).stdout satisfies string;
  (await cluster.runCommand(['true'], { encoding: 'buffer' })).stdout satisfies Buffer;
  await cluster.close();

  try {
    await sandbox.run(['false'], { check: true });
  } catch (error) {
    if (error instanceof errors.NonzeroExitError) error.result.exitCode satisfies number;
    if (error instanceof errors.SetupError) error.errno satisfies number;
    if (error instanceof errors.AbortError) error.code satisfies 'ABORT_ERR';
  }
  void [text, wrong, status, content, bytes, version.length];
}
void use;
