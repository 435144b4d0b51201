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

/** A peer, and pages that reach it over a link that breaks. */
async function world(draw: () => number) {
  const peer = await Peer.start();
  open.push(() => peer.stop());
  peer.handlingMs = () => draw() * 4;
  const link = await brokenLink(peer.port, () => 300 + draw() * 3_000);
  open.push(() => link.stop());
  const page = () => {
    const { WebSocket: Mortal, die } = mortal(WebSocket);
    const { client, told, release } = origin.page(`ws://127.0.0.1:${link.port}/`, {
      name: "ann", WebSocket: Mortal, sessions: "require", reconnect: { base: 5, max: 20 },
    });
    const bad = () => told.filter(([name]) => name === "lost" || name === "error");
    return { client, bad, die: () => [die(), release()] };
  };
  const handled = () => peer.handled.map((text) => (JSON.parse(text) as { payload: number }).payload);
  return { peer, link, page, handled };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test.each(seeds(lives))("what is kept is handled, in order and not twice, while its session is there (WSPULSE_SEED=%i)", async (seed) => {
  const draw = random(seed);
  const { peer, link, page, handled } = await world(draw);
  let said = 0;
  for (let n = 0; n < 10; n++) {
    const { client, bad, die } = page();
    const messages = Math.floor(draw() * 30);
    for (let m = 0; m < messages; m++) {
      client.post({ event: "up", payload: said++ });
      if (peer.sessions.length && draw() < 0.3) peer.send({ event: "down" });
      if (draw() < 0.3) await pause(draw() * 10);
    }
    expect(await client.saved()).toBe(true);
    expect(bad()).toEqual([]);
    die();
  }
  const last = page();
  await last.client.send({ event: "up", payload: said++ });
  expect(handled()).toEqual(Array.from({ length: said }, (_, n) => n));
  expect(link.cuts()).toBeGreaterThan(0);
  await last.client.saved();
  expect(await origin.kept()).toEqual({ messages: [], marks: [] });
}, 30_000);

test.each(seeds(lives))("a page that goes at any moment loses nothing that was kept before (WSPULSE_SEED=%i)", async (seed) => {
  const draw = random(seed);
  const { page, handled } = await world(draw);
  const kept = new Set<number>();
  let said = 0;
  for (let n = 0; n < 15; n++) {
    const { client, bad, die } = page();
    let gone = false;
    const messages = Math.floor(draw() * 30);
    for (let m = 0; m < messages; m++) {
      const number = said++;
      client.post({ event: "up", payload: number });
      void client.saved().then((so) => so && !gone && kept.add(number));
      if (draw() < 0.3) await pause(draw() * 10);
    }
    if (draw() < 0.5) await pause(draw() * 5);
    expect(bad()).toEqual([]);
    die();
    gone = true;
  }
  const last = page();
  await last.client.send({ event: "up", payload: said++ });
  const first = [...new Set(handled())];
  expect([...kept].filter((number) => !first.includes(number))).toEqual([]);
  expect(first).toEqual([...first].sort((a, b) => a - b));
  expect(kept.size).toBeGreaterThan(20);
}, 30_000);

test.each(seeds(lives))("without locks, a client that begins once the one before is closed sends all in order, and nothing twice (WSPULSE_SEED=%i)", async (seed) => {
  origin.stop();
  origin = new Origin(false);
  const draw = random(seed);
  const { peer, page, handled } = await world(draw);
  let said = 0;
  for (let n = 0; n < 10; n++) {
    const { client } = page();
    const messages = 1 + Math.floor(draw() * 30);
    for (let m = 0; m < messages; m++) {
      client.post({ event: "up", payload: said++ });
      if (peer.sessions.length && draw() < 0.3) peer.send({ event: "down" });
      if (draw() < 0.3) await pause(draw() * 10);
    }
    await client.close();
  }
  const last = page();
  await last.client.send({ event: "up", payload: said++ });
  expect(handled()).toEqual(Array.from({ length: said }, (_, n) => n));
}, 30_000);
