// The codecs to copy, against messages as the server writes them.

import { expect, test } from "vitest";
import { cbor, msgpack, protobuf } from "./codecs.js";

const bytes = (text: string) => Uint8Array.from(text, (each) => each.charCodeAt(0));

test.each([
  [msgpack, "\x82\xa5event\xa4move\xa7payload\x92\x03\x04"],
  [cbor, "\xa2\x65event\x64move\x67payload\x82\x03\x04"],
  [protobuf, "\x12\x04move\x22\x05[3,4]"],
])("$name reads and writes what the server does", (codec, message) => {
  const frame = { event: "move", payload: [3, 4] };
  expect(codec.encode(frame)).toEqual(bytes(message));
  expect(codec.decode(bytes(message))).toEqual(frame);
});

const all = [msgpack, cbor, protobuf];

test.each(all)("$name leaves out what is not there", (codec) => {
  const empty = codec.encode({});
  expect(empty.length).toBeLessThanOrEqual(1);
  expect(codec.decode(empty)).toEqual({});
  const read = codec.decode(codec.encode({ event: "a", payload: undefined }));
  expect(Object.keys(read as object)).toEqual(["event"]);
});

test.each(all)("$name has the same frame there and back again", (codec) => {
  for (const payload of [null, 0, 1.5, -70_000, "é".repeat(200), [[], {}], { a: { b: [true] } }]) {
    const frame = { id: "7", event: "grüß", payload };
    expect(codec.decode(codec.encode(frame))).toEqual(frame);
  }
});

test.each(all)("$name has bytes as a payload", (codec) => {
  const payload = Uint8Array.of(0, 1, 255);
  expect(codec.decode(codec.encode({ payload }))).toEqual({ payload });
});

test.each(all)("$name refuses a message that is cut short", (codec) => {
  const message = codec.encode({ event: "move", payload: [3, 4] }) as Uint8Array;
  expect(() => codec.decode(message.subarray(0, -1))).toThrow();
});
