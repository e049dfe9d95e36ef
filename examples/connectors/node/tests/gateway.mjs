// A gateway's part, for tests: the connector is started as docs/protocol.md says, and called over its socket.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const COMMAND = [path.join(PROJECT, 'connector.mjs'), path.join(PROJECT, 'programs')];
const CALL_MS = 20_000; // for a start or a call, on a busy machine
const { ConnectorService } = grpc.loadPackageDefinition(loader.loadSync(
  'peftstudio/connector/v1/connector_service.proto',
  { includeDirs: [path.join(PROJECT, 'protos')], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
)).peftstudio.connector.v1;

/** A folder that a connector works in; it is removed when the test ends, and the processes before it. */
export async function workFolder(test) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'connector-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Start the connector in a folder and wait for its handshake. */
export async function launch(test, folder) {
  const socket = path.join(folder, 's.sock');
  const tokens = { gateway_token: 'gateway-8e1f', connector_token: 'connector-22c9' };
  const child = spawn(process.execPath, COMMAND, {
    cwd: folder, stdio: ['pipe', 'inherit', 'inherit', 'pipe'], timeout: 3 * CALL_MS,
  });
  test.after(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => {}); // it is killed by some tests
  child.stdin.write(JSON.stringify({ version: 1, socket, ...tokens, protocols: [1], work_dir: folder }) + '\n');
  const [line] = await once(createInterface(child.stdio[3]), 'line');
  const client = new ConnectorService(`unix:${socket}`, grpc.credentials.createInsecure());
  test.after(() => client.close());
  return new Connector(child, JSON.parse(line), client, tokens);
}

class Connector {
  constructor(child, handshake, client, { gateway_token, connector_token }) {
    Object.assign(this, { process: child, handshake, client, token: gateway_token, proof: connector_token });
  }

  /** The answer of a method. */
  async call(method, request, token = this.token) {
    return new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(error) : resolve(answer));
      const sent = this.client[method](request, ...this.#given(token), done);
      sent.on('metadata', (metadata) => { this.proved = metadata.get('x-connector-token')[0]; });
    });
  }

  /** The answers of a method that has many, one after the other. */
  stream(method, request) {
    return this.client[method](request, ...this.#given(this.token));
  }

  async connect(api_key = 'any-eight-characters') {
    return this.call('Connect', { connection_id: 'c', credentials: { api_key } });
  }

  /** Submit a program, and return its job. */
  async submit(submission_token, program, ...args) {
    const text = (stringValue) => ({ kind: 'stringValue', stringValue });
    const list = { kind: 'listValue', listValue: { values: args.map(text) } };
    const options = { fields: { program: text(program), args: list } };
    const config = { base_model: 'm', dataset_path: 'd', options };
    const { platform_job_id } = await this.call('SubmitJob', { connection_id: 'c', submission_token, config });
    return { connection_id: 'c', platform_job_id };
  }

  /** Look at a job until it is in a state. */
  async reaches(state, job) {
    for (const end = Date.now() + CALL_MS; Date.now() < end;) {
      const { observation } = await this.call('GetJobStatus', job);
      if (observation.state === state) return observation;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the job never became ${state}`);
  }

  #given(token) {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    return [metadata, { deadline: Date.now() + CALL_MS }];
  }
}
