// Pages that come and go, with the real server. `WSPULSE_TEST_SERVER` names the program that
// `tests/server` is; without it there is nothing to test here.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { connect, type PersistentClient } from "../src/persist.js";
import { Origin, mortal } from "./pages.js";
import { brokenLink } from "./peer.js";
import { random, seeds } from "./random.js";

const program = process.env["WSPULSE_TEST_SERVER"];
const lives = Number(process.env["WSPULSE_SEEDS"] ?? 3);

describe.skipIf(!program)("with the real server", () => {
  let addresses: { exactly: string; plain: string };
  let stop = () => {};
  let origin: Origin;
  let ids = 0;

  beforeAll(async () => {
    const server = spawn(program!, { stdio: ["ignore", "pipe", "inherit"] });
    stop = () => void server.kill();
    const [line] = (await once(server.stdout, "data")) as [Buffer];
    addresses = JSON.parse(line.toString()) as typeof addresses;
  });
  afterAll(() => stop());
  beforeEach(() => void (origin = new Origin()));
  afterEach(() => origin.stop());

  const page = (address: string) => {
    const { WebSocket: Mortal, die } = mortal(WebSocket);
    const options = { name: "ann", WebSocket: Mortal, sessions: "require" } as const;
    const { client, told, release } = origin.page(address, { ...options, reconnect: { base: 5, max: 20 } });
    return {
      client, told,
      die() {
        die();
        release();
      },
    };
  };

  const notes = async (client: PersistentClient) =>
    (await client.request({ event: "notes" })).payload as unknown[];

  test("what was handled, and nobody knew it, is not handled again", async () => {
    const to = `${addresses.exactly}/?id=page${++ids}`;
    const before = page(to);
    await before.client.send({ event: "note", payload: "first" });
    const slow = before.client.send({ event: "slow", payload: 100 });
    slow.catch(() => {});
    before.client.post({ event: "note", payload: "second" });
    await before.client.saved();
    before.die();
    const after = page(to);
    await after.client.send({ event: "note", payload: "third" });
    expect(await notes(after.client)).toEqual(["first", "second", "third"]);
    expect(after.told.map(([name]) => name)).toEqual(["session"]);
    // All before it is handled as well, and so forgotten.
    await after.client.send({ event: "last" });
    await after.client.saved();
    expect(await origin.kept()).toEqual({ messages: [], marks: [] });
  });

  test("what had arrived when a client was closed is not handled again", async () => {
    const to = `${addresses.exactly}/?id=page${++ids}`;
    const before = page(to);
    before.client.post({ event: "note", payload: 1 });
    await vi.waitUntil(() => before.client.state === "live");
    before.client.close();
    expect(await before.client.saved()).toBe(true);
    const after = page(to);
    await after.client.send({ event: "note", payload: 2 });
    expect(await notes(after.client)).toEqual([1, 2]);
  });

  test("in a session of another id all is handled, the last of it twice", async () => {
    const before = page(`${addresses.exactly}/?id=page${++ids}`);
    before.client.post({ event: "note", payload: 1 });
    await vi.waitUntil(() => before.client.state === "live");
    await before.client.saved();
    before.die();
    const after = page(`${addresses.exactly}/?id=page${++ids}`);
    await after.client.send({ event: "note", payload: 2 });
    expect(await notes(after.client)).toEqual([1, 2]);
  });

  test.each(seeds(lives))("pages that come and go, over a link that breaks: nothing is lost, nothing comes twice (WSPULSE_SEED=%i)", async (seed) => {
    const draw = random(seed);
    const to = new URL(`${addresses.exactly}/?id=page${++ids}`);
    const server = Number(to.port);
    const link = await brokenLink(server, () => 300 + draw() * 3_000);
    to.port = String(link.port);
    try {
      let said = 0;
      for (let n = 0; n < 12; n++) {
        const { client, told, die } = page(to.href);
        const messages = 1 + Math.floor(draw() * 30);
        for (let m = 0; m < messages; m++) {
          client.post({ event: "note", payload: said++ });
          if (draw() < 0.2) client.post({ event: "down", payload: 10 });
          if (draw() < 0.3) await new Promise((resolve) => setTimeout(resolve, draw() * 10));
        }
        expect(await client.saved()).toBe(true);
        die();
        expect(told.filter(([name]) => name === "lost" || name === "error")).toEqual([]);
      }
      // Over a link that holds: the answer is longer than what a broken one lets through.
      to.port = String(server);
      const last = page(to.href);
      await last.client.send({ event: "last" });
      expect(await notes(last.client)).toEqual(Array.from({ length: said }, (_, n) => n));
      expect(link.cuts()).toBeGreaterThan(0);
    } finally {
      link.stop();
    }
  }, 30_000);

  test("it is the entry's own client, with all that the other has", async () => {
    const client = connect(`${addresses.plain}/?id=page${++ids}`, { name: "bob", WebSocket, sessions: "never" });
    expect(await client.send({ event: "note", payload: 1 })).toBe("written");
    expect([client.state, client.pending, await client.saved()]).toEqual(["plain", 0, true]);
    client.close();
    expect(client.state).toBe("ended");
  });
});
