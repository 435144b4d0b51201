// One message of an application, and how it is written.

import { ProtocolError } from "./errors.js";

/** One message: an id, an event's name and a payload, each optional. */
export interface Frame<P = unknown> {
  id?: string;
  event?: string;
  payload?: P;
  /** Which room it was broadcast to, if the server names rooms; it is not sent. */
  room?: string;
}

/** How frames are written. The protocol offered is `wspulse.1+<name>`. */
export interface Codec {
  readonly name: string;
  /** A text message, which does not begin with `[`, or a binary one. */
  encode(frame: Frame): string | Uint8Array;
  /** Throws for what is no frame. */
  decode(data: string | Uint8Array): unknown;
}

/** Frames as JSON objects in text messages. */
export const json: Codec = {
  name: "json",
  encode: ({ id, event, payload }) =>
    JSON.stringify({ id: id || undefined, event: event || undefined, payload }),
  decode: (data) =>
    JSON.parse(typeof data === "string" ? data : new TextDecoder().decode(data)),
};

/** Decodes a message, and makes sure that it is a frame. */
export function decodeFrame(codec: Codec, data: string | Uint8Array): Frame {
  let cause: unknown;
  try {
    const value = codec.decode(data);
    if (isFrame(value)) return value;
  } catch (error) {
    cause = error;
  }
  throw new ProtocolError("a message is no frame", { cause });
}

/** Whether it is an object with the right members; it may have others. */
function isFrame(value: unknown): value is Frame {
  if (typeof value !== "object" || !value || Array.isArray(value)) return false;
  const { id = "", event = "" } = value as Frame;
  return typeof id === "string" && typeof event === "string";
}

/** How many bytes a message has on the wire. */
export const bytesOf = (data: string | Uint8Array) =>
  typeof data === "string" ? new TextEncoder().encode(data).length : data.length;
