// What outlives a page: pages that come and go, with an IndexedDB and locks that are none of a
// browser's, and a server that the test plays.

import { afterEach, beforeEach, expect, test } from "vitest";
import { forgotten, offerOf, Origin } from "./pages.js";

let origin: Origin;
beforeEach(() => void (origin = new Origin()));
afterEach(() => origin.stop());

test("what was never sent is sent, in order and before what is new", async () => {
  const before = await origin.played();
  before.client.post({ event: "a", payload: [1, "é"] });
  before.client.send({ event: "b" }).catch(() => {});
  expect(await before.client.saved()).toBe(true);
  before.die();

  const after = await origin.played();
  after.client.post({ event: "c" });
  expect(after.client.pending).toBe(1);
  const socket = await after.greeted();
  after.client.post({ event: "d" });
  expect(socket.taken()).toEqual([
    { event: "a", payload: [1, "é"] }, { event: "b" }, { event: "c" }, { event: "d" },
  ]);
});

test("what was sent is sent again if its session is gone", async () => {
  await origin.gone("a", "b");
  const after = await origin.played();
  const socket = await after.greeted();
  expect(offerOf(socket)).toBe("wspulse.1.resume.t.0");
  expect(socket.taken()).toEqual([{ event: "a" }, { event: "b" }]);
  expect(after.told).toEqual([["session", { session: "new", replay: 0, id: "ann" }]]);
  socket.receive(["ack", 2]);
  await after.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("what has arrived in a session that is still there is not sent again", async () => {
  await origin.gone("a", "b", "c");
  const after = await origin.played();
  after.client.post({ event: "d" });
  const past = await after.greeted(0, { session: "resumed", received: 2, handled: 2 });
  expect([past.taken(), past.closed?.code]).toEqual([[], 1000]);
  const socket = await after.greeted(1);
  expect(offerOf(socket)).toBeUndefined();
  expect(socket.taken()).toEqual([{ event: "c" }, { event: "d" }]);
  expect(after.told).toEqual([["session", { session: "new", replay: 0, id: "ann" }]]);
  await after.client.saved();
  expect((await origin.kept()).messages).toEqual(['{"event":"c"}', '{"event":"d"}']);
});

test("a session that is asked is not left before it has handled what has arrived", async () => {
  await origin.gone("a", "b");
  const after = await origin.played();
  const past = await after.greeted(0, { session: "resumed", token: "t2", received: 2, handled: 0 });
  past.receive({ event: "missed" });
  past.receive(["ask"]);
  past.receive(["ack", 1]);
  expect([past.taken(), past.closed]).toEqual([[["ask"], ["ack", 0]], undefined]);
  past.receive(["ack", 2]);
  expect(past.closed?.code).toBe(1000);
  const socket = await after.greeted(1);
  expect([socket.taken(), after.client.pending]).toEqual([[], 0]);
  await after.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a session that does not handle what has arrived is left in the end, and the rest sent again", async () => {
  await origin.gone("a", "b", "c");
  const after = await origin.played({ connectTimeout: 500 });
  const past = await after.greeted(0, { session: "resumed", received: 2, handled: 0 });
  past.receive(["ack", 1]);
  expect((await after.greeted(1)).taken()).toEqual([{ event: "b" }, { event: "c" }]);
});

test("a question that is cut off is asked again, by the newer token", async () => {
  await origin.gone("a");
  const after = await origin.played();
  const past = await after.greeted(0, { session: "resumed", token: "t2", received: 1, handled: 0 });
  past.lose();
  expect(offerOf(await after.attempt(1))).toBe("wspulse.1.resume.t2.0");
  await after.client.saved();
  after.die();
  const third = await origin.played();
  expect(offerOf(await third.attempt(0))).toBe("wspulse.1.resume.t2.0");
});

test("where the server says that frames are lost, all is sent again", async () => {
  await origin.gone("a", "b");
  const after = await origin.played();
  const past = await after.attempt(0);
  past.open();
  past.lose(4410, "frames lost");
  const socket = await after.greeted(1);
  expect(offerOf(socket)).toBeUndefined();
  expect(socket.taken()).toEqual([{ event: "a" }, { event: "b" }]);
});

test("the count of what the page before has got is the one that the server accepts", async () => {
  const before = await origin.played();
  const socket = await before.greeted();
  before.client.post({ event: "a" });
  await before.client.saved();
  socket.receive({ event: "x" });
  socket.receive({ event: "y" });
  socket.receive(["ask"]);
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect(offerOf(await after.attempt(0))).toBe("wspulse.1.resume.t.2");
});

test("a count that a handshake has told is kept, as the server forgets what is below it", async () => {
  const before = await origin.played();
  const socket = await before.greeted();
  before.client.post({ event: "a" });
  await before.client.saved();
  socket.receive({ event: "x" });
  socket.lose();
  expect(offerOf(await before.attempt(1))).toBe("wspulse.1.resume.t.1");
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect(offerOf(await after.attempt(0))).toBe("wspulse.1.resume.t.1");
});

test("messages are numbered as the server counts them, requests among them", async () => {
  const before = await origin.played();
  const socket = await before.greeted();
  before.client.post({ event: "handled" });
  socket.receive(["ack", 1]);
  void before.client.request({ event: "asked" }).catch(() => {});
  before.client.post({ event: "a" });
  before.client.post({ event: "b" });
  await before.client.saved();
  before.die();

  const after = await origin.played();
  await after.greeted(0, { session: "resumed", received: 3, handled: 3 });
  expect((await after.greeted(1)).taken()).toEqual([{ event: "b" }]);
});

test("a request is not sent again, as nobody waits for its answer", async () => {
  const before = await origin.played();
  void before.client.request({ event: "asked" }).catch(() => {});
  before.client.post({ event: "a" });
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect((await after.greeted()).taken()).toEqual([{ event: "a" }]);
});

test("a session of which only a request is left is not asked", async () => {
  const before = await origin.played();
  await before.greeted();
  before.client.request({ event: "asked" }).catch(() => {});
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect(offerOf(await after.greeted())).toBeUndefined();
  await after.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a session that began after a message was posted is asked as well", async () => {
  const before = await origin.played();
  before.client.post({ event: "a" });
  await before.client.saved();
  await before.greeted();
  await before.client.saved();
  before.die();
  const after = await origin.played();
  expect(offerOf(await after.attempt(0))).toBe("wspulse.1.resume.t.0");
});

test("an answer that contradicts what is known counts for nothing", async () => {
  const before = await origin.played();
  const socket = await before.greeted();
  for (const event of ["a", "b"]) before.client.post({ event });
  socket.receive(["ack", 1]);
  await before.client.saved();
  before.die();
  const after = await origin.played();
  const odd = await after.greeted(0, { session: "resumed", received: 2, handled: 0 });
  expect([odd.taken(), odd.closed]).toEqual([[], { code: 4499, reason: undefined }]);
  expect((await after.greeted(1)).taken()).toEqual([{ event: "b" }]);
});

test("a page that never got a session leaves nothing out, and is asked for nothing", async () => {
  for (const event of ["a", "b", "c"]) {
    const page = await origin.played();
    page.client.post({ event });
    expect(offerOf(await page.attempt(0))).toBeUndefined();
    await page.client.saved();
    page.die();
  }
  const last = await origin.played();
  expect((await last.greeted()).taken()).toEqual([{ event: "a" }, { event: "b" }, { event: "c" }]);
});

test("a page that is reloaded before it could ask leaves the question to the next", async () => {
  await origin.gone("a", "b");
  const second = await origin.played();
  second.client.post({ event: "c" });
  await second.attempt(0);
  await second.client.saved();
  second.die();
  const third = await origin.played();
  const past = await third.greeted(0, { session: "resumed", received: 1, handled: 1 });
  expect(offerOf(past)).toBe("wspulse.1.resume.t.0");
  expect((await third.greeted(1)).taken()).toEqual([{ event: "b" }, { event: "c" }]);
});

test("what a page has taken over is numbered in its own session", async () => {
  await origin.gone("a", "b");
  const second = await origin.played();
  await second.greeted(0, { token: "second" });
  second.client.post({ event: "c" });
  await second.client.saved();
  second.die();
  const third = await origin.played();
  const past = await third.greeted(0, { session: "resumed", received: 2, handled: 2 });
  expect(offerOf(past)).toBe("wspulse.1.resume.second.0");
  expect((await third.greeted(1)).taken()).toEqual([{ event: "c" }]);
});

test("with a bound for attempts no past session is asked, since that costs one", async () => {
  await origin.gone("a");
  const after = await origin.played({ reconnect: { attempts: 0 } });
  const socket = await after.greeted();
  expect([offerOf(socket), socket.taken()]).toEqual([undefined, [{ event: "a" }]]);
});

test("a plain server gets all of it", async () => {
  await origin.gone("a");
  const after = await origin.played();
  const socket = await after.attempt(0);
  socket.open("");
  expect(socket.taken()).toEqual([{ event: "a" }]);
  await after.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a page that waits for all of it learns nothing of a message of the page before", async () => {
  await origin.gone("a");
  const after = await origin.played();
  const sent = after.client.send({ event: "b" });
  const socket = await after.greeted();
  expect(socket.taken()).toEqual([{ event: "a" }, { event: "b" }, ["ask"]]);
  socket.receive(["ack", 2]);
  expect(await sent).toBe("handled");
  expect(after.told.map(([name]) => name)).toEqual(["session"]);
});
