// A client of the package @wspulse/client, as any application would use it.

/// What `stage` starts, by the package's `connect`.
export const visitor = (connect, options) => (seat, told) => {
  let [client, had, leaving] = [undefined, false, false];
  const open = () => {
    client = connect(seat.url, { ...options, reconnect: { base: 200, max: 1_000 } });
    client.listen("session", ({ session }) => {
      if (session === "new" && had) told.anew();
      had = true;
      told.opened();
    });
    client.listen("disconnect", () => told.closed());
    client.listen("message", (frame) => told.got(frame.payload));
    client.listen("lost", () => {}); // The books show it.
    client.listen("end", () => {
      if (leaving) return;
      told.ended();
      // Another one follows, as an application would have it.
      setTimeout(open, 200);
    });
  };
  open();
  const send = (number) => {
    try {
      client.post({ event: "u", payload: number });
    } catch (error) {
      console.error(seat.url, error.message);
    }
  };
  const close = () => {
    leaving = true;
    client.close();
  };
  return { send, close };
};
