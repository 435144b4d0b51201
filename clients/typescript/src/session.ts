// The client's side of `wspulse.1`: what to do at each event. It knows no socket, timer or codec;
// it is told what happened, and what is to be done is taken from `effects`, in order.

import { ASK, ack, isControl, parseControl, protocolOf, resumeOf, type Hello } from "./control.js";

/** What became of a message. */
export type Outcome =
  /** The server has handled it. */
  | "handled"
  /** It was written to a plain connection; more will never be known. */
  | "written"
  /** It was sent, and its session has ended: nobody knows. */
  | "lost"
  /** The client has ended before it was sent. */
  | "unsent"
  /** It is longer than the server takes. */
  | "too long";

export type Data = string | Uint8Array;

/** One message of the application's, from its acceptance until its outcome is known. */
export interface Entry {
  /** Undefined once the server has received it. */
  data: Data | undefined;
  readonly bytes: number;
  /** Whether somebody waits for it to be handled. */
  readonly awaited: boolean;
}

export type Effect<E extends Entry = Entry> =
  | { do: "connect"; protocols: string[] }
  | { do: "write"; data: Data }
  /** Close the transport and stop listening to it. With 1002 the server broke the protocol. */
  | { do: "close"; code: number; reason: string }
  | { do: "session"; session: "new" | "resumed" | "plain"; replay: number; hello?: Hello }
  | { do: "message"; data: Data }
  | { do: "settle"; entry: E; outcome: Outcome }
  | { do: "disconnect"; code: number; reason: string }
  /** Wait, then call `retry`. */
  | { do: "wait"; code: number; reason: string }
  | { do: "end"; code: number; reason: string };

export type State = "idle" | "waiting" | "connecting" | "greeting" | "live" | "plain" | "ended";

/**
 * The code of a transport that seems to be there and is not. The client comes back, so the code must
 * not look like leaving, as 1000 and 1001 do, and no code; and it must be one that pages may say.
 */
export const GIVEN_UP = 4499;
// From the protocol: the client asks after so many messages.
const ASK_AFTER = 64;

export class Session<E extends Entry = Entry> {
  state: State = "idle";
  readonly effects: Effect<E>[] = [];
  /** Of the entries that wait, in bytes that are still kept. */
  bytes = 0;
  /** From the newest hello; no bound before it. */
  messageMax = Infinity;

  /** The subprotocol that a server chooses if it speaks `wspulse.1`. */
  readonly offer: string;
  /** Of the newest hello; undefined without a session. */
  token: string | undefined;
  /** How many messages of the server's this client has counted. */
  count = 0;
  /** So many of what was sent in this session are handled. */
  handled = 0;
  /** Not known to be handled, oldest first. The first `#sent - handled` have been sent. */
  readonly #entries: E[] = [];
  #sent = 0;
  /** What an earlier hello said of it. */
  #received = 0;
  /** A question is on its way. */
  #asking = false;
  /** How many messages had been sent at the last question: its last answer is at least that. */
  #asked = 0;
  /** The newest message that was sent and that somebody waits for. */
  #awaited = 0;

  /** `codec` is the codec's name. */
  constructor(codec: string) {
    this.offer = protocolOf(codec);
  }

  get pending() {
    return this.#entries.length;
  }

  /** Whether there are sent messages that no question covers; ask within 1 s. */
  get unasked() {
    return this.state === "live" && this.#sent > this.#asked && this.#mayAsk;
  }

  /** Whether a transport is there that was not given up. */
  get attached() {
    return !["idle", "waiting", "ended"].includes(this.state);
  }

  /** The time of the next attempt, or of the first, has come. */
  connect() {
    if (this.attached || this.state === "ended") return;
    this.state = "connecting";
    const protocols = [this.offer, "wspulse.plain"];
    if (this.token !== undefined) protocols.push(resumeOf(this.token, this.count));
    this.effects.push({ do: "connect", protocols });
  }

  /** The transport opened, and the server has chosen a subprotocol or none (""). */
  opened(protocol: string) {
    if (this.state !== "connecting") return;
    if (protocol === this.offer) {
      this.state = "greeting";
      return;
    }
    this.#forget();
    this.messageMax = Infinity;
    this.state = "plain";
    this.effects.push({ do: "session", session: "plain", replay: 0 });
    this.#write();
  }

  /** A message came, whole. */
  received(data: Data) {
    if (!this.attached) return;
    if (this.state !== "plain" && isControl(data)) {
      this.#control(data);
    } else if (this.state === "greeting") {
      this.#violation("a hello comes first, and once");
    } else {
      this.count += 1;
      this.effects.push({ do: "message", data });
    }
  }

  /** The transport is gone: with the code of its close frame, or 1006. */
  lost(code: number, reason: string) {
    if (!this.attached) return;
    if (this.state !== "connecting") this.effects.push({ do: "disconnect", code, reason });
    this.state = "waiting";
    this.#asking = false;
    if (code === 1000 || (code >= 4000 && code !== 4401 && code !== 4410)) return this.end(code, reason);
    if (code === 4410) this.#forget();
    this.effects.push({ do: "wait", code, reason });
  }

