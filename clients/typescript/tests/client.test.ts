// Sending, receiving and requests, over a WebSocket that is none, under a clock of the test's own.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClosedError, connect, LostError, OutboxFullError, OverflowError, ProtocolError,
  RequestError, TimeoutError, TooLongError, type Codec,
} from "../src/index.js";
import { fakes, live, settle, start } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

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
  test("a frame of a server that names rooms has its room, and takes it nowhere", async () => {
    const { client, newest } = await live();
    const rooms: unknown[] = [];
    client.on("a", (_, frame) => {
      rooms.push(frame.room);
      client.post(frame as { event: string });
    });
    newest().receive({ event: "a", payload: 1, room: "attic" });
    newest().receive({ event: "a", payload: 2 });
    expect(rooms).toEqual(["attic", undefined]);
    expect(newest().taken()).toEqual([{ event: "a", payload: 1 }, { event: "a", payload: 2 }]);
  });

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
    expect(newest().protocols).toEqual(["wspulse.1+hex", "wspulse.plain"]);
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

  test("one that an earlier session has handled waits for no answer of the next", async () => {
    const { client, newest } = await live();
    const handled = expect(client.request({}, { timeout: 60_000 })).rejects.toThrow(LostError);
    newest().receive(["ack", 1]);
    newest().lose(1012, "retry=1");
    const unsent = client.request({});
    await vi.advanceTimersByTimeAsync(5_000);
    newest().open();
    newest().greet();
    await handled;
    const [{ id }] = newest().taken() as [{ id: string }];
    newest().receive({ id, event: "reply", payload: 1 });
    expect((await unsent).payload).toBe(1);
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
