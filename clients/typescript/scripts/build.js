// Writes what the package ships: the modules with their types, and one small file of each entry for pages.

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), "bin", "tsc");

rmSync(join(root, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
for (const [entry, name] of /** @type {const} */ ([["index", "wspulse"], ["persist", "persist"]])) {
  const file = join("dist", `${name}.min.js`);
  const { bytes, gzipped } = await bundle(entry, join(root, file));
  console.log(`${file}: ${bytes} bytes, ${gzipped} gzipped`);
}
