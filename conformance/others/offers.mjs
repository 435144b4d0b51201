// Answers offers of permessage-deflate as the Node library ws does: a line each, in JSON.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const library = join(dirname(require.resolve("ws")), "lib");
const { parse } = require(join(library, "extension.js"));
const PerMessageDeflate = require(join(library, "permessage-deflate.js"));

function answer(value) {
  let offers;
  try {
    offers = parse(value);
  } catch {
    return { is: "malformed" };
  }
  for (const parameters of offers["permessage-deflate"] ?? []) {
    const { server_max_window_bits: server = [], client_max_window_bits: client = [] } = parameters;
    // It takes numbers in any form that JavaScript has, and a window of 8 bits, which is declined here.
    if (!server.every((bits) => /^(9|1[0-5])$/.test(bits))) continue;
    if (!client.every((bits) => bits === true || /^([89]|1[0-5])$/.test(bits))) continue;
    const options = { serverNoContextTakeover: true, clientNoContextTakeover: true, isServer: true };
    const deflate = new PerMessageDeflate(options, true);
    try {
      const agreed = deflate.accept([parameters]);
      return { is: "agreed", window: agreed.server_max_window_bits ?? null };
    } catch {
      continue;
    }
  }
  return { is: "declined" };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(answer(JSON.parse(line))));
}
