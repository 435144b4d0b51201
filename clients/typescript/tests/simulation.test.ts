// Random lives of the state machine against a server that is a few counters, over a link in memory
// that loses what is on its way: whatever happens, each message's fate is the one that was told.

import { expect, test } from "vitest";
import { parseControl } from "../src/control.js";
import { Session, type Entry, type Outcome } from "../src/session.js";
import { random, seeds } from "./random.js";

interface Message extends Entry {
  readonly number: number;
  outcome?: Outcome;
}

/** What a server keeps of a session. */
class Kept {
  received: number[] = [];
  handled = 0;
  owes = 0;
  sent: number[] = [];
  acknowledged = 0;
}

class World {
  readonly client = new Session<Message>("json");
  readonly messages: Message[] = [];
  /** By the server's callback, in all sessions. */
  readonly handled: number[] = [];
  /** By the client's application; since the beginning of the session. */
  got: number[] = [];
  server = new Kept();
  tokens = 0;
  pushed = 0;
  resumes = 0;
  losses = 0;
  /** On their way. */
  up: string[] = [];
  down: string[] = [];
  link: "none" | "opening" | "open" = "none";
  offer: { token: string; count: number } | undefined;
  valid = new Set<string>();

  run() {
    for (const effect of this.client.effects.splice(0)) {
      switch (effect.do) {
        case "connect": {
          const found = /^wspulse\.1\.resume\.(.*)\.(\d+)$/.exec(effect.protocols[2] ?? "");
          this.offer = found ? { token: found[1]!, count: Number(found[2]) } : undefined;
          this.link = "opening";
          break;
        }
        case "write":
          expect(effect.data, "kept as long as it may be needed").toBeDefined();
          this.up.push(effect.data as string);
          break;
        case "message":
          this.got.push(Number(effect.data));
          break;
        case "session":
          if (effect.session === "new") this.got = [];
          break;
        case "settle":
          expect(effect.entry.outcome, "told once").toBeUndefined();
          effect.entry.outcome = effect.outcome;
          if (effect.outcome === "handled") expect(this.handled).toContain(effect.entry.number);
          break;
        case "close":
          throw new Error(`nobody has broken the protocol: ${effect.reason}`);
        default:
      }
    }
  }

  greet() {
    const resumed = this.offer !== undefined && this.valid.has(this.offer.token);
    if (resumed) {
      const { token, count } = this.offer!;
      this.resumes += 1;
      expect(count).toBeGreaterThanOrEqual(this.server.acknowledged);
      expect(count).toBeLessThanOrEqual(this.server.sent.length);
      this.server.acknowledged = count;
      this.valid = new Set([token]);
    } else {
      this.server = new Kept();
      this.valid = new Set();
    }
    const token = `t${++this.tokens}`;
    this.valid.add(token);
    const { received, handled, sent, acknowledged } = this.server;
    this.down.push(JSON.stringify(["hello", {
      session: resumed ? "resumed" : "new", id: "", token, received: received.length, handled,
      replay: sent.length - acknowledged, silence: 0, window: 0, message_max: 100,
    }]));
    this.down.push(...sent.slice(acknowledged).map(String));
  }

  serve(text: string) {
    const { server } = this;
    const control = text[0] === "[" ? parseControl(text) : undefined;
    if (control?.name === "ask") {
      this.down.push(`["ack",${server.handled}]`);
      if (server.handled < server.received.length) server.owes = server.received.length;
    } else if (control?.name === "ack") {
      server.acknowledged = Math.max(server.acknowledged, control.count);
    } else {
      server.received.push(Number(text));
    }
  }

  handle() {
    const { server } = this;
    if (server.handled === server.received.length) return;
    this.handled.push(server.received[server.handled]!);
    server.handled += 1;
    if (server.owes && server.handled >= server.owes && this.link === "open") {
      server.owes = 0;
      this.down.push(`["ack",${server.handled}]`);
    }
  }

  cut() {
    if (this.link === "none") return;
    this.link = "none";
    // What the server has read before is there; the rest never comes, either way.
    this.up = [];
    this.down = [];
    this.server.owes = 0;
    this.client.lost(1006, "");
  }

  step(draw: () => number, restarts: boolean) {
    const what = draw();
    if (what < 0.02) this.cut();
    else if (what < 0.025 && restarts) {
      // All in its memory is gone.
      this.cut();
      while (this.server.handled < this.server.received.length) this.handle();
      this.server = new Kept();
      this.valid = new Set();
      this.losses += 1;
    } else if (what < 0.15) {
      const number = this.messages.length + 1;
      const data = String(number);
      const message = { data, bytes: data.length, awaited: draw() < 0.3, number };
      this.messages.push(message);
      this.client.send(message);
    } else if (what < 0.25 && this.link === "open") {
      this.server.sent.push(++this.pushed);
      this.down.push(String(this.pushed));
    } else if (what < 0.27 && this.link === "open") this.down.push('["ask"]');
    else if (what < 0.29) this.client.ask();
    else if (what < 0.4) this.handle();
    else if (what < 0.5 && this.link === "none") this.client.connect();
    else if (what < 0.55 && this.link === "opening") {
      this.link = "open";
      this.client.opened("wspulse.1+json");
      this.greet();
    } else if (what < 0.78) {
      const text = this.link === "open" ? this.up.shift() : undefined;
      if (text !== undefined) this.serve(text);
    } else {
      const text = this.link === "open" ? this.down.shift() : undefined;
      if (text !== undefined) this.client.received(text);
    }
    this.run();
  }
}

const count = Number(process.env["WSPULSE_SEEDS"] ?? 5) * 20;

test(`${count} lives`, () => {
  let [resumes, losses] = [0, 0];
  const outcomes = new Set<Outcome | undefined>();
  const drawn = seeds(count);
  for (const seed of drawn) {
    try {
      const draw = random(seed);
      const restarts = draw() < 0.5;
      const world = new World();
      for (let n = 0; n < 1_500; n++) world.step(draw, restarts);
      // Then nothing fails any more.
      for (let n = 0; n < 5_000; n++) world.step(() => 0.27 + draw() * 0.73, false);
      const { messages, handled, server, got } = world;
      const lost = messages.filter(({ outcome }) => outcome === "lost").length;
      expect(world.client.pending).toBe(0);
      expect(handled, "in order, and none twice").toEqual([...new Set(handled)].sort((a, b) => a - b));
      expect(messages.length - handled.length).toBeLessThanOrEqual(lost);
      if (!restarts) expect(lost, "nothing was lost").toBe(0);
      expect(got, "all of the session").toEqual(server.sent);
      resumes += world.resumes;
      losses += world.losses;
      for (const { outcome } of messages) outcomes.add(outcome);
    } catch (error) {
      throw new Error(`WSPULSE_SEED=${seed}`, { cause: error });
    }
  }
  if (drawn.length < 100) return;
  // Otherwise nothing of the kind was tested.
  expect(outcomes).toEqual(new Set(["handled", "lost"]));
  expect([resumes > count, losses > 0]).toEqual([true, true]);
}, 120_000);
