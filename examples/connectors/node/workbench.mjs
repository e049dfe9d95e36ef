// The platform: programs of this machine, run as jobs in folders. All its state is on disk, so that a job outlives the
// connector, and another connector process goes on with it.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, open, readdir, readFile, readlink, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const RUNNER = fileURLToPath(new URL('job.sh', import.meta.url));
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/; // neither a path nor an option
const KILL_AFTER_MS = 10_000; // a program that was told to end may save its work for so long

/** Opens accounts: whoever has the same key sees the same jobs. */
export class Workbench {
  constructor(folder, programs) {
    this.folder = folder;
    this.programs = programs;
    this.digests = new Map();
  }

  async account(apiKey) {
    const name = createHash('sha256').update(apiKey).digest('hex').slice(0, 16);
    const folder = path.join(await realpath(this.folder), 'accounts', name);
    await mkdir(path.join(folder, 'jobs'), { recursive: true, mode: 0o700 });
    await mkdir(path.join(folder, 'registry'), { recursive: true, mode: 0o700 });
    return new Account(name, folder, this);
  }

  /** The file of a program, or undefined. */
  async program(name) {
    const found = path.join(this.programs, name);
    return NAME.test(name) && (await exists(found)) ? path.resolve(found) : undefined;
  }

  /** SHA-256 of a file, computed once for each state of it. */
  async sha256(file, etag) {
    const key = `${file} ${etag}`;
    if (!this.digests.has(key)) {
      const hash = createHash('sha256');
      for await (const block of createReadStream(file)) hash.update(block);
      this.digests.set(key, hash.digest('hex'));
    }
    return this.digests.get(key);
  }
}

class Account {
  constructor(name, folder, bench) {
    Object.assign(this, { name, folder, bench });
  }

  /** Start a job under a name: at most one, however often and by however many processes this is called. */
  async submit(name, { program, args, config }) {
    const folder = path.join(this.folder, 'jobs', name);
    const draft = await mkdtemp(path.join(this.folder, '.draft-'));
    await mkdir(path.join(draft, 'output'));
    await writeFile(path.join(draft, 'config.json'), JSON.stringify(config, null, 2));
    // A folder that is not empty is never replaced: then the job is there already.
    await rename(draft, folder).catch(() => rm(draft, { recursive: true }));
    const environment = { PATH: process.env.PATH, HOME: process.env.HOME, JOB_DATASET: config.dataset_path };
    const job = spawn('/bin/sh', [RUNNER, program, ...args], {
      cwd: folder, env: environment, detached: true, stdio: 'ignore',
    });
    await new Promise((resolve, reject) => job.once('spawn', resolve).once('error', reject));
    job.unref();
    return name;
  }

  /** The job, or undefined. */
  async job(name) {
    const folder = path.join(this.folder, 'jobs', name);
    return NAME.test(name) && (await exists(folder)) ? new Job(folder, this.bench) : undefined;
  }

  async jobs() {
    return (await readdir(path.join(this.folder, 'jobs'))).sort();
  }

  registered(name) {
    return path.join(this.folder, 'registry', path.basename(name));
  }
}

class Job {
  constructor(folder, bench) {
    Object.assign(this, { folder, bench });
  }

  get log() {
    return this.#file('log');
  }

  /** `{word, exitCode}`: waiting, running, ending, done, failed, cancelled or vanished. */
  async look() {
    // In this order: a job that writes its exit code and goes, between two of these, is not taken for vanished.
    const pid = await this.#pid();
    const lives = pid !== undefined && (await isAlive(pid, this.folder));
    const exit = await readFile(this.#file('exit'), 'utf8').catch(() => undefined);
    const cancelledAt = (await stat(this.#file('cancelled')).catch(() => undefined))?.mtimeMs;
    if (exit !== undefined) {
      const exitCode = Number(exit);
      return { word: exitCode === 0 ? 'done' : cancelledAt ? 'cancelled' : 'failed', exitCode };
    }
    if (lives && cancelledAt && Date.now() - cancelledAt > KILL_AFTER_MS) signal(pid, 'SIGKILL');
    if (lives) return { word: cancelledAt ? 'ending' : 'running' };
    if (cancelledAt) return { word: 'cancelled' };
    return { word: pid === undefined ? 'waiting' : 'vanished' };
  }

  async cancel() {
    const { word } = await this.look();
    if (word !== 'waiting' && word !== 'running') return;
    // The mark first: a program that is about to start sees it, or is seen here.
    await writeFile(this.#file('cancelled'), '');
    const pid = await this.#pid();
    if (pid !== undefined) signal(pid, 'SIGTERM');
  }

  /** What the program left: `{id, file, size, etag, sha256}`. */
  async files() {
    const output = this.#file('output');
    const entries = await readdir(output, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    return Promise.all(files.sort().map(async (file) => {
      const { size, mtimeMs } = await stat(file);
      const etag = `${size}-${mtimeMs}`;
      const id = path.relative(output, file).split(path.sep).join('/');
      return { id, file, size, etag, sha256: await this.bench.sha256(file, etag) };
    }));
  }

  async #pid() {
    const text = await readFile(this.#file('pid'), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : Number(text);
  }

  #file(name) {
    return path.join(this.folder, name);
  }
}

/** Read from an offset on: what is there now, at most `length` bytes. A file that is not there yet is empty. */
export async function readAt(file, offset, length) {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return Buffer.alloc(0);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function isAlive(pid, folder) {
  try {
    // A process id is used again; the folder that a process works in tells whose it is.
    return (await readlink(`/proc/${pid}/cwd`)) === folder;
  } catch {
    return !(await exists('/proc/self')) && signal(pid, 0);
  }
}

function signal(pid, name) {
  try {
    return process.kill(-pid, name);
  } catch {
    return false;
  }
}

const exists = (file) => access(file).then(() => true, () => false);
