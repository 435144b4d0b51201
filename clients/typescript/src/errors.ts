// What can go wrong with a message or a client, each a type of its own.

import type { Outcome } from "./session.js";

/** What all errors of this package have in common. */
export class WspulseError extends Error {}

/** The client has ended; the message was never sent. */
export class ClosedError extends WspulseError {
  override name = "ClosedError";
}

/** The session ended after the message was sent: whether the server handled it is not known. */
export class LostError extends WspulseError {
  override name = "LostError";
}

/** The message is longer than the server takes; it was not sent. */
export class TooLongError extends WspulseError {
  override name = "TooLongError";
}

/** As many messages wait as the outbox holds; this one was not taken. */
export class OutboxFullError extends WspulseError {
  override name = "OutboxFullError";
}

/** Nobody answered a request in time. */
export class TimeoutError extends WspulseError {
  override name = "TimeoutError";
}

/** More messages wait for a slow loop than it may have. */
export class OverflowError extends WspulseError {
  override name = "OverflowError";
}

/** A message from the server that is no frame, or the server broke the protocol. */
export class ProtocolError extends WspulseError {
  override name = "ProtocolError";
}

/** A request was answered by an error; `payload` says which. */
export class RequestError extends WspulseError {
  override name = "RequestError";

  constructor(readonly payload: unknown) {
    super("the answer is an error");
  }
}

export type Good = "handled" | "written";
type Bad = Exclude<Outcome, Good> | "full";

const ERRORS: Record<Bad, [new (message: string) => WspulseError, string]> = {
  full: [OutboxFullError, "the outbox is full"],
  lost: [LostError, "its session has ended"],
  unsent: [ClosedError, "the client has ended"],
  "too long": [TooLongError, "longer than the server takes"],
};

/** What a message's sender is told; undefined if all is well. */
export function errorOf(outcome: Bad): WspulseError;
export function errorOf(outcome: Outcome): WspulseError | undefined;
export function errorOf(outcome: Bad | Good) {
  const found = ERRORS[outcome as Bad] as (typeof ERRORS)[Bad] | undefined;
  return found && new found[0](found[1]);
}
