// Several pages with one outbox's name: what one of them has, no other one sends while it is there.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { offerOf, Origin } from "./pages.js";

let origin: Origin;
beforeEach(() => void (origin = new Origin()));
afterEach(() => {
  origin.stop();
  vi.useRealTimers();
});

test("what a page that is there has in its outbox no other one sends", async () => {
  const first = await origin.played();
  first.client.post({ event: "a" });
  await first.client.saved();
  const second = await origin.played();
  second.client.post({ event: "b" });
  expect((await second.greeted()).taken()).toEqual([{ event: "b" }]);
  expect((await first.greeted()).taken()).toEqual([{ event: "a" }]);
  expect((await origin.kept()).messages).toEqual(['{"event":"a"}', '{"event":"b"}']);
});

test("a page that is just going is waited for", async () => {
  const before = await origin.played();
  before.client.post({ event: "a" });
  await before.client.saved();
  const after = await origin.played();
  setTimeout(before.die, 50);
  expect((await after.greeted()).taken()).toEqual([{ event: "a" }]);
});

test("of two that come at once, one sends what was left behind", async () => {
  await origin.gone("a", "b");
  const both = await Promise.all([origin.played(), origin.played()]);
  const taken = await Promise.all(both.map(async (page) => (await page.greeted()).taken()));
  expect(taken.flat()).toEqual([{ event: "a" }, { event: "b" }]);
  expect(taken.some((each) => !each.length)).toBe(true);
});

test("what several pages have left behind is sent in the order of their beginnings", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const pages = [];
  for (const event of ["a", "b"]) {
    vi.advanceTimersByTime(1);
    const page = await origin.played();
    page.client.post({ event });
    await page.client.saved();
    pages.push(page);
  }
  for (const page of pages) page.die();
  const after = await origin.played();
  expect((await after.greeted()).taken()).toEqual([{ event: "a" }, { event: "b" }]);
});

test("the sessions of several pages are asked one after the other", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const first = await origin.played();
  vi.advanceTimersByTime(1);
  const second = await origin.played();
  for (const [page, token] of [[first, "one"], [second, "two"]] as const) {
    await page.greeted(0, { token });
    page.client.post({ event: token });
    await page.client.saved();
  }
  for (const page of [first, second]) page.die();
  const after = await origin.played();
  expect(offerOf(await after.greeted(0))).toBe("wspulse.1.resume.one.0");
  const past = await after.greeted(1, { session: "resumed", received: 1, handled: 1 });
  expect(offerOf(past)).toBe("wspulse.1.resume.two.0");
  expect((await after.greeted(2)).taken()).toEqual([{ event: "one" }]);
});

test("without locks a page takes what it finds", async () => {
  origin.stop();
  origin = new Origin(false);
  await origin.gone("a");
  const after = await origin.played();
  expect((await after.greeted()).taken()).toEqual([{ event: "a" }]);
});

test("what pages that began in one millisecond have left is sent in the order in which they began", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const events = ["a", "b", "c", "d", "e", "f"];
  const pages = [];
  for (const event of events) {
    const page = await origin.played();
    page.client.post({ event });
    await page.client.saved();
    pages.push(page);
  }
  vi.useRealTimers();
  for (const page of pages) page.die();
  const after = await origin.played();
  expect((await after.greeted()).taken()).toEqual(events.map((event) => ({ event })));
});
