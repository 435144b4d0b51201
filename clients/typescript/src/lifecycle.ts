// What a page hears of its network and of its own sleep.

/**
 * Calls `wake` when it is worth while to try at once: the network is back, or the page is; and
 * `doubt` when the network may be gone. Where there is no page, neither. Returns what ends it.
 */
export function watchLifecycle(wake: () => void, doubt: () => void): () => void {
  const visible = () => {
    if (document.visibilityState === "visible") wake();
  };
  const page = typeof document === "undefined" ? undefined : document;
  const listeners: [EventTarget | undefined, string, () => void][] = [
    [globalThis, "online", wake],
    [globalThis, "offline", doubt],
    // From the back/forward cache as well.
    [globalThis, "pageshow", wake],
    [page, "visibilitychange", visible],
    // After a freeze, in which no timer ran.
    [page, "resume", wake],
  ];
  for (const [target, name, act] of listeners) target?.addEventListener?.(name, act);
  return () => {
    for (const [target, name, act] of listeners) target?.removeEventListener?.(name, act);
  };
}
