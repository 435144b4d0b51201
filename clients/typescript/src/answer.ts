// Answering requests of the server's: an entry of its own, for those who answer any.

import type { Frame } from "./frame.js";
import type { Client, EventMap } from "./options.js";

/** What a handler throws to answer with an error that the server is to hear of. */
export class AnswerError extends Error {
  override name = "AnswerError";
  /** `code` is for programs, `text` for people. */
  constructor(readonly code: string, readonly text: string) {
    super(`${code}: ${text}`);
  }
}

/** The events of answers. */
export interface AnswerOptions {
  /** `reply` by default. */
  reply?: string;
  /** `error` by default. */
  error?: string;
}

/**
 * Answers each request with this event, with what `handler` returns, or a promise of it. An
 * `AnswerError` that it throws is the answer too; of any other error the server hears no more than
 * that there was one, and the console hears the rest. A message without an id is no request, and gets
 * no answer. Returns what ends that.
 */
export function answer<In = EventMap, Out = In, K extends keyof In & string = keyof In & string>(
  client: Client<In, Out>,
  event: K,
  handler: (payload: In[K], frame: Frame<In[K]>) => unknown,
  { reply = "reply", error = "error" }: AnswerOptions = {},
): () => void {
  return client.on(event, (payload, frame) => {
    const post = (event: string, payload: unknown) => {
      const { id } = frame;
      if (id && client.state !== "ended") {
        (client as unknown as Client).post({ id, event, payload });
      }
    };
    const refuse = (cause: unknown) => {
      const meant = cause instanceof AnswerError;
      if (!meant) console.error(cause);
      const { code, text } = meant ? cause : new AnswerError("internal", "internal error");
      post(error, { code, text });
    };
    // A full outbox takes no answer: then nobody can be told but the console.
    (async () => handler(payload, frame))()
      .then((answered) => post(reply, answered), refuse)
      .catch(console.error);
  });
}
