// Inflates messages as Node's zlib does, which is Chromium's, as far as they may go: a line each, in JSON. `null` is a
// refusal.
import { createInterface } from "node:readline";
import { constants, inflateRawSync } from "node:zlib";

const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

function inflateStream(bytes, limit) {
  const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: limit + 1, info: true };
  const { buffer, engine } = inflateRawSync(bytes, options);
  return { inflated: buffer, read: engine.bytesWritten };
}

// Whether these bytes are a whole stream: then it takes no more of them.
function isStream(bytes, limit) {
  try {
    return inflateStream(Buffer.concat([bytes, Buffer.of(0xff)]), limit).read === bytes.length;
  } catch {
    return false;
  }
}

// One stream after the other. Throws if there is more than the limit, or what is no deflate.
function inflateStreams(bytes, limit) {
  const parts = [];
  let [rest, left, endsAStream] = [bytes, limit, false];
  while (rest.length > 0) {
    const { inflated, read } = inflateStream(rest, left);
    if (inflated.length > left) throw new Error("too long");
    endsAStream = read === rest.length && isStream(rest, left);
    parts.push(inflated);
    left -= inflated.length;
    rest = rest.subarray(read);
  }
  return { inflated: Buffer.concat(parts), endsAStream };
}

function inflate(compressed, limit) {
  const message = Buffer.from(compressed);
  try {
    const alone = inflateStreams(message, limit);
    if (message.length === 0 || alone.endsAStream) return [...alone.inflated];
    const tail = message.subarray(-TAIL.length).equals(TAIL) ? Buffer.of() : TAIL;
    // Behind a message that is whole, that is a stream's end and nothing else.
    const whole = inflateStreams(Buffer.concat([message, tail, LAST_BLOCK]), limit);
    const isWhole = whole.endsAStream && whole.inflated.length === alone.inflated.length;
    return isWhole ? [...whole.inflated] : null;
  } catch {
    return null;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { compressed, limit } = JSON.parse(line);
  console.log(JSON.stringify(inflate(compressed, limit)));
}
