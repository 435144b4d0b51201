// What every client says, one message after the other and then all at once, and expects to hear back as it
// was. For a browser's WebSocket and for those of Node that are like it.

// The same in each language. The sizes are around those at which a frame's header changes.
const SIZES = [0, 1, 125, 126, 127, 1_000, 65_535, 65_536, 300_000];
const PATTERN = '{"event":"position","payload":{"x":1,"y":2}},';

/** Text that gets much smaller, and bytes that do not, of each size; text of all lengths of characters; zeros. */
export function messages() {
  const texts = SIZES.map((size) => PATTERN.repeat(Math.ceil(size / PATTERN.length)).slice(0, size));
  return [...texts, ...SIZES.map(noise), "aé€😀".repeat(3_000), new Uint8Array(1_000_000)];
}

function noise(size) {
  let state = 1;
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 16) & 0xff;
  });
}

/**
 * Resolves to how many messages came back. `fragment` sends a message in several frames, where the
 * client can.
 */
export async function exchange(WebSocket, url, fragment) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const heard = [];
  let awaken = () => {};
  let end;
  socket.onmessage = ({ data }) => {
    heard.push(typeof data === "string" ? data : new Uint8Array(data));
    awaken();
  };
  socket.onclose = ({ code, reason }) => {
    end = `closed: ${code} ${reason}`;
    awaken();
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("it is not opened"));
  });
  let count = 0;
  const expectBack = async (message) => {
    while (heard.length === 0) {
      if (end !== undefined) throw new Error(end);
      await new Promise((resolve) => (awaken = resolve));
    }
    if (!isSame(heard.shift(), message)) throw new Error(`message ${count} came back as another`);
    count += 1;
  };

  const all = messages();
  for (const message of all) {
    socket.send(message);
    await expectBack(message);
  }
  for (const message of all) socket.send(message);
  for (const message of all) await expectBack(message);
  if (fragment) {
    for (const message of all) {
      fragment(socket, message);
      await expectBack(message);
    }
  }
  socket.close(1000);
  while (end === undefined) await new Promise((resolve) => (awaken = resolve));
  if (!end.startsWith("closed: 1000")) throw new Error(end);
  return count;
}

function isSame(heard, said) {
  if (typeof heard === "string" || typeof said === "string") return heard === said;
  return heard.length === said.length && heard.every((byte, at) => byte === said[at]);
}
