// Clients of the package @wspulse/client, in Node.

import { createRequire } from "node:module";
import { connect } from "../../clients/typescript/dist/index.js";
import { visitor } from "./visitor.js";
import { stage } from "./stage.js";

const { WebSocket } = createRequire(new URL("../../clients/typescript/package.json", import.meta.url))("ws");

stage(visitor(connect, { WebSocket }));
