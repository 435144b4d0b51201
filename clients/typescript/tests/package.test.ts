// The package as others get it: how large it is, and whether it works where it is installed.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle } from "../scripts/bundle.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
const project = mkdtempSync(join(tmpdir(), "wspulse-client-"));

const run = (command: string, args: string[], cwd = project) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

test("bundled and minified it has at most 5 kB", async () => {
  const { gzipped } = await bundle("index");
  expect(gzipped).toBeLessThanOrEqual(5_000);
});

test("with what keeps the outbox it has at most 8 kB", async () => {
  const { gzipped } = await bundle("persist");
  expect(gzipped).toBeLessThanOrEqual(8_000);
});

test("it has no dependency, and its lock file names no registry but the default one", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as object;
  expect(manifest).not.toHaveProperty("dependencies");
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const resolved = [...lock.matchAll(/"resolved": "([^"]*)"/g)].map(([, address]) => address!);
  expect(resolved.filter((each) => !each.startsWith("https://registry.npmjs.org/"))).toEqual([]);
});

beforeAll(() => {
  const packed = run("npm", ["pack", "--json", "--pack-destination", project], root);
  const [{ filename, files }] = JSON.parse(packed.slice(packed.search(/^\[/m))) as
    [{ filename: string; files: { path: string }[] }];
  expect(files.map(({ path }) => path)).toEqual(
    expect.arrayContaining([
      "LICENSE", "README.md", "dist/index.js", "dist/index.d.ts", "dist/wspulse.min.js",
      "dist/persist.js", "dist/persist.d.ts", "dist/persist.min.js",
    ]),
  );
  mkdirSync(join(project, "node_modules"), { recursive: true });
  writeFileSync(join(project, "package.json"), '{ "type": "module", "private": true }');
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(project, filename)]);
}, 120_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Compiles files of the project as strictly as can be, in both ways in which modules are found. */
function compile(...files: string[]) {
  for (const module of [["nodenext", "nodenext"], ["esnext", "bundler"]] as const) {
    run(process.execPath, [
      join(dirname(typescript), "bin", "tsc"), "--noEmit", "--strict", "--target", "es2022",
      "--lib", "es2022,dom", "--module", module[0], "--moduleResolution", module[1],
      "--types", "", ...files,
    ]);
  }
}

test("the examples of the README are right", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, example]) => example!);
  expect(examples.length).toBeGreaterThan(5);
  writeFileSync(join(project, "others.d.ts"), `
    declare module "ws" { export const WebSocket: typeof globalThis.WebSocket }
    declare module "@msgpack/msgpack" {
      export function encode(value: unknown): Uint8Array;
      export function decode(data: Uint8Array): unknown;
    }
    declare module "cborg" {
      export function encode(value: unknown): Uint8Array;
      export function decode(data: Uint8Array): unknown;
    }
  `);
  const names = ["show", "store", "loadEverything", "hideBanner", "showBanner", "showCountdown", "showLogin"];
  const files = examples.map((example, at) => {
    const file = `example${at}.ts`;
    writeFileSync(join(project, file), [
      ...(example.includes("import { connect }") ? [] : ['import { connect } from "@wspulse/client";']),
      ...(example.includes("const client =") ? [] : ['const client = connect("");']),
      `declare const ${names.map((name) => `${name}: (...what: unknown[]) => void`).join(", ")};`,
      example,
    ].join("\n"));
    return file;
  });
  compile("others.d.ts", ...files);
}, 60_000);

test("installed, its types are found", () => {
  writeFileSync(join(project, "use.ts"), `
    import { connect, LostError, type Client, type Frame } from "@wspulse/client";
    interface In { said: { text: string } }
    connect(new URL("wss://example.org/ws"), { WebSocket });
    const client: Client<In> = connect<In>(async () => "wss://example.org/ws", { sessions: "require" });
    client.on("said", ({ text }, frame: Frame<{ text: string }>) => text.length + frame.id!.length);
    const outcome: "handled" | "written" = await client.send({ event: "said", payload: { text: "" } });
    // @ts-expect-error: there is no such event
    client.post({ event: "says", payload: { text: outcome } });
    for await (const { payload } of client) if (payload instanceof LostError) break;
  `);
  compile("use.ts");
}, 60_000);

test("installed, the types of the entry that keeps the outbox are found", () => {
  writeFileSync(join(project, "keep.ts"), `
    import { connect, LostError, PersistError, type PersistentClient } from "@wspulse/client/persist";
    import { LostError as Same, type Client } from "@wspulse/client";
    interface In { said: { text: string } }
    const client: PersistentClient<In> = connect<In>("wss://example.org/ws", { name: "ann", WebSocket });
    const plain: Client<In> = client;
    const kept: boolean = await client.saved();
    client.listen("error", (error) => error instanceof PersistError && error.cause);
    client.post({ event: "said", payload: { text: String(kept) + plain.pending } });
    const same: typeof Same = LostError;
    // @ts-expect-error: there is no such event
    client.post({ event: "says", payload: same });
    // @ts-expect-error: it needs a name
    connect("wss://example.org/ws");
    // @ts-expect-error: and nothing else
    connect("wss://example.org/ws", { name: "ann" }, Object);
  `);
  compile("keep.ts");
}, 60_000);

test("installed, what is inside of the package is not to be seen", () => {
  writeFileSync(join(project, "inside.ts"), `
    import { connect } from "@wspulse/client";
    // @ts-expect-error: the third argument is for the package's own entries
    connect("wss://example.org/ws", {}, Object);
  `);
  compile("inside.ts");
}, 60_000);

test.each([
  "@wspulse/client", "@wspulse/client/min", "@wspulse/client/persist", "@wspulse/client/persist/min",
])("installed, %s can be imported", (name) => {
  writeFileSync(join(project, "use.mjs"), `
    import { connect } from "${name}";
    const client = connect("ws://test", { name: "ann", WebSocket: class { close() {} } });
    client.listen("error", () => {});
    client.close();
    console.log(client.state);
  `);
  expect(run(process.execPath, ["use.mjs"])).toBe("ended\n");
});