  /** Gives a transport up that still seems to be there. */
  drop(code: number, reason: string) {
    if (!this.attached) return;
    this.effects.push({ do: "close", code, reason });
    this.lost(1006, reason);
  }

  /** The end, for whatever reason: nothing happens any more. */
  end(code: number, reason: string) {
    if (this.state === "ended") return;
    if (this.attached) this.effects.push({ do: "close", code, reason });
    this.#forget();
    this.state = "ended";
    for (const entry of this.#entries.splice(0)) this.settle(entry, "unsent");
    this.effects.push({ do: "end", code, reason });
  }

  /** The application sends. */
  send(entry: E) {
    this.#entries.push(entry);
    this.bytes += entry.bytes;
    this.#write();
  }

  /** Takes an entry back that was not sent; false if it was. */
  retract(entry: E): boolean {
    const at = this.#entries.indexOf(entry);
    if (at < this.#sent - this.handled) return false;
    this.#entries.splice(at, 1);
    this.bytes -= entry.bytes;
    return true;
  }

  /** Asks how far the server is, unless that question is on its way. */
  ask() {
    if (this.state !== "live" || this.#asking) return;
    this.#asking = true;
    this.#asked = this.#sent;
    this.effects.push({ do: "write", data: ASK });
  }

  // The answer to a question may be followed by a second one. While that may come, another
  // question's answer could not be told from it.
  get #mayAsk() {
    return !this.#asking && this.handled >= this.#asked;
  }

  #askIfDue() {
    const due = this.#awaited > this.#asked || this.#sent - this.#asked >= ASK_AFTER;
    if (due && this.#mayAsk) this.ask();
  }

  #control(text: string) {
    const control = parseControl(text);
    if (!control) return this.#violation("no control message");
    if (control.name === null) return;
    if ((control.name === "hello") !== (this.state === "greeting")) {
      return this.#violation("a hello comes first, and once");
    }
    switch (control.name) {
      case "hello":
        return this.#greeted(control.hello);
      case "ask":
        this.effects.push({ do: "write", data: ack(this.count) });
        return;
      case "ack":
        if (control.count > this.#sent) return this.#violation("an ack does not fit");
        this.#asking = false;
        this.#done(control.count);
        this.#askIfDue();
    }
  }

  #greeted(hello: Hello) {
    const { session, token, received, handled, replay } = hello;
    const fits =
      session === "new"
        ? received === 0
        : this.token !== undefined &&
          received <= this.#sent && received >= this.#received && handled >= this.handled;
    if (!fits) return this.#violation("a hello does not fit");
    if (session === "new") {
      this.#forget();
    } else {
      this.#done(handled);
    }
    this.token = token;
    this.#sent = this.#received = received;
    this.#asked = handled;
    this.#awaited = 0;
    this.#entries.slice(0, received - handled).forEach((entry, at) => {
      this.#release(entry);
      if (entry.awaited) this.#awaited = handled + at + 1;
    });
    this.messageMax = hello.message_max;
    this.state = "live";
    this.effects.push({ do: "session", session, replay, hello });
    this.#write();
  }

  /** Writes what was not written to this transport yet. */
  #write() {
    if (this.state === "plain") {
      for (const entry of this.#entries.splice(0)) {
        this.effects.push({ do: "write", data: entry.data! });
        this.settle(entry, "written");
      }
      return;
    }
    if (this.state !== "live") return;
    for (let at = this.#sent - this.handled; at < this.#entries.length; ) {
      const entry = this.#entries[at]!;
      if (entry.bytes > this.messageMax) {
        this.#entries.splice(at, 1);
        this.settle(entry, "too long");
        continue;
      }
      this.effects.push({ do: "write", data: entry.data! });
      at += 1;
      this.#sent += 1;
      if (entry.awaited) this.#awaited = this.#sent;
      if (this.#sent - this.#asked >= ASK_AFTER) this.#askIfDue();
    }
    this.#askIfDue();
  }

  /** The first `count` messages are handled. */
  #done(count: number) {
    if (count <= this.handled) return;
    const done = this.#entries.splice(0, count - this.handled);
    this.handled = count;
    for (const entry of done) this.settle(entry, "handled");
  }

  /** The session is over: what was sent in it will never be known. */
  #forget() {
    const sent = this.#entries.splice(0, this.#sent - this.handled);
    this.token = undefined;
    this.count = this.#sent = this.#received = this.handled = this.#asked = this.#awaited = 0;
    this.#asking = false;
    for (const entry of sent) this.settle(entry, "lost");
  }

  /** Its outcome is known: it is kept no longer. */
  protected settle(entry: E, outcome: Outcome) {
    this.#release(entry);
    this.effects.push({ do: "settle", entry, outcome });
  }

  #release(entry: E) {
    if (entry.data === undefined) return;
    entry.data = undefined;
    this.bytes -= entry.bytes;
  }

  #violation(reason: string) {
    this.drop(1002, reason);
  }
}
