// One WebSocket, from the address until its end, which is told once and at most.

import type { Data } from "./session.js";

/** What is used of a WebSocket; the ones of browsers, Node, Deno, Bun and `ws` fit. */
export interface Socket {
  binaryType: string;
  readonly protocol: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string | URL, protocols?: string[]) => Socket;

/** Where to connect to, or what tells it before each attempt. */
export type Address = string | URL | (() => string | URL | Promise<string | URL>);

export interface Listener {
  opened(protocol: string): void;
  received(data: Data): void;
  lost(code: number, reason: string): void;
  /** There is no socket, for this reason; no other call follows. */
  failed(error: unknown): void;
}

export class Transport {
  #socket: Socket | undefined;
  #listener: Listener | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  async open(WebSocket: WebSocketConstructor, address: Address, protocols: string[]) {
    try {
      const url = typeof address === "function" ? await address() : address;
      if (this.#listener) this.#listen(new WebSocket(url, protocols));
    } catch (error) {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.failed(error);
    }
  }

  #listen(socket: Socket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#listener?.opened(socket.protocol);
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
      this.#listener?.received(typeof data === "string" ? data : new Uint8Array(data));
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.lost(code, reason);
    };
    // The close follows, and says as much.
    socket.onerror = () => {};
  }

  /** So many bytes were written and have not left yet. */
  get buffered() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  write(data: Data) {
    this.#socket?.send(data);
  }

  /** Stops listening, and closes. */
  close(code: number, reason: string) {
    this.#listener = undefined;
    try {
      this.#socket?.close(code, reason);
    } catch {
      // Browsers let a page say 1000 and 3000 to 4999 alone.
      this.#socket?.close();
    }
  }
}
