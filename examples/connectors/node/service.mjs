// peftstudio.connector.v1.ConnectorService for the workbench: each method takes a request and answers, or yields answers.
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import os from 'node:os';

import { impossible } from './config.mjs';
import { clip, ConnectorError, invalidConfig, notFound } from './errors.mjs';
import { batches } from './log.mjs';
import { fromStruct, toStruct } from './struct.mjs';
import { Workbench } from './workbench.mjs';

export const SDK = 'workbench-node/0.1.0'; // it has none, and serves itself
const MACHINE = 'machine';
const CHUNK_BYTES = 256 * 1024; // the contract allows 1 MiB
const SIGN_OF_LIFE_MS = 5000; // the protocol wants one every 10 s
const KEY_LENGTH = 8; // shorter ones are guessed

const STATES = {
  waiting: { state: 'JOB_STATE_QUEUED', resource_state: 'RESOURCE_STATE_NONE' },
  running: { state: 'JOB_STATE_RUNNING', resource_state: 'RESOURCE_STATE_HELD' },
  ending: { state: 'JOB_STATE_CANCELLING', resource_state: 'RESOURCE_STATE_RELEASE_REQUESTED' },
  done: { state: 'JOB_STATE_SUCCEEDED', reason: 'JOB_REASON_OK' },
  failed: { state: 'JOB_STATE_FAILED', reason: 'JOB_REASON_EXIT_NONZERO' },
  cancelled: { state: 'JOB_STATE_CANCELLED', reason: 'JOB_REASON_CANCELLED_BY_USER' },
  vanished: {
    state: 'JOB_STATE_FAILED',
    reason: 'JOB_REASON_NODE_FAILED',
    message: 'The program was killed, or the machine was started anew.',
  },
};

export class Service {
  #connections = new Map();

  constructor(folder, programs) {
    this.bench = new Workbench(folder, programs);
  }

  Describe() {
    return {
      name: 'workbench-node',
      display_name: 'workbench-node',
      description: 'Runs programs of this machine as jobs.',
      version: '0.1.0',
      sdk: SDK,
      features: ['training', 'registry'],
      capabilities: ['cancel_job', 'find_job', 'list_jobs', 'dry_run'],
      credentials_schema: toStruct({
        type: 'object',
        properties: { api_key: { type: 'string', minLength: KEY_LENGTH, secret: true } },
        required: ['api_key'],
        additionalProperties: false,
      }),
      options_schema: toStruct({
        type: 'object',
        properties: {
          program: { type: 'string', description: 'Which program; default: train' },
          args: { type: 'array', items: { type: 'string' }, description: 'Its arguments' },
        },
        additionalProperties: false,
      }),
      log_source: 'LOG_SOURCE_CURSOR',
      submit_safety: 'SUBMIT_SAFETY_KEYED',
      min_poll_interval: { seconds: 0, nanos: 200_000_000 },
    };
  }

  async Connect({ connection_id, credentials }) {
    const key = credentials.api_key ?? '';
    if (key.length < KEY_LENGTH) {
      throw new ConnectorError('CREDENTIALS_REJECTED', `the api_key has fewer than ${KEY_LENGTH} characters`);
    }
    const account = await this.bench.account(key);
    this.#connections.set(connection_id, account);
    return { account: account.name };
  }

  Disconnect({ connection_id }) {
    this.#connections.delete(connection_id);
    return {};
  }

