// Answering requests of the server's.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { answer, AnswerError } from "../src/answer.js";
import { live, settle } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("what the handler returns, or promises, is the answer", async () => {
  const { client, newest } = await live();
  answer(client, "double", (number) => 2 * (number as number));
  answer(client, "later", async () => "there");
  newest().receive({ id: "~srv.1", event: "double", payload: 21 });
  newest().receive({ id: "~srv.2", event: "later" });
  await settle();
  expect(newest().taken()).toEqual([
    { id: "~srv.1", event: "reply", payload: 42 },
    { id: "~srv.2", event: "reply", payload: "there" },
  ]);
});

test("a message without an id gets no answer, nor does any once that is ended", async () => {
  const { client, newest } = await live();
  const off = answer(client, "double", () => 1);
  newest().receive({ event: "double" });
  off();
  newest().receive({ id: "1", event: "double" });
  await settle();
  expect(newest().taken()).toEqual([]);
});

test("an error that is meant for the server is the answer, any other stays here", async () => {
  const logged = vi.spyOn(console, "error").mockReturnValue();
  const { client, newest } = await live();
  answer(client, "odd", () => {
    throw new AnswerError("odd", "must be even");
  });
  answer(client, "broken", () => Promise.reject(new Error("secret")), { error: "failure" });
  newest().receive({ id: "1", event: "odd" });
  newest().receive({ id: "2", event: "broken" });
  await settle();
  expect(newest().taken()).toEqual([
    { id: "1", event: "error", payload: { code: "odd", text: "must be even" } },
    { id: "2", event: "failure", payload: { code: "internal", text: "internal error" } },
  ]);
  expect(logged).toHaveBeenCalledOnce();
});
