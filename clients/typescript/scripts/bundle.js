// The whole client, with what an entry adds to it, in one minified file.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Bundles an entry, into a file if one is given, and says how long it is.
 *
 * @param {"index" | "persist"} entry
 * @param {string} [outfile]
 */
export async function bundle(entry, outfile) {
  const { outputFiles } = await build({
    entryPoints: [join(root, "src", `${entry}.ts`)],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const [output] = outputFiles;
  if (!output) throw new Error("esbuild wrote nothing");
  if (outfile !== undefined) {
    mkdirSync(dirname(outfile), { recursive: true });
    writeFileSync(outfile, output.contents);
  }
  return { bytes: output.contents.length, gzipped: gzipSync(output.contents, { level: 9 }).length };
}
