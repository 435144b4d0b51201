// A client of the package @wspulse/client, as any application would use it.

/// What `stage` starts, by the package's `connect`.
export const visitor = (connect, options) => (seat, told) => {
  const client = connect(seat.url, { ...options, reconnect: { base: 200, max: 1_000 } });
  let [had, leaving] = [false, false];
  client.listen("session", ({ session }) => {
    if (session === "new" && had) told.anew();
    had = true;
    told.opened();
  });
  client.listen("disconnect", () => told.closed());
  client.listen("message", (frame) => told.got(frame.payload));
  client.listen("lost", (frame, error) => console.error(seat.url, "lost", frame, error.message));
  client.listen("end", (code, reason) => leaving || console.error(seat.url, "ended", code, reason));
  const close = () => {
    leaving = true;
    client.close();
  };
  return { send: (number) => client.post({ event: "u", payload: number }), close };
};
