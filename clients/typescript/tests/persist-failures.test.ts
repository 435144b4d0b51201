// A store that fails: it is told once, and all else is as without one.

import { IDBFactory, IDBObjectStore, IDBTransaction } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PersistError } from "../src/persist.js";
import { forgotten, Origin } from "./pages.js";

let origin: Origin;
beforeEach(() => void (origin = new Origin()));
afterEach(() => {
  origin.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const quota = () => {
  throw new DOMException("no room", "QuotaExceededError");
};

/** It has told one failure, and works. */
async function worksWithout(page: Awaited<ReturnType<Origin["played"]>>, cause: unknown) {
  const sent = page.client.send({ event: "a" });
  const socket = await page.greeted();
  page.client.post({ event: "b" });
  expect(socket.taken()).toEqual([{ event: "a" }, ["ask"], { event: "b" }]);
  socket.receive(["ack", 1]);
  expect(await sent).toBe("handled");
  expect(await page.client.saved()).toBe(false);
  const errors = page.told.filter(([name]) => name === "error").map(([, error]) => error);
  expect(errors).toEqual([expect.any(PersistError)]);
  expect((errors[0] as PersistError).cause).toEqual(cause);
}

test("without IndexedDB", async () => {
  vi.stubGlobal("indexedDB", undefined);
  await worksWithout(await origin.played(), expect.any(TypeError));
});

test("where IndexedDB must not be looked at", async () => {
  vi.stubGlobal("indexedDB", undefined);
  Object.defineProperty(globalThis, "indexedDB", {
    configurable: true,
    get: () => {
      throw new DOMException("sandboxed", "SecurityError");
    },
  });
  await worksWithout(await origin.played(), expect.objectContaining({ name: "SecurityError" }));
});

test("where a database cannot be opened", async () => {
  vi.spyOn(IDBFactory.prototype, "open").mockImplementation(() => {
    throw new DOMException("private", "InvalidStateError");
  });
  await worksWithout(await origin.played(), expect.objectContaining({ name: "InvalidStateError" }));
});

test("where locks are refused", async () => {
  const refused = new DOMException("no", "SecurityError");
  const page = await origin.played({}, { request: () => Promise.reject(refused) });
  await worksWithout(page, refused);
});

test("where a database does not open within 3 s", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.spyOn(IDBFactory.prototype, "open").mockImplementation(() => new EventTarget() as never);
  const page = await origin.played();
  page.client.post({ event: "a" });
  await vi.advanceTimersByTimeAsync(2_999);
  expect([page.sockets.length, page.told]).toEqual([0, []]);
  await vi.advanceTimersByTimeAsync(1);
  expect([page.sockets.length, page.told]).toEqual([1, [["error", expect.any(PersistError)]]]);
});

test("where there is no room, once", async () => {
  const page = await origin.played();
  await page.client.saved();
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(quota);
  await worksWithout(page, expect.objectContaining({ name: "QuotaExceededError" }));
});

test("what was kept before a failure is forgotten once it is handled", async () => {
  const page = await origin.played();
  const socket = await page.greeted();
  page.client.post({ event: "a" });
  page.client.post({ event: "b" });
  await page.client.saved();
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(quota);
  page.client.post({ event: "c" });
  expect(await page.client.saved()).toBe(false);
  put.mockRestore();
  socket.receive(["ack", 1]);
  page.client.post({ event: "d" });
  await page.client.saved();
  // Without a mark and what came later: by what is missing their numbers would be wrong.
  expect(await origin.kept()).toEqual({ messages: ['{"event":"b"}'], marks: [] });
});

test("what a page before has kept stays where it is if it cannot be taken over", async () => {
  await origin.gone("a", "b");
  const page = await origin.played();
  const past = await page.attempt(0);
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(quota);
  past.open();
  past.greet();
  expect(past.taken()).toEqual([{ event: "a" }, { event: "b" }]);
  expect(await page.client.saved()).toBe(false);
  put.mockRestore();
  past.receive(["ack", 1]);
  await page.client.saved();
  expect(await origin.kept()).toEqual({ messages: ['{"event":"b"}'], marks: [] });
  page.die();
  const third = await origin.played();
  expect((await third.greeted()).taken()).toEqual([{ event: "b" }]);
});

test("what is taken over in part is not taken over", async () => {
  await origin.gone("a", "b");
  const page = await origin.played();
  const socket = await page.attempt(0);
  const put = IDBObjectStore.prototype.put;
  let puts = 0;
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...given) {
    return ++puts === 2 ? quota() : put.apply(this, given);
  });
  socket.open();
  socket.greet();
  expect(await page.client.saved()).toBe(false);
  socket.receive(["ack", 2]);
  await page.client.saved();
  expect([puts, await origin.kept()]).toEqual([2, forgotten]);
});

