// The protocol's conversations, played to the client itself over a WebSocket that is none.

import { afterEach, beforeEach, describe, test, vi } from "vitest";
import { connect, LostError, type Client } from "../src/index.js";
import { fakes, settle } from "./fake.js";
import { play, vectors, type Player, type Seen } from "./vectors.js";

beforeEach(() => {
  vi.useFakeTimers();
  // An attempt that comes at once would come before the conversation says so.
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function player(): Player {
  const { sockets, WebSocket, newest } = fakes();
  const seen: Seen[] = [];
  let known = 0;
  let client: Client;
  const closed = new Set<unknown>();
  return {
    seen,
    connect() {
      client = connect("ws://test", { WebSocket });
      client.listen("session", ({ session, replay }) =>
        seen.push({ expect: "session", session, replay }));
      client.listen("message", (frame) => seen.push({ expect: "message", frame }));
      client.listen("end", (code, reason) => seen.push({ expect: "ended", code, reason }));
      client.listen("error", () => {});
    },
    open: (protocol) => newest().open(protocol),
    lose: (code, reason) => newest().lose(code, reason),
    receive: (text) => newest().receive(text),
    send(frame, as) {
      if (as === undefined) return client.post(frame);
      client.send(frame).then(
        (outcome) => seen.push({ expect: "settled", as, outcome }),
        (error: unknown) =>
          seen.push({ expect: "settled", as, outcome: error instanceof LostError ? "lost" : "?" }),
      );
    },
    retry: async () => void (await vi.advanceTimersToNextTimerAsync()),
    async settle() {
      await settle();
      for (const { protocols } of sockets.slice(known)) seen.push({ expect: "connect", protocols });
      known = sockets.length;
      for (const socket of sockets) {
        for (const json of socket.taken()) seen.push({ expect: "write", json });
        // A browser does not let it say 1002.
        if (socket.closed && !closed.has(socket)) seen.push({ expect: "close", code: 1002 });
        closed.add(socket.closed && socket);
      }
    },
  };
}

describe("the conversations of the protocol", () => {
  for (const { name, steps } of vectors.client) {
    test(name, () => play(steps, player(), "each kind"));
  }
});
