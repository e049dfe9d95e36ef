// A client of the gateway in Node.
//   node client.mjs connect CONNECTOR NAME < credentials.json
//   node client.mjs submit CONNECTION REQUEST_ID < config.json      prints the job's id
//   node client.mjs follow JOB [AFTER_LINE]                         prints the log
//   node client.mjs download JOB FOLDER                             prints the files
// Kill the gateway meanwhile and start it again, if you like: each goes on where it was.
import { text } from 'node:stream/consumers';

import { download } from './download.mjs';
import { cut, persist, toStruct } from './gateway.mjs';

const SILENCE_MS = 60_000; // the gateway gives signs of life far more often

const commands = {
  async connect(connector_id, name) {
    const credentials = JSON.parse(await text(process.stdin)); // never in an argument list
    const gateway = (one) => one.ask('connections', 'Connect', { connector_id, name, credentials });
    console.log((await persist(gateway)).connection.id);
  },

  async submit(connection_id, request_id) {
    const config = JSON.parse(await text(process.stdin));
    config.options &&= toStruct(config.options);
    // The same request id gets the same job, so that a lost answer is asked for again.
    const submitted = (one) => one.ask('jobs', 'SubmitJob', { request_id, connection_id, config });
    console.log((await persist(submitted)).job.id);
  },

  async follow(job_id, line = '0') {
    let after_seq = line;
    const state = await persist(async (gateway, progress) => {
      const request = { job_id, after_seq, follow: true };
      for await (const message of gateway.stream('jobs', 'StreamLogs', request, SILENCE_MS)) {
        if (message.gap) console.error(`lines are missing here: ${message.gap.why}`);
        for (const { text: line } of message.lines) process.stdout.write(`${line}\n`);
        if (message.end) return message.end.final_state;
        after_seq = message.next_after_seq;
        progress();
      }
      throw cut('the log');
    });
    if (state !== 'JOB_STATE_SUCCEEDED') throw new Error(`the job ended as ${state}`);
  },

  async download(job_id, folder) {
    for await (const file of download(job_id, folder)) console.log(file);
  },
};

const [name, ...args] = process.argv.slice(2);
if (!commands[name] || args.length === 0) {
  console.error('usage: node client.mjs connect|submit|follow|download ...; see the head of this file');
  process.exit(2);
}
await commands[name](...args).catch((error) => {
  console.error(error.details || error.message);
  process.exitCode = 1;
});
