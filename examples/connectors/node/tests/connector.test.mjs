// The connector over a real socket, started as a gateway starts it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';

import { status } from '@grpc/grpc-js';

import { launch, workFolder } from './gateway.mjs';

/** What `count` prints; its metrics aside. */
const numbers = (lines) => lines.filter((line) => line.startsWith('number'));

/** That a call fails with a code, and with a reason in its details. */
const fails = (code, reason) => (error) => {
  assert.equal(error.code, code, error.message);
  assert.match(String(error.metadata.get('grpc-status-details-bin')[0]), new RegExp(reason));
  return true;
};

async function readLog(connector, job, cursor = '') {
  const read = { lines: [], cursor, ended: false };
  for await (const answer of connector.stream('StreamLogs', { ...job, cursor })) {
    read.lines.push(...answer.lines.map(({ text }) => text));
    read.ended = answer.end;
  }
  return read;
}

test('it says who it is, and proves it to the gateway alone', async (t) => {
  const connector = await launch(t, await workFolder(t));
  assert.equal(connector.handshake.protocol, 1);
  assert.equal(connector.handshake.pid, connector.process.pid);
  assert.equal((await connector.call('Describe', {})).name, 'workbench-node');
  assert.equal(connector.proved, connector.proof);
  connector.proved = undefined;
  await assert.rejects(connector.call('Describe', {}, 'another'), fails(status.UNAUTHENTICATED, 'CREDENTIALS_REJECTED'));
  assert.equal(connector.proved, undefined);
});

test('a key that the platform refuses opens no connection', async (t) => {
  const connector = await launch(t, await workFolder(t));
  await assert.rejects(connector.connect('short'), fails(status.UNAUTHENTICATED, 'CREDENTIALS_REJECTED'));
  await assert.rejects(connector.submit('t', 'count'), fails(status.FAILED_PRECONDITION, 'NOT_CONNECTED'));
});

test('a job runs from its submission to its files', async (t) => {
  const connector = await launch(t, await workFolder(t));
  await connector.connect();
  const job = await connector.submit('t', 'count', '3');
  const { lines, ended } = await readLog(connector, job);
  assert.deepEqual(numbers(lines), ['number 1', 'number 2', 'number 3']);
  assert.equal(ended, true);
  assert.equal((await connector.reaches('JOB_STATE_SUCCEEDED', job)).exit_code, 0);
  const [{ id, sha256 }] = (await connector.call('ListArtifacts', job)).artifacts;
  const pieces = [];
  for await (const { chunk } of connector.stream('FetchArtifact', { ...job, artifact_id: id })) {
    if (chunk) pieces.push(chunk.data);
  }
  const bytes = Buffer.concat(pieces);
  assert.equal(String(bytes), '1\n2\n3\n');
  assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
});

test('a submission that comes twice starts one job', async (t) => {
  const connector = await launch(t, await workFolder(t));
  await connector.connect();
  const [job, again] = await Promise.all([connector.submit('t', 'count', '3'), connector.submit('t', 'count', '3')]);
  assert.deepEqual(again, job);
  assert.equal(numbers((await readLog(connector, job)).lines).length, 3);
});

test('a log goes on from its cursor when the process is killed, and the job runs on', async (t) => {
  const folder = await workFolder(t);
  const first = await launch(t, folder);
  await first.connect();
  const job = await first.submit('t', 'count', '20', '0.05');
  const [lines, died] = [[], once(first.process, 'exit')];
  let cursor = '';
  for await (const answer of first.stream('StreamLogs', job)) {
    lines.push(...answer.lines.map(({ text }) => text));
    if (answer.cursor) cursor = answer.cursor;
    if (lines.length > 0) break;
  }
  first.process.kill('SIGKILL');
  await died;
  const next = await launch(t, folder);
  await next.connect();
  lines.push(...(await readLog(next, job, cursor)).lines);
  assert.deepEqual(numbers(lines), Array.from({ length: 20 }, (_, index) => `number ${index + 1}`));
});

test('a cancelled job ends, and cancelling it again is no error', async (t) => {
  const connector = await launch(t, await workFolder(t));
  await connector.connect();
  const job = await connector.submit('t', 'wait');
  await connector.reaches('JOB_STATE_RUNNING', job);
  await connector.call('CancelJob', job);
  await connector.reaches('JOB_STATE_CANCELLED', job);
  await connector.call('CancelJob', job);
});

test('what is not there is NOT_FOUND, and what cannot be used INVALID_CONFIG', async (t) => {
  const connector = await launch(t, await workFolder(t));
  await connector.connect();
  const job = { connection_id: 'c', platform_job_id: '../../etc' };
  await assert.rejects(connector.call('GetJobStatus', job), fails(status.NOT_FOUND, 'NOT_FOUND'));
  await assert.rejects(connector.submit('t', '../wait'), fails(status.INVALID_ARGUMENT, 'config.options.program'));
});

test('it ends when its gateway is gone', async (t) => {
  const connector = await launch(t, await workFolder(t));
  const ended = once(connector.process, 'exit');
  connector.process.stdin.end();
  assert.equal((await ended)[0], 0);
});
