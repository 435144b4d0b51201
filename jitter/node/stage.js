// What every client in Node has in common: told what to do by lines on standard input, it tells what
// happens by lines on standard output. The first line says who the clients are.
//
//     o <client>                           its transport is ready
//     c <client>                           it has lost it
//     n <client>                           its session is another one than before
//     s <client>                           it has sent its next message
//     g <client> <tick> <direct> <micros>  it has got a frame

import { createInterface } from "node:readline";

const tell = (what, client, ...more) => process.stdout.write(`${[what, client, ...more].join(" ")}\n`);

/// Runs clients. `start(seat, told)` returns `{ send(number), close() }`; a `send` that returns false
/// was not possible.
export function stage(start) {
  let clients = [];
  let talking = false;
  const obey = {
    talk: () => (talking = true),
    listen: () => (talking = false),
    leave: () => {
      for (const { close } of clients) close();
      process.exit(0);
    },
  };
  const begin = ({ pause_ms, seats }) => {
    clients = seats.map((seat) => {
      const told = {
        opened: () => tell("o", seat.client),
        closed: () => tell("c", seat.client),
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
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    if (begun) return obey[line]?.();
    begun = true;
    begin(JSON.parse(line));
  });
  lines.on("close", () => process.exit(0));
}
