// Centrifuge's own client, with recovery in both of its channels. What it sends is a call without
// retries, as the library has it.

import { Centrifuge } from "centrifuge";
import { WebSocket } from "ws";
import { stage } from "../../javascript/stage.js";

stage((seat, told) => {
  const client = new Centrifuge(seat.url, {
    websocket: WebSocket,
    minReconnectDelay: 200,
    maxReconnectDelay: 1_000,
    timeout: 5_000,
  });
  client.on("connected", () => told.opened());
  client.on("connecting", () => told.closed());
  for (const channel of ["room", `c${seat.client}`]) {
    const subscription = client.newSubscription(channel, { recoverable: true, positioned: true });
    subscription.on("subscribed", ({ wasRecovering, recovered }) => wasRecovering && !recovered && told.anew());
    subscription.on("publication", ({ data }) => told.got(data));
    subscription.subscribe();
  }
  client.connect();
  return { send: (number) => client.rpc("u", number).catch(() => {}), close: () => client.disconnect() };
});
