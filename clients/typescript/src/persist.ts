// The client with an outbox that is kept over a reload of its page.

import { connect as open, type Happen } from "./client.js";
import { json } from "./frame.js";
import { listeners } from "./listeners.js";
import type { Client, ClientEvents, EventMap, Options } from "./options.js";
import { KeptSession } from "./persist-session.js";
import { PersistError, Store } from "./persist-store.js";
import type { Address } from "./transport.js";

export * from "./index.js";
export { PersistError };

export interface PersistOptions extends Options {
  /**
   * What is kept under this name is sent by the next client with it, at the same origin: so it names
   * the server, the user and all else that a message belongs to.
   */
  name: string;
}

export interface PersistentClient<In = EventMap, Out = In> extends Client<In, Out> {
  /**
   * Resolves once what is in the outbox now is kept, to `true`; or to `false`, if keeping has failed.
   */
  saved(): Promise<boolean>;

  /**
   * Ends the client. What is not handled yet is kept for the next client of this name; resolves once
   * that one may begin, where there are no locks that it waits for.
   */
  close(code?: number, reason?: string): Promise<void>;
}

/**
 * Opens a connection that comes back by itself, and whose outbox is kept in IndexedDB. What clients
 * of that name before it had in theirs is sent first. Where nothing can be kept, `error` tells a
 * `PersistError`, once, and all else is as without.
 */
export function connect<In = EventMap, Out = In>(
  address: Address,
  { name, ...options }: PersistOptions,
): PersistentClient<In, Out> {
  const { codec = json, reconnect } = options;
  const errors = listeners<"error", ClientEvents["error"]>();
  const report = (error: unknown) => {
    if (!errors.tell("error", [error], console.error)) console.error(error);
  };
  const store = new Store(name, report);
  const going = new AbortController();
  // Each question costs an attempt, and these may be counted.
  const asks = reconnect?.attempts === undefined;

  class Kept extends KeptSession {
    constructor(codecName: string, happen: Happen) {
      super(codecName, happen, { store, codec, asks, report });
    }
  }

  const client = open<In, Out>(address, options, Kept);
  const { listen, close } = client;
  const left = new Promise<void>((resolve) => {
    listen("end", () => {
      going.abort();
      resolve(store.close());
    });
  });
  // A page that goes has no time to wait for what it wrote before.
  globalThis.addEventListener?.("pagehide", () => store.flush(), { signal: going.signal });

  return Object.assign(client, {
    saved: () => store.saved(),
    close(code?: number, reason?: string) {
      close(code, reason);
      return left;
    },
    listen<K extends keyof ClientEvents>(event: K, handler: ClientEvents[K]) {
      const off = listen(event, handler);
      if (event !== "error") return off;
      const offToo = errors.add("error", handler as ClientEvents["error"]);
      return () => {
        off();
        offToo();
      };
    },
  });
}
