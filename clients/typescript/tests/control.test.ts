// The control messages, each of the protocol's examples.

import { expect, test } from "vitest";
import { parseControl, resumeOf } from "../src/control.js";
import { vectors } from "./vectors.js";

test.each(vectors.control.map((control) => [control.text, control] as const))(
  "%s",
  (text, { text: _, name, ...members }) => {
    const control = parseControl(text);
    expect(control?.name).toBe(name);
    if (control?.name === "ack") expect({ count: control.count }).toEqual(members);
    if (control?.name === "hello") expect(control.hello).toMatchObject(members);
  },
);

test.each(vectors.violations)("no control message: %s", (text) => {
  expect(parseControl(text)).toBeUndefined();
});

test.each(vectors.offers.filter(({ token }) => token !== null))(
  "what is offered with $token and $count",
  ({ offered, token, count }) => expect(resumeOf(token!, count!)).toBe(offered),
);

test("a token has up to 1,024 characters", () => {
  const hello = (token: string) =>
    JSON.stringify(["hello", {
      session: "new", id: "", token, received: 0, handled: 0, replay: 0, silence: 0, window: 0,
      message_max: 0,
    }]);
  expect(parseControl(hello("a".repeat(1024)))).toBeDefined();
  expect(parseControl(hello("a".repeat(1025)))).toBeUndefined();
  expect(parseControl(hello("a\n"))).toBeUndefined();
});
