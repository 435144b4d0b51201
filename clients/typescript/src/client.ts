// The client: the protocol's state machine with a socket, timers and the application around it.

import { backoff, leastDelay } from "./backoff.js";
import { isControl } from "./control.js";
import {
  ClosedError, LostError, OutboxFullError, ProtocolError, RequestError, TimeoutError, TooLongError,
} from "./errors.js";
import { bytesOf, decodeFrame, json, type Codec, type Frame } from "./frame.js";
import { watchLifecycle } from "./lifecycle.js";
import { Listeners } from "./listeners.js";
import { Messages } from "./messages.js";
import type {
  ClientEvents, EventMap, Options, RequestOptions, Sendable, SendOptions,
} from "./options.js";
import { Session, type Effect, type Entry, type Outcome } from "./session.js";
import { Transport, type Address, type WebSocketConstructor } from "./transport.js";
import { TIMER_MS_MAX, Watch } from "./watch.js";

interface Sent extends Entry {
  readonly frame: Frame;
  readonly settled: ((outcome: Outcome) => void) | undefined;
}

interface Asked {
  readonly reply: string;
  readonly error: string;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: unknown) => void;
}

// From the protocol: so long after a message that nobody asked about.
const ASK_DELAY_MS = 1_000;
// A plain connection that held for so long was no failure.
const PLAIN_HELD_MS = 5_000;
/** How many messages wait for a loop by default. */
const MESSAGES_MAX = 1_024;

/** Opens a connection that comes back by itself. The first attempt begins after this turn. */
export function connect<In = EventMap, Out = In>(
  address: Address,
  options: Options = {},
): Client<In, Out> {
  return new Client(address, options);
}

