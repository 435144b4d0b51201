// Compressed messages between the client and the real server: what `ws` and Node's own WebSocket, which is
// undici's, agree on by themselves. `WSPULSE_TEST_SERVER` names the program that `tests/server` is.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect as dial, createServer, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket as Undici } from "undici";
import { WebSocket as Ws } from "ws";
import { connect } from "../src/index.js";
import type { WebSocketConstructor } from "../src/transport.js";

const program = process.env["WSPULSE_TEST_SERVER"];
const open: (() => unknown)[] = [];
afterEach(() => {
  for (const each of open.splice(0).reverse()) each();
});

/** A relay to the server, and the bytes of both directions. */
async function listenIn(port: number) {
  const wire = { port: 0, up: Buffer.alloc(0), down: Buffer.alloc(0) };
  const relay = createServer((near) => {
    const far = dial(port, "127.0.0.1");
    near.on("data", (data) => (wire.up = Buffer.concat([wire.up, data])));
    far.on("data", (data) => (wire.down = Buffer.concat([wire.down, data])));
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  wire.port = (relay.address() as AddressInfo).port;
  open.push(() => relay.close());
  return wire;
}

const extensions = (said: Buffer) => /^sec-websocket-extensions: *(.*)\r$/im.exec(said.toString("latin1"))?.[1];

describe.skipIf(!program)("with a server that compresses", () => {
  // Undici takes compressed messages and sends none.
  test.each([["ws", Ws, true], ["Node's own", Undici, false]])(
    "%s agrees on it by itself, and messages come whole both ways",
    async (_, WebSocket, sendsCompressed) => {
      const server = spawn(program!, { stdio: ["ignore", "pipe", "inherit"] });
      open.push(() => server.kill());
      const [line] = (await once(server.stdout, "data")) as [Buffer];
      const { compressing } = JSON.parse(line.toString()) as { compressing: string };
      const wire = await listenIn(Number(new URL(compressing).port));
      const client = connect(`ws://127.0.0.1:${wire.port}/?id=ann`, {
        WebSocket: WebSocket as WebSocketConstructor, sessions: "require",
      });
      open.push(() => client.close());

      const note = "né€😀 ".repeat(200);
      expect(await client.send({ event: "note", payload: note })).toBe("handled");
      expect(extensions(wire.up)).toContain("permessage-deflate");
      expect(extensions(wire.down)).toBe(
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
      );
      // The handshakes have less than 1,000 bytes, and a note 2,200.
      expect(wire.up.length < 2_000).toBe(sendsCompressed);
      const { payload } = await client.request({ event: "notes" });
      expect(payload).toEqual([note]);
      expect(wire.down.length).toBeLessThan(2_000);
    },
  );
});
