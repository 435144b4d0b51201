// What a page hears of its network and of its own sleep.

/**
 * Until `signal` is aborted, calls `wake` when it is worth while to try at once, since the network
 * or the page is back; and `doubt` when the network may be gone. Where there is no page, neither.
 */
export function watchLifecycle(wake: () => void, doubt: () => void, signal: AbortSignal) {
  const page = globalThis.document as Document | undefined;
  const heard = ({ type }: Event) => {
    if (type === "offline") doubt();
    else if (type !== "visibilitychange" || page!.visibilityState === "visible") wake();
  };
  // "pageshow" comes after the back/forward cache as well; "resume" after a freeze, in which no
  // timer ran.
  const listen = (target: Partial<EventTarget> | undefined, ...names: string[]) => {
    for (const name of names) target?.addEventListener?.(name, heard, { signal });
  };
  listen(globalThis, "online", "offline", "pageshow");
  listen(page, "visibilitychange", "resume");
}
