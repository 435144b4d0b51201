import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';

const { mode, port, deflate } = parseArgs({
  options: {
    mode: { type: 'string' },
    port: { type: 'string' },
    deflate: { type: 'boolean', default: false },
  },
}).values;

const rooms = new Map();

// A message stays the Buffer that came in: it is sent as text without having
// been turned into a string and back.
const asText = { binary: false };

const onMessage = {
  echo(data) {
    this.send(data, asText);
  },
  room(data) {
    for (const member of this.room) member.send(data, asText);
  },
  count(data) {
    if (data[24] === 0x3f /* ? */) {
      this.send(String(this.count));
      this.count = 0;
    } else {
      this.count += 1;
    }
  },
}[mode];
if (!onMessage) throw new Error(`unknown mode: ${mode}`);

const server = createServer();
const wss = new WebSocketServer({
  server,
  path: '/ws',
  // Costs much CPU and memory for each connection (ws's README advises against it).
  perMessageDeflate: deflate,
});

wss.on('connection', (ws, request) => {
  const name = new URL(request.url, 'ws://localhost').searchParams.get('room');
  let room = rooms.get(name);
  if (!room) rooms.set(name, (room = new Set()));
  room.add(ws);

  ws.room = room;
  ws.count = 0;
  ws.isAlive = true;
  ws.on('message', onMessage);
  ws.on('pong', heartbeat);
  // Without a listener, a peer's protocol error would end the process; 'close' follows it.
  ws.on('error', () => {});
  ws.on('close', () => {
    room.delete(ws);
    if (room.size === 0) rooms.delete(name);
  });
});

function heartbeat() {
  this.isAlive = true;
}

// How ws's README detects broken connections.
setInterval(() => {
  for (const ws of wss.clients) {
    if (!ws.isAlive) {
      ws.terminate();
      continue;
    }
    ws.isAlive = false;
    ws.ping();
  }
}, 10_000);

// The default backlog of 511 is too short for many connections at once.
server.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 }, () => {
  console.log(`LISTENING ${server.address().port}`);
});
