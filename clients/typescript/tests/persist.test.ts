// What outlives a page: pages that come and go, with an IndexedDB and locks that are none of a
// browser's, and a server that the test plays.

import { IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LostError, OutboxFullError } from "../src/persist.js";
import { fakes } from "./fake.js";
import { forgotten, offerOf, Origin } from "./pages.js";

let origin: Origin;
beforeEach(() => void (origin = new Origin()));
afterEach(() => {
  origin.stop();
  vi.restoreAllMocks();
});

describe("after a reload", () => {
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
    const write = vi.spyOn(IDBObjectStore.prototype, "put");
    page.client.post({ event: "a" });
    socket.receive(["ack", 1]);
    await page.client.saved();
    expect(write).not.toHaveBeenCalled();
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
    const after = await origin.played({ connectTimeout: 50 });
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
});

describe("what is kept", () => {
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
});
