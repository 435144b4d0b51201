// The client over real sockets, with a link that breaks again and again.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { connect, type Client, type Options } from "../src/index.js";
import { brokenLink, Peer } from "./peer.js";
import { random, seeds } from "./random.js";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of open.splice(0).reverse()) await stop();
});

const client = (port: number, options: Options = {}) => {
  const client: Client = connect(`ws://127.0.0.1:${port}/`, {
    WebSocket, reconnect: { base: 5, max: 20 }, ...options,
  });
  open.push(() => client.close());
  return client;
};

test.each(seeds(Number(process.env["WSPULSE_SEEDS"] ?? 5)))("nothing is lost and nothing comes twice, both ways (WSPULSE_SEED=%i)", async (seed) => {
  const draw = random(seed);
  const peer = await Peer.start();
  open.push(() => peer.stop());
  peer.handlingMs = () => draw() * 4;
  // The handshake has some 500 bytes: some links break in the middle of it.
  const link = await brokenLink(peer.port, () => 300 + draw() * 3_000);
  open.push(() => link.stop());
  const ann = client(link.port, { sessions: "require" });
  const got: unknown[] = [];
  ann.on("down", (payload) => got.push(payload));
  ann.listen("lost", () => expect.unreachable());
  const sessions: string[] = [];
  ann.listen("session", ({ session }) => sessions.push(session));
  await vi.waitUntil(() => ann.state === "live", { timeout: 5_000, interval: 1 });

  const all = Array.from({ length: 300 }, (_, n) => n);
  const outcomes: Promise<string>[] = [];
  for (const n of all) {
    if (draw() < 0.3) outcomes.push(ann.send({ event: "up", payload: n }));
    else ann.post({ event: "up", payload: n });
    peer.send({ event: "down", payload: n });
    if (draw() < 0.2) await new Promise((resolve) => setTimeout(resolve, draw() * 5));
  }
  outcomes.push(ann.send({ event: "up", payload: "last" }));
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["handled"]));
  await vi.waitUntil(() => got.length >= all.length, { timeout: 10_000, interval: 5 });

  expect(peer.handled.map((text) => (JSON.parse(text) as { payload: unknown }).payload))
    .toEqual([...all, "last"]);
  expect(got).toEqual(all);
  // A first hello that is lost on its way leaves a session that nobody comes back to.
  expect(sessions.filter((each) => each === "new")).toHaveLength(1);
  expect(link.cuts()).toBeGreaterThan(5);
  expect(ann.pending).toBe(0);
}, 30_000);

test("a server that chooses none of what is offered is found to be a plain one, and gets each message once", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => false });
  open.push(() => server.close());
  const offers: boolean[] = [];
  const got: string[] = [];
  server.on("connection", (socket, { headers }) => {
    offers.push(headers["sec-websocket-protocol"] !== undefined);
    socket.on("error", () => {});
    socket.on("message", (data) => got.push(String(data)));
  });
  await once(server, "listening");
  const ann = client((server.address() as AddressInfo).port);
  ann.post({ event: "a" });
  expect(await ann.send({ event: "b" })).toBe("written");
  await vi.waitUntil(() => got.length >= 2, { timeout: 5_000, interval: 5 });
  expect([ann.state, offers]).toEqual(["plain", [true, false, true, false]]);
  expect(got).toEqual(['{"event":"a"}', '{"event":"b"}']);
});
