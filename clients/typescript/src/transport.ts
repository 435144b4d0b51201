// One WebSocket, from the address until its end, which is told once and at most.

import { GIVEN_UP, type Data } from "./session.js";

/** What is used of a WebSocket; the ones of browsers, Node, Deno, Bun and `ws` fit. */
export interface Socket {
  binaryType: string;
  readonly protocol: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  // No narrower type fits all: they name their bytes differently.
  send(data: any): void;
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

export interface Transport {
  /** So many bytes were written and have not left yet. */
  buffered(): number;
  write(data: Data): void;
  /** Stops listening, and closes. */
  close(code: number, reason: string): void;
}

export function openTransport(
  WebSocket: WebSocketConstructor,
  address: Address,
  protocols: string[],
  listener: Listener,
): Transport {
  let socket: Socket | undefined;
  let over = false;

  const lost = (code: number, reason: string) => {
    if (over) return;
    over = true;
    listener.lost(code, reason);
  };

  const open = (url: string | URL) => {
    const opening = (socket = new WebSocket(url, protocols));
    opening.binaryType = "arraybuffer";
    opening.onopen = () => over || listener.opened(opening.protocol);
    opening.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
      over || listener.received(typeof data === "string" ? data : new Uint8Array(data));
    opening.onclose = ({ code, reason }: { code: number; reason: string }) => lost(code, reason);
    // A close follows and says more. But some Nodes leave a socket whose handshake
    // failed in state 0, connecting, for ever.
    opening.onerror = () => opening.readyState || lost(1006, "");
  };

  // Always after this turn, so that whoever opens it has it before it tells anything.
  Promise.resolve()
    .then(() => over || (typeof address === "function" ? address() : address))
    .then((url) => over || open(url as string | URL))
    .catch((error: unknown) => {
      if (!over) {
        over = true;
        listener.failed(error);
      }
    });

  return {
    buffered: () => socket?.bufferedAmount ?? 0,
    write: (data) => socket?.send(data),
    close(code, reason) {
      over = true;
      try {
        socket?.close(code, reason);
      } catch {
        // Browsers let a page say 1000 and 3000 to 4999 alone. Without a code it looks like leaving.
        socket?.close(code === 1002 ? GIVEN_UP : undefined);
      }
    },
  };
}
