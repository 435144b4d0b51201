// Which servers the client takes for plain ones, under a clock of the test's own.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ProtocolError } from "../src/index.js";
import { settle, start } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("where no server has greeted, every second attempt does without the protocol", async () => {
  const { newest, client } = await start({ protocols: ["token"] });
  const offers = async () => {
    const { protocols } = newest();
    newest().lose();
    await vi.advanceTimersToNextTimerAsync();
    return protocols;
  };
  expect(await offers()).toEqual(["wspulse.1+json", "wspulse.plain", "token"]);
  expect(await offers()).toEqual(["token"]);
  expect(await offers()).toEqual(["wspulse.1+json", "wspulse.plain", "token"]);
  newest().lose();
  await vi.advanceTimersToNextTimerAsync();
  newest().open();
  newest().greet();
  expect(client.state).toBe("live");
  await offers();
  expect(await offers()).toEqual(["wspulse.1+json", "wspulse.plain", "wspulse.1.resume.t.0", "token"]);
  expect(await offers()).toEqual(["wspulse.1+json", "wspulse.plain", "wspulse.1.resume.t.0", "token"]);
});

/** A client whose first attempt has failed, and whose second one, that offers nothing, gets through. */
const gotThrough = async (options = {}) => {
  const started = await start(options);
  const next = async () => {
    started.newest().lose();
    await vi.advanceTimersToNextTimerAsync();
  };
  await next();
  started.newest().open("");
  await settle();
  return { ...started, next };
};
const OFFERS = ["wspulse.1+json", "wspulse.plain"];

test("an attempt without offers that gets through is followed by one with offers before anything is sent", async () => {
  const { client, sockets, newest, told } = await gotThrough();
  client.post({ event: "a" });
  expect([sockets.length, sockets[1]!.protocols, sockets[1]!.closed?.code]).toEqual([3, [], 1000]);
  expect(newest().protocols).toEqual(OFFERS);
  newest().open();
  newest().greet();
  expect(newest().taken()[0]).toEqual({ event: "a" });
  expect([client.state, sockets[1]!.sent]).toEqual(["live", []]);
  expect(told.map(([name]) => name)).toEqual(["reconnect", "session"]);
});

test("where offers fail and an attempt without them gets through before and after, the server is plain", async () => {
  const { client, sockets, newest } = await gotThrough({ reconnect: { attempts: 1 } });
  const sent = client.send({ event: "a" });
  newest().lose();
  await settle();
  expect([sockets.length, newest().protocols, client.state]).toEqual([4, [], "connecting"]);
  newest().open("");
  expect([client.state, await sent]).toEqual(["plain", "written"]);
  expect(sockets.map((each) => each.sent.length)).toEqual([0, 0, 0, 1]);
});

test("a server that was found to be plain is not tested again", async () => {
  const { client, newest, sockets, next } = await gotThrough();
  newest().lose();
  await settle();
  newest().open("");
  await next();
  expect(newest().protocols).toEqual(OFFERS);
  await next();
  newest().open("");
  expect([client.state, sockets.length]).toEqual(["plain", 6]);
});

test("after an attempt without offers that failed, the server is tested again", async () => {
  const { client, newest, sockets, next } = await gotThrough();
  newest().lose();
  await settle();
  await next();
  expect(newest().protocols).toEqual(OFFERS);
  await next();
  newest().open("");
  await settle();
  expect([client.state, sockets.length, newest().protocols]).toEqual(["connecting", 7, OFFERS]);
});

test("a test that the server does not answer says nothing of it", async () => {
  const { client, newest, sockets, next } = await gotThrough({ connectTimeout: 1_000 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(client.state).toBe("waiting");
  await vi.advanceTimersToNextTimerAsync();
  expect(newest().protocols).toEqual(OFFERS);
  await next();
  newest().open("");
  await settle();
  expect([sockets.length, newest().protocols]).toEqual([6, OFFERS]);
});

test("a server that chooses another of the offers is a plain one at once", async () => {
  const { client, newest } = await start();
  newest().open("wspulse.plain");
  expect(client.state).toBe("plain");
});

test("where sessions are not wanted, no attempt offers them", async () => {
  const { newest, client, next } = await gotThrough({ sessions: "never" });
  expect([newest().protocols, client.state]).toEqual([[], "plain"]);
  await next();
  await next();
  expect(newest().protocols).toEqual([]);
  newest().open("");
  expect(client.state).toBe("plain");
});

test("sessions may be required, or not wanted", async () => {
  const required = await start({ sessions: "require" });
  required.newest().open("");
  expect(required.told[0]).toEqual(["error", expect.any(ProtocolError)]);
  expect(required.client.state).toBe("waiting");
  const never = await start({ sessions: "never" });
  expect(never.newest().protocols).toEqual([]);
  never.newest().open("");
  expect(never.client.state).toBe("plain");
});
