// One message of an application, and how it is written.

import { ProtocolError } from "./errors.js";

/** One message: an id, an event's name and a payload, each optional. */
export interface Frame<P = unknown> {
  id?: string;
  event?: string;
  payload?: P;
}

/** How frames are written. The protocol offered is `wspulse.1+<name>`. */
export interface Codec {
  readonly name: string;
  /** A text message, or a binary one. */
  encode(frame: Frame): string | Uint8Array<ArrayBuffer>;
  /** Throws for what is no frame. */
  decode(data: string | Uint8Array<ArrayBuffer>): unknown;
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
export function decodeFrame(codec: Codec, data: string | Uint8Array<ArrayBuffer>): Frame {
  let value: unknown;
  let cause: unknown;
  try {
    value = codec.decode(data);
  } catch (error) {
    cause = error;
  }
  const { id, event, payload } = (value ?? {}) as Frame;
  if (typeof value !== "object" || !value || Array.isArray(value) || !isText(id) || !isText(event)) {
    throw new ProtocolError("a message is no frame", { cause });
  }
  const frame: Frame = {};
  if (id !== undefined) frame.id = id;
  if (event !== undefined) frame.event = event;
  if (payload !== undefined) frame.payload = payload;
  return frame;
}

const isText = (value: unknown) => value === undefined || typeof value === "string";

/** How many bytes a message has on the wire. */
export const bytesOf = (data: string | Uint8Array) =>
  typeof data === "string" ? new TextEncoder().encode(data).length : data.length;
