// The client: the protocol's state machine with a socket, timers and the application around it.
// It is one closure, and so longer than a function should be: its private names cost no byte in a
// bundle. The functions in it are as short as others.

import { backoff, leastDelay } from "./backoff.js";
import {
  errorOf, ProtocolError, RequestError, TimeoutError, type Good, type WspulseError,
} from "./errors.js";
import { bytesOf, decodeFrame, json, type Frame } from "./frame.js";
import { watchLifecycle } from "./lifecycle.js";
import { listeners } from "./listeners.js";
import { messagesUpTo, type Messages } from "./messages.js";
import type { Client, ClientEvents, EventMap, Options } from "./options.js";
import { GIVEN_UP, Session, type Data, type Effect, type Entry, type Outcome } from "./session.js";
import { openTransport, type Transport, type Address, type WebSocketConstructor } from "./transport.js";
import { TIMER_MS_MAX, watching } from "./watch.js";

/** A message, and who waits for its outcome: nobody if it was posted. */
export interface Sent extends Entry {
  readonly frame: Frame;
  readonly settled: ((error: WspulseError | undefined, outcome: Outcome) => void) | undefined;
}

/** Takes what may answer a request, and says whether it does; nothing, once its session is over. */
type Answer = (frame?: Frame) => unknown;

type Timer = ReturnType<typeof setTimeout> | undefined;

// From the protocol: so long after a message that nobody asked about.
const ASK_DELAY_MS = 1_000;
// A plain connection that held for so long was no failure.
const PLAIN_HELD_MS = 5_000;
/** How many messages wait for a loop by default. */
const MESSAGES_MAX = 1_024;

/** Lets something happen to a session, and does what follows from it. */
export type Happen = (what: () => void) => void;