  VerifyConnection(request) {
    return { account: this.#account(request).name };
  }

  async SubmitJob(request) {
    const account = this.#account(request);
    const config = { ...request.config, options: fromStruct(request.config?.options) };
    const { program = 'train', args = [] } = config.options;
    const file = await this.bench.program(String(program));
    const wrong = impossible(config);
    if (!file) wrong['config.options.program'] = `there is no program ${clip(String(program))} on this machine`;
    if (!Array.isArray(args) || args.some((one) => typeof one !== 'string')) {
      wrong['config.options.args'] = 'is no list of texts';
    }
    if (!['', MACHINE].includes(request.resource_id)) wrong.resource_id = `the only machine is ${MACHINE}`;
    if (Object.keys(wrong).length > 0) throw invalidConfig(wrong);
    if (request.dry_run) return {};
    return { platform_job_id: await account.submit(request.submission_token, { program: file, args, config }) };
  }

  async FindJob(request) {
    const found = await this.#account(request).job(request.submission_token);
    return { platform_job_id: found ? request.submission_token : '' };
  }

  async ListJobs(request) {
    const account = this.#account(request);
    const names = (await account.jobs()).filter((name) => name > request.cursor);
    const page = names.slice(0, 1000);
    const jobs = page.map(async (name) => ({
      platform_job_id: name,
      submission_token: name,
      resource_id: MACHINE,
      observation: observation(await (await account.job(name)).look()),
    }));
    return { jobs: await Promise.all(jobs), next_cursor: names.length > page.length ? page.at(-1) : '' };
  }

  async GetJobStatus(request) {
    return { observation: observation(await (await this.#job(request)).look()) };
  }

  async CancelJob(request) {
    await (await this.#job(request)).cancel();
    return {};
  }

  async *StreamLogs(request, isOver) {
    const job = await this.#job(request);
    if (!/^\d{0,15}$/.test(request.cursor)) {
      throw new ConnectorError('CURSOR_EXPIRED', 'the cursor is none of this log');
    }
    const hasEnded = async () => !['waiting', 'running', 'ending'].includes((await job.look()).word);
    let last = Date.now();
    yield { lines: [] }; // the first sign of life
    for await (const { lines, cursor } of batches(job.log, Number(request.cursor), hasEnded)) {
      if (isOver()) return; // a cut: the gateway goes on with the next process
      if (lines.length === 0 && Date.now() - last < SIGN_OF_LIFE_MS) continue;
      last = Date.now();
      yield { lines, cursor: cursor === undefined ? '' : String(cursor) };
    }
    yield { end: true };
  }

  async ListArtifacts(request) {
    const files = await (await this.#job(request)).files();
    return { artifacts: files.map(({ id, size, etag, sha256 }) => ({ id, path: id, size, etag, sha256, kind: kind(id) })) };
  }

  async *FetchArtifact(request) {
    const files = await (await this.#job(request)).files();
    const found = files.find(({ id }) => id === request.artifact_id);
    if (!found) throw notFound('artifact', request.artifact_id);
    const { file, size, etag, sha256 } = found;
    if (request.if_etag && request.if_etag !== etag) {
      throw new ConnectorError('ARTIFACT_CHANGED', 'the file changed; fetch it from its beginning');
    }
    let offset = Number(request.offset);
    if (offset < 0 || offset > size) throw new ConnectorError('BAD_OFFSET', `the file has ${size} bytes`);
    yield { size, sha256 };
    if (offset === size) return;
    for await (const data of createReadStream(file, { start: offset, end: size - 1, highWaterMark: CHUNK_BYTES })) {
      yield { chunk: { offset, data } };
      offset += data.length;
    }
  }

  async UploadArtifact(requests) {
    let header, draft, file, account, received = 0;
    const hash = createHash('sha256');
    try {
      for await (const request of requests) {
        if (request.part === 'header') {
          header = request.header;
          account = this.#account(header);
          file = account.registered(`.${randomUUID()}`);
          draft = await open(file, 'wx', 0o600);
          continue;
        }
        if (!draft) throw invalidConfig({ header: 'the first message has none' });
        if (Number(request.chunk.offset) !== received) throw invalidConfig({ 'chunk.offset': `is not ${received}` });
        hash.update(request.chunk.data);
        await draft.appendFile(request.chunk.data);
        received += request.chunk.data.length;
      }
      const sha256 = hash.digest('hex');
      if (!header || sha256 !== header.sha256 || received !== Number(header.size)) {
        throw new ConnectorError('CHECKSUM_MISMATCH', `${received} bytes with the sum ${sha256} arrived; send them again`);
      }
      await rename(file, account.registered(sha256));
      return { artifact_id: sha256 };
    } finally {
      await draft?.close();
      if (file) await rm(file, { force: true });
    }
  }

  ListResources(request) {
    this.#account(request);
    const resource = { id: MACHINE, name: os.hostname(), type: 'RESOURCE_TYPE_CPU', available: true };
    return { resources: [{ ...resource, cpu_cores: os.cpus().length, ram_gb: os.totalmem() / 1e9 }] };
  }

  GetPricing(request) {
    this.#account(request);
    if (request.resource_id !== MACHINE) throw notFound('resource', request.resource_id);
    return { price: { resource_id: MACHINE, not_priced: true, source: 'PRICE_SOURCE_STATIC' } };
  }

  #account({ connection_id }) {
    const account = this.#connections.get(connection_id);
    if (!account) throw new ConnectorError('NOT_CONNECTED', `the connection ${clip(connection_id)} is not open here`);
    return account;
  }

  async #job(request) {
    const job = await this.#account(request).job(request.platform_job_id);
    if (!job) throw notFound('job', request.platform_job_id);
    return job;
  }
}

function observation({ word, exitCode }) {
  const resource_state = 'RESOURCE_STATE_RELEASED';
  return { raw_state: word, attempt: 1, resource_state, ...STATES[word], exit_code: exitCode };
}

function kind(id) {
  return id.startsWith('adapter') ? 'ARTIFACT_KIND_ADAPTER' : 'ARTIFACT_KIND_OTHER';
}
