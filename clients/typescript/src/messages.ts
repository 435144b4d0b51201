// Messages for a `for await` loop: what comes while its body runs waits for it.

import { OverflowError } from "./errors.js";
import type { Frame } from "./frame.js";

type Result = IteratorResult<Frame, undefined>;
const DONE: Result = { done: true, value: undefined };

export class Messages implements AsyncIterableIterator<Frame, undefined> {
  #waiting: Frame[] = [];
  #asked: ((result: Result | Promise<Result>) => void)[] = [];
  #over = false;
  #overflown = false;

  constructor(readonly limit: number, readonly left: (messages: Messages) => void) {}

  [Symbol.asyncIterator]() {
    return this;
  }

  push(frame: Frame) {
    const asked = this.#asked.shift();
    if (asked) {
      asked({ done: false, value: frame });
    } else if (this.#waiting.length < this.limit) {
      this.#waiting.push(frame);
    } else {
      this.#overflown = true;
      this.end();
    }
  }

  /** Nothing more will come; what has come can still be taken. */
  end() {
    this.#over = true;
    this.left(this);
    for (const asked of this.#asked.splice(0)) asked(DONE);
  }

  async next(): Promise<Result> {
    const frame = this.#waiting.shift();
    if (frame) return { done: false, value: frame };
    if (this.#overflown) {
      this.#overflown = false;
      throw new OverflowError(`more than ${this.limit} messages waited for this loop`);
    }
    if (this.#over) return DONE;
    return new Promise((resolve) => this.#asked.push(resolve));
  }

  async return(): Promise<Result> {
    this.#waiting = [];
    this.end();
    return DONE;
  }
}
