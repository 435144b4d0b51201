// The client and the real server. `WSPULSE_TEST_SERVER` names the program that `tests/server` is;
// without it there is nothing to test here.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { connect, LostError, RequestError, TooLongError, type Client, type Options } from "../src/index.js";
import { cbor, msgpack, protobuf } from "./codecs.js";
import { brokenLink } from "./peer.js";

const program = process.env["WSPULSE_TEST_SERVER"];
const open: (() => unknown)[] = [];
let addresses: { exactly: string; leaving: string; plain: string };
let stop = () => {};

describe.skipIf(!program)("with the real server", () => {
  beforeAll(async () => {
    const server = spawn(program!, { stdio: ["ignore", "pipe", "inherit"] });
    stop = () => void server.kill();
    const [line] = (await once(server.stdout, "data")) as [Buffer];
    addresses = JSON.parse(line.toString()) as typeof addresses;
  });
  afterAll(() => stop());
  afterEach(() => {
    for (const each of open.splice(0).reverse()) each();
  });

  let ids = 0;
  const address = (base: string) => `${base}/?id=client${++ids}`;

  const start = (to: string, options: Options = {}) => {
    const client: Client = connect(to, { WebSocket, reconnect: { base: 5, max: 20 }, ...options });
    open.push(() => client.close());
    return client;
  };

  const notes = async (client: Client) => (await client.request({ event: "notes" })).payload;

  test("a session: what is sent is handled, and what is asked for is answered", async () => {
    const client = start(address(addresses.exactly), { sessions: "require" });
    const told: unknown[] = [];
    client.listen("session", (each) => told.push(each));
    expect(await client.send({ event: "note", payload: { a: [1, "é"] } })).toBe("handled");
    client.post({ event: "note", payload: null });
    expect(await notes(client)).toEqual([{ a: [1, "é"] }, null]);
    expect(told).toEqual([{ session: "new", replay: 0, id: client.id }]);
    await expect(client.request({ event: "refuse" })).rejects.toThrow(RequestError);
    await expect(client.send({ event: "note", payload: "x".repeat(4096) })).rejects.toThrow(TooLongError);
    expect(client.state).toBe("live");
  });

  test.each([msgpack, cbor, protobuf])("a session in another codec: $name", async (codec) => {
    const client = start(address(addresses.exactly), { sessions: "require", codec });
    const note = { a: [1, -2.5, "é", null, true], b: { c: [] } };
    expect(await client.send({ event: "note", payload: note })).toBe("handled");
    expect(await notes(client)).toEqual([note]);
    await expect(client.request({ event: "refuse" })).rejects.toMatchObject({ payload: "no" });
  });

  test("handled means that the callback has returned", async () => {
    const client = start(address(addresses.exactly), { sessions: "require" });
    await client.send({ event: "note", payload: 1 });
    const began = Date.now();
    const slow = client.send({ event: "slow", payload: 150 });
    const next = client.send({ event: "note", payload: 2 });
    expect(await slow).toBe("handled");
    expect(Date.now() - began).toBeGreaterThanOrEqual(149);
    expect(await next).toBe("handled");
    expect(await notes(client)).toEqual([1, 2]);
  });

  test("a kick is the end, and another close code of the application's as well", async () => {
    for (const code of [1000, 4001]) {
      const client = start(address(addresses.exactly), { sessions: "require" });
      const end = new Promise((resolve) => client.listen("end", (...told) => resolve(told)));
      client.listen("lost", () => {});
      client.post({ event: "close", payload: code });
      expect(await end).toEqual([code, "as you wish"]);
    }
  });

  test("a client whose first link is cut comes to have a session all the same", async () => {
    const to = new URL(address(addresses.exactly));
    let links = 0;
    const link = await brokenLink(Number(to.port), () => (links++ ? Infinity : 1));
    open.push(() => link.stop());
    to.port = String(link.port);
    const client = start(to.href);
    const told: unknown[] = [];
    client.listen("session", ({ session }) => told.push(session));
    expect(await client.send({ event: "note", payload: 1 })).toBe("handled");
    expect([told, await notes(client), link.cuts()]).toEqual([["new"], [1], 1]);
  });

  test("a transport that is given up does not look like leaving: the session goes on", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    open.push(() => vi.unstubAllGlobals());
    let deaf = false;
    class Deafened extends WebSocket {
      override emit(event: string | symbol, ...told: unknown[]): boolean {
        return (deaf && event === "message") || super.emit(event, ...told);
      }
    }
    const client = start(address(addresses.leaving), {
      WebSocket: Deafened, sessions: "require", probeTimeout: 50,
    });
    const told: unknown[] = [];
    client.listen("session", ({ session }) => told.push(session));
    client.listen("disconnect", (_, reason) => {
      told.push(reason);
      deaf = false;
    });
    await client.send({ event: "note", payload: 1 });
    deaf = true;
    const sent = client.send({ event: "note", payload: 2 });
    page.dispatchEvent(new Event("offline"));
    expect(await sent).toBe("handled");
    expect(told).toEqual(["new", "no answer", "resumed"]);
    expect(await notes(client)).toEqual([1, 2]);
  });

  test("two clients with one id: the first one ends, and what it has sent is lost", async () => {
    const to = address(addresses.exactly);
    const first = start(to, { sessions: "require" });
    await first.send({ event: "note", payload: 1 });
    const slow = first.send({ event: "slow", payload: 200 });
    slow.catch(() => {});
    await vi.waitUntil(() => first.pending === 1);
    const second = start(to, { sessions: "require" });
    await second.send({ event: "note", payload: 2 });
    await expect(slow).rejects.toThrow(LostError);
    expect([first.state, second.state]).toEqual(["ended", "live"]);
  });

  test("a server that does not speak the protocol is found out to be a plain one", async () => {
    const client = start(address(addresses.plain));
    expect(await client.send({ event: "note", payload: 1 })).toBe("written");
    expect(client.state).toBe("plain");
    expect(await notes(client)).toEqual([1]);
    const got: unknown[] = [];
    client.on("down", (payload) => got.push(payload));
    client.post({ event: "down", payload: 3 });
    await vi.waitUntil(() => got.length === 3);
    const back = new Promise((resolve) => client.listen("session", ({ session }) => resolve(session)));
    client.post({ event: "close", payload: 1011 });
    expect(await back).toBe("plain");
    expect(await notes(client)).toEqual([1]);
  });

  test.each(Array.from({ length: Number(process.env["WSPULSE_SEEDS"] ?? 3) }, (_, n) => n))(
    "a link that breaks again and again: nothing is lost, nothing comes twice (%i)",
    async () => {
      const to = new URL(address(addresses.exactly));
      // Some links break in the middle of a handshake or a hello.
      const link = await brokenLink(Number(to.port), () => 300 + Math.random() * 4_000);
      open.push(() => link.stop());
      to.port = String(link.port);
      const client = start(to.href, { sessions: "require" });
      client.listen("lost", () => expect.unreachable());
      const sessions: string[] = [];
      client.listen("session", ({ session }) => sessions.push(session));
      const got: unknown[] = [];
      client.on("down", (payload) => got.push(payload));
      await vi.waitUntil(() => client.state === "live", { timeout: 5_000 });

      const all = Array.from({ length: 300 }, (_, n) => n);
      const outcomes: Promise<string>[] = [];
      for (const n of all) {
        if (n % 3) client.post({ event: "note", payload: n });
        else outcomes.push(client.send({ event: "note", payload: n }));
        if (n % 20 === 0) client.post({ event: "down", payload: 20 });
        if (n % 5 === 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      }
      expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["handled"]));
      await client.send({ event: "last" });
      await vi.waitUntil(() => got.length >= 300, { timeout: 10_000 });
      expect(got).toEqual(all.map((n) => n % 20));
      expect(link.cuts()).toBeGreaterThan(3);
      expect(sessions.filter((each) => each === "new")).toHaveLength(1);

      // Over a link that holds: the answer is longer than what a broken one lets through.
      client.close();
      to.port = new URL(addresses.exactly).port;
      expect(await notes(start(to.href, { sessions: "require" }))).toEqual(all);
    },
    30_000,
  );
});
