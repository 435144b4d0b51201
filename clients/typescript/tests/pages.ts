// Pages that come and go one after the other, in one process: what outlives them is an IndexedDB.

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { expect, vi } from "vitest";
import { connect, type Options, type PersistentClient, type PersistOptions } from "../src/persist.js";
import type { Address, Socket, WebSocketConstructor } from "../src/transport.js";
import { fakes, type FakeSocket } from "./fake.js";

/** The old session that an attempt offers, if any. */
export const offerOf = ({ protocols }: FakeSocket) =>
  protocols.find((each) => each.startsWith("wspulse.1.resume."));

/** What is kept where nothing is. */
export const forgotten = { messages: [], marks: [] };

/** What of a page is to end with it. */
class Page {
  gone = false;
  readonly databases = new Set<IDBDatabase>();

  /** It can write no more, as if it were in a process that is gone. What is on its way is written. */
  die() {
    this.gone = true;
    for (const database of this.databases) database.close();
  }
}

interface Waiting {
  readonly page: Page;
  readonly granted: () => Promise<void>;
  readonly settled: (error?: unknown) => void;
}

/** The locks of one origin: each name has those who wait for it, and first who has it. */
class OriginLocks {
  readonly #all = new Map<string, Waiting[]>();

  request(page: Page, name: string, signal: AbortSignal, granted: Waiting["granted"]) {
    return new Promise<void>((resolve, reject) => {
      if (page.gone) return;
      const settled = (error?: unknown) => (error === undefined ? resolve() : reject(error));
      const waiting = { page, granted, settled };
      const all = this.#all.get(name) ?? [];
      this.#all.set(name, [...all, waiting]);
      signal.addEventListener("abort", () => {
        if (this.#all.get(name)![0] === waiting) return;
        this.#leave(name, waiting);
        reject(signal.reason);
      });
      if (!all.length) this.#grant(name);
    });
  }

  /** As the browser does when a page is gone. */
  release(page: Page) {
    for (const [name, all] of this.#all) {
      for (const waiting of all) if (waiting.page === page) this.#leave(name, waiting);
    }
  }

  #grant(name: string) {
    const [first] = this.#all.get(name)!;
    if (!first) return;
    void Promise.resolve().then(first.granted).then(() => {
      first.settled();
      this.#leave(name, first);
    });
  }

  #leave(name: string, waiting: Waiting) {
    const all = this.#all.get(name)!;
    if (!all.includes(waiting)) return;
    this.#all.set(name, all.filter((each) => each !== waiting));
    if (all[0] === waiting) this.#grant(name);
  }
}

/** A page that is not like others: how it gets locks, and whether it listens to its client. */
interface Oddities {
  request?: () => Promise<void>;
  deaf?: boolean;
}

/** What a browser keeps of one origin. It takes its place in what is global. */
export class Origin {
  readonly databases = new IDBFactory();
  readonly #locks = new OriginLocks();
  readonly #open: PersistentClient[] = [];
  /** The one that is just beginning. */
  #newest = new Page();

  constructor(readonly hasLocks = true) {
    vi.stubGlobal("indexedDB", { open: (...given: [string, number]) => this.#database(this.#newest, given) });
    vi.stubGlobal("IDBKeyRange", IDBKeyRange);
  }

  /** A page with a client, whose end nobody tells it of. */
  page(address: Address, options: PersistOptions, { request, deaf }: Oddities = {}) {
    const page = (this.#newest = new Page());
    const locks = {
      request: request ??
        ((name: string, { signal }: { signal: AbortSignal }, granted: () => Promise<void>) =>
          this.#locks.request(page, name, signal, granted)),
    };
    vi.stubGlobal("navigator", this.hasLocks ? { locks } : {});
    const client: PersistentClient = connect(address, { reconnect: { base: 1, max: 1 }, ...options });
    this.#open.push(client);
    const told: unknown[][] = [];
    for (const name of ["session", "disconnect", "lost", "end", "error"] as const) {
      if (!deaf) client.listen(name, (...args: unknown[]) => told.push([name, ...args]));
    }
    const release = () => {
      page.die();
      this.#locks.release(page);
    };
    return { client, told, release };
  }

  /** A page whose server a test plays. */
  async played(options: Options = {}, oddities: Oddities = {}) {
    const { sockets, WebSocket } = fakes();
    const page = this.page("ws://test", { name: "ann", WebSocket, ...options }, oddities);
    const attempt = async (at: number) => {
      await vi.waitUntil(() => sockets.length > at, { interval: 1, timeout: 5_000 });
      return sockets[at]!;
    };
    /** It gets a session at its next attempt, the first or another one. */
    const greeted = async (at = 0, hello: object = {}) => {
      const socket = await attempt(at);
      socket.open();
      socket.greet(hello);
      return socket;
    };
    return { ...page, sockets, WebSocket, attempt, greeted, die: page.release };
  }

  /** A page that has sent these, of which the server has said nothing, and that is gone. */
  async gone(...events: string[]) {
    const page = await this.played();
    const socket = await page.greeted();
    for (const event of events) page.client.post({ event });
    expect(await page.client.saved()).toBe(true);
    expect(socket.taken()).toEqual(events.map((event) => ({ event })));
    page.die();
  }

  /** What is kept, of all boxes. */
  async kept(name = "ann"): Promise<{ messages: unknown[]; marks: unknown[] }> {
    const database = await done(this.databases.open(`wspulse/${name}`));
    const transaction = database.transaction(["messages", "marks"]);
    const [messages, marks] = await Promise.all([
      done(transaction.objectStore("messages").getAll()),
      done(transaction.objectStore("marks").getAll()),
    ]);
    database.close();
    return { messages, marks };
  }

  #database(page: Page, given: [string, number]) {
    const request = this.databases.open(...given);
    request.addEventListener("success", () => {
      page.databases.add(request.result);
      if (page.gone) request.result.close();
    });
    return request;
  }

  stop() {
    for (const client of this.#open) client.close();
    vi.unstubAllGlobals();
  }
}

const done = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Sockets of a page that may be gone from one moment to the next, without a word to its client. */
export function mortal(WebSocket: WebSocketConstructor) {
  const sockets = new Set<Socket & { terminate(): void }>();
  let dead = false;
  const Mortal = class {
    constructor(url: string | URL, protocols?: string[]) {
      if (dead) throw new Error("the page is gone");
      const socket = new WebSocket(url, protocols) as Socket & { terminate(): void };
      sockets.add(socket);
      return socket;
    }
  } as unknown as WebSocketConstructor;
  const die = () => {
    dead = true;
    for (const socket of sockets) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      socket.terminate();
    }
  };
  return { WebSocket: Mortal, die };
}
