// `node client.js ws|undici|global URL`: one of Node's clients.

import { readFileSync } from "node:fs";
import { exchange } from "./exchange.js";

const [which, url] = process.argv.slice(2);
const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

const clients = {
  async ws() {
    const { WebSocket } = await import("ws");
    const fragment = (socket, message) => {
      const third = Math.ceil(message.length / 3);
      // At a character's boundary: each part is encoded by itself, and these may be two code units.
      const cut = (at) => at + (typeof message === "string" && message.charCodeAt(at) >> 10 === 0x37 ? 1 : 0);
      socket.send(message.slice(0, cut(third)), { fin: false });
      socket.send(message.slice(cut(third), cut(2 * third)), { fin: false });
      socket.send(message.slice(cut(2 * third)), { fin: true });
    };
    return { WebSocket, fragment, version: `ws ${versionOf("ws")}` };
  },
  async undici() {
    const { WebSocket } = await import("undici");
    return { WebSocket, version: `undici ${versionOf("undici")}` };
  },
  async global() {
    return { WebSocket: globalThis.WebSocket, version: `Node ${process.versions.node}` };
  },
};

const { WebSocket, fragment, version } = await clients[which]();
const count = await exchange(WebSocket, url, fragment);
console.log(JSON.stringify({ version, count }));
process.exit(0);
