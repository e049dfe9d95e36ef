// A job's files: resumed where they were cut, by whatever it was, and renamed only once their sum is right.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { cut, persist, reasonOf } from './gateway.mjs';

const SILENCE_MS = 60_000; // the platform may think for a while before the first byte
const BEGIN_AGAIN = ['ARTIFACT_CHANGED', 'BAD_OFFSET'];

/** Fetch all files of a job into a folder, and yield where each is. */
export async function* download(jobId, folder) {
  for (const artifact of await persist((gateway) => list(gateway, jobId))) {
    const target = path.resolve(folder, artifact.path);
    if (!target.startsWith(path.resolve(folder) + path.sep)) throw new Error(`${artifact.path} leads out of the folder`);
    await mkdir(path.dirname(target), { recursive: true });
    yield await fetchFile(jobId, artifact, target);
  }
}

async function list(gateway, jobId) {
  const artifacts = [];
  let page_token = '';
  do {
    const page = await gateway.ask('artifacts', 'ListArtifacts', { job_id: jobId, page_token });
    artifacts.push(...page.artifacts);
    page_token = page.next_page_token;
  } while (page_token);
  return artifacts;
}

async function fetchFile(jobId, artifact, target) {
  const part = `${target}.part`;
  const attempt = (etag) => persist((gateway, progress) => fetchRest(gateway, progress, jobId, { ...artifact, etag }, part));
  let isWhole = await attempt(artifact.etag);
  if (!isWhole) {
    // What an earlier run left was of other bytes; whatever the file is now is wanted, and proved at its end.
    await rm(part);
    isWhole = await attempt('');
  }
  if (!isWhole) {
    await rm(part);
    throw new Error(`${artifact.path} is not what the gateway says it is; nothing was kept`);
  }
  await rename(part, target);
  return target;
}

/** Append what is missing; tells whether the whole has the size and the SHA-256 that it should have. */
async function fetchRest(gateway, progress, jobId, artifact, part) {
  const file = await open(part, 'a');
  try {
    const hash = createHash('sha256');
    for await (const block of createReadStream(part)) hash.update(block);
    let { size: offset } = await file.stat();
    if (offset > 0) console.error(`${artifact.path} resumed at ${offset}`);
    const request = { job_id: jobId, artifact_id: artifact.id, offset, if_etag: artifact.etag };
    for await (const message of gateway.stream('artifacts', 'FetchArtifact', request, SILENCE_MS)) {
      if (message.artifact) {
        await file.sync();
        return Number(message.artifact.size) === offset && message.artifact.sha256 === hash.digest('hex');
      }
      if (Number(message.chunk.offset) !== offset) throw new Error(`${artifact.path} has a hole at ${offset}`);
      await file.appendFile(message.chunk.data);
      hash.update(message.chunk.data);
      offset += message.chunk.data.length;
      progress();
    }
    throw cut('the download');
  } catch (error) {
    if (!BEGIN_AGAIN.includes(reasonOf(error))) throw error;
    return false;
  } finally {
    await file.close();
  }
}
