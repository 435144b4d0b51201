// Messages for a `for await` loop: what comes while its body runs waits for it.

import { OverflowError } from "./errors.js";
import type { Frame } from "./frame.js";

type Result = IteratorResult<Frame, undefined>;
const DONE: Result = { done: true, value: undefined };

export interface Messages extends AsyncIterableIterator<Frame> {
  push(frame: Frame): void;
  /** Nothing more will come; what has come can still be taken. */
  end(): void;
}

/** So many messages may wait for the loop; `left` hears of its end. */
export function messagesUpTo(limit: number, left: (messages: Messages) => void): Messages {
  let waiting: Frame[] = [];
  const asked: ((result: Result) => void)[] = [];
  let over = false;
  let overflown = false;

  const messages: Messages = {
    [Symbol.asyncIterator]: () => messages,
    push(value) {
      const next = asked.shift();
      if (next) {
        next({ done: false, value });
      } else if (waiting.length < limit) {
        waiting.push(value);
      } else {
        overflown = true;
        messages.end();
      }
    },
    end() {
      over = true;
      left(messages);
      for (const next of asked.splice(0)) next(DONE);
    },
    async next() {
      const value = waiting.shift();
      if (value) return { done: false, value };
      if (overflown) {
        overflown = false;
        throw new OverflowError(`more than ${limit} messages waited`);
      }
      return over ? DONE : new Promise((resolve) => asked.push(resolve));
    },
    async return() {
      waiting = [];
      messages.end();
      return DONE;
    },
  };
  return messages;
}
