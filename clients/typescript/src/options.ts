// What can be chosen, what is told, and the defaults.

import type { Backoff } from "./backoff.js";
import type { WspulseError } from "./errors.js";
import type { Codec, Frame } from "./frame.js";
import type { State } from "./session.js";
import type { WebSocketConstructor } from "./transport.js";

export interface Options {
  /** Needed where there is no global one, as in Node 20. */
  WebSocket?: WebSocketConstructor;
  /** JSON by default. */
  codec?: Codec;
  /** Subprotocols to offer beside, such as a token of the application's. */
  protocols?: string[];
  /**
   * `"prefer"`, the default, takes a plain connection where the server does not speak `wspulse.1`:
   * it chose another subprotocol, or two handshakes that offer it failed, and the ones between and
   * after them, that offer nothing, did not. `"require"` does not, and `"never"` does not offer it.
   */
  sessions?: "prefer" | "require" | "never";
  /** How to come back. `{ attempts: 0 }` does not. */
  reconnect?: Backoff;
  /** How many messages may wait to be handled: 1,024, and 1 MiB, by default. */
  outbox?: { messages?: number; bytes?: number };
  /** How long a transport may take until it is ready, in ms; 15,000 by default. */
  connectTimeout?: number;
  /** How long a question may have no answer when the link is in doubt, in ms; 5,000 by default. */
  probeTimeout?: number;
  /** Ends the client when it is aborted. */
  signal?: AbortSignal;
}

export interface SendOptions {
  /** Takes the message back if it was not sent yet, and stops waiting in any case. */
  signal?: AbortSignal;
}

export interface RequestOptions extends SendOptions {
  /** How long to wait for the answer, in ms; 10,000 by default, and 0 without end. */
  timeout?: number;
  /** The event of an answer, `"reply"` by default. */
  reply?: string;
  /** The event of an answer that is an error, `"error"` by default. */
  error?: string;
}

/** What the application is told of its session. */
export interface SessionTold {
  /** A plain connection has no session. */
  session: "new" | "resumed" | "plain";
  /** So many messages follow that were missed. */
  replay: number;
  /** The connection's id at the server, unless it is a plain one. */
  id: string | undefined;
}

/** What `listen` tells, by name. */
export interface ClientEvents {
  /** A transport is ready. */
  session: (told: SessionTold) => void;
  /** A message came, whatever its event. */
  message: (frame: Frame) => void;
  /** A transport that was open is gone. */
  disconnect: (code: number, reason: string) => void;
  /** The next attempt is the `attempt`th since then, in `delay` ms. */
  reconnect: (attempt: number, delay: number) => void;
  /** A message that nobody waits for was not handled, or nobody knows whether it was. */
  lost: (frame: Frame, error: WspulseError) => void;
  /** The client has ended for good. */
  end: (code: number, reason: string) => void;
  /** What went wrong without ending anything: a message that is no frame, a handler that threw. */
  error: (error: unknown) => void;
}

/** Payloads by their frame's event. */
export type EventMap = Record<string, unknown>;

/** A frame whose payload fits its event. */
export type FrameOf<Events> = {
  [K in keyof Events & string]: Omit<Frame<Events[K]>, "event"> & { event: K };
}[keyof Events & string];

/** What may be sent: any frame, unless the events are named. */
export type Sendable<Events> = string extends keyof Events ? Frame : FrameOf<Events>;

export interface Client<In = EventMap, Out = In> extends AsyncIterable<Frame> {
  readonly state: State;
  /** The connection's id at the server, from the newest session. */
  readonly id: string | undefined;
  /** How many messages are not known to be handled. */
  readonly pending: number;

  /** Calls `handler` for each message with this event; returns what ends that. */
  on<K extends keyof In & string>(
    event: K,
    handler: (payload: In[K], frame: Frame<In[K]>) => void,
  ): () => void;

  /** Calls `handler` for what happens to the client itself; returns what ends that. */
  listen<K extends keyof ClientEvents>(name: K, handler: ClientEvents[K]): () => void;

  /** All messages from now on, up to the client's end. 1,024, or `limit`, may wait for the loop. */
  messages(limit?: number): AsyncIterableIterator<Frame>;

  /** Sends without waiting. Throws if the message is not taken. */
  post(frame: Sendable<Out>): void;

  /**
   * Sends, and resolves once the server has handled the message and all before it: to `"handled"`,
   * or on a plain connection to `"written"`, as nothing more is known there.
   */
  send(frame: Sendable<Out>, options?: SendOptions): Promise<"handled" | "written">;

  /** Sends with an id of its own, and resolves to the message that answers it. */
  request(frame: Sendable<Out>, options?: RequestOptions): Promise<Frame>;

  /** Ends the client: what is not handled yet is lost, and what is not sent yet is not sent. */
  close(code?: number, reason?: string): void;
}
