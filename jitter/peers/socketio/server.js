// Socket.IO with connection state recovery, told what to do by the lines that `src/server.rs` obeys.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values } = parseArgs({
  options: {
    clients: { type: "string" },
    "ticks-per-second": { type: "string" },
    "direct-every": { type: "string" },
  },
});
const clients = Number(values.clients);
const every = Number(values["direct-every"]);
const ROOM = "room";

const http = createServer();
const io = new Server(http, {
  // The one path that nginx lets through.
  path: "/ws",
  addTrailingSlash: false,
  transports: ["websocket"],
  serveClient: false,
  // A silent client is given up after 15 s, as by the others.
  pingInterval: 5_000,
  pingTimeout: 10_000,
  // As long as the others' resume window.
  connectionStateRecovery: { maxDisconnectionDuration: 180_000, skipMiddlewares: true },
});

const sent = { ticks: 0, refused: [], sessions: 0, resumed: 0, ended: [] };
const heard = new Map();

io.on("connection", (socket) => {
  const { id } = socket.handshake.query;
  if (socket.recovered) {
    sent.resumed += 1;
  } else {
    sent.sessions += 1;
    socket.join([ROOM, `c${id}`]);
  }
  socket.on("u", (number, done) => {
    let numbers = heard.get(id);
    if (!numbers) heard.set(id, (numbers = { came: [], twice: 0, disorder: 0 }));
    if (numbers.came[number]) numbers.twice += 1;
    else if (number < numbers.came.length) numbers.disorder += 1;
    numbers.came[number] = true;
    done?.();
  });
});

let timer;
const frame = (tick, direct) => [tick, direct, Math.round((performance.timeOrigin + performance.now()) * 1_000)];
const tick = () => {
  const now = sent.ticks++;
  io.to(ROOM).emit("n", frame(now, 0));
  for (let client = 0; client < clients; client++) {
    if ((now + client) % every === 0) io.to(`c${client}`).emit("n", frame(now, 1));
  }
};

const ranges = (came) => {
  const all = [];
  for (let number = 0; number < came.length; number++) {
    if (!came[number]) continue;
    const last = all.at(-1);
    if (last?.[1] === number) last[1] += 1;
    else all.push([number, number + 1]);
  }
  return all;
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "start") timer = setInterval(tick, 1_000 / Number(values["ticks-per-second"]));
  if (line === "pause") {
    clearInterval(timer);
    say(sent);
  }
  if (line === "heard") {
    const told = ({ came, twice, disorder }) => ({ ranges: ranges(came), twice, disorder });
    say(Object.fromEntries([...heard].map(([id, numbers]) => [id, told(numbers)])));
  }
  if (line === "end") process.exit(0);
});

http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(`LISTENING ${http.address().port}`));
