// How the client loses its link, doubts it and comes back, under a clock of the test's own.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connect } from "../src/index.js";
import { fakes, live, settle, start } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
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

  test("a permission that has expired is no end, and the address is asked for anew", async () => {
    const addresses = ["ws://a?token=1", "ws://a?token=2"];
    const { newest, sockets, WebSocket } = fakes();
    const client = connect(() => addresses.shift()!, { WebSocket });
    await settle();
    newest().open();
    newest().greet();
    newest().lose(4401, "expired");
    await vi.advanceTimersToNextTimerAsync();
    expect([client.state, sockets.length, addresses]).toEqual(["connecting", 2, []]);
    client.close();
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
    // A code that pages may say, and that does not look like leaving.
    expect(newest().closed).toEqual({ code: 4499, reason: "no answer" });
    expect(told.slice(-2).map((each) => each.slice(0, 3))).toEqual([
      ["disconnect", 1006, "no answer"],
      ["reconnect", 1, expect.any(Number)],
    ]);
  });

  test("a server that breaks the protocol is not left by a page, and the application's own code is", async () => {
    const broken = await live();
    broken.newest().receive(["ack", 1]);
    expect(broken.newest().closed).toEqual({ code: 4499, reason: undefined });
    const ended = await live();
    ended.client.close(1001);
    expect(ended.newest().closed).toEqual({ code: undefined, reason: undefined });
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
