// The session: an id that this tab makes up and keeps to itself, the same at every reconnect. By it
// the server knows whom a new connection belongs to. It outlives a reload, but not the tab.

let session = JSON.parse(sessionStorage.getItem("session")); // { id, name, room } or null

function startSession(name, room) {
  // The server keeps name and room for as long as the session lives: others need another id.
  if (session?.name !== name || session?.room !== room) {
    session = { id: crypto.randomUUID(), name, room };
    sessionStorage.setItem("session", JSON.stringify(session));
  }
  openChat();
}

// The connection, and the loop that brings it back.

const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 10_000;
const NORMAL_CLOSURE = 1000;

let socket = null;
let failures = 0; // in a row
let retryTimer = 0;

/** Exponential backoff, with jitter so that a server's clients do not all come back at once. */
function backoffMs(failures) {
  const ceiling = Math.min(BACKOFF_BASE_MS * 2 ** failures, BACKOFF_MAX_MS);
  return ceiling * (0.5 + Math.random() / 2);
}

function connect() {
  clearTimeout(retryTimer);
  showStatus("connecting", failures ? `Reconnecting, attempt ${failures}…` : "Connecting…");
  const url = new URL("/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams(session);
  socket = new WebSocket(url);

  // A session's marker is the first frame of a new session. To a resumed one, all that was
  // buffered for it comes before the marker; so frames are kept back until it has come.
  let keptBack = [];
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (keptBack === null) {
      receive(frame);
    } else if (frame.event === "session.started" || frame.event === "session.resumed") {
      failures = 0;
      begin(frame, keptBack);
      keptBack = null;
    } else {
      keptBack.push(frame);
    }
  };

  // A connection that could not be opened ends up here as well, with code 1006.
  socket.onclose = ({ code, reason }) => {
    socket = null;
    const ending = `${code}${reason ? ` “${reason}”` : ""}`;
    if (code === NORMAL_CLOSURE) {
      if (session === null) return location.reload(); // We asked for it; see leave().
      // The server meant it, such as a kick. Whether to come back is for the user to decide.
      return showStatus("closed", `Closed by the server: ${ending}`);
    }
    const wait = backoffMs(failures++);
    const seconds = (wait / 1000).toFixed(1);
    showStatus("waiting", `Connection lost: ${ending}. Reconnecting in ${seconds} s`, wait);
    retryTimer = setTimeout(connect, wait);
  };
}

function send(event, payload, id) {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ id, event, payload }));
  }
}

// What comes in.

let me = null; // our member number
let lastSeq = null; // the newest message that we have; null if there is none to go on from

function begin({ event, payload }, before) {
  me = payload.member;
  if (event === "session.resumed") {
    const frames = count(before.length, "frame");
    const messages = before.filter((frame) => frame.event === "chat.message").length;
    const replay = `Resumed: ${frames} replayed (${count(messages, "message")})`;
    showStatus("connected", replay);
    showNotice(replay, "good");
    before.forEach((frame) => receive(frame, true));
  } else {
    if (lastSeq !== null) {
      showNotice("This is a new session. What was said in between is not replayed.", "bad");
    }
    showStatus("connected", "Connected");
    lastSeq = null;
    before.forEach((frame) => receive(frame));
  }
  lastSeq ??= payload.seq;
  // In a resumed session, whatever the server got is back by now, with its number: the rest has
  // never arrived and can be sent again, without anything being said twice.
  for (const [id, text] of unsent) send("chat.message", text, id);
}

function receive({ id, event, payload }, isReplay = false) {
  if (event === "chat.message") {
    const { member, seq } = payload;
    if (lastSeq !== null && seq !== lastSeq + 1) {
      const missed = seq - lastSeq - 1;
      const lost = `${count(missed, "message")} missed: the server keeps only so many.`;
      showNotice(missed > 0 ? lost : `Message ${seq} came again.`, "bad");
    }
    lastSeq = seq;
    if (member === me && unsent.delete(id)) byId(id).remove();
    showMessage(payload, isReplay ? "replayed" : "");
  } else if (event === "room.members") {
    showMembers(payload);
  } else if (event === "frame.refused" && unsent.delete(id)) {
    byId(id).remove();
    showNotice("The server refused a message.", "bad");
  }
}

// What goes out. A message is unsent until the server has given it a number.

