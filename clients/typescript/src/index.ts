// What the package offers.

export type { Backoff } from "./backoff.js";
export { connect } from "./client.js";
export {
  ClosedError, LostError, OutboxFullError, OverflowError, ProtocolError, RequestError,
  TimeoutError, TooLongError, WspulseError,
} from "./errors.js";
export { json, type Codec, type Frame } from "./frame.js";
export type {
  Client, ClientEvents, EventMap, FrameOf, Options, RequestOptions, Sendable, SendOptions, SessionTold,
} from "./options.js";
export type { State } from "./session.js";
export type { Address, Socket, WebSocketConstructor } from "./transport.js";
