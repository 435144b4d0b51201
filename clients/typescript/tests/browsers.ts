// Pages in real browsers, with the real server. `WSPULSE_CHROMIUM` and `WSPULSE_FIREFOX` name the
// browsers and `WSPULSE_TEST_SERVER` the server; what is not named is left out.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createRelay, connect as dial, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../scripts/bundle.js";

const { WSPULSE_CHROMIUM, WSPULSE_FIREFOX, WSPULSE_TEST_SERVER: program } = process.env;

// Far beyond what a page takes on a slow machine.
const DEADLINE_MS = 100_000;

interface Browser {
  readonly name: string;
  readonly program: string;
  /** How it is told to open one page, with a profile of its own. */
  readonly given: (profile: string, address: string) => string[];
}

/** Those that are here. */
export const browsers = [
  {
    name: "Chromium", program: WSPULSE_CHROMIUM,
    given: (profile: string, address: string) => [
      "--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, address,
    ],
  },
  {
    name: "Firefox", program: WSPULSE_FIREFOX,
    given: (profile: string, address: string) => [
      "--headless", "--no-remote", "--profile", profile, address,
    ],
  },
].filter((browser): browser is Browser => Boolean(browser.program && program));

/**
 * Opens a page, which has an entry as `/client.js`, and returns what its script returns. The script
 * has the server's `addresses`: `exactly`, `plain`, and `cable`, which leads to `exactly` as well,
 * and which a request to `/cut` cuts until one to `/mend`.
 */
export async function runInPage(browser: Browser, entry: "index" | "persist", script: string) {
  const directory = mkdtempSync(join(tmpdir(), "wspulse-browser-"));
  const profile = join(directory, "profile");
  mkdirSync(profile);
  const client = join(directory, "client.js");
  await bundle(entry, client);
  const server = spawn(program!, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(server.stdout, "data")) as [Buffer];
  const addresses = JSON.parse(line.toString()) as { exactly: string; plain: string };
  const cable = await cableTo(Number(new URL(addresses.exactly).port));
  const html = pageOf(script, { ...addresses, cable: `ws://127.0.0.1:${cable.port}` });
  const pages = createServer();
  let running: ChildProcess | undefined;
  try {
    const result = new Promise<string>((resolve, reject) => {
      setTimeout(() => reject(new Error("the page says nothing")), DEADLINE_MS).unref();
      pages.on("request", (request, response) => {
        switch (request.url) {
          case "/client.js":
            response.setHeader("Content-Type", "text/javascript").end(readFileSync(client));
            return;
          case "/result":
            return read(request, response, resolve);
          case "/cut":
          case "/mend":
            cable.turn(request.url === "/mend");
            response.end();
            return;
          default:
            response.setHeader("Content-Type", "text/html; charset=utf-8").end(html);
        }
      });
    });
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    const { port } = pages.address() as AddressInfo;
    const given = browser.given(profile, `http://127.0.0.1:${port}/`);
    running = spawn(browser.program, given, { stdio: "ignore" });
    return JSON.parse(await result) as unknown;
  } finally {
    // One that is asked to end goes on to write to its profile.
    running?.kill("SIGKILL");
    if (running?.exitCode === null && running.signalCode === null) await once(running, "exit");
    server.kill();
    pages.close();
    cable.stop();
    // Its other processes end a moment after it.
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const pageOf = (script: string, addresses: object) => `<!doctype html><script type="module">
  const addresses = ${JSON.stringify(addresses)};
  const run = async () => { ${script} };
  const result = await run().catch((error) => ({ failed: String(error) }));
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
</script>`;

function read(request: IncomingMessage, response: ServerResponse, whole: (body: string) => void) {
  let body = "";
  request.on("data", (data: Buffer) => (body += data.toString()));
  request.on("end", () => response.end(() => whole(body)));
}

/** A TCP relay that can be cut: what it has ends, and what comes is refused. */
async function cableTo(port: number) {
  const sockets = new Set<Socket>();
  let holds = true;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  const relay = createRelay((near) => {
    if (!holds) return near.destroy();
    const far = dial(port, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
    return undefined;
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return {
    port: (relay.address() as AddressInfo).port,
    turn(on: boolean) {
      holds = on;
      if (!on) cut();
    },
    stop() {
      relay.close();
      cut();
    },
  };
}