const unsent = new Map(); // text by id

function say(text) {
  const id = crypto.randomUUID();
  unsent.set(id, text);
  showMessage({ member: me, name: session.name, text }, "unsent").id = id;
  // Before the marker it would go out twice; see begin().
  if (status.dataset.state === "connected") send("chat.message", text, id);
}

// What is to be seen. Text of others becomes textContent, never HTML.

const byId = (id) => document.getElementById(id);
const [status, room, countdown, lobby, chat] =
  ["status", "room", "countdown", "lobby", "chat"].map(byId);
const [log, text, members, cut, kickMe, retry] =
  ["log", "text", "members", "cut", "kick-me", "retry"].map(byId);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children); // a string becomes a text node
  return made;
}

const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

function showStatus(state, words, waitMs = 0) {
  status.dataset.state = state;
  status.textContent = words;
  countdown.hidden = true;
  if (waitMs) {
    countdown.style.setProperty("--wait", `${waitMs}ms`);
    countdown.hidden = false;
  }
  const focused = document.activeElement;
  retry.hidden = state === "connecting" || state === "connected";
  // Not `disabled`: that would take the focus away from who has just pressed it.
  for (const button of [cut, kickMe]) button.setAttribute("aria-disabled", state !== "connected");
  if (focused === retry && retry.hidden) text.focus();
}

function addToLog(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.append(item);
  if (atEnd) log.scrollTop = log.scrollHeight;
  return item;
}

function showNotice(words, kind = "") {
  addToLog(element("li", `notice ${kind}`, words));
}

function showMessage({ seq, member, name, text, at }, kind) {
  const clock = { hour: "2-digit", minute: "2-digit" };
  const time = at ? new Date(at).toLocaleTimeString([], clock) : "not sent yet";
  const about = element("span", "about", element("strong", "", name), ` · ${time}`);
  if (kind === "replayed") about.append(" · ", element("em", "", "replayed"));
  const isOwn = member === me;
  const item = element("li", `message ${kind}`, about, element("span", "bubble", text));
  if (seq) item.dataset.seq = seq;
  if (isOwn) item.classList.add("own");
  else item.prepend(avatar(name));
  return addToLog(item);
}

function showMembers(list) {
  const focused = document.activeElement?.dataset.member;
  members.replaceChildren(...list.map(({ member, name, away }) => {
    const isSelf = member === me;
    const notes = [isSelf && "you", away && "away"].filter(Boolean).join(", ");
    const who = element("span", "who", name, element("small", "", notes));
    const item = element("li", away ? "away" : "", avatar(name), who);
    if (!isSelf) {
      const kick = element("button", "", "Kick");
      kick.type = "button";
      kick.dataset.member = member;
      kick.setAttribute("aria-label", `Kick ${name}`);
      kick.onclick = () => send("member.kick", member);
      item.append(kick);
    }
    return item;
  }));
  if (focused) (members.querySelector(`[data-member="${focused}"]`) ?? text).focus();
}

function avatar(name) {
  const made = element("span", "avatar", [...name][0].toUpperCase());
  made.setAttribute("aria-hidden", "true");
  const hue = [...name].reduce((hue, char) => (hue * 137 + char.codePointAt(0)) % 360, 7);
  made.style.setProperty("--hue", hue);
  return made;
}

function openChat() {
  lobby.hidden = true;
  chat.hidden = room.hidden = status.hidden = false;
  room.textContent = session.room;
  document.title = `${session.room} · wspulse chat`;
  text.focus();
  connect();
}

// What the user does.

byId("join").onsubmit = (event) => {
  event.preventDefault();
  startSession(byId("name").value.trim(), byId("room-name").value.trim());
};

byId("compose").onsubmit = (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (words) say(words);
  text.value = "";
};

cut.onclick = () => send("network.cut", 5);
kickMe.onclick = () => send("member.kick", me);
retry.onclick = connect;

byId("leave").onclick = function leave() {
  sessionStorage.removeItem("session");
  session = null;
  if (status.dataset.state !== "connected") return location.reload();
  send("room.leave"); // The server closes, and then the page is loaded anew.
};

// The browser knows before the timer does that trying is worth it again.
addEventListener("online", () => {
  if (status.dataset.state === "waiting") connect();
});

if (session) openChat();
