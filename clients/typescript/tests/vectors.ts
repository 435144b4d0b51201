// The protocol's test conversations, and how one is played to whatever speaks for a client.

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Frame } from "../src/frame.js";

export interface Vectors {
  control: { text: string; name: string | null; [member: string]: unknown }[];
  violations: string[];
  offers: { offered: string; token: string | null; count?: number }[];
  client: { name: string; steps: Step[] }[];
}

export interface Step {
  do?: "connect";
  expect?: "connect" | "write" | "nothing" | "close" | "settled" | "message" | "session" | "ended";
  transport?: "open" | "lost";
  receive?: string;
  send?: Frame;
  pass?: "retry";
  protocols?: string[];
  protocol?: string;
  code?: number;
  reason?: string;
  json?: unknown;
  as?: string;
  outcome?: string;
  frame?: Frame;
  session?: string;
  replay?: number;
}

export const vectors = JSON.parse(
  readFileSync(new URL("../../../docs/protocol/vectors.json", import.meta.url), "utf8"),
) as Vectors;

/** What a client did, in the words of the vectors: `{"expect":…}` without the word. */
export type Seen = Omit<Step, "do" | "transport" | "receive" | "send" | "pass"> & {
  expect: NonNullable<Step["expect"]>;
};

export interface Player {
  connect(): void;
  open(protocol: string): void;
  lose(code: number, reason: string): void;
  receive(text: string): void;
  send(frame: Frame, as: string | undefined): void;
  /** Lets the time go by until the next attempt. */
  retry(): void | Promise<void>;
  /** Lets whatever is under way come to its end. */
  settle(): Promise<void>;
  readonly seen: Seen[];
}

/**
 * Plays one conversation. What a client has done is taken in the order in which it did it, or,
 * where the client tells some of it through promises, in order for each kind.
 */
export async function play(steps: Step[], player: Player, order: "all" | "each kind") {
  const take = (kind: Seen["expect"]) => {
    const at = order === "all" ? 0 : player.seen.findIndex((seen) => seen.expect === kind);
    return player.seen.splice(at < 0 ? 0 : at, at < 0 ? 0 : 1)[0];
  };
  for (const [at, step] of steps.entries()) {
    if (step.do) player.connect();
    else if (step.transport === "open") player.open(step.protocol!);
    else if (step.transport === "lost") player.lose(step.code!, step.reason!);
    else if (step.receive !== undefined) player.receive(step.receive);
    else if (step.send) player.send(step.send, step.as);
    else if (step.pass) await player.retry();
    await player.settle();
    if (step.expect === "nothing") {
      expect(player.seen.filter((seen) => seen.expect === "write"), `step ${at}`).toEqual([]);
    } else if (step.expect) {
      expect(take(step.expect), `step ${at}`).toEqual(step);
    }
  }
  expect(player.seen, "after the last step").toEqual([]);
}
