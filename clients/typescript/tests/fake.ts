// A WebSocket that a test plays the server of.

import { vi } from "vitest";
import { connect, type Options } from "../src/index.js";
import type { Socket } from "../src/transport.js";

export class FakeSocket implements Socket {
  binaryType = "blob";
  protocol = "";
  bufferedAmount = 0;
  readyState = 0;
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: unknown) => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly sent: (string | Uint8Array)[] = [];
  /** Set once the client has closed it. */
  closed: { code: number | undefined; reason: string | undefined } | undefined;

  constructor(readonly url: string | URL, readonly protocols: string[] = []) {}

  send(data: string | Uint8Array) {
    this.sent.push(data);
  }

  close(code?: number, reason?: string) {
    // As in browsers.
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException("invalid code", "InvalidAccessError");
    }
    this.closed = { code, reason };
  }

  open(protocol = "wspulse.1+json") {
    this.protocol = protocol;
    this.readyState = 1;
    this.onopen?.({});
  }

  receive(data: unknown) {
    this.onmessage?.({ data: typeof data === "string" ? data : JSON.stringify(data) });
  }

  greet(members: object = {}) {
    this.receive(["hello", {
      session: "new", id: "ann", token: "t", received: 0, handled: 0, replay: 0,
      silence: 30_000, window: 60_000, message_max: 65_536, ...members,
    }]);
  }

  lose(code = 1006, reason = "") {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code, reason });
  }

  /** What was written since the last look, as JSON. */
  taken() {
    return this.sent.splice(0).map((data) => JSON.parse(data as string) as unknown);
  }
}

/** Sockets as a client makes them, newest last. */
export function fakes() {
  const sockets: FakeSocket[] = [];
  class Fake extends FakeSocket {
    constructor(url: string | URL, protocols?: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  return { sockets, WebSocket: Fake, newest: () => sockets[sockets.length - 1]! };
}

/** Runs what waits, without letting time go by. */
export const settle = () => vi.advanceTimersByTimeAsync(0);

/** A client, the sockets that it makes, and what it tells. */
export async function start(options: Options = {}) {
  const { sockets, WebSocket, newest } = fakes();
  const client = connect("ws://test", { WebSocket, ...options });
  const told: unknown[][] = [];
  for (const name of ["session", "disconnect", "reconnect", "lost", "end", "error"] as const) {
    client.listen(name, (...args: unknown[]) => told.push([name, ...args]));
  }
  await settle();
  return { client, sockets, newest, told };
}

export async function live(options: Options = {}, hello: object = {}) {
  const started = await start(options);
  started.newest().open();
  started.newest().greet(hello);
  started.told.length = 0;
  return started;
}
