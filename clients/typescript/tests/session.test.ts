// The state machine alone: the protocol's conversations, then what they do not tell.

import { describe, expect, test } from "vitest";
import { decodeFrame, json, type Frame } from "../src/frame.js";
import { Session, type Data, type Effect, type Entry } from "../src/session.js";
import { play, vectors, type Player, type Seen } from "./vectors.js";

interface Named extends Entry {
  as?: string | undefined;
}

const entry = (frame: Frame, as?: string): Named => {
  const data = json.encode(frame);
  return { data, bytes: data.length, awaited: as !== undefined, as };
};

function player(): Player {
  const session = new Session<Named>("json");
  const seen: Seen[] = [];
  const run = () => session.effects.splice(0).forEach((effect) => seen.push(...tell(effect)));
  const then = (act: () => void) => {
    act();
    run();
  };
  return {
    seen,
    connect: () => then(() => session.connect()),
    open: (protocol) => then(() => session.opened(protocol)),
    lose: (code, reason) => then(() => session.lost(code, reason)),
    receive: (text) => then(() => session.received(text)),
    send: (frame, as) => then(() => session.send(entry(frame, as))),
    retry: () => then(() => session.connect()),
    settle: async () => {},
  };
}

function tell(effect: Effect<Named>): Seen[] {
  switch (effect.do) {
    case "connect":
      return [{ expect: "connect", protocols: effect.protocols }];
    case "write":
      return [{ expect: "write", json: JSON.parse(effect.data as string) }];
    case "close":
      return [{ expect: "close", code: effect.code }];
    case "session":
      return [{ expect: "session", session: effect.session, replay: effect.replay }];
    case "message":
      try {
        return [{ expect: "message", frame: decodeFrame(json, effect.data) }];
      } catch {
        return [];
      }
    case "settle":
      return effect.entry.as === undefined
        ? []
        : [{ expect: "settled", as: effect.entry.as, outcome: effect.outcome }];
    case "end":
      return [{ expect: "ended", code: effect.code, reason: effect.reason }];
    default:
      return [];
  }
}

describe("the conversations of the protocol", () => {
  for (const { name, steps } of vectors.client) {
    // What is sent before the first attempt comes, waits: there the order of steps is not one
    // of effects.
    const order = name === "what is sent before the first transport waits" ? "each kind" : "all";
    test(name, () => play(steps, player(), order));
  }
});

const hello = (members: object = {}) =>
  JSON.stringify([
    "hello",
    {
      session: "new", id: "ann", token: "t", received: 0, handled: 0, replay: 0,
      silence: 30_000, window: 60_000, message_max: 65_536, ...members,
    },
  ]);

/** A session that is live, and what it writes from then on. */
function live(members: object = {}) {
  const session = new Session<Named>("json");
  session.connect();
  session.opened("wspulse.1+json");
  session.received(hello(members));
  session.effects.length = 0;
  const written = () =>
    effects("write").map(({ data }: { data: Data }) => JSON.parse(data as string) as unknown);
  const effects = <K extends Effect["do"]>(kind: K) =>
    session.effects.splice(0).filter((e): e is Extract<Effect<Named>, { do: K }> => e.do === kind);
  const resume = (again: object = {}) => {
    session.connect();
    session.opened("wspulse.1+json");
    session.effects.length = 0;
    session.received(hello({ session: "resumed", token: "u", ...again }));
  };
  return { session, written, effects, resume };
}

test("after 64 messages that nobody asked about, it asks", () => {
  const { session, written } = live();
  for (let n = 0; n < 63; n++) session.send(entry({ event: "e" }));
  expect(written()).toHaveLength(63);
  expect(session.unasked).toBe(true);
  session.send(entry({ event: "e" }));
  expect(written()).toEqual([{ event: "e" }, ["ask"]]);
  expect(session.unasked).toBe(false);
  for (let n = 0; n < 70; n++) session.send(entry({ event: "e" }));
  expect(written()).toHaveLength(70);
  session.received('["ack",64]');
  expect(written()).toEqual([["ask"]]);
});

test("while a second answer may follow, nothing is asked", () => {
  const { session, written } = live();
  session.send(entry({}, "a"));
  session.received('["ack",0]');
  session.send(entry({}, "b"));
  expect(written()).toEqual([{}, ["ask"], {}]);
  session.received('["ack",1]');
  expect(written()).toEqual([["ask"]]);
});

