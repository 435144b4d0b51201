// Pages that come and go, over real sockets and a link that breaks again and again.

import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { mortal, Origin } from "./pages.js";
import { brokenLink, Peer } from "./peer.js";
import { random, seeds } from "./random.js";

let origin: Origin;
const open: (() => unknown)[] = [];
beforeEach(() => void (origin = new Origin()));
afterEach(async () => {
  origin.stop();
  for (const stop of open.splice(0).reverse()) await stop();
});

const lives = Number(process.env["WSPULSE_SEEDS"] ?? 3);
const payloadOf = (text: string) => (JSON.parse(text) as { payload: unknown }).payload;

test.each(seeds(lives))("what is kept is handled, in order and not twice, while its session is there (WSPULSE_SEED=%i)", async (seed) => {
  const draw = random(seed);
  const peer = await Peer.start();
  open.push(() => peer.stop());
  peer.handlingMs = () => draw() * 4;
  const link = await brokenLink(peer.port, () => 300 + draw() * 3_000);
  open.push(() => link.stop());
  const page = () => {
    const { WebSocket: Mortal, die } = mortal(WebSocket);
    const to = `ws://127.0.0.1:${link.port}/`;
    const made = origin.page(to, {
      name: "ann", WebSocket: Mortal, sessions: "require", reconnect: { base: 5, max: 20 },
    });
    return { ...made, die: () => [die(), made.release()] };
  };

  let said = 0;
  for (let n = 0; n < 10; n++) {
    const { client, told, die } = page();
    const messages = Math.floor(draw() * 30);
    for (let m = 0; m < messages; m++) {
      client.post({ event: "up", payload: said++ });
      if (peer.sessions.length && draw() < 0.3) peer.send({ event: "down" });
      if (draw() < 0.3) await new Promise((resolve) => setTimeout(resolve, draw() * 10));
    }
    expect(await client.saved()).toBe(true);
    die();
    expect(told.filter(([name]) => name === "lost" || name === "error")).toEqual([]);
  }
  const last = page();
  await last.client.send({ event: "up", payload: said++ });
  expect(peer.handled.map(payloadOf)).toEqual(Array.from({ length: said }, (_, n) => n));
  expect(link.cuts()).toBeGreaterThan(0);
  await last.client.saved();
  expect(await origin.kept()).toEqual({ messages: [], marks: [] });
}, 30_000);
