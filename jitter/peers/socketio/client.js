// Socket.IO's own client, with what its documentation recommends against losses: recovery from the
// server, and retries of what it sends.

import { io } from "socket.io-client";
import { stage } from "../../javascript/stage.js";

stage((seat, told) => {
  const address = new URL(seat.url);
  const socket = io(`http://${address.host}`, {
    query: { id: String(seat.client) },
    path: "/ws",
    addTrailingSlash: false,
    transports: ["websocket"],
    forceNew: true,
    reconnectionDelay: 200,
    reconnectionDelayMax: 1_000,
    retries: 1_000,
    ackTimeout: 5_000,
  });
  let had = false;
  socket.on("connect", () => {
    if (had && !socket.recovered) told.anew();
    had = true;
    told.opened();
  });
  socket.on("disconnect", () => told.closed());
  socket.on("n", (payload) => told.got(payload));
  return { send: (number) => socket.emit("u", number), close: () => socket.disconnect() };
});
