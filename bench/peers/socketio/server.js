import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Server } from 'socket.io';

const { mode, port } = parseArgs({
  options: { mode: { type: 'string' }, port: { type: 'string' } },
}).values;

const server = createServer();
const io = new Server(server, {
  // Clients come with WebSocket at once, so long polling needs no handlers.
  transports: ['websocket'],
  serveClient: false,
  // Socket.IO's default, stated since it decides much of the CPU and memory used.
  perMessageDeflate: false,
  // The in-memory adapter keeps what was sent by age, not by number.
  connectionStateRecovery:
    mode === 'room'
      ? { maxDisconnectionDuration: 60_000, skipMiddlewares: true }
      : undefined,
});

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
