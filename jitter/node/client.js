// Clients of the package @wspulse/client, in Node.

import { createRequire } from "node:module";
import { connect } from "../../clients/typescript/dist/index.js";
import { stage } from "./stage.js";

const { WebSocket } = createRequire(new URL("../../clients/typescript/package.json", import.meta.url))("ws");

stage((seat, told) => {
  const client = connect(seat.url, { WebSocket, reconnect: { base: 200, max: 1_000 } });
  let [had, leaving] = [false, false];
  client.listen("session", ({ session }) => {
    if (session === "new" && had) told.anew();
    had = true;
    told.opened();
  });
  client.listen("disconnect", () => told.closed());
  client.listen("message", (frame) => told.got(frame.payload));
  client.listen("lost", (frame, error) => console.error(seat.url, "lost", frame, error.message));
  client.listen("end", (code, reason) => leaving || console.error(seat.url, "ended", code, reason));
  const close = () => {
    leaving = true;
    client.close();
  };
  return { send: (number) => client.post({ event: "u", payload: number }), close };
});