test("once it has failed, a session that is asked leaves no mark, and what it had is forgotten when it is handled", async () => {
  await origin.gone("a");
  const page = await origin.played();
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(quota);
  const first = await page.greeted(0, { session: "resumed", token: "t2", received: 1, handled: 0 });
  expect(await page.client.saved()).toBe(false);
  put.mockRestore();
  first.lose();
  const second = await page.greeted(1, { session: "resumed", token: "t3", received: 1, handled: 0 });
  await page.client.saved();
  expect(await origin.kept()).toEqual({ messages: ['{"event":"a"}'], marks: [] });
  second.lose(4410, "frames lost");
  const third = await page.greeted(2);
  expect(third.taken()).toEqual([{ event: "a" }]);
  third.receive(["ack", 1]);
  await page.client.saved();
  expect(await origin.kept()).toEqual(forgotten);
});

test("a message that is handled while it is taken over is forgotten, in both places", async () => {
  await origin.gone("a");
  const page = await origin.played();
  const socket = await page.attempt(0);
  const commit = IDBTransaction.prototype.commit;
  vi.spyOn(IDBTransaction.prototype, "commit").mockImplementationOnce(function (this: IDBTransaction) {
    socket.receive(["ack", 1]);
    commit.call(this);
  });
  socket.open();
  socket.greet();
  await page.client.saved();
  expect([page.client.pending, await origin.kept()]).toEqual([0, forgotten]);
});

test("a transaction that is aborted is a failure, and what it should have removed is removed later", async () => {
  const page = await origin.played();
  const socket = await page.greeted();
  for (const event of ["a", "b"]) page.client.post({ event });
  await page.client.saved();
  vi.spyOn(IDBTransaction.prototype, "commit").mockImplementationOnce(function (this: IDBTransaction) {
    this.abort();
  });
  socket.receive(["ack", 1]);
  expect(await page.client.saved()).toBe(false);
  socket.receive(["ack", 2]);
  await page.client.saved();
  expect(page.told.filter(([name]) => name === "error")).toHaveLength(1);
  expect(await origin.kept()).toEqual({ messages: [], marks: [] });
});

test("a database that somebody deletes is a failure, and lets itself be deleted", async () => {
  const page = await origin.played();
  await page.client.saved();
  await new Promise((resolve, reject) => {
    const request = origin.databases.deleteDatabase("wspulse/ann");
    request.onsuccess = resolve;
    request.onblocked = reject;
  });
  await worksWithout(page, expect.objectContaining({ name: "InvalidStateError" }));
});

test("without a handler the error is logged", async () => {
  vi.stubGlobal("indexedDB", undefined);
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const page = await origin.played({}, { deaf: true });
  await page.client.saved();
  expect(logged.mock.calls).toEqual([[expect.any(PersistError)]]);
});

test("a handler of errors that was taken away hears nothing", async () => {
  const page = await origin.played();
  const heard = vi.fn();
  page.client.listen("error", heard)();
  await page.client.saved();
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(quota);
  page.client.post({ event: "a" });
  await page.client.saved();
  expect(page.told).toHaveLength(1);
  expect(heard).not.toHaveBeenCalled();
});
