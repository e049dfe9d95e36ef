// A log file as batches of lines. The cursor is the offset in the file behind the last line of a batch.
import { readAt } from './workbench.mjs';

const BLOCK_BYTES = 64 * 1024;
const LINE_BYTES = 64 * 1024; // the contract's limit
const LOOK_MS = 100; // how soon a new line is seen

/**
 * Yield `{lines, cursor}` until the log has ended. Batches without lines come while there is nothing new.
 * @param hasEnded asks whether nothing more will be written
 */
export async function* batches(file, cursor, hasEnded) {
  let head = Buffer.alloc(0); // of a line whose end has not come; no longer than a line may be
  let size = 0; // of that line, all of it
  let offset = cursor;
  for (;;) {
    const ended = await hasEnded(); // before the read, which then sees all that was written
    const block = await readAt(file, offset, BLOCK_BYTES);
    if (block.length === 0) {
      if (ended && size > 0) yield { lines: [line(head, size)], cursor: offset };
      if (ended) return;
      yield { lines: [], cursor: undefined };
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      continue;
    }
    const lines = [];
    let start = 0;
    for (let end = block.indexOf(10); end >= 0; end = block.indexOf(10, start)) {
      lines.push(line(Buffer.concat([head, block.subarray(start, end)]), size + end - start));
      [head, size, start] = [Buffer.alloc(0), 0, end + 1];
    }
    if (lines.length > 0) yield { lines, cursor: offset + start };
    const rest = block.subarray(start);
    head = Buffer.concat([head, rest.subarray(0, LINE_BYTES - head.length)]);
    size += rest.length;
    offset += block.length;
  }
}

function line(bytes, size) {
  const text = bytes.subarray(0, LINE_BYTES).toString(); // what is not UTF-8 becomes U+FFFD, and may grow by it
  const fits = Buffer.byteLength(text) <= LINE_BYTES;
  return {
    text: fits ? text : Buffer.from(text).subarray(0, LINE_BYTES - 3).toString(),
    truncated: !fits || size > LINE_BYTES,
    attempt: 1,
    stream: 'LOG_STREAM_STDOUT',
    time: timestamp(Date.now()),
  };
}

function timestamp(milliseconds) {
  return { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1_000_000 };
}
