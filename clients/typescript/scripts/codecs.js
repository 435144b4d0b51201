// The codecs that the chat's page loads if it is told to, in one file with the licences of what is in it.

import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const licences = ["@msgpack/msgpack/LICENSE", "cborg/LICENSE"].map((file) =>
  `${dirname(file)}\n\n${readFileSync(join(root, "node_modules", file), "utf8").trim()}`);
const outfile = join(root, "node_modules", ".cache", "codecs.min.js");

mkdirSync(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(root, "tests", "codecs.ts")],
  banner: { js: `/*! With these in it:\n\n${licences.join("\n\n")}\n*/` },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outfile,
});
