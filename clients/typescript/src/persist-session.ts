// A session whose outbox is kept, and which begins with what pages before it have left behind.
//
// Such a page may have had a session of its own. If its token is known, the first transports go to
// that session, for one thing: to ask which of the messages have arrived. Those are done. The others
// are sent in a new session, since a page that was reloaded has nothing to go on from.

import type { Happen, Sent } from "./client.js";
import { ASK, ack, isControl, parseControl, resumeOf, type Hello } from "./control.js";
import { bytesOf, decodeFrame, type Codec } from "./frame.js";
import type { Mark, Past, Slot, Store } from "./persist-store.js";
import { GIVEN_UP, Session, type Data, type Outcome } from "./session.js";

/** Messages of a page before: undefined where one was not to be sent again. */
interface Left extends Past {
  readonly entries: (Sent | undefined)[];
}

export interface Keeping {
  readonly store: Store;
  readonly codec: Codec;
  /** Whether a past session may be asked. It costs an attempt to connect. */
  readonly asks: boolean;
  readonly report: (error: unknown) => void;
}

export class KeptSession extends Session<Sent> {
  readonly #keeping: Keeping;
  readonly #slots = new Map<Sent, Slot>();
  /** Not found out about yet; the first one is being asked. */
  #left: Left[] = [];
  /** How many messages its session has received and handled, once it has greeted this transport. */
  #answer: { received: number; handled: number } | undefined;
  /** The next free place behind what is kept, and before it. */
  #behind = 0;
  #before = 0;
  #loaded = false;
  #ending = false;

  constructor(codec: string, happen: Happen, keeping: Keeping) {
    super(codec);
    this.#keeping = keeping;
    keeping.store.mark = () => this.#mark();
    void keeping.store.pasts.then((pasts) =>
      happen(() => {
        this.#loaded = true;
        if (this.state !== "idle") return;
        this.#restore(pasts);
        this.connect();
      }),
    );
  }

