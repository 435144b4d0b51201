// The board: draws where everybody is, and says how late that is.

const byId = (id) => document.getElementById(id);
const canvas = byId("board");
const context = canvas.getContext("2d");
const RATES = [0, 65_536, 32_768, 16_384, 8_192]; // bytes a second; 0 is no limit
const SPEEDS = ["as fast as it goes", "64 KiB/s", "32 KiB/s", "16 KiB/s", "8 KiB/s"];
// The link of this page, which its dial makes slow; see `link.rs`. No application has one.
const link = crypto.randomUUID();

let socket;
let me = null; // our number on the board
let cursors = new Map(); // by number: { x, y }
let own = { x: 0.5, y: 0.5 };
let pointer = null; // where the user's own pointer is, if it is on the board
let seen = null; // where others see us: the newest of our positions that has come back
let arrived = 0; // positions since the last second

function connect() {
  const board = byId("conflate").checked ? "conflated" : "queued";
  const address = new URL(`/ws?${new URLSearchParams({ board, link })}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  const mine = socket;
  [me, seen, cursors] = [null, null, new Map()];
  show("connecting", "Connecting…");
  socket.onopen = () => setRate(); // The link has its name now.
  socket.onmessage = ({ data }) => mine === socket && receive(JSON.parse(data));
  socket.onclose = () => {
    if (mine !== socket) return;
    show("waiting", "Connection lost. Another attempt in a second.");
    setTimeout(() => mine === socket && connect(), 1_000);
  };
}

function receive({ event, payload }) {
  if (event === "you") {
    me = payload;
    show("live", "Live");
  } else if (event === "cursor") {
    arrived++;
    cursors.set(payload.who, payload);
    if (payload.who === me) seen = payload;
  }
}

function show(state, text) {
  byId("status").dataset.state = state;
  byId("status").textContent = text;
}

// Our own cursor: where the pointer is, or on a round of its own.
function move() {
  const time = performance.now();
  if (!byId("hold").checked) {
    own = pointer ?? { x: 0.5 + 0.3 * Math.cos(time / 900), y: 0.5 + 0.3 * Math.sin(time / 900) };
    own = { x: Math.round(own.x * 1e4) / 1e4, y: Math.round(own.y * 1e4) / 1e4 };
  }
  if (me !== null && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ event: "move", payload: { ...own, at: Math.round(time) } }));
  }
  // By our own clock alone: what has come back last was sent then.
  const lag = seen === null ? 0 : Math.max(0, Math.round(performance.now() - seen.at));
  byId("lag").dataset.ms = lag;
  byId("lag").textContent = lag < 1_000 ? `${lag} ms` : `${(lag / 1_000).toFixed(1)} s`;
  byId("own").textContent = place(own);
  byId("seen").textContent = seen ? place(seen) : "–";
}

const place = ({ x, y }) => `${x.toFixed(4)}, ${y.toFixed(4)}`;

function draw() {
  const { width, height } = canvas;
  const style = getComputedStyle(canvas);
  context.clearRect(0, 0, width, height);
  for (const [who, { x, y }] of cursors) {
    if (who === me) continue;
    context.fillStyle = `hsl(${(who * 137) % 360} 65% 55%)`;
    disc(x * width, y * height, 6);
    context.fill();
  }
  context.fillStyle = context.strokeStyle = style.getPropertyValue("--accent") || style.color;
  context.lineWidth = 3;
  disc(own.x * width, own.y * height, 8);
  context.fill();
  if (seen) {
    disc(seen.x * width, seen.y * height, 14);
    context.stroke();
  }
  requestAnimationFrame(draw);
}

function disc(x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

function setRate() {
  const place = Number(byId("dial").value);
  byId("speed").textContent = SPEEDS[place];
  byId("dial").setAttribute("aria-valuetext", SPEEDS[place]);
  return fetch(`/link/${link}/${RATES[place]}`, { method: "POST" });
}

canvas.onpointermove = ({ offsetX, offsetY }) =>
  (pointer = { x: offsetX / canvas.clientWidth, y: offsetY / canvas.clientHeight });
canvas.onpointerleave = () => (pointer = null);
byId("dial").oninput = setRate;
byId("conflate").onchange = () => {
  const before = socket;
  connect();
  before.close();
};

setInterval(move, 33);
setInterval(() => {
  byId("rate").textContent = arrived;
  arrived = 0;
}, 1_000);
requestAnimationFrame(draw);
connect();
