// Whether the transport is still alive: asks when nothing came for long, and judges the answer.

/** What is watched. */
export interface Watched {
  /** Asks the server, unless a question is on its way. */
  ask(): void;
  /** So many bytes have not left yet. */
  buffered(): number;
  /** No answer came. */
  silent(): void;
}

/** 23 days; timers take 25. */
export const TIMER_MS_MAX = 2e9;
// A server cannot have its clients ask more often.
const SILENCE_MS_MIN = 1_000;

export interface Watch {
  /** A transport is live, whose server sets a bound to silence, or with 0 none. */
  start(silence: number): void;
  stop(): void;
  /** A message came. */
  heard(): void;
  /** Asks at once, and waits no longer than the probe timeout. */
  probe(): void;
}

export function watching({ ask, buffered, silent }: Watched, probeTimeout: number): Watch {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due = 0;
  let silence = 0;
  let heardAt = 0;
  let bufferedThen = 0;
  let probing = false;

  function arm(delay: number) {
    clearTimeout(timer);
    due = Date.now() + delay;
    timer = setTimeout(fire, delay);
  }

  function awaitAnswer() {
    bufferedThen = buffered();
    arm(probeTimeout);
  }

  function fire() {
    const now = Date.now();
    if (!probing) {
      const rest = heardAt + silence - now;
      if (rest > 0) arm(Math.min(rest, silence));
      else probe();
      return;
    }
    const slept = now - due > probeTimeout;
    // An upload that goes on holds the question up, not the server.
    if (slept || buffered() < bufferedThen) {
      awaitAnswer();
      // A page that slept has not had the time to hear the answer. But a hidden page's timers are
      // always late: so only once.
      if (slept) due = Infinity;
    } else {
      silent();
    }
  }

  function probe() {
    ask();
    if (probing) return;
    probing = true;
    awaitAnswer();
  }

  function heard() {
    heardAt = Date.now();
    if (!probing) return;
    probing = false;
    arm(silence);
  }

  return {
    start(bound) {
      silence = Math.min(Math.max(bound || TIMER_MS_MAX, SILENCE_MS_MIN), TIMER_MS_MAX);
      probing = true;
      heard();
    },
    stop() {
      clearTimeout(timer);
      probing = false;
    },
    heard,
    probe,
  };
}
