// Whether the transport is still alive: asks when nothing came for long, and judges the answer.

/** What is watched. */
export interface Watched {
  /** Asks the server, unless a question is on its way. */
  ask(): void;
  /** So many bytes have not left yet. */
  buffered(): number;
  /** No answer came. */
  silent(): void;
}

/** Timers take no more. */
export const TIMER_MS_MAX = 2 ** 31 - 1;
// A server cannot have its clients ask more often.
const SILENCE_MS_MIN = 1_000;

export class Watch {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  #silence = 0;
  #heardAt = 0;
  #buffered = 0;
  #probing = false;

  constructor(readonly watched: Watched, readonly probeTimeout: number) {}

  /** A transport is live. A `silence` of 0 is no bound. */
  start(silence: number) {
    this.#silence = silence && Math.max(silence, SILENCE_MS_MIN);
    this.#probing = false;
    this.heard();
    clearTimeout(this.#timer);
    if (this.#silence) this.#arm(this.#silence);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#probing = false;
  }

  /** A message came. */
  heard() {
    this.#heardAt = Date.now();
    if (this.#probing) {
      this.#probing = false;
      if (this.#silence) this.#arm(this.#silence);
      else this.stop();
    }
  }

  /** Asks at once, and waits no longer than the probe timeout. */
  probe() {
    this.watched.ask();
    if (this.#probing) return;
    this.#probing = true;
    this.#await();
  }

  #await() {
    this.#buffered = this.watched.buffered();
    this.#arm(this.probeTimeout);
  }

  #arm(delay: number) {
    clearTimeout(this.#timer);
    const wait = Math.min(delay, TIMER_MS_MAX);
    this.#due = Date.now() + wait;
    this.#timer = setTimeout(() => this.#fire(), wait);
  }

  #fire() {
    if (!this.#probing) {
      const rest = this.#heardAt + this.#silence - Date.now();
      if (rest > 0) this.#arm(Math.min(rest, this.#silence));
      else this.probe();
      return;
    }
    // A page that slept has not had the time to hear the answer. An upload that goes on holds the
    // question up, not the server.
    const slept = Date.now() - this.#due > this.probeTimeout;
    if (slept || this.watched.buffered() < this.#buffered) this.#await();
    else this.watched.silent();
  }
}