test("an older ack is old news", () => {
  const { session } = live();
  session.send(entry({}, "a"));
  session.received('["ack",1]');
  session.received('["ack",0]');
  expect([session.state, session.pending]).toEqual(["live", 0]);
});

test("what the server has received is not kept", () => {
  const { session, resume } = live();
  session.send(entry({ event: "long" }));
  session.send(entry({ event: "long" }));
  expect(session.bytes).toBe(32);
  session.lost(1006, "");
  resume({ received: 1 });
  expect([session.bytes, session.pending]).toEqual([16, 2]);
});

test("what is longer than the server takes is not written, whenever it was sent", () => {
  const { session, effects, resume } = live();
  session.send(entry({ event: "a" }));
  session.send(entry({ event: "b".repeat(50) }));
  session.lost(1006, "");
  session.send(entry({ event: "c".repeat(50) }));
  session.send(entry({ event: "d" }));
  resume({ message_max: 40 });
  const all = session.effects.map((e) =>
    e.do === "write" ? e.data : e.do === "settle" ? e.outcome : e.do);
  expect(all).toEqual(["session", '{"event":"a"}', "too long", "too long", '{"event":"d"}']);
  session.received('["ack",2]');
  expect(effects("settle").slice(-2).map((e) => e.outcome)).toEqual(["handled", "handled"]);
  expect([session.pending, session.bytes]).toEqual([0, 0]);
});

test("a hello that knows less than an earlier one is a violation", () => {
  const { session, resume } = live();
  session.send(entry({}));
  session.send(entry({}));
  session.lost(1006, "");
  resume({ received: 2, handled: 1 });
  session.lost(1006, "");
  resume({ received: 1, handled: 1 });
  expect(session.state).toBe("waiting");
  resume({ received: 2, handled: 0 });
  expect(session.state).toBe("waiting");
  resume({ received: 2, handled: 2 });
  expect(session.state).toBe("live");
});

test.each([
  ["a second hello", hello()],
  ["an ack of more than was sent", '["ack",1]'],
  ...vectors.violations.map((text) => [text, text]),
])("a violation ends the transport: %s", (_, text) => {
  const { session, effects } = live();
  session.received(text!);
  expect(effects("close").map((e) => e.code)).toEqual([1002]);
  expect(session.state).toBe("waiting");
});

test.each([['["ask"]'], ['["ack",0]'], ['{"event":"x"}'], [hello({ session: "resumed" })],
  [hello({ received: 1 })]])("before the hello it is one as well: %s", (text) => {
  const session = new Session("json");
  session.connect();
  session.opened("wspulse.1+json");
  session.received('["later"]');
  expect(session.state).toBe("greeting");
  session.received(text);
  expect(session.state).toBe("waiting");
});

test("a late event of an old transport changes nothing", () => {
  const { session } = live();
  session.lost(1006, "");
  session.effects.length = 0;
  session.lost(1000, "");
  session.received('{"event":"x"}');
  session.opened("wspulse.1+json");
  expect([session.state, session.effects]).toEqual(["waiting", []]);
});

test("a server that has become a plain one ends the session", () => {
  const { session, effects } = live();
  session.send(entry({ event: "a" }, "a"));
  session.lost(1006, "");
  session.send(entry({ event: "b" }, "b"));
  session.connect();
  session.opened("");
  expect(effects("settle").map((e) => [e.entry.as, e.outcome])).toEqual([
    ["a", "lost"],
    ["b", "written"],
  ]);
  session.lost(1006, "");
  session.connect();
  expect(effects("connect").map((e) => e.protocols)).toEqual([["wspulse.1+json", "wspulse.plain"]]);
});

test("the end tells of all that waits", () => {
  const { session, effects } = live();
  session.send(entry({}, "a"));
  session.lost(1006, "");
  session.send(entry({}, "b"));
  session.end(1000, "");
  expect(effects("settle").map((e) => e.outcome)).toEqual(["lost", "unsent"]);
  session.connect();
  expect(session.state).toBe("ended");
});

test("what was not sent can be taken back", () => {
  const { session, written, resume } = live();
  const [a, b] = [entry({ event: "a" }), entry({ event: "b" })];
  session.send(a);
  session.lost(1006, "");
  session.send(b);
  expect([session.retract(a), session.retract(b), session.retract(b)]).toEqual([false, true, false]);
  expect(session.bytes).toBe(a.bytes);
  resume();
  expect(written()).toEqual([{ event: "a" }]);
});
