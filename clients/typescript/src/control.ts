// The control messages of `wspulse.1`, and what a client offers in its handshake.

export interface Hello {
  /** Whether this is the session whose token the client offered. */
  session: "new" | "resumed";
  /** The connection's id. */
  id: string;
  token: string;
  received: number;
  handled: number;
  /** So many messages follow that were missed. */
  replay: number;
  silence: number;
  window: number;
  message_max: number;
}

export type Control =
  | { name: "ask" }
  | { name: "ack"; count: number }
  | { name: "hello"; hello: Hello }
  /** A later version's: to be ignored. */
  | { name: null };

const TOKEN = /^[A-Za-z0-9_.-]{1,1024}$/;
const NUMBERS = ["received", "handled", "replay", "silence", "window", "message_max"];
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether a message is one: a text that begins with `[`, whatever the codec. */
export const isControl = (data: unknown): data is string =>
  typeof data === "string" && data[0] === "[";

/** What a text that begins with `[` says; undefined for a violation. */
export function parseControl(text: string): Control | undefined {
  try {
    const [name, value] = JSON.parse(text) as unknown[];
    if (name === "ask") return { name };
    if (name === "ack") return isCount(value) ? { name, count: value } : undefined;
    if (name === "hello") return isHello(value) ? { name, hello: value } : undefined;
    if (typeof name === "string") return { name: null };
  } catch {
    // No JSON.
  }
  return undefined;
}

function isHello(value: unknown): value is Hello {
  const hello = Object(value) as Record<string, unknown> & Hello;
  return (
    ["new", "resumed"].includes(hello.session) &&
    typeof hello.id === "string" &&
    typeof hello.token === "string" &&
    TOKEN.test(hello.token) &&
    NUMBERS.every((name) => isCount(hello[name])) &&
    hello.handled <= hello.received
  );
}

export const ASK = '["ask"]';
export const ack = (count: number) => `["ack",${count}]`;

/** The subprotocol by which a server says that it speaks `wspulse.1` with this codec. */
export const protocolOf = (codec: string) => `wspulse.1+${codec}`;
export const resumeOf = (token: string, count: number) => `wspulse.1.resume.${token}.${count}`;