  override connect() {
    // What is kept is older than all that could be sent before it is known.
    if (!this.#loaded) return;
    const at = this.effects.length;
    super.connect();
    const effect = this.effects[at];
    const mark = this.#left[0]?.mark;
    this.#answer = undefined;
    if (effect?.do === "connect" && mark) effect.protocols.push(resumeOf(mark.token, mark.count));
    // A handshake tells the count, and the server forgets what is below it.
    this.#keeping.store.moved();
  }

  override opened(protocol: string) {
    // A plain connection sends at once, and knows nothing of sessions.
    if (protocol !== this.offer) while (this.#left.length) this.#resolve(0);
    super.opened(protocol);
  }

  override received(data: Data) {
    if (this.state === "greeting" && this.#left.length) return this.#past(data);
    super.received(data);
    // The session's token or its counts have changed.
    if (isControl(data)) this.#keeping.store.moved();
  }

  override lost(code: number, reason: string) {
    // The server does not know that session any more, or not so much of it.
    if (code === 4410 && this.attached && this.#left.length) this.#resolve(this.#answer?.handled ?? 0);
    super.lost(code, reason);
  }

  override drop(code: number, reason: string) {
    // It took too long, so nobody knows whether the others will be handled.
    if (code === GIVEN_UP && this.attached && this.#answer) this.#resolve(this.#answer.handled);
    super.drop(code, reason);
  }

  override send(entry: Sent) {
    const { box } = this.#keeping.store;
    // The answer to a request would come to nobody after a reload. But requests count as well.
    const again = entry.awaited || !entry.settled;
    const data = again ? entry.data! : null;
    const slot: Slot = { box, place: this.#behind++, data, stored: false };
    this.#slots.set(entry, slot);
    this.#keeping.store.put(slot);
    super.send(entry);
  }

  override retract(entry: Sent): boolean {
    const back = super.retract(entry);
    if (back) this.#remove(entry);
    return back;
  }

  override end(code: number, reason: string) {
    if (!this.#ending) {
      // What is not known to be handled stays for whoever comes next, with what is known of it.
      const mark = this.#mark();
      this.#keeping.store.mark = () => mark;
      this.#ending = true;
    }
    super.end(code, reason);
  }

  protected override settle(entry: Sent, outcome: Outcome) {
    if (!this.#ending) this.#remove(entry);
    super.settle(entry, outcome);
  }

  #mark(): Mark | undefined {
    const { token, count, handled } = this;
    return token === undefined ? undefined : { token, count, handled };
  }

  #remove(entry: Sent) {
    const slot = this.#slots.get(entry);
    if (!slot) return;
    this.#slots.delete(entry);
    this.#keeping.store.remove(slot);
  }

  /** Puts what was left behind before what was accepted meanwhile. */
  #restore(pasts: Past[]) {
    const newer = [...this.#slots.keys()];
    for (const entry of newer) super.retract(entry);
    for (const past of pasts) {
      const entries = past.slots.map((slot) => this.#entry(slot));
      this.#left.push({ ...past, entries });
      this.#before -= entries.length;
      for (const entry of entries) if (entry) super.send(entry);
    }
    for (const entry of newer) super.send(entry);
    this.#skip();
  }

  #entry(slot: Slot): Sent | undefined {
    const { data } = slot;
    if (data === null) return undefined;
    try {
      const frame = decodeFrame(this.#keeping.codec, data);
      const entry: Sent = {
        data, bytes: bytesOf(data), awaited: false, frame, settled: undefined,
      };
      this.#slots.set(entry, slot);
      return entry;
    } catch (error) {
      this.#keeping.report(error);
      return undefined;
    }
  }

  /** Goes over those that cannot be asked, as they had no session, or need not be. */
  #skip() {
    const [first] = this.#left;
    if (!first) return;
    const asks = first.mark && this.#keeping.asks && first.entries.some((entry) => entry);
    if (!asks) this.#resolve(0);
  }

  /** A message of a past session's, whose client this one is for a moment. */
  #past(data: Data) {
    const control = isControl(data) ? parseControl(data) : { name: null };
    // What its server has sent was for the page that is gone.
    if (!control) return super.received(data);
    const { mark } = this.#left[0]!;
    switch (control.name) {
      case "hello":
        return this.#greeted(control.hello, data);
      case "ask":
        this.effects.push({ do: "write", data: ack(mark!.count) });
        return;
      case "ack":
        return this.#handledBy(control.count);
      case null:
    }
  }

  #greeted({ session, token, received, handled }: Hello, data: Data) {
    const left = this.#left[0]!;
    const known = session === "resumed" && handled >= left.mark!.handled;
    if (!known) {
      this.#resolve(0);
      // Then this is the new session, unless there is another one to ask.
      return this.#left.length ? this.#leave() : super.received(data);
    }
    this.#answer = { received, handled };
    // From now on the token before may be worthless.
    left.mark = { ...left.mark!, token };
    this.#keeping.store.note(left.box, left.mark);
    // There is a second answer once all of them are handled. The session must not end before.
    if (handled < received) this.effects.push({ do: "write", data: ASK });
    else this.#handledBy(handled);
  }

  #handledBy(count: number) {
    if (!this.#answer) return;
    this.#answer.handled = count;
    if (count < this.#answer.received) return;
    this.#resolve(count);
    this.#leave();
  }

  /** The next attempt has another session. */
  #leave() {
    // Of this transport the application has heard nothing.
    this.state = "connecting";
    this.drop(1000, "");
  }

  /** The first that is left: so many messages of its session have arrived. The rest is sent anew. */
  #resolve(received: number) {
    const { box, mark, slots, entries } = this.#left.shift()!;
    const { store } = this.#keeping;
    slots.forEach((slot, at) => {
      const entry = entries[at];
      const place = this.#before++;
      const arrived = mark !== undefined && mark.handled + at < received;
      if (!entry) store.remove(slot);
      else if (arrived) this.retract(entry);
      else store.adopt(slot, place);
    });
    store.note(box, undefined);
    this.#skip();
  }
}
