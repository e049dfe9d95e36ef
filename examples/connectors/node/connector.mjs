// A connector without an SDK: what docs/protocol.md says, in Node. It is started by the gateway, by connector.toml.
//   node connector.mjs FOLDER_OF_PROGRAMS
import { createHash, timingSafeEqual } from 'node:crypto';
import { chmodSync, closeSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { HealthImplementation } from 'grpc-health-check';

import { asStatus, ConnectorError, ending } from './errors.mjs';
import { SDK, Service } from './service.mjs';

const PROTOCOL = 1;
const NAME = 'peftstudio.connector.v1.ConnectorService';
const PROTOS = fileURLToPath(new URL('protos', import.meta.url));
const HANDSHAKE = 3; // the descriptor
const CONFIGURATION = 78; // exit code: do not start this again before something changes
const TERM_GRACE_MS = 5000;
const FLUSH_MS = 200; // for the last answers to leave: who watches health would keep the server open

/** The first line of stdin. When stdin ends, the gateway is gone. */
async function readBootstrap() {
  const line = await new Promise((resolve) => {
    let text = '';
    process.stdin.setEncoding('utf8').on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    process.stdin.once('end', () => resolve(''));
  });
  try {
    const { protocols, socket, work_dir, gateway_token, connector_token } = JSON.parse(line);
    if (protocols.includes(PROTOCOL)) return { socket, work_dir, gateway_token, connector_token };
    refuse(`this connector speaks protocol ${PROTOCOL}, the gateway ${protocols}; update one of them`);
  } catch {
    refuse('there is no bootstrap on stdin: the gateway starts this, see connector.toml');
  }
}

function refuse(why) {
  shake({ error: why });
  process.exit(CONFIGURATION);
}

function shake(content) {
  writeSync(HANDSHAKE, JSON.stringify({ version: 1, ...content }) + '\n');
  closeSync(HANDSHAKE);
}

/** The handlers of grpc-js around the methods: the tokens both ways, errors with details, and who is under way. */
class Front {
  #underWay = new Set();
  #drained;

  constructor(service, { gateway_token, connector_token }) {
    this.service = service;
    this.expected = digest(`Bearer ${gateway_token}`);
    this.proof = connector_token;
  }

  handlers(definition, shutdown) {
    const methods = Object.entries(definition).map(([name, { requestStream, responseStream }]) => {
      const method = name === 'Shutdown' ? shutdown : this.service[name]?.bind(this.service) ?? unsupported(name);
      return [name, responseStream ? this.#streaming(method) : this.#unary(method, requestStream)];
    });
    return Object.fromEntries(methods);
  }

  /** Refuse what is new; resolves once nothing is under way. */
  drain() {
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#underWay.size === 0) resolve();
    });
  }

  #unary(method, requestStream) {
    return (call, callback) => this.#run(call, async () => {
      const answer = await method(requestStream ? call : call.request);
      callback(null, answer);
    }, (status) => callback(status));
  }

  #streaming(method) {
    return (call) => this.#run(call, async () => {
      const isOver = () => call.cancelled || this.#drained !== undefined;
      for await (const answer of method(call.request, isOver)) {
        if (call.cancelled) return;
        if (!call.write(answer)) await new Promise((resolve) => call.once('drain', resolve).once('cancelled', resolve));
      }
      call.end();
    }, (status) => call.emit('error', status));
  }

  async #run(call, work, refuse) {
    this.#underWay.add(call);
    try {
      if (!timingSafeEqual(digest(String(call.metadata.get('authorization')[0])), this.expected)) {
        throw new ConnectorError('CREDENTIALS_REJECTED', "this is not the gateway's token");
      }
      const proof = new grpc.Metadata();
      proof.set('x-connector-token', this.proof);
      call.sendMetadata(proof); // to none but the gateway
      if (this.#drained) throw ending();
      await work();
    } catch (error) {
      refuse(asStatus(error));
    } finally {
      this.#underWay.delete(call);
      if (this.#underWay.size === 0) this.#drained?.();
    }
  }
}

function digest(text) {
  return createHash('sha256').update(text).digest();
}

function unsupported(name) {
  const capability = name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
  return () => {
    throw new ConnectorError('UNSUPPORTED', `this connector does not offer ${capability}`);
  };
}

async function main() {
  process.umask(0o077);
  const bootstrap = await readBootstrap();
  process.stdin.once('end', () => process.exit(0));
  const { ConnectorService } = grpc.loadPackageDefinition(loader.loadSync(
    'peftstudio/connector/v1/connector_service.proto',
    { includeDirs: [PROTOS], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
  )).peftstudio.connector.v1;
  const server = new grpc.Server();
  const health = new HealthImplementation({ '': 'SERVING', [NAME]: 'SERVING' });
  health.addToServer(server);
  const front = new Front(new Service(bootstrap.work_dir, process.argv[2]), bootstrap);

  let isEnding = false;
  const end = async (graceMs) => {
    if (isEnding) return;
    isEnding = true;
    health.setStatus('', 'NOT_SERVING');
    health.setStatus(NAME, 'NOT_SERVING');
    setTimeout(() => process.exit(0), graceMs);
    await front.drain();
    server.tryShutdown(() => process.exit(0));
    setTimeout(() => process.exit(0), FLUSH_MS);
  };
  const shutdown = ({ grace }) => {
    setImmediate(end, 1000 * Number(grace?.seconds ?? 0) + Number(grace?.nanos ?? 0) / 1e6);
    return {};
  };
  process.on('SIGTERM', () => end(TERM_GRACE_MS));

  server.addService(ConnectorService.service, front.handlers(ConnectorService.service, shutdown));
  rmSync(bootstrap.socket, { force: true });
  await new Promise((resolve, reject) => {
    const done = (error) => (error ? reject(error) : resolve());
    server.bindAsync(`unix:${bootstrap.socket}`, grpc.ServerCredentials.createInsecure(), done);
  });
  chmodSync(bootstrap.socket, 0o600);
  const address = `unix:${bootstrap.socket}`;
  shake({ protocol: PROTOCOL, protocols: [PROTOCOL], sdk: SDK, address, pid: process.pid, ...identity() });
}

/** What tells this process from a later one with its id; empty where there is no /proc. */
function identity() {
  try {
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1).split(' '); // from field 3 on
    return { start_time: Number(fields[19]), boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() };
  } catch {
    return { start_time: null, boot_id: '' };
  }
}

await main().catch((error) => refuse(`it cannot serve: ${error.message}`));
