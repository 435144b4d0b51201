// What is kept of outboxes in IndexedDB. Each client has a box of its own there, under a lock that
// the browser takes away when the page is gone: a box whose lock is free belongs to nobody.

import { WspulseError } from "./errors.js";
import type { Data } from "./session.js";

/** Messages are not kept any more, and the `cause` says why. All else goes on. */
export class PersistError extends WspulseError {
  override name = "PersistError";
}

/** How far a session was: enough to ask the server which of its messages have arrived. */
export interface Mark {
  token: string;
  count: number;
  handled: number;
}

/** Where one message is kept. */
export interface Slot {
  box: string;
  place: number;
  /** Null for one that counts, and is not to be sent by another page. */
  data: Data | null;
  stored: boolean;
  /** Where it was before it was taken over, and is if that fails. */
  from?: { box: string; place: number } | undefined;
}

/** What a page that is gone has left behind, oldest message first. */
export interface Past {
  readonly box: string;
  mark: Mark | undefined;
  readonly slots: Slot[];
}

type Changes = Map<Slot, Data | null | undefined>;

// `[box, place]` → data, and box → mark.
const MESSAGES = "messages";
const MARKS = "marks";
/** So long may it take to find what is kept; nothing is sent before. */
const LOAD_MS = 3_000;
/** The page before, which is just going, may have its lock for so long. */
const GRACE_MS = 500;

let newest = 0;
/** The time, or a little more: two clients may begin in one millisecond. */
const later = () => (newest = Math.max(Date.now(), newest + 1));

export class Store {
  /** Newer ones sort behind older ones. */
  readonly box = `${later().toString(36)}.${Math.random().toString(36).slice(2, 12)}`;
  /** What other pages have left behind, oldest first. Nothing where nothing can be kept. */
  readonly pasts: Promise<Past[]>;
  /** How far the session is. */
  mark: () => Mark | undefined = () => undefined;
  readonly #name: string;
  readonly #failed: (error: PersistError) => void;
  /** Undefined in an insecure context. */
  readonly #locks = globalThis.navigator?.locks as LockManager | undefined;
  #database: IDBDatabase | undefined;
  #state: "loading" | "open" | "failed" | "closed" = "loading";
  /** Gives all boxes away. */
  #release: () => void = () => {};
  readonly #held = new Promise<void>((resolve) => (this.#release = resolve));
  /** In this box, and not removed. */
  readonly #own = new Set<Slot>();
  /** What is to be written: undefined for what is to be removed. */
  #changes: Changes = new Map();
  #marks = new Map<string, Mark | undefined>();
  /** There is a mark of this box. */
  #marked = false;
  #dirty = false;
  #writing: Promise<void> | undefined;
  /** Transactions that are on their way. */
  #flights = 0;

  /** `failed` is called once and at most, after this turn. */
  constructor(name: string, failed: (error: PersistError) => void) {
    this.#name = `wspulse/${name}`;
    this.#failed = failed;
    this.pasts = this.#start();
  }

  /** Keeps a message behind those before. */
  put(slot: Slot) {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#own.add(slot);
    this.#changes.set(slot, slot.data);
    this.#changed();
  }

  /** Forgets a message. */
  remove(slot: Slot) {
    this.#own.delete(slot);
    if (this.#changes.delete(slot)) stay(slot);
    if (slot.stored) this.#changes.set(slot, undefined);
    this.#changed();
  }

  /** Takes a message over from another box. */
  adopt(slot: Slot, place: number) {
    if (this.#state !== "open") return;
    const { box } = slot;
    Object.assign(slot, { box: this.box, place, stored: false, from: { box, place: slot.place } });
    this.put(slot);
  }

  /** Says how far the session of another box is; undefined once nothing is in it any more. */
  note(box: string, mark: Mark | undefined) {
    // After a failure, the messages of a box are not all there.
    this.#marks.set(box, this.#state === "open" ? mark : undefined);
    this.#changed();
  }

  /** The session went on: what is kept of it should follow. */
  moved() {
    this.#changed();
  }

  /** Writes what is to be written without waiting for what is on its way. */
  flush() {
    if (this.#state === "open" && this.#dirty) void this.#write();
  }

  /** Resolves to whether all that is in the outbox now is kept. */
  async saved(): Promise<boolean> {
    await this.pasts;
    while (this.#writing) await this.#writing;
    return this.#state !== "failed";
  }

  /** Writes the last, and gives the box away to whoever comes next. */
  async close() {
    if (await this.saved()) this.#state = "closed";
    this.#shut();
  }

  async #start(): Promise<Past[]> {
    const late = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${LOAD_MS} ms`)), LOAD_MS);
    });
    try {
      const pasts = await Promise.race([this.#load(late.signal), tooLate]);
      this.#state = "open";
      return pasts;
    } catch (cause) {
      late.abort();
      this.#fail(cause);
      this.#shut();
      return [];
    } finally {
      clearTimeout(timer);
      if (this.#dirty) this.#changed();
    }
  }

  async #load(late: AbortSignal): Promise<Past[]> {
    const database = await open(this.#name);
    if (late.aborted) {
      database.close();
      return [];
    }
    this.#database = database;
    // Whoever wants to delete it may; what is written then fails.
    database.onversionchange = () => database.close();
    await this.#claim(this.box, late);
    const grace = AbortSignal.timeout(GRACE_MS);
    const boxes = await boxesIn(database);
    const claimed = await Promise.all(boxes.map((box) => this.#claim(box, grace)));
    return Promise.all(boxes.filter((_, at) => claimed[at]).map((box) => read(database, box)));
  }

  /** Whether this page has the box from now on. Without locks it is taken for free. */
  #claim(box: string, signal: AbortSignal): Promise<boolean> {
    const locks = this.#locks;
    if (!locks) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const granted = () => {
        resolve(true);
        return this.#held;
      };
      locks.request(`${this.#name}/${box}`, { signal }, granted).catch((error: unknown) => {
        if (signal.aborted) resolve(false);
        else reject(error);
      });
    });
  }

