// Codecs to copy: two over libraries that others keep, and one without any. The chat has them as well.

import { decode as fromMessagePack, encode as toMessagePack } from "@msgpack/msgpack";
import { decode as fromCbor, encode as toCbor } from "cborg";
import type { Codec } from "../src/index.js";

/** Maps in binary messages: https://msgpack.org/ */
export const msgpack: Codec = {
  name: "msgpack",
  encode: (frame) => toMessagePack(frame, { ignoreUndefined: true }),
  decode: (data) => fromMessagePack(data as Uint8Array),
};

/** Maps in binary messages: RFC 8949. */
export const cbor: Codec = {
  name: "cbor",
  encode: (frame) => toCbor(frame, { ignoreUndefinedProperties: true }),
  decode: (data) => fromCbor(data as Uint8Array),
};

const ID = 1, EVENT = 2, DATA = 3, JSON_VALUE = 4, ROOM = 5;

/** `wspulse.v1.Frame`: bytes as payload stay bytes, anything else goes as JSON. */
export const protobuf: Codec = {
  name: "protobuf",
  encode({ id, event, payload }) {
    const text = new TextEncoder();
    const fields: [number, Uint8Array][] = [];
    if (id) fields.push([ID, text.encode(id)]);
    if (event) fields.push([EVENT, text.encode(event)]);
    if (payload instanceof Uint8Array) fields.push([DATA, payload]);
    else if (payload !== undefined) fields.push([JSON_VALUE, text.encode(JSON.stringify(payload))]);

    const pieces = fields.flatMap(([number, value]) =>
      [Uint8Array.of(number << 3 | 2, ...varint(value.length)), value]);
    const message = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      message.set(piece, at);
      at += piece.length;
    }
    return message;
  },
  decode(data) {
    const message = data as Uint8Array;
    const frame: { id?: string; event?: string; payload?: unknown; room?: string } = {};
    let at = 0;
    const number = () => {
      let value = 0, scale = 1, byte;
      do {
        byte = message[at++];
        if (byte === undefined) throw new RangeError("the message ends in a field");
        value += (byte & 0x7f) * scale;
        scale *= 128;
      } while (byte & 0x80);
      return value;
    };
    while (at < message.length) {
      const head = number();
      // A frame has strings and bytes alone.
      if (head % 8 !== 2) throw new TypeError("a field of another type");
      const length = number();
      const value = message.subarray(at, at += length);
      if (at > message.length) throw new RangeError("the message ends in a field");
      const text = () => new TextDecoder("utf-8", { fatal: true }).decode(value);
      switch ((head - 2) / 8) {
        case ID: frame.id = text(); break;
        case EVENT: frame.event = text(); break;
        case DATA: frame.payload = value; break;
        case JSON_VALUE: frame.payload = JSON.parse(text()); break;
        case ROOM: frame.room = text(); break;
      }
    }
    return frame;
  },
};

/** A number of any length, seven bits in each byte. */
function varint(number: number): number[] {
  return number < 128 ? [number] : [number % 128 | 0x80, ...varint(Math.floor(number / 128))];
}
