import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const { mode, port, broker } = parseArgs({
  options: {
    mode: { type: 'string' },
    port: { type: 'string' },
    // The Redis that joins it with others; none, and it is alone.
    broker: { type: 'string' },
  },
}).values;

async function joined(url) {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return createAdapter(publisher, subscriber);
}

const server = createServer();
const io = new Server(server, {
  // Clients come with WebSocket at once, so long polling needs no handlers.
  transports: ['websocket'],
  serveClient: false,
  // Socket.IO's default, stated since it decides much of the CPU and memory used.
  perMessageDeflate: false,
  adapter: broker ? await joined(broker) : undefined,
  // The in-memory adapter keeps what was sent by age, not by number. That for
  // Redis cannot.
  connectionStateRecovery:
    mode === 'room' && !broker
      ? { maxDisconnectionDuration: 60_000, skipMiddlewares: true }
      : undefined,
});

// As the contract of the modes says.
const MOVES = 100;
const VISITED = 'room0';
const EVERYBODY = 'everybody';

const onConnection = {
  echo(socket) {
    socket.on('m', (payload) => socket.emit('m', payload));
  },
  room(socket) {
    const { room } = socket.handshake.query;
    socket.join(room);
    socket.on('m', (payload) => io.to(room).emit('m', payload));
  },
  count(socket) {
    let count = 0;
    socket.on('m', (payload) => {
      if (payload.startsWith('?')) {
        socket.emit('m', String(count));
        count = 0;
      } else {
        count += 1;
      }
    });
  },
  moving(socket) {
    socket.join(socket.handshake.query.room);
    socket.on('m', (payload) => {
      for (let move = 0; move < MOVES; move += 1) {
        socket.join(VISITED);
        socket.leave(VISITED);
      }
      socket.emit('m', payload);
    });
  },
  audience(socket) {
    const { room } = socket.handshake.query;
    socket.join([room, EVERYBODY]);
    socket.on('m', (payload) => {
      // Leaves the sender out.
      socket.to(room).to(EVERYBODY).emit('m', payload);
    });
  },
}[mode];
if (!onConnection) throw new Error(`unknown mode: ${mode}`);

io.on('connection', (socket) => {
  onConnection(socket);
  // Frees memory, as the performance guide says; here, since the handshake's
  // query has been taken from the request by now.
  socket.conn.request = null;
});

// The default backlog of 511 is too short for many connections at once.
server.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 }, () => {
  console.log(`LISTENING ${server.address().port}`);
});