/** Opens a connection that comes back by itself. The first attempt begins after this turn. */
export function connect<In = EventMap, Out = In>(
  address: Address,
  options?: Options,
): Client<In, Out>;
/** @internal For what keeps a session elsewhere as well. */
export function connect<In = EventMap, Out = In>(
  address: Address,
  options: Options,
  Kept: new (codec: string, happen: Happen) => Session<Sent>,
): Client<In, Out>;
export function connect<In = EventMap, Out = In>(
  address: Address,
  options: Options = {},
  Kept: new (codec: string, happen: Happen) => Session<Sent> = Session,
): Client<In, Out> {
  const {
    WebSocket = globalThis.WebSocket as WebSocketConstructor | undefined,
    codec = json, protocols = [], sessions = "prefer", reconnect = {}, signal: life,
    connectTimeout = 15_000, probeTimeout = 5_000,
    outbox: { messages: outboxMax = 1_024, bytes: outboxBytesMax = 2 ** 20 } = {},
  } = options;
  if (!WebSocket) throw new TypeError("no WebSocket");

  const session = new Kept(codec.name, happen);
  const own = listeners<keyof ClientEvents, (...told: never[]) => void>();
  const events = listeners<string, (payload: never, frame: Frame) => void>();
  const loops = new Set<Messages>();
  const requests = new Map<string, Answer>();
  const giveUp = (answer: Answer) => answer();
  /** Takes away what listens to the world. */
  const ended = new AbortController();
  const requestPrefix = Math.random().toString(36).slice(2);
  let requested = 0;
  let transport: Transport | undefined;
  let running = false;
  let connectionId: string | undefined;
  /** Attempts since the last that came to something. */
  let attempts = 0;
  /** The server has said when it wants this client back. */
  let patient = false;
  let openedAt = 0;
  /** The server is no plain one: it has greeted this client once, or has to. */
  let greeted = sessions === "require";
  /** The newest attempt offers the protocol. */
  let offered = false;
  /** The next one does not. */
  let bare = sessions === "never";
  /** The server chooses none of what is offered. */
  let plain = false;
  let retryTimer: Timer;
  let connectTimer: Timer;
  let askTimer: Timer;

  /** Lets something happen to the session, and does what follows from it, in order. */
  function happen(what: () => void) {
    what();
    if (running) return;
    running = true;
    const { effects } = session;
    // It goes on to those that are pushed meanwhile.
    for (const effect of effects) carryOut(effect);
    effects.length = 0;
    running = false;
    if (!session.unasked) {
      clearTimeout(askTimer);
      askTimer = undefined;
    } else {
      askTimer ??= setTimeout(ask, ASK_DELAY_MS);
    }
  }

  function carryOut(effect: Effect<Sent>) {
    switch (effect.do) {
      case "connect":
        return dial(effect.protocols);
      case "write":
        return transport?.write(effect.data);
      case "close":
        if (effect.code === 1002) report(new ProtocolError(effect.reason));
        return transport?.close(effect.code, effect.reason);
      case "session":
        return ready(effect);
      case "message":
        return dispatch(effect.data);
      case "settle":
        return settle(effect.entry, effect.outcome);
      case "disconnect":
        return tell("disconnect", effect.code, effect.reason);
      case "wait":
        return retryLater(effect.code, effect.reason);
      case "end":
        return over(effect.code, effect.reason);
    }
  }

  const ask = () => happen(() => session.ask());
  const drop = (code: number, reason: string) => happen(() => session.drop(code, reason));
  const close = (code = 1000, reason = "") => happen(() => session.end(code, reason));

  // The transport.

  /** It tests the server if an attempt that offers nothing has just got through. */
  function dial(offers: string[], testing = false) {
    // A browser fails a handshake whose server chooses none of what was offered, and does not say
    // why. So where no server has greeted yet, every second attempt does without.
    offered = !bare;
    bare = sessions === "never";
    clearTimeout(connectTimer);
    connectTimer = setTimeout(() => drop(GIVEN_UP, "connect timeout"), connectTimeout);
    transport = openTransport(WebSocket!, address, offered ? [...offers, ...protocols] : protocols, {
      opened(protocol) {
        if (offered || plain || bare) return opened(protocol);
        // The network is there. Was it not there before, or is it the server that refuses?
        transport!.close(1000, "");
        dial(offers, true);
      },
      received(data) {
        watch.heard();
        if (session.state === "plain") attempts = 0;
        happen(() => session.received(data));
      },
      lost(code, reason) {
        if (!testing || session.state !== "connecting") return lost(code, reason);
        bare = plain = true;
        dial(offers);
      },
      failed(error) {
        report(error);
        // An address that no socket takes will not be taken the next time.
        if (typeof address === "function") lost(1006, "");
        else close(1006);
      },
    });
  }

  function opened(protocol: string) {
    openedAt = Date.now();
    const ours = offered && protocol === session.offer;
    if (!ours && sessions === "require") drop(1002, "no wspulse.1");
    else happen(() => session.opened(ours ? protocol : ""));
  }

  function ready({ session, replay, hello }: Extract<Effect, { do: "session" }>) {
    clearTimeout(connectTimer);
    if (hello) {
      greeted = true;
      attempts = 0;
      watch.start(hello.silence);
    }
    connectionId = hello?.id;
    if (session === "new") requests.forEach(giveUp);
    tell("session", { session, replay, id: connectionId });
  }

  function lost(code: number, reason: string) {
    if (session.state === "connecting") {
      bare ||= offered && !greeted;
      // Where nothing at all gets through, it may be another server that comes up.
      plain &&= offered;
    }
    if (session.state === "plain" && Date.now() - openedAt >= PLAIN_HELD_MS) attempts = 0;
    happen(() => session.lost(code, reason));
  }

  /** Lets go of the transport and of all timers. */
  function detach() {
    transport = undefined;
    watch.stop();
    clearTimeout(connectTimer);
    clearTimeout(retryTimer);
  }

  function retryLater(code: number, reason: string) {
    detach();
    // Never, where there is no bound.
    if (attempts >= reconnect.attempts!) return close(code, reason);
    const least = leastDelay(code, reason);
    const delay = Math.max(least, backoff(attempts, reconnect, Math.random()));
    patient = least > 0;
    retryTimer = setTimeout(retry, delay);
    tell("reconnect", ++attempts, delay);
  }

  function retry() {
    clearTimeout(retryTimer);
    happen(() => session.connect());
  }

  function over(code: number, reason: string) {
    detach();
    ended.abort();
    for (const loop of loops) loop.end();
    requests.forEach(giveUp);
    tell("end", code, reason);
  }

  // A link in doubt.

  const watch = watching(
    { ask, buffered: () => transport!.buffered(), silent: () => drop(GIVEN_UP, "no answer") },
    probeTimeout,
  );

  function probe() {
    if (session.state === "live") watch.probe();
  }

  /** The network or the page is back. */
  function wake() {
    if (session.state === "waiting" && !patient) retry();
    else probe();
  }

  // Towards the application.

  function dispatch(data: Data) {
    let frame: Frame;
    try {
      frame = decodeFrame(codec, data);
    } catch (error) {
      return report(error);
    }
    const { id, event, payload } = frame;
    if (requests.get(id!)?.(frame)) return;
    tell("message", frame);
    // Nobody listens where there is none.
    events.tell(event!, [payload as never, frame], report);
    for (const loop of loops) loop.push(frame);
  }

  function settle({ frame, settled }: Sent, outcome: Outcome) {
    const error = errorOf(outcome);
    if (settled) settled(error, outcome);
    else if (error) tell("lost", frame, error);
  }

  function tell<K extends keyof ClientEvents>(name: K, ...told: Parameters<ClientEvents[K]>) {
    own.tell(name, told as never, report);
  }

  function report(error: unknown) {
    // What an error's own handler throws is told nowhere else.
    if (!own.tell("error", [error as never], console.error)) console.error(error);
  }

  // From the application.

  function accept(frame: Frame, awaited: boolean, settled?: Sent["settled"]): Sent {
    if (session.state === "ended") throw errorOf("unsent");
    const data = codec.encode(frame);
    const bytes = bytesOf(data);
    if (bytes > session.messageMax) throw errorOf("too long");
    // A plain connection keeps nothing here, so what counts is what the socket keeps.
    const waiting = session.bytes + (session.state === "plain" ? transport!.buffered() : 0);
    if (session.pending >= outboxMax || waiting + bytes > outboxBytesMax) {
      throw errorOf("full");
    }
    const entry: Sent = { data, bytes, awaited, frame, settled };
    happen(() => session.send(entry));
    return entry;
  }

  /** Waits for a message's outcome, or its answer, until the time or the patience is over. */
  async function wait<T>(
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
          session.retract(entry);
          reject(reason);
        };
        const abort = () => giveUp(signal!.reason);
        const late = () => giveUp(new TimeoutError(`${timeout} ms`));
        const timer = timeout && setTimeout(late, Math.min(timeout, TIMER_MS_MAX));
        signal?.addEventListener("abort", abort);
        stop = () => {
          signal?.removeEventListener("abort", abort);
          clearTimeout(timer);
        };
      });
    } finally {
      stop?.();
    }
  }

  function messages(limit = MESSAGES_MAX) {
    const loop = messagesUpTo(limit, (over) => loops.delete(over));
    if (session.state === "ended") loop.end();
    else loops.add(loop);
    return loop;
  }

  const { signal } = ended;
  life?.addEventListener("abort", () => close(), { signal });
  watchLifecycle(wake, probe, signal);
  if (life?.aborted) close();
  queueMicrotask(retry);

  return {
    get state() {
      return session.state;
    },
    get id() {
      return connectionId;
    },
    get pending() {
      return session.pending;
    },
    on: events.add as Client<In, Out>["on"],
    listen: own.add,
    messages,
    [Symbol.asyncIterator]: () => messages(),
    post(frame) {
      accept(frame, false);
    },
    send: (frame, { signal } = {}) =>
      wait(signal, undefined, (resolve, reject) =>
        accept(frame, true, (error, outcome) => (error ? reject(error) : resolve(outcome as Good))),
      ),
    async request(frame, { signal, timeout = 10_000, reply = "reply", error = "error" } = {}) {
      if (requests.size >= outboxMax) throw errorOf("full");
      const id = `${requestPrefix}.${++requested}`;
      try {
        return await wait<Frame>(signal, timeout, (resolve, reject) => {
          let settled: boolean | undefined;
          requests.set(id, (frame) => {
            if (!frame) return settled && reject(errorOf("lost"));
            if (frame.event === reply) return resolve(frame), true;
            if (frame.event === error) return reject(new RequestError(frame.payload)), true;
          });
          return accept({ ...frame, id }, false, (error) => {
            settled = true;
            if (error) reject(error);
          });
        });
      } finally {
        requests.delete(id);
      }
    },
    close,
  };
}
