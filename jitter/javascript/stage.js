// What all clients in JavaScript have in common: told what to do by lines, they tell what happens by
// lines. In Node these are standard input and output, in a page it is a WebSocket of its own, over a
// link that is never cut. The first line says who the clients are.
//
//     o <client>                           its transport is ready
//     c <client>                           it has lost it
//     n <client>                           its session is another one than before
//     e <client>                           it has ended for good, and was not asked to
//     s <client>                           it has sent its next message
//     g <client> <tick> <direct> <micros>  it has got a frame

async function nodeWire() {
  const { createInterface } = await import("node:readline");
  const lines = createInterface({ input: process.stdin });
  lines.on("close", () => process.exit(0));
  return {
    write: (line) => process.stdout.write(`${line}\n`),
    read: (reader) => lines.on("line", reader),
    end: () => process.exit(0),
  };
}

function pageWire() {
  const socket = new WebSocket(`ws://${location.host}/control`);
  return {
    write: (line) => socket.send(line),
    read: (reader) => (socket.onmessage = ({ data }) => reader(data)),
    end: () => socket.close(),
  };
}

/// Runs clients. `start(seat, told)` returns `{ send(number), close() }`.
export async function stage(start) {
  const wire = globalThis.document ? pageWire() : await nodeWire();
  const tell = (what, client, ...more) => wire.write([what, client, ...more].join(" "));
  let clients = [];
  let talking = false;
  const obey = {
    talk: () => (talking = true),
    listen: () => (talking = false),
    leave: () => {
      for (const { close } of clients) close();
      wire.end();
    },
  };
  const begin = ({ pause_ms, seats }) => {
    clients = seats.map((seat) => {
      const told = {
        opened: () => tell("o", seat.client),
        closed: () => tell("c", seat.client),
        ended: () => tell("e", seat.client),
        anew: () => tell("n", seat.client),
        got: (payload) => tell("g", seat.client, ...payload),
      };
      return { seat, number: 0, ...start(seat, told) };
    });
    setInterval(() => {
      if (!talking) return;
      for (const client of clients) {
        tell("s", client.seat.client);
        client.send(client.number++);
      }
    }, pause_ms);
  };
  let begun = false;
  wire.read((line) => {
    if (begun) return obey[line]?.();
    begun = true;
    begin(JSON.parse(line));
  });
}
