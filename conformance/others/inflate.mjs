// Inflates messages as Node's zlib does, which is Chromium's, as far as they may go: a line each, in JSON. `null` is a
// refusal.
import { createInterface } from "node:readline";
import { constants, inflateRawSync } from "node:zlib";

const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

function inflate(compressed, limit) {
  const parts = [];
  let rest = Buffer.concat([Buffer.from(compressed), TAIL]);
  let left = limit;
  while (rest.length > 0) {
    const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: left + 1, info: true };
    let part;
    try {
      part = inflateRawSync(rest, options);
    } catch {
      return null;
    }
    parts.push(part.buffer);
    left -= part.buffer.length;
    if (left < 0) return null;
    // Another stream may follow. Nothing is left where none has ended.
    rest = rest.subarray(part.engine.bytesWritten);
  }
  return [...Buffer.concat(parts)];
}

for await (const line of createInterface({ input: process.stdin })) {
  const { compressed, limit } = JSON.parse(line);
  console.log(JSON.stringify(inflate(compressed, limit)));
}
