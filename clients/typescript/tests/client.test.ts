// The client over a WebSocket that is none, under a clock of the test's own.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClosedError, connect, LostError, OutboxFullError, OverflowError, ProtocolError, RequestError,
  TimeoutError, TooLongError, type Options, type Codec,
} from "../src/index.js";
import { fakes, settle } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A client, the sockets that it makes, and what it tells. */
async function start(options: Options = {}) {
  const { sockets, WebSocket, newest } = fakes();
  const client = connect("ws://test", { WebSocket, ...options });
  const told: unknown[][] = [];
  for (const name of ["session", "disconnect", "reconnect", "lost", "end", "error"] as const) {
    client.listen(name, (...args: unknown[]) => told.push([name, ...args]));
  }
  await settle();
  return { client, sockets, newest, told };
}

async function live(options: Options = {}, hello: object = {}) {
  const started = await start(options);
  started.newest().open();
  started.newest().greet(hello);
  started.told.length = 0;
  return started;
}

describe("sending", () => {
  test("1 s after a message that nobody asked about, the client asks", async () => {
    const { client, newest } = await live();
    client.post({ event: "a" });
    await vi.advanceTimersByTimeAsync(600);
    client.post({ event: "b" });
    expect(newest().taken()).toEqual([{ event: "a" }, { event: "b" }]);
    await vi.advanceTimersByTimeAsync(399);
    expect(newest().taken()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(newest().taken()).toEqual([["ask"]]);
    newest().receive(["ack", 2]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(newest().taken()).toEqual([]);
    expect(client.pending).toBe(0);
  });

  test("a full outbox refuses, by number and by bytes", async () => {
    const { client } = await start({ outbox: { messages: 2, bytes: 100 } });
    client.post({ event: "a" });
    expect(() => client.post({ event: "x".repeat(100) })).toThrow(OutboxFullError);
    client.post({ event: "b" });
    expect(() => client.post({ event: "c" })).toThrow(OutboxFullError);
    await expect(client.send({ event: "c" })).rejects.toThrow(OutboxFullError);
    await expect(client.request({ event: "c" })).rejects.toThrow(OutboxFullError);
  });

  test("a plain connection's outbox is what its socket keeps", async () => {
    const { client, newest } = await start({ outbox: { bytes: 100 } });
    newest().open("");
    newest().bufferedAmount = 90;
    expect(() => client.post({ event: "abc" })).toThrow(OutboxFullError);
    newest().bufferedAmount = 0;
    client.post({ event: "abc" });
  });

  test("on a plain connection a message is written, and no more is known", async () => {
    const { client, newest } = await start();
    const early = client.send({ event: "a" });
    newest().open("");
    expect(await early).toBe("written");
    expect(await client.send({ event: "b" })).toBe("written");
    expect(newest().taken()).toEqual([{ event: "a" }, { event: "b" }]);
  });

  test("what is longer than the server takes is refused", async () => {
    const { client, newest, told } = await start();
    const early = client.send({ event: "é".repeat(40) });
    client.post({ event: "é".repeat(41) });
    newest().open();
    newest().greet({ message_max: 60 });
    await expect(early).rejects.toThrow(TooLongError);
    expect(told.map(([name, frame]) => [name, (frame as { event?: string }).event?.length])).toEqual(
      [["lost", 41], ["session", undefined]].reverse(),
    );
    expect(() => client.post({ event: "é".repeat(25) })).toThrow(TooLongError);
    client.post({ event: "é".repeat(24) });
    expect(newest().taken()).toHaveLength(1);
  });

  test("messages that nobody waits for are told when they are lost", async () => {
    const { client, newest, told } = await live();
    client.post({ event: "sent" });
    newest().lose(4410, "frames lost");
    expect(told.map((each) => each[0])).toEqual(["disconnect", "lost", "reconnect"]);
    expect(told[1]![1]).toEqual({ event: "sent" });
    expect(told[1]![2]).toBeInstanceOf(LostError);
    client.post({ event: "unsent" });
    client.close();
    expect(told.slice(3).map((each) => each[0])).toEqual(["lost", "end"]);
    expect(told[3]![2]).toBeInstanceOf(ClosedError);
  });

  test("an aborted send is taken back if it was not sent", async () => {
    const { client, newest } = await start();
    const abort = new AbortController();
    const waiting = client.send({ event: "a" }, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    newest().open();
    newest().greet();
    expect(newest().taken()).toEqual([]);
    const sent = client.send({ event: "b" }, { signal: AbortSignal.timeout(1e9) });
    newest().receive(["ack", 1]);
    expect(await sent).toBe("handled");
    await expect(client.send({}, { signal: abort.signal })).rejects.toThrow("enough");
  });

  test("after the end nothing is taken", async () => {
    const { client } = await live();
    client.close();
    client.close();
    expect(() => client.post({})).toThrow(ClosedError);
    await expect(client.send({})).rejects.toThrow(ClosedError);
    await expect(client.request({})).rejects.toThrow(ClosedError);
  });

  test("a message that cannot be encoded is refused, and does not count", async () => {
    const { client, newest } = await live();
    expect(() => client.post({ payload: 1n })).toThrow(TypeError);
    client.post({ payload: null });
    expect(newest().taken()).toEqual([{ payload: null }]);
  });
});

describe("receiving", () => {
  test("by event, by everything, and by loops", async () => {
    const { client, newest } = await live();
    const seen: unknown[] = [];
    const off = client.on("a", (payload, frame) => seen.push(["a", payload, frame]));
    client.listen("message", (frame) => seen.push(["any", frame]));
    const loop = client.messages();
    newest().receive({ event: "a", payload: 1 });
    off();
    newest().receive({ event: "a", payload: 2 });
    newest().receive({ id: "7" });
    expect(seen).toEqual([
      ["any", { event: "a", payload: 1 }],
      ["a", 1, { event: "a", payload: 1 }],
      ["any", { event: "a", payload: 2 }],
      ["any", { id: "7" }],
    ]);
    newest().lose(1000, "kicked");
    const all = [];
    for await (const { event, payload } of loop) all.push([event, payload]);
    expect(all).toEqual([["a", 1], ["a", 2], [undefined, undefined]]);
    for await (const _ of client) throw new Error("the client has ended");
  });

  test("a loop that waits gets the next message, and ends with the client", async () => {
    const { client, newest } = await live();
    const loop = client[Symbol.asyncIterator]();
    const next = [loop.next(), loop.next()];
    newest().receive({ event: "a" });
    client.close();
    expect(await Promise.all(next)).toEqual([
      { done: false, value: { event: "a" } },
      { done: true, value: undefined },
    ]);
  });

  test("a loop that is too slow hears of it, and is left alone when it is left", async () => {
    const { client, newest } = await live();
    const [slow, left] = [client.messages(2), client.messages(1)];
    await left.return!();
    for (const event of ["a", "b", "c"]) newest().receive({ event });
    expect((await slow.next()).value).toEqual({ event: "a" });
    expect((await slow.next()).value).toEqual({ event: "b" });
    await expect(slow.next()).rejects.toThrow(OverflowError);
    expect((await slow.next()).done).toBe(true);
    expect((await left.next()).done).toBe(true);
  });

  test.each([["null"], ["7"], ['"text"'], ["{"], ['{"id":1}'], ['{"event":null}']])(
    "what is no frame is told as an error, and counts: %s",
    async (text) => {
      const { client, newest, told } = await live();
      client.listen("message", () => told.push(["message"]));
      newest().receive(text);
      expect(told).toEqual([["error", expect.any(ProtocolError)]]);
      newest().receive(["ask"]);
      expect(newest().taken()).toEqual([["ack", 1]]);
    },
  );

  test("binary messages are frames as well, and a handler that throws harms no other", async () => {
    const { client, newest, told } = await live();
    client.on("a", () => {
      throw new Error("mine");
    });
    client.on("a", (payload) => told.push(["a", payload]));
    newest().onmessage!({ data: new TextEncoder().encode('{"event":"a","payload":1}').buffer });
    expect(told).toEqual([["error", new Error("mine")], ["a", 1]]);
  });

  test("an error that nobody listens for is logged", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const { WebSocket, newest } = fakes();
    connect("ws://test", { WebSocket });
    await settle();
    newest().open("");
    newest().receive("7");
    expect(logged).toHaveBeenCalledOnce();
  });

  test("what a handler sends while messages come goes out in order", async () => {
    const { client, newest } = await live();
    client.on("a", () => client.post({ event: "b" }));
    newest().receive({ event: "a" });
    newest().receive(["ask"]);
    expect(newest().taken()).toEqual([{ event: "b" }, ["ack", 1]]);
  });

  test("another codec is offered by its name", async () => {
    const codec: Codec = {
      name: "hex",
      encode: (frame) => new TextEncoder().encode(JSON.stringify(frame)),
      decode: (data) => ({ event: "raw", payload: data }),
    };
    const { client, newest, told } = await start({ codec });
    expect(newest().protocols).toEqual(["wspulse.1+hex"]);
    newest().open("wspulse.1+hex");
    newest().greet();
    client.on("raw", (payload) => told.push([payload]));
    newest().onmessage!({ data: new Uint8Array([1, 2]).buffer });
    expect(told.at(-1)).toEqual([new Uint8Array([1, 2])]);
    client.post({ event: "x" });
    expect(newest().sent[0]).toBeInstanceOf(Uint8Array);
  });
});

describe("requests", () => {
  test("the answer has the same id", async () => {
    const { client, newest, told } = await live();
    client.listen("message", (frame) => told.push(["message", frame]));
    const [a, b] = [client.request({ event: "q" }), client.request({ event: "q" })];
    const [first, second] = newest().taken() as { id: string }[];
    expect(first!.id).not.toBe(second!.id);
    newest().receive({ id: first!.id, event: "other" });
    newest().receive({ id: second!.id, event: "reply", payload: 2 });
    newest().receive({ id: first!.id, event: "reply", payload: 1 });
    expect([(await a).payload, (await b).payload]).toEqual([1, 2]);
    expect(told).toEqual([["message", { id: first!.id, event: "other" }]]);
  });

  test("an error, a timeout, an abort and a loss reject it", async () => {
    const { client, newest } = await live();
    const abort = new AbortController();
    const refused = client.request({}, { error: "no" });
    const late = client.request({}, { timeout: 50 });
    const aborted = client.request({}, { signal: abort.signal });
    const lost = client.request({});
    const handled = client.request({});
    const [{ id }] = newest().taken() as [{ id: string }];
    newest().receive({ id, event: "no", payload: "because" });
    await expect(refused).rejects.toMatchObject({ name: "RequestError", payload: "because" });
    await expect(refused).rejects.toBeInstanceOf(RequestError);
    const timed = expect(late).rejects.toThrow(TimeoutError);
    await vi.advanceTimersByTimeAsync(50);
    await timed;
    abort.abort();
    await expect(aborted).rejects.toThrow("aborted");
    newest().lose(4001);
    await expect(lost).rejects.toThrow(LostError);
    await expect(handled).rejects.toThrow(LostError);
  });

  test("one that was handled and has no answer ends with the client", async () => {
    const { client, newest } = await live();
    const request = client.request({}, { reply: "yes" });
    newest().receive(["ack", 1]);
    client.close();
    await expect(request).rejects.toThrow(LostError);
  });

  test("one that is given up before it was sent is not sent", async () => {
    const { client, newest } = await start();
    const request = expect(client.request({}, { timeout: 10 })).rejects.toThrow(TimeoutError);
    await vi.advanceTimersByTimeAsync(10);
    await request;
    newest().open();
    newest().greet();
    expect(newest().taken()).toEqual([]);
  });
});

describe("coming back", () => {
  test("it waits a random time up to a bound that doubles, and begins anew after a hello", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const { newest, told } = await start({ reconnect: { base: 100, max: 1_000 }, sessions: "require" });
    for (let n = 0; n < 6; n++) {
      newest().lose();
      await vi.advanceTimersToNextTimerAsync();
    }
    const delays = () => told.filter(([name]) => name === "reconnect").map((each) => each.slice(1));
    expect(delays()).toEqual([[1, 50], [2, 100], [3, 200], [4, 400], [5, 500], [6, 500]]);
    newest().open();
    newest().lose();
    await vi.advanceTimersToNextTimerAsync();
    expect(delays().at(-1)).toEqual([7, 500]);
    newest().open();
    newest().greet();
    newest().lose();
    expect(delays().at(-1)).toEqual([1, 50]);
  });

  test.each([[1012, "retry=5000", 5_000], [1001, "going; retry=700", 700], [1013, "retry=99999999", 3_600_000],
    [1011, "retry=5000", 0], [1012, "noretry=5", 0], [1012, "retry=x", 0]])(
    "%i %s: at least %i ms", async (code, reason, least) => {
      vi.spyOn(Math, "random").mockReturnValue(0);
      const { newest, told } = await live();
      newest().lose(code, reason);
      expect(told.at(-1)).toEqual(["reconnect", 1, least]);
    });

  test("after so many attempts in a row it ends", async () => {
    const { client, newest, sockets, told } = await live({ reconnect: { attempts: 2 } });
    for (let n = 0; n < 3; n++) {
      newest().open();
      newest().lose(1011, `${n}`);
      await vi.advanceTimersToNextTimerAsync();
    }
    expect(told.at(-1)).toEqual(["end", 1011, "2"]);
    expect([client.state, sockets.length]).toEqual(["ended", 3]);
  });

  test("the address is asked for before each attempt, and may fail or come too late", async () => {
    const { sockets, WebSocket, newest } = fakes();
    const answers = [Promise.reject(new Error("no token")), Promise.resolve("ws://b"), new Promise<string>(() => {})];
    const client = connect(() => answers.shift()!, { WebSocket });
    const errors: unknown[] = [];
    client.listen("error", (error) => errors.push(error));
    await settle();
    expect([errors, client.state]).toEqual([[new Error("no token")], "waiting"]);
    await vi.advanceTimersByTimeAsync(500);
    expect(newest().url).toBe("ws://b");
    newest().open();
    newest().greet();
    newest().lose();
    await vi.advanceTimersByTimeAsync(500);
    client.close();
    expect([sockets.length, client.state]).toEqual([1, "ended"]);
  });

  test("an address that no socket takes is the end", async () => {
    const client = connect("nonsense", {
      WebSocket: class extends fakes().WebSocket {
        constructor(url: string | URL) {
          super(url);
          throw new SyntaxError("no address");
        }
      },
    });
    const told: unknown[] = [];
    client.listen("error", (error) => told.push(error));
    client.listen("end", (code) => told.push(code));
    await settle();
    expect(told).toEqual([new SyntaxError("no address"), 1006]);
  });

  test("a handshake that failed need not be closed as well", async () => {
    const { newest, client } = await start();
    newest().onerror!({});
    expect(client.state).toBe("waiting");
    await vi.advanceTimersToNextTimerAsync();
    expect(newest().protocols).toEqual([]);
  });

  test("a transport that is not ready in time is given up", async () => {
    const { newest, sockets, client } = await start({ connectTimeout: 3_000, sessions: "require" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect([sockets[0]!.closed !== undefined, client.state]).toEqual([true, "waiting"]);
    await vi.advanceTimersByTimeAsync(500);
    newest().open();
    await vi.advanceTimersByTimeAsync(3_000);
    expect([sockets.length >= 2, sockets[1]!.closed !== undefined]).toEqual([true, true]);
  });

  test("where no server has greeted, every second attempt does without the protocol", async () => {
    const { newest, client } = await start({ protocols: ["token"] });
    const offers = async () => {
      const { protocols } = newest();
      newest().lose();
      await vi.advanceTimersToNextTimerAsync();
      return protocols;
    };
    expect(await offers()).toEqual(["wspulse.1+json", "token"]);
    expect(await offers()).toEqual(["token"]);
    expect(await offers()).toEqual(["wspulse.1+json", "token"]);
    newest().open("token");
    expect(client.state).toBe("plain");
    await offers();
    newest().open();
    newest().greet();
    await offers();
    expect(await offers()).toEqual(["wspulse.1+json", "wspulse.1.resume.t.0", "token"]);
    expect(await offers()).toEqual(["wspulse.1+json", "wspulse.1.resume.t.0", "token"]);
  });

  test("sessions may be required, or not wanted", async () => {
    const required = await start({ sessions: "require" });
    required.newest().open("");
    expect(required.told[0]).toEqual(["error", expect.any(ProtocolError)]);
    expect(required.client.state).toBe("waiting");
    const never = await start({ sessions: "never" });
    expect(never.newest().protocols).toEqual([]);
    never.newest().open("");
    expect(never.client.state).toBe("plain");
  });

  test("a plain server that throws out at once is not stormed", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const { newest, told } = await start({ sessions: "never", reconnect: { base: 100 } });
    const loseAfter = async (ms: number) => {
      newest().open("");
      await vi.advanceTimersByTimeAsync(ms);
      newest().lose();
      const delay = told.at(-1)![2] as number;
      await vi.advanceTimersByTimeAsync(delay);
      return delay;
    };
    expect([await loseAfter(0), await loseAfter(0), await loseAfter(5_000)]).toEqual([100, 200, 100]);
    newest().open("");
    newest().receive({});
    expect(await loseAfter(0)).toBe(100);
  });

  test("a signal ends the client, before it has begun as well", async () => {
    const abort = new AbortController();
    const { client, newest, told } = await live({ signal: abort.signal });
    abort.abort();
    expect([client.state, newest().closed]).toEqual(["ended", { code: 1000, reason: "" }]);
    expect(told).toEqual([["end", 1000, ""]]);
    const late = await start({ signal: abort.signal });
    expect([late.sockets.length, late.client.state]).toEqual([0, "ended"]);
  });

  test("what comes from a transport that was given up counts for nothing", async () => {
    const { client, sockets, newest } = await live();
    newest().receive(["ack", 5]);
    client.listen("message", () => expect.unreachable());
    sockets[0]!.receive({ event: "late" });
    sockets[0]!.lose(1000);
    expect(client.state).toBe("waiting");
    await vi.advanceTimersByTimeAsync(500);
    expect(newest().protocols).toContain("wspulse.1.resume.t.0");
  });

  test("without a WebSocket there is no client", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => connect("ws://test")).toThrow(TypeError);
  });
});

