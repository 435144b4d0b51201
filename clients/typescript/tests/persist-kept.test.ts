// What is in the database, and when it is forgotten.

import { IDBDatabase } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LostError, OutboxFullError } from "../src/persist.js";
import { fakes } from "./fake.js";
import { forgotten, offerOf, Origin } from "./pages.js";

let origin: Origin;
beforeEach(() => void (origin = new Origin()));
afterEach(() => {
  origin.stop();
  vi.restoreAllMocks();
});

test("what was handled is forgotten", async () => {
  const page = await origin.played();
  const socket = await page.greeted();
  for (const event of ["a", "b", "c"]) page.client.post({ event });
  await page.client.saved();
  expect((await origin.kept()).messages).toHaveLength(3);
  socket.receive(["ack", 2]);
  await page.client.saved();
  expect((await origin.kept()).messages).toEqual(['{"event":"c"}']);
  socket.receive(["ack", 3]);
  await page.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("what is handled within its turn is never written", async () => {
  const page = await origin.played();
  const socket = await page.greeted();
  await page.client.saved();
  const begun = vi.spyOn(IDBDatabase.prototype, "transaction");
  page.client.post({ event: "a" });
  socket.receive(["ack", 1]);
  await page.client.saved();
  expect(begun).not.toHaveBeenCalled();
});

test("a message that was taken back is forgotten", async () => {
  const page = await origin.played();
  const abort = new AbortController();
  const sent = page.client.send({ event: "a" }, { signal: abort.signal });
  await page.client.saved();
  expect((await origin.kept()).messages).toHaveLength(1);
  abort.abort(new Error("enough"));
  await expect(sent).rejects.toThrow("enough");
  await page.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a message that was told as lost is the application's again", async () => {
  const page = await origin.played();
  (await page.greeted()).lose(4410, "frames lost");
  page.client.post({ event: "unsent" });
  const socket = await page.greeted(1);
  page.client.post({ event: "sent" });
  socket.lose();
  await page.greeted(2);
  const lost = page.told.filter(([name]) => name === "lost");
  expect(lost.map(([, frame]) => frame)).toEqual([{ event: "unsent" }, { event: "sent" }]);
  expect(lost[0]![2]).toBeInstanceOf(LostError);
  await page.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a client that ends keeps what was not handled for the next one", async () => {
  const page = await origin.played();
  const socket = await page.greeted();
  for (const event of ["a", "b"]) page.client.post({ event });
  await page.client.saved();
  socket.receive(["ack", 1]);
  page.client.post({ event: "c" });
  page.client.close();
  await page.client.saved();
  expect((await origin.kept()).messages).toEqual(['{"event":"b"}', '{"event":"c"}']);
  const next = await origin.played();
  const past = await next.greeted(0, { session: "resumed", received: 3, handled: 3 });
  expect(offerOf(past)).toBe("wspulse.1.resume.t.0");
  expect((await next.greeted(1)).taken()).toEqual([]);
  expect(page.told.at(-1)![0]).toBe("end");
});

test("a client that ends at once keeps what it was given before", async () => {
  const page = await origin.played();
  page.client.post({ event: "a" });
  page.client.close();
  expect(await page.client.saved()).toBe(true);
  const next = await origin.played();
  expect((await next.greeted()).taken()).toEqual([{ event: "a" }]);
});

test("a client that ends before it knows what is kept leaves it as it is", async () => {
  await origin.gone("a");
  const second = await origin.played();
  second.client.close();
  await second.client.saved();
  expect(second.client.pending).toBe(0);
  const third = await origin.played();
  const past = await third.greeted(0, { session: "resumed", received: 1, handled: 1 });
  expect(offerOf(past)).toBe("wspulse.1.resume.t.0");
  expect((await third.greeted(1)).taken()).toEqual([]);
});

test("a page that goes does not wait for what it wrote before", async () => {
  let goes = () => {};
  vi.stubGlobal("addEventListener", (_: string, handler: () => void) => (goes = handler));
  const before = await origin.played();
  await before.greeted();
  await before.client.saved();
  before.client.post({ event: "a" });
  await Promise.resolve();
  before.client.post({ event: "b" });
  goes();
  before.die();
  const after = await origin.played();
  const socket = await after.greeted();
  // The first may have failed, and nobody knew it yet: so there is no mark to ask by.
  expect([offerOf(socket), socket.taken()]).toEqual([undefined, [{ event: "a" }, { event: "b" }]]);
});

test("bytes are kept as well", async () => {
  const codec = {
    name: "bytes",
    encode: ({ event }: { event?: string }) => new TextEncoder().encode(event),
    decode: (data: string | Uint8Array) => ({ event: new TextDecoder().decode(data as Uint8Array) }),
  };
  const before = await origin.played({ codec });
  before.client.post({ event: "é" });
  await before.client.saved();
  before.die();
  const after = await origin.played({ codec });
  const socket = await after.attempt(0);
  socket.open("wspulse.1+bytes");
  socket.greet();
  expect(socket.sent).toEqual([new TextEncoder().encode("é")]);
});

test("what its codec cannot read is told and forgotten", async () => {
  const before = await origin.played({
    codec: { name: "odd", encode: () => "odd", decode: () => ({}) },
  });
  before.client.post({ event: "a" });
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect((await after.greeted()).taken()).toEqual([]);
  await after.client.saved();
  expect(after.told[0]).toEqual(["error", expect.objectContaining({ name: "ProtocolError" })]);
  expect(await origin.kept()).toEqual(forgotten);
});

test("it counts towards the bounds of the outbox", async () => {
  await origin.gone("a", "b");
  const after = await origin.played({ outbox: { messages: 3 } });
  await after.attempt(0);
  expect(after.client.pending).toBe(2);
  after.client.post({ event: "c" });
  expect(() => after.client.post({ event: "d" })).toThrow(OutboxFullError);
});

test("another name has another outbox", async () => {
  await origin.gone("a");
  const { WebSocket } = fakes();
  const bob = origin.page("ws://test", { name: "bob", WebSocket });
  await bob.client.saved();
  expect(bob.client.pending).toBe(0);
});
