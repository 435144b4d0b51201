// The client in a page, with a real browser and the real server. `WSPULSE_CHROMIUM` names the
// browser and `WSPULSE_TEST_SERVER` the server; without them there is nothing to test here.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundle } from "../scripts/bundle.js";

const { WSPULSE_CHROMIUM: chromium, WSPULSE_TEST_SERVER: program } = process.env;

/** Runs in the page, with both addresses; what it returns comes back to the test. */
const script = `
  const { connect } = await import("/client.js");
  const told = [];
  const client = connect(exactly + "/?id=page", { sessions: "require", reconnect: { base: 50 } });
  for (const name of ["session", "disconnect", "end", "error"]) {
    client.listen(name, (...args) => told.push([name, ...args.map((arg) => arg?.message ?? arg)]));
  }
  const handled = await client.send({ event: "note", payload: "é" });
  const { payload: notes } = await client.request({ event: "notes" });
  const resumed = new Promise((resolve) => client.listen("session", resolve));
  dispatchEvent(new Event("online")); // asks, and is answered
  client.post({ event: "close", payload: 1012 });
  await resumed;
  client.close();
  const plain = connect(plainAddress + "/?id=page", { reconnect: { base: 50 } });
  const written = await plain.send({ event: "note", payload: 1 });
  plain.close();
  return { handled, notes, written, told };
`;

const page = (addresses: string) => `<!doctype html><script type="module">
  const { exactly, plain: plainAddress } = ${addresses};
  const run = async () => { ${script} };
  const result = await run().catch((error) => ({ failed: String(error) }));
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
</script>`;

test.skipIf(!chromium || !program)("in a browser", async () => {
  const profile = mkdtempSync(join(tmpdir(), "wspulse-browser-"));
  const client = join(profile, "client.js");
  await bundle(client);
  const server = spawn(program!, { stdio: ["ignore", "pipe", "inherit"] });
  const [addresses] = (await once(server.stdout, "data")) as [Buffer];
  let browser: ChildProcess | undefined;
  const pages = createServer();
  try {
    const result = new Promise<string>((resolve) => {
      pages.on("request", (request, response) => {
        if (request.url === "/client.js") {
          response.setHeader("Content-Type", "text/javascript").end(readFileSync(client));
        } else if (request.url === "/result") {
          let body = "";
          request.on("data", (data: Buffer) => (body += data.toString()));
          request.on("end", () => response.end(() => resolve(body)));
        } else {
          response.setHeader("Content-Type", "text/html; charset=utf-8");
          response.end(page(addresses.toString()));
        }
      });
    });
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    const { port } = pages.address() as AddressInfo;
    browser = spawn(
      chromium!,
      ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}/profile`,
        `http://127.0.0.1:${port}/`],
      { stdio: "ignore" },
    );
    expect(JSON.parse(await result)).toEqual({
      handled: "handled",
      notes: ["é"],
      written: "written",
      told: [
        ["session", { session: "new", replay: 0, id: "page" }],
        ["disconnect", 1012, "as you wish"],
        ["session", { session: "new", replay: 0, id: "page" }],
        ["end", 1000, ""],
      ],
    });
  } finally {
    // One that is asked to end goes on to write to its profile.
    browser?.kill("SIGKILL");
    if (browser) await once(browser, "exit");
    server.kill();
    pages.close();
    // Its other processes end a moment after it.
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}, 60_000);
