// Counts what each node says, and what of its own comes back; and has the conductor do what its buttons say.
import { connect } from "./client.js";

const now = () => performance.now();
const byId = (id) => document.getElementById(id);
const tab = crypto.randomUUID();
const url = `${location.origin.replace("http", "ws")}/ws?tab=${tab}`;
const client = connect(url, { sessions: "require", reconnect: { base: 100, max: 500 }, connectTimeout: 5_000 });

// --- What the nodes say. Of each node, over all of its processes:
const sums = Object.fromEntries(["a", "b", "c"].map((node) => [node, { heard: 0, missing: 0, twice: 0, told: 0 }]));
const lives = new Map(); // of each process: its node, the last number, and how many the page was told that it lacks
let heardAt = now();
let liveSince = Infinity;

client.on("tick", ({ from, node, number }) => {
  heardAt = now();
  const sum = sums[node];
  // A process that begins while the page is there begins with 1; of others the page has the rest.
  const first = now() - liveSince > 3_000 ? 1 : number;
  if (!lives.has(from)) lives.set(from, { node, last: first - 1, told: 0, isAnew: false });
  const life = lives.get(from);
  if (life.isAnew) {
    // A new session counts anew: what lies between it and the one before is told by that.
    sum.told += Math.max(0, number - life.last - 1);
    Object.assign(life, { last: number - 1, told: 0, isAnew: false });
  }
  const hole = number - life.last - 1;
  if (hole < 0) return void sum.twice++;
  if (life.told === Infinity) sum.told += hole;
  sum.missing += Math.max(0, hole - life.told);
  life.told = life.told === Infinity ? 0 : Math.max(0, life.told - hole);
  life.last = number;
  sum.heard++;
});

client.on("lost", ({ from, frames }) => {
  const life = lives.get(from);
  if (!life) return;
  life.told += frames ?? Infinity; // what nobody knows the number of is told by the next number
  sums[life.node].told += frames ?? 0;
});

// --- What the page says.
const own = { sent: 0, back: 0, "not yet": 0, twice: 0, told: 0 };
const waiting = new Map(); // by number: whether a node has handled it
const given = new Set(); // up: told as lost
let back = new Set(); // in this session

function lose(number) {
  if (!waiting.delete(number)) return;
  given.add(number);
  own.told++;
}

setInterval(() => {
  if (client.pending > 100) return; // nobody takes it
  const number = ++own.sent;
  waiting.set(number, false);
  const handled = () => waiting.has(number) && waiting.set(number, true);
  client.send({ event: "say", payload: { tab, number } }).then(handled, () => lose(number));
}, 200);

client.on("said", (said) => {
  if (said.tab !== tab) return;
  if (back.has(said.number)) return void own.twice++;
  if (given.delete(said.number)) own.told--; // it was heard on another node
  else if (!waiting.delete(said.number)) return; // and came back to the session before
  back.add(said.number);
  own.back++;
});

// --- Where it is.
let where = "–";
let move; // on its way
let leftAt;

client.listen("session", ({ session }) => {
  liveSince = now();
  if (leftAt !== undefined) move = { away: liveSince - leftAt, session };
  if (session === "resumed") return;
  back = new Set();
  for (const life of lives.values()) life.isAnew = true;
  for (const [number, isHandled] of waiting) if (isHandled) lose(number);
});

client.on("node", (node) => {
  byId("status").textContent = `On node ${node}.`;
  if (move) {
    const row = byId("moves").insertRow(0);
    row.dataset.session = move.session;
    const how = move.session === "resumed" ? "went on" : "began anew: what it lacks is told";
    for (const cell of [`${where} → ${node}`, `${(move.away / 1_000).toFixed(1)} s`, how]) {
      row.insertCell().textContent = cell;
    }
    if (byId("moves").rows.length > 10) byId("moves").deleteRow(10);
  }
  [where, move] = [node, undefined];
});

client.listen("disconnect", () => {
  leftAt = Math.min(heardAt, now());
  liveSince = Infinity;
  byId("status").textContent = `Away from node ${where}…`;
});

// --- What it shows.
const ACTIONS = { cut: "Cut", kill: "Kill -9", stop: "Stop", continue: "Continue", drain: "Drain", restart: "Restart" };
const IN_STATE = {
  running: ["cut", "kill", "stop", "drain", "restart"],
  stopped: ["kill", "continue"],
  draining: ["kill"],
  gone: ["restart"],
};
const FACES = { told: "told lost" };

function show(list, sum) {
  list.replaceChildren(...Object.entries(sum).flatMap(([what, count]) => {
    const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
    name.textContent = FACES[what] ?? what;
    value.textContent = count;
    value.dataset.of = what;
    value.classList.toggle("bad", (what === "missing" || what === "twice") && count > 0);
    return [name, value];
  }));
}

function section(name) {
  const isNode = name in sums;
  const made = document.createElement("section");
  made.id = name;
  made.innerHTML = `<h2>${isNode ? `Node ${name}` : "NATS"} <small></small></h2>${isNode ? "<dl></dl>" : ""}`;
  for (const [action, text] of Object.entries(ACTIONS)) {
    if (!isNode && (action === "cut" || action === "drain")) continue;
    const button = document.createElement("button");
    Object.assign(button, { name: action, textContent: text, ariaLabel: `${text} ${name}` });
    button.onclick = async () => {
      const answer = await fetch(`/control/${name}/${action}`, { method: "POST" });
      if (!answer.ok) alert(await answer.text());
    };
    made.querySelector("h2").after(button);
  }
  made.querySelector("h2").after(...[...made.querySelectorAll("button")].reverse());
  return byId("processes").appendChild(made);
}

setInterval(async () => {
  own["not yet"] = waiting.size;
  for (const [node, sum] of Object.entries(sums)) if (byId(node)) show(byId(node).querySelector("dl"), sum);
  show(byId("own").querySelector("dl"), own);
  for (const { name, state, id } of await (await fetch("/control")).json()) {
    const shown = byId(name) ?? section(name);
    shown.dataset.state = state;
    shown.ariaCurrent = name === where ? "true" : null;
    const isHere = name === where ? ", and this page is here" : "";
    shown.querySelector("small").textContent = `${state}${id ? `, process ${id}` : ""}${isHere}`;
    for (const button of shown.querySelectorAll("button")) button.disabled = !IN_STATE[state].includes(button.name);
  }
}, 250);