export class Client<In = EventMap, Out = In> implements AsyncIterable<Frame> {
  readonly #address: Address;
  readonly #options: Options;
  readonly #codec: Codec;
  readonly #WebSocket: WebSocketConstructor;
  readonly #session: Session<Sent>;
  readonly #watch: Watch;
  readonly #own = new Listeners<keyof ClientEvents, (...told: never[]) => void>();
  readonly #events = new Listeners<string, (payload: never, frame: Frame) => void>();
  readonly #loops = new Set<Messages>();
  readonly #requests = new Map<string, Asked>();
  /** Lets go of what would keep the client. */
  readonly #over: () => void;
  #transport: Transport | undefined;
  #running = false;
  /** Attempts since the last that came to something. */
  #attempts = 0;
  /** Before this time the server does not want this client back. */
  #notBefore = 0;
  #openedAt = 0;
  /** A server has greeted this client once: it is no plain one. */
  #greeted = false;
  /** The last attempt offered the protocol; and it failed, maybe for that. */
  #offered = false;
  #refused = false;
  #id: string | undefined;
  #requested = 0;
  readonly #requestPrefix = Math.random().toString(36).slice(2, 10);
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #connectTimer: ReturnType<typeof setTimeout> | undefined;
  #askTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(address: Address, options: Options = {}) {
    const found = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    if (!found) throw new TypeError("no WebSocket here: give one as an option");
    this.#WebSocket = found;
    this.#address = address;
    this.#options = options;
    this.#codec = options.codec ?? json;
    this.#session = new Session(this.#codec.name);
    this.#watch = new Watch(
      {
        ask: () => this.#do(() => this.#session.ask()),
        buffered: () => this.#transport?.buffered ?? 0,
        silent: () => this.#do(() => this.#session.drop(1001, "no answer")),
      },
      options.probeTimeout ?? 5_000,
    );
    const { signal } = options;
    const abort = () => this.close();
    signal?.addEventListener("abort", abort);
    const unwatch = watchLifecycle(() => this.#wake(), () => this.#probe());
    this.#over = () => {
      signal?.removeEventListener("abort", abort);
      unwatch();
    };
    if (signal?.aborted) abort();
    queueMicrotask(() => this.#do(() => this.#session.connect()));
  }

  /** `idle`, `connecting`, `greeting`, `live`, `plain`, `waiting` or `ended`. */
  get state() {
    return this.#session.state;
  }

  /** The connection's id at the server, from the newest session. */
  get id() {
    return this.#id;
  }

  /** How many messages are not known to be handled. */
  get pending() {
    return this.#session.pending;
  }

  /** Calls `handler` for each message with this event; returns what ends that. */
  on<K extends keyof In & string>(
    event: K,
    handler: (payload: In[K], frame: Frame<In[K]>) => void,
  ): () => void {
    return this.#events.add(event, handler as (payload: never, frame: Frame) => void);
  }

  /** Calls `handler` for what happens to the client itself; returns what ends that. */
  listen<K extends keyof ClientEvents>(name: K, handler: ClientEvents[K]): () => void {
    return this.#own.add(name, handler);
  }

  /** All messages from now on, up to the client's end. So many may wait for the loop. */
  messages(limit = MESSAGES_MAX): AsyncIterableIterator<Frame, undefined> {
    const loop = new Messages(limit, (over) => this.#loops.delete(over));
    if (this.state === "ended") loop.end();
    else this.#loops.add(loop);
    return loop;
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }

  /** Sends without waiting. Throws if the message is not taken. */
  post(frame: Sendable<Out>): void {
    this.#accept(frame, false, undefined);
  }

  /**
   * Sends, and resolves once the server has handled the message and all before it: to `"handled"`,
   * or on a plain connection to `"written"`, as nothing more is known there.
   */
  send(frame: Sendable<Out>, { signal }: SendOptions = {}): Promise<"handled" | "written"> {
    return this.#wait(signal, undefined, (resolve, reject) =>
      this.#accept(frame, true, (outcome) => {
        if (outcome === "handled" || outcome === "written") resolve(outcome);
        else reject(errorOf(outcome));
      }),
    );
  }

  /** Sends with an id of its own, and resolves to the message that answers it. */
  async request(frame: Sendable<Out>, options: RequestOptions = {}): Promise<Frame> {
    const { signal, timeout = 10_000, reply = "reply", error = "error" } = options;
    if (this.#requests.size >= this.#messagesMax) throw new OutboxFullError("too many requests");
    const id = `${this.#requestPrefix}.${++this.#requested}`;
    try {
      return await this.#wait<Frame>(signal, timeout, (resolve, reject) => {
        this.#requests.set(id, { reply, error, resolve, reject });
        return this.#accept({ ...frame, id }, false, (outcome) => {
          if (outcome !== "handled" && outcome !== "written") reject(errorOf(outcome));
        });
      });
    } finally {
      this.#requests.delete(id);
    }
  }

  /** Waits for a message's outcome, or its answer, until the time or the patience is over. */
  async #wait<T>(
    signal: AbortSignal | undefined,
    timeout: number | undefined,
    begin: (resolve: (result: T) => void, reject: (reason: unknown) => void) => Sent,
  ): Promise<T> {
    signal?.throwIfAborted();
    let stop: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const entry = begin(resolve, reject);
        const giveUp = (reason: unknown) => {
          this.#session.retract(entry);
          reject(reason);
        };
        const abort = () => giveUp(signal!.reason);
        const timer = timeout !== undefined && setTimeout(
          () => giveUp(new TimeoutError(`${timeout} ms`)),
          Math.min(timeout, TIMER_MS_MAX),
        );
        signal?.addEventListener("abort", abort);
        stop = () => {
          signal?.removeEventListener("abort", abort);
          if (timer) clearTimeout(timer);
        };
      });
    } finally {
      stop?.();
    }
  }

  /** Ends the client: what is not handled yet is lost, and what is not sent yet is not sent. */
  close(code = 1000, reason = ""): void {
    this.#do(() => this.#session.end(code, reason));
  }

  get #messagesMax() {
    return this.#options.outbox?.messages ?? 1_024;
  }

  #accept(frame: Frame, awaited: boolean, settled: Sent["settled"]): Sent {
    if (this.state === "ended") throw new ClosedError("the client has ended");
    const data = this.#codec.encode(frame);
    if (isControl(data)) throw new TypeError("a codec's text cannot begin with [");
    const bytes = bytesOf(data);
    if (bytes > this.#session.messageMax) {
      throw new TooLongError(`${bytes} bytes`);
    }
    const { bytes: bytesMax = 1024 * 1024 } = this.#options.outbox ?? {};
    // A plain connection keeps nothing here, so what counts is what the socket keeps.
    const waiting = this.#session.bytes + (this.state === "plain" ? this.#transport!.buffered : 0);
    if (this.pending >= this.#messagesMax || waiting + bytes > bytesMax) {
      throw new OutboxFullError(`${this.pending} messages wait, ${waiting} bytes`);
    }
    const entry: Sent = { data, bytes, awaited, frame, settled };
    this.#do(() => this.#session.send(entry));
    return entry;
  }

  /** Lets something happen to the session, and does what follows from it, in order. */
  #do(happen: () => void) {
    happen();
    if (this.#running) return;
    this.#running = true;
    const { effects } = this.#session;
    for (let at = 0; at < effects.length; at++) this.#carryOut(effects[at]!);
    effects.length = 0;
    this.#running = false;
    if (!this.#session.unasked) {
      clearTimeout(this.#askTimer);
      this.#askTimer = undefined;
    } else {
      this.#askTimer ??= setTimeout(() => this.#do(() => this.#session.ask()), ASK_DELAY_MS);
    }
  }

  #carryOut(effect: Effect<Sent>) {
    switch (effect.do) {
      case "connect":
        return this.#dial(effect.protocols);
      case "write":
        return this.#transport?.write(effect.data);
      case "close":
        this.#transport?.close(effect.code, effect.reason);
        return;
      case "session": {
        const { session, replay, hello } = effect;
        clearTimeout(this.#connectTimer);
        if (hello) {
          this.#greeted = true;
          this.#attempts = 0;
          this.#watch.start(hello.silence);
        }
        this.#id = hello?.id;
        return this.#tell("session", { session, replay, id: this.#id });
      }
      case "message":
        return this.#dispatch(effect.data);
      case "settle":
        return this.#settle(effect.entry, effect.outcome);
      case "disconnect":
        return this.#tell("disconnect", effect.code, effect.reason);
      case "wait":
        return this.#retryLater(effect.code, effect.reason);
      case "violation":
        return this.#error(new ProtocolError(`the server broke the protocol: ${effect.reason}`));
      case "end":
        this.#detach();
        this.#over();
        for (const loop of [...this.#loops]) loop.end();
        // Those that are handled, and have no answer.
        for (const { reject } of this.#requests.values()) reject(errorOf("lost"));
        return this.#tell("end", effect.code, effect.reason);
    }
  }

  #dial(offers: string[]) {
    const { sessions = "prefer", protocols = [], connectTimeout = 15_000 } = this.#options;
    // A browser fails a handshake whose server chooses none of what was offered, and does not say
    // why. So where no server has greeted yet, every second attempt does without.
    this.#offered = sessions !== "never" && !(sessions === "prefer" && this.#refused);
    this.#refused = false;
    const transport = new Transport({
      opened: (protocol) => this.#opened(protocol),
      received: (data) => {
        this.#watch.heard();
        if (this.state === "plain") this.#attempts = 0;
        this.#do(() => this.#session.received(data));
      },
      lost: (code, reason) => this.#lost(code, reason),
      failed: (error) => {
        this.#error(error);
        // An address that no socket takes will not be taken the next time.
        if (typeof this.#address === "function") this.#lost(1006, "");
        else this.close(1006, "no such address");
      },
    });
    this.#transport = transport;
    this.#connectTimer = setTimeout(
      () => this.#do(() => this.#session.drop(1001, "connect timeout")),
      connectTimeout,
    );
    void transport.open(
      this.#WebSocket,
      this.#address,
      this.#offered ? [...offers, ...protocols] : protocols,
    );
  }

  #opened(protocol: string) {
    this.#openedAt = Date.now();
    const ours = this.#offered && protocol === this.#session.offer;
    if (!ours && this.#options.sessions === "require") {
      this.#error(new ProtocolError("the server does not speak wspulse.1"));
      this.#do(() => this.#session.drop(1002, "wspulse.1 is required"));
    } else {
      this.#do(() => this.#session.opened(ours ? protocol : ""));
    }
  }

  #lost(code: number, reason: string) {
    const failed = this.state === "connecting";
    this.#refused = failed && this.#offered && !this.#greeted;
    if (this.state === "plain" && Date.now() - this.#openedAt >= PLAIN_HELD_MS) this.#attempts = 0;
    this.#do(() => this.#session.lost(code, reason));
  }

  /** Lets go of the transport and of all timers. */
  #detach() {
    this.#transport = undefined;
    this.#watch.stop();
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #retryLater(code: number, reason: string) {
    this.#detach();
    const { reconnect = {} } = this.#options;
    if (this.#attempts >= (reconnect.attempts ?? Infinity)) return this.close(code, reason);
    const least = leastDelay(code, reason);
    const delay = Math.max(least, backoff(this.#attempts, reconnect, Math.random()));
    this.#notBefore = Date.now() + least;
    this.#attempts += 1;
    this.#retryTimer = setTimeout(() => this.#retry(), delay);
    this.#tell("reconnect", this.#attempts, delay);
  }

  #retry() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#do(() => this.#session.connect());
  }

  /** The network or the page is back. */
  #wake() {
    if (this.state === "waiting" && Date.now() >= this.#notBefore) this.#retry();
    else this.#probe();
  }

  #probe() {
    if (this.state === "live") this.#watch.probe();
  }

  #dispatch(data: Parameters<typeof decodeFrame>[1]) {
    let frame: Frame;
    try {
      frame = decodeFrame(this.#codec, data);
    } catch (error) {
      return this.#error(error);
    }
    const { id, event } = frame;
    const asked = id === undefined ? undefined : this.#requests.get(id);
    if (asked && (event === asked.reply || event === asked.error)) {
      if (event === asked.reply) asked.resolve(frame);
      else asked.reject(new RequestError("the answer is an error", frame.payload));
      return;
    }
    this.#tell("message", frame);
    if (event !== undefined) {
      this.#events.tell(event, [frame.payload as never, frame], (error) => this.#error(error));
    }
    for (const loop of [...this.#loops]) loop.push(frame);
  }

  #settle({ frame, settled }: Sent, outcome: Outcome) {
    if (settled) settled(outcome);
    else if (outcome !== "handled" && outcome !== "written") {
      this.#tell("lost", frame, errorOf(outcome));
    }
  }

  #tell<K extends keyof ClientEvents>(name: K, ...told: Parameters<ClientEvents[K]>) {
    this.#own.tell(name, told as never, (error) => this.#error(error));
  }

  #error(error: unknown) {
    // What an error's own handler throws is told nowhere else.
    const heard = this.#own.tell("error", [error as never], (thrown) => console.error(thrown));
    if (heard === 0) console.error(error);
  }
}

function errorOf(outcome: Exclude<Outcome, "handled" | "written">) {
  switch (outcome) {
    case "lost":
      return new LostError("its session ended, it may be handled or not");
    case "unsent":
      return new ClosedError("the client has ended");
    case "too long":
      return new TooLongError("longer than the server takes");
  }
}