  #changed() {
    this.#dirty = true;
    if (this.#state === "loading" || this.#state === "closed" || this.#writing) return;
    // After this turn, so that all of a turn is written at once, or not at all.
    this.#writing = Promise.resolve().then(async () => {
      while (this.#dirty && this.#state !== "closed") await this.#write();
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const [changes, marks] = [this.#changes, this.#marks];
    this.#changes = new Map();
    this.#marks = new Map();
    this.#dirty = false;
    // Where one message may be missing, those behind it would be taken for earlier ones.
    const database = this.#database;
    const whole = this.#state === "open" && this.#own.size > 0 && !this.#flights;
    const mark = whole ? this.mark() : undefined;
    const nothing = !changes.size && !marks.size && !mark && !this.#marked;
    if (nothing || !database) return;
    marks.set(this.box, mark);
    this.#marked = mark !== undefined;
    this.#flights += 1;
    try {
      await commit(database, changes, marks);
    } catch (cause) {
      // What is handled should be forgotten, if that can be done at all, and no mark be left.
      for (const [slot, data] of changes) {
        if (data === undefined) this.#changes.set(slot, undefined);
        else stay(slot);
      }
      for (const box of marks.keys()) this.#marks.set(box, undefined);
      this.#fail(cause);
    } finally {
      this.#flights -= 1;
    }
  }

  #fail(cause: unknown) {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#state = "failed";
    this.#failed(new PersistError("messages are not kept", { cause }));
  }

  #shut() {
    this.#database?.close();
    this.#release();
  }
}

/** It was not taken over after all. */
function stay(slot: Slot) {
  if (slot.from) Object.assign(slot, slot.from, { stored: true, from: undefined });
}

async function open(name: string): Promise<IDBDatabase> {
  // Some browsers have none in some modes, and some throw at the sight of it.
  const { indexedDB } = globalThis as { indexedDB?: IDBFactory };
  if (!indexedDB) throw new TypeError("no IndexedDB");
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(MESSAGES);
    request.result.createObjectStore(MARKS);
  };
  return resultOf(request);
}

const resultOf = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function boxesIn(database: IDBDatabase): Promise<string[]> {
  const transaction = database.transaction([MESSAGES, MARKS]);
  const [places, marked] = await Promise.all([
    resultOf(transaction.objectStore(MESSAGES).getAllKeys()),
    resultOf(transaction.objectStore(MARKS).getAllKeys()),
  ]);
  const boxes = (places as [string, number][]).map(([box]) => box);
  return [...new Set([...boxes, ...(marked as string[])])].sort();
}

async function read(database: IDBDatabase, box: string): Promise<Past> {
  const transaction = database.transaction([MESSAGES, MARKS]);
  const messages = transaction.objectStore(MESSAGES);
  // An array sorts behind all numbers.
  const range = IDBKeyRange.bound([box], [box, []]);
  const [mark, places, all] = await Promise.all([
    resultOf<Mark | undefined>(transaction.objectStore(MARKS).get(box)),
    resultOf(messages.getAllKeys(range)),
    resultOf<(Data | null)[]>(messages.getAll(range)),
  ]);
  const slots = (places as [string, number][]).map(([, place], at) => (
    { box, place, data: all[at]!, stored: true }
  ));
  return { box, mark, slots };
}

/** Makes all changes or none. */
function commit(
  database: IDBDatabase,
  changes: Changes,
  marks: Map<string, Mark | undefined>,
) {
  return new Promise<void>((resolve, reject) => {
    // Not even a process that crashes loses it then; a machine without power may.
    const transaction = database.transaction([MESSAGES, MARKS], "readwrite", { durability: "relaxed" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
    try {
      const messages = transaction.objectStore(MESSAGES);
      for (const [slot, data] of changes) {
        const key = [slot.box, slot.place];
        if (data === undefined) messages.delete(key);
        else messages.put(data, key);
        if (slot.from) messages.delete([slot.from.box, slot.from.place]);
        slot.stored = true;
      }
      const marked = transaction.objectStore(MARKS);
      for (const [box, mark] of marks) {
        if (mark) marked.put(mark, box);
        else marked.delete(box);
      }
      // A page that goes does not wait for the answers to these.
      transaction.commit?.();
    } catch (error) {
      // It would commit what was asked for up to here.
      transaction.abort();
      reject(error);
    }
  });
}
