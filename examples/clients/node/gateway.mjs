// The gateway of this machine: where it is, its services, and what to do when it is away for a while.
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const PROTOS = fileURLToPath(new URL('../../../protos', import.meta.url));
const SERVICES = ['connections', 'jobs', 'artifacts'];
const CALL_MS = 30_000; // a call that takes longer has been lost
const PATIENCE_MS = 120_000; // a gateway that is away for longer needs a person
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 3000;
const AGAIN = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.CANCELLED];

const { v1 } = grpc.loadPackageDefinition(loader.loadSync(
  SERVICES.map((name) => `peftstudio/gateway/v1/${name}_service.proto`),
  { includeDirs: [PROTOS], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
)).peftstudio.gateway;

/** Address and token, anew whenever it is asked: a gateway that restarts may come up on another port. */
function locate() {
  const { env } = process;
  const home = process.platform === 'darwin' ? path.join(os.homedir(), 'Library', 'Application Support')
    : env.XDG_DATA_HOME || path.join(os.homedir(), '.local', 'share');
  const folder = env.PEFTSTUDIO_DATA_DIR || path.join(home, 'peftstudio-connect');
  const read = (file) => readFileSync(file, 'utf8').trim();
  const found = env.PEFTSTUDIO_ADDRESS ? { address: env.PEFTSTUDIO_ADDRESS, tls: Boolean(env.PEFTSTUDIO_CA_FILE) }
    : JSON.parse(read(path.join(folder, 'endpoint.json')));
  // The token in the data folder is for the gateway of this machine alone.
  const isHere = /^(127\.|localhost:|\[::1\]:|unix:)/.test(found.address);
  const file = env.PEFTSTUDIO_TOKEN_FILE || (isHere ? path.join(folder, 'token') : undefined);
  const ca = env.PEFTSTUDIO_CA_FILE ? readFileSync(env.PEFTSTUDIO_CA_FILE) : undefined;
  return { ...found, token: file ? read(file) : '', ca };
}

class Gateway {
  constructor({ address, tls, ca, token }) {
    const credentials = tls ? grpc.credentials.createSsl(ca) : grpc.credentials.createInsecure();
    this.metadata = new grpc.Metadata();
    if (token) this.metadata.set('authorization', `Bearer ${token}`);
    this.connections = new v1.ConnectionsService(address, credentials);
    this.jobs = new v1.JobsService(address, credentials);
    this.artifacts = new v1.ArtifactsService(address, credentials);
  }

  /** One question, one answer. */
  ask(service, method, request) {
    return new Promise((resolve, reject) => {
      this[service][method](request, this.metadata, { deadline: Date.now() + CALL_MS }, (error, answer) => {
        error ? reject(error) : resolve(answer);
      });
    });
  }

  /** A stream of answers, to be iterated over. One that is silent for too long is a cut. */
  async *stream(service, method, request, silenceMs) {
    const call = this[service][method](request, this.metadata);
    let timer = setTimeout(() => call.cancel(), silenceMs);
    try {
      for await (const message of call) {
        timer.refresh();
        yield message;
      }
    } finally {
      clearTimeout(timer);
      call.cancel();
    }
  }

  close() {
    for (const name of SERVICES) this[name].close();
  }
}

/** Do something that may be done again, until the gateway is there for it. `work` calls `progress` when it got somewhere. */
export async function persist(work) {
  let pause, since;
  const progress = () => { [pause, since] = [FIRST_PAUSE_MS, Date.now()]; };
  progress();
  for (;;) {
    let gateway;
    try {
      gateway = new Gateway(locate());
      return await work(gateway, progress);
    } catch (error) {
      const isAway = AGAIN.includes(error.code) || error.code === 'ENOENT'; // endpoint.json is there while it runs
      if (!isAway || Date.now() - since > PATIENCE_MS) throw error;
      console.error(`the gateway is away (${error.message}); trying again`);
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    } finally {
      gateway?.close();
    }
  }
}

/** A stream that ended before its last message. */
export function cut(what) {
  return Object.assign(new Error(`${what} was cut`), { code: grpc.status.UNAVAILABLE });
}

const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { repeated Any details = 3; }
  message ErrorInfo { string reason = 1; }`, { keepCase: true });

/** Why a call failed: a reason of docs/errors.md, or undefined. */
export function reasonOf(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const { details } = root.lookupType('google.rpc.Status').decode(bytes ?? Buffer.alloc(0));
  const info = details.find(({ type_url }) => type_url.endsWith('/google.rpc.ErrorInfo'));
  return info && root.lookupType('google.rpc.ErrorInfo').decode(info.value).reason;
}

/** google.protobuf.Struct of a plain object: proto-loader wants it as it is on the wire. */
export function toStruct(object) {
  return { fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, toValue(value)])) };
}

function toValue(value) {
  if (value === null) return { nullValue: 0 };
  if (Array.isArray(value)) return { listValue: { values: value.map(toValue) } };
  if (typeof value === 'object') return { structValue: toStruct(value) };
  return { [{ boolean: 'boolValue', number: 'numberValue', string: 'stringValue' }[typeof value]]: value };
}