describe("a link in doubt", () => {
  test("when nothing came for the server's silence, the client asks, and gives up without answer", async () => {
    const { client, newest, told } = await live({}, { silence: 10_000 });
    await vi.advanceTimersByTimeAsync(6_000);
    newest().receive({});
    await vi.advanceTimersByTimeAsync(9_999);
    expect(newest().taken()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(newest().taken()).toEqual([["ask"]]);
    await vi.advanceTimersByTimeAsync(4_999);
    newest().receive(["ack", 0]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(newest().taken()).toEqual([["ask"]]);
    expect(client.state).toBe("live");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told.slice(-2).map((each) => each.slice(0, 3))).toEqual([
      ["disconnect", 1006, "no answer"],
      ["reconnect", 1, expect.any(Number)],
    ]);
  });

  test("an upload that goes on is no silence", async () => {
    const { client, newest } = await live({}, { silence: 10_000 });
    newest().bufferedAmount = 100;
    await vi.advanceTimersByTimeAsync(14_000);
    newest().bufferedAmount = 50;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(client.state).toBe("live");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toBe("waiting");
  });

  test("after a sleep it asks before it judges", async () => {
    const { client, newest } = await live({}, { silence: 10_000 });
    await vi.advanceTimersByTimeAsync(10_000);
    // The machine sleeps: the clock goes on, and the timer runs late.
    vi.setSystemTime(Date.now() + 3_600_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toBe("live");
    newest().receive(["ack", 0]);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(client.state).toBe("live");
  });

  test("a hidden page, whose timers are always late, judges the second time", async () => {
    const { client } = await live({}, { silence: 10_000 });
    await vi.advanceTimersByTimeAsync(10_000);
    vi.setSystemTime(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toBe("live");
    vi.setSystemTime(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toBe("waiting");
  });

  test("no silence is no bound, and one of days does not overflow a timer", async () => {
    for (const silence of [0, 2 ** 40]) {
      const { client, newest } = await live({}, { silence });
      await vi.advanceTimersByTimeAsync(1_000_000);
      expect([client.state, newest().taken()]).toEqual(["live", []]);
    }
  });
});

describe("a page", () => {
  const page = () => {
    const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    const window = new EventTarget();
    vi.stubGlobal("document", document);
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
    return {
      document,
      hear: (name: string) =>
        (["visibilitychange", "resume", "freeze"].includes(name) ? document : window)
          .dispatchEvent(new Event(name)),
    };
  };

  test.each([["online"], ["pageshow"], ["visibilitychange"], ["resume"]])(
    "%s: an attempt starts at once, and a live connection is asked", async (event) => {
      const { hear } = page();
      const { client, newest, sockets } = await live();
      hear(event);
      expect(newest().taken()).toEqual([["ask"]]);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(client.state).toBe("waiting");
      hear(event);
      await settle();
      expect([client.state, sockets.length]).toEqual(["connecting", 2]);
      await vi.advanceTimersByTimeAsync(10_000);
      expect(sockets.length).toBe(2);
      client.close();
      hear(event);
      expect(sockets.length).toBe(2);
    });

  test("a hidden page and a network that is gone start nothing", async () => {
    const { document, hear } = page();
    const { client, newest } = await live();
    document.visibilityState = "hidden";
    hear("visibilitychange");
    expect(newest().taken()).toEqual([]);
    hear("offline");
    expect(newest().taken()).toEqual([["ask"]]);
    newest().receive(["ack", 0]);
    newest().lose();
    hear("offline");
    hear("visibilitychange");
    expect(client.state).toBe("waiting");
  });

  test("a server that wants to be left alone is, even so", async () => {
    const { hear } = page();
    const { client, newest } = await live();
    newest().lose(1012, "retry=5000");
    hear("online");
    expect(client.state).toBe("waiting");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.state).toBe("connecting");
  });

  test("no listener is left behind", async () => {
    page();
    const signals: AbortSignal[] = [];
    vi.stubGlobal("addEventListener", (...args: [string, unknown, { signal: AbortSignal }]) =>
      signals.push(args[2].signal));
    const { client } = await live();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
    client.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
