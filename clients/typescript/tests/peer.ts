// A server that speaks `wspulse.1`, as short as it can be, and a link to it that breaks. It stands
// in for the real one where a test needs to see into the server.

import { once } from "node:events";
import { createServer, connect as dial, type AddressInfo, type Socket } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { isControl, parseControl } from "../src/control.js";

const RESUME = /^wspulse\.1\.resume\.([A-Za-z0-9_.-]{1,1024})\.(0|[1-9]\d*)$/;

class PeerSession {
  token = "";
  tokenBefore = "";
  /** Sent and not acknowledged, and what waits; the first is number `acknowledged + 1`. */
  kept: string[] = [];
  acknowledged = 0;
  written = 0;
  received = 0;
  handled = 0;
  owes = 0;
  asking = false;
  socket: WebSocket | undefined;
}

export class Peer {
  readonly handled: string[] = [];
  readonly sessions: PeerSession[] = [];
  /** How long its callback takes. */
  handlingMs = () => 0;
  readonly #server: WebSocketServer;
  #tokens = 0;
  #callbacks = Promise.resolve();

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket, { headers }) =>
      this.#came(socket, headers["sec-websocket-protocol"]!.split(/, ?/)));
  }

  static async start() {
    const server = new WebSocketServer({
      port: 0, host: "127.0.0.1",
      handleProtocols: (offers) => (offers.has("wspulse.1+json") ? "wspulse.1+json" : false),
    });
    await once(server, "listening");
    return new Peer(server);
  }

  get port() {
    return (this.#server.address() as AddressInfo).port;
  }

  send(frame: object) {
    const session = this.sessions.at(-1)!;
    session.kept.push(JSON.stringify(frame));
    this.#write(session);
  }

  async stop() {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
    await once(this.#server, "close");
  }

  #came(socket: WebSocket, offers: string[]) {
    const offer = offers.map((each) => RESUME.exec(each)).find((found) => found);
    let session = offer ? this.sessions.find(({ token, tokenBefore }) =>
      offer[1] === token || offer[1] === tokenBefore) : undefined;
    const resumed = session !== undefined;
    if (session && offer) {
      session.socket?.removeAllListeners("message");
      session.socket?.terminate();
      const count = Number(offer[2]);
      if (count < session.acknowledged || count > session.acknowledged + session.kept.length) {
        return socket.close(4410, "frames lost");
      }
      this.#forget(session, count);
      session.written = session.acknowledged;
      session.asking = false;
      // What the client has; it may not come to have the next one.
      session.tokenBefore = offer[1]!;
    } else {
      this.sessions.push((session = new PeerSession()));
    }
    const current = session;
    current.token = `t${++this.#tokens}`;
    current.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data, binary) => this.#received(current, binary ? "" : String(data)));
    const { received, handled, token, kept } = current;
    socket.send(JSON.stringify(["hello", {
      session: resumed ? "resumed" : "new", id: "ann", token, received, handled,
      replay: kept.length, silence: 30_000, window: 60_000, message_max: 65_536,
    }]));
    this.#write(current);
  }

  #write(session: PeerSession) {
    const { socket } = session;
    if (socket?.readyState !== socket?.OPEN) return;
    for (; session.written < session.acknowledged + session.kept.length; session.written++) {
      socket?.send(session.kept[session.written - session.acknowledged]!);
    }
    if (session.kept.length && !session.asking) {
      session.asking = true;
      socket?.send('["ask"]');
    }
  }

  #received(session: PeerSession, text: string) {
    session.tokenBefore = "";
    if (!isControl(text)) {
      session.received += 1;
      this.#callbacks = this.#callbacks.then(async () => {
        await new Promise((resolve) => setTimeout(resolve, this.handlingMs()));
        this.handled.push(text);
        session.handled += 1;
        if (session.owes && session.handled >= session.owes) {
          session.owes = 0;
          session.socket?.send(`["ack",${session.handled}]`);
        }
      });
      return;
    }
    const control = parseControl(text);
    if (control?.name === "ask") {
      session.socket?.send(`["ack",${session.handled}]`);
      if (session.handled < session.received) session.owes = session.received;
    } else if (control?.name === "ack") {
      session.asking = false;
      this.#forget(session, control.count);
      this.#write(session);
    }
  }

  #forget(session: PeerSession, count: number) {
    session.kept.splice(0, Math.max(0, count - session.acknowledged));
    session.acknowledged = Math.max(count, session.acknowledged);
  }
}

/** A TCP relay each of whose links breaks, without a word, after so many bytes of either way. */
export async function brokenLink(port: number, bytesUntilCut: () => number) {
  const sockets = new Set<Socket>();
  let cuts = 0;
  const relay = createServer((near) => {
    const far = dial(port, "127.0.0.1");
    let rest = bytesUntilCut();
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.on("data", (data) => {
        if (rest < data.length) cuts += 1;
        to.write(data.subarray(0, rest));
        rest -= data.length;
        if (rest < 0) setImmediate(() => near.destroy());
      });
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return {
    port: (relay.address() as AddressInfo).port,
    cuts: () => cuts,
    stop() {
      relay.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
