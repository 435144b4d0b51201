// The client in a page, with real browsers and the real server; `browsers.ts` says how to name them.

import { describe, expect, test } from "vitest";
import { browsers, runInPage } from "./browsers.js";

const script = `
  const { connect } = await import("/client.js");
  const told = [];
  const client = connect(addresses.exactly + "/?id=page", {
    sessions: "require", reconnect: { base: 50 },
  });
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
  const plain = connect(addresses.plain + "/?id=page", { reconnect: { base: 50 } });
  const written = await plain.send({ event: "note", payload: 1 });
  plain.close();
  return { handled, notes, written, told };
`;

/** It goes on after each of its reloads, by what it has noted in the session storage. */
const reloading = `
  const { connect } = await import("/client.js");
  const told = [];
  const begin = (id) => {
    const client = connect(addresses.cable + "/?id=" + id, {
      name: "page", sessions: "require", reconnect: { base: 20, max: 50 },
    });
    for (const name of ["lost", "end", "error"]) client.listen(name, () => told.push(name));
    return client;
  };
  const note = (payload) => ({ event: "note", payload });
  const notes = async (client) => (await client.request({ event: "notes" })).payload;
  const reload = async (client) => {
    if (told.length || !(await client.saved())) throw new Error("not kept: " + told);
    sessionStorage.stage = stage + 1;
    location.reload();
    await new Promise(() => {});
  };
  if (location.search === "?frame") {
    const client = begin("frame");
    client.post(note("of the frame"));
    if (await client.saved()) parent.postMessage("kept");
    await new Promise(() => {});
  }
  const stage = Number(sessionStorage.stage ?? 0);
  const client = begin("page");
  if (stage === 0) {
    await client.send(note("handled"));
    await fetch("/cut");
    for (const each of ["a", "b", "é"]) client.post(note(each));
    await reload(client);
  }
  if (stage === 1) {
    // Still cut, and reloaded once more.
    client.post(note("c"));
    await reload(client);
  }
  if (stage === 2) {
    client.post(note("d"));
    await fetch("/mend");
    await client.send(note("e"));
    // On its way, or handled, and this page will not know it.
    client.post(note("f"));
    await reload(client);
  }
  await client.send(note("g"));
  const all = await notes(client);
  // Another client, as another tab would have it, beside one that has messages waiting.
  await fetch("/cut");
  client.post(note("h"));
  await client.saved();
  const other = begin("other");
  other.post(note("of the other"));
  await other.saved();
  // And a page that is closed, after which one more begins.
  const frame = document.createElement("iframe");
  const kept = new Promise((resolve) => addEventListener("message", resolve));
  frame.src = "/?frame";
  document.body.append(frame);
  await kept;
  frame.remove();
  const third = begin("third");
  await third.saved();
  await fetch("/mend");
  await client.send(note("i"));
  await third.send(note("the third's"));
  await other.send(note("the other's last"));
  const rest = [await notes(client), await notes(other), await notes(third)];
  // All before it is handled as well, and so forgotten.
  for (const each of [client, other, third]) await each.send({ event: "last" }), await each.saved();
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open("wspulse/page");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const messages = database.transaction("messages").objectStore("messages").count();
  const left = await new Promise((resolve) => (messages.onsuccess = () => resolve(messages.result)));
  return { all, rest, told, left };
`;

const others = { name: "no browser", program: "", given: () => [] };

describe.each(browsers.length ? browsers : [others])("in $name", (browser) => {
  test.skipIf(!browser.program)("the client works", async () => {
    expect(await runInPage(browser, "index", script)).toEqual({
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
  }, 120_000);

  test.skipIf(!browser.program)("what is posted without a network outlives its page, and arrives once", async () => {
    const all = ["handled", "a", "b", "é", "c", "d", "e", "f", "g"];
    expect(await runInPage(browser, "persist", reloading)).toEqual({
      all,
      rest: [
        [...all, "h", "i"], ["of the other", "the other's last"], ["of the frame", "the third's"],
      ],
      told: [],
      left: 0,
    });
  }, 120_000);
});
