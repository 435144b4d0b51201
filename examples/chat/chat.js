// The chat. All that has to do with dropped links is in the client: this page only shows it.

import { connect, json } from "/client.js";
import { talks, talkNamed, talkOf, takePresence } from "/talks.js";
import * as view from "/view.js";
import { byId, count } from "/view.js";

// Who this tab is. The id outlives a reload, so that the page which comes then takes the place of
// the one before; others must not know it. The name is the person's, in all windows.
let user = JSON.parse(sessionStorage.getItem("user")); // { id, name, rooms } or null
// The cable of this page, which its buttons cut; see `network.rs`. No application has one.
const cable = crypto.randomUUID();
// How frames are written. JSON is in the client; for the others there is a file more.
const codec = sessionStorage.getItem("codec") ?? "json";
const codecs = codec === "json" ? { json } : await import("/codecs.js");

let client;
let current; // the talk that is shown
let replayed = 0; // so many of the frames that come next were sent or waiting while we were away

// Each new session begins in our rooms, before anything is said in it.
function address() {
  const query = new URLSearchParams({ id: user.id, name: user.name, rooms: JSON.stringify(user.rooms), cable });
  return new URL(`/ws?${query}`, location.href.replace(/^http/, "ws"));
}

function begin() {
  view.openChat(user.name);
  view.showStatus("connecting", "Connecting…");
  for (const talk of talks.values()) talk.isOpening = true;
  for (const room of user.rooms) talkNamed(room);
  show(current ?? talkNamed(user.rooms[0]));
  client = connect(address, {
    sessions: "require",
    codec: codecs[codec],
    // All times are short, so that what happens is to be seen.
    reconnect: { base: 500, max: 4_000 },
    connectTimeout: 5_000,
    probeTimeout: 2_000,
  });

  client.listen("session", ({ session, replay }) => {
    const isBack = session === "resumed";
    const frames = `${count(replay, "frame")} replayed`;
    if (isBack) view.showNotice(current, `Resumed: ${frames}`, "good");
    else for (const talk of talks.values()) open(talk);
    replayed = replay;
    view.showStatus("live", isBack ? `Live again, ${frames}` : "Live");
  });
  let lost = "";
  client.listen("disconnect", (code, reason) => (lost = ending(code, reason)));
  client.listen("reconnect", (attempt, delay) => {
    const seconds = (delay / 1000).toFixed(1);
    view.showStatus("waiting", `Connection lost: ${lost}. Attempt ${attempt} in ${seconds} s`, delay);
  });
  client.listen("end", (code, reason) => {
    if (user === null) return location.reload(); // We asked for it; see below.
    view.showStatus("closed", `Closed by the server: ${ending(code, reason)}`);
  });

  let isReplay = false;
  client.listen("message", () => (isReplay = replayed > 0 && replayed-- > 0));
  client.on("said", (said) => hear(talkOf(said, user.name), said, isReplay));
  client.on("read", (read) => {
    const talk = talkOf(read, user.name);
    talk.read.set(read.user, read.seq);
    view.showReaders(talk);
  });
  client.on("typing", (typing) => view.showTyping(talkOf(typing, user.name), typing.user));
  client.on("presence", (told) => {
    if (!takePresence(told)) client.post({ event: "presence.again", payload: told.room });
    view.showPeople(current, onPerson);
  });
  client.on("error", ({ text }, { id }) => view.showRefused(id, text));
}

const ending = (code, reason) => (reason ? `${code} “${reason}”` : String(code));

/** Asks what was said since, and enters a room. */
async function open(talk) {
  talk.isOpening = true;
  try {
    const { payload } = await client.request({ event: "open", payload: { to: talk.to, after: talk.last ?? 0 } });
    const isBack = talk.last !== null;
    if (isBack && (payload.messages[0]?.seq ?? payload.seq + 1) > talk.last + 1) {
      view.showNotice(talk, "Something was said that the server does not keep any more.", "bad");
      talk.last = payload.messages[0].seq - 1;
    } else if (isBack) {
      view.showNotice(talk, `A new session: ${count(payload.messages.length, "message")} caught up`, "good");
    }
    talk.last ??= (payload.messages[0]?.seq ?? payload.seq + 1) - 1;
    talk.isOpening = false;
    talk.read = new Map(Object.entries(payload.read));
    for (const said of payload.messages) hear(talk, said, false);
  } catch (error) {
    // If the session has ended, the next one opens it.
    if (error.payload) view.showNotice(talk, `Refused: ${error.payload.text}`, "bad");
  }
}

function hear(talk, said, isReplay) {
  if (talk.last === null && !talk.isAsked) {
    talk.isAsked = true; // somebody has turned to us
    open(talk);
  }
  if (talk.isOpening) return;
  if (said.seq !== talk.last + 1) {
    view.showNotice(talk, `Message ${said.seq} came after message ${talk.last}.`, "bad");
  }
  talk.last = said.seq;
  view.showMessage(talk, said, isReplay);
  const isSeen = talk === current && document.visibilityState === "visible";
  if (said.from !== user.name && !isSeen && said.seq > (talk.read.get(user.name) ?? 0)) talk.unread++;
  if (isSeen) markRead();
  view.showTalks(talks, current, show);
}

function markRead() {
  current.unread = 0;
  const hasNews = current.last > (current.read.get(user.name) ?? 0);
  if (!hasNews || client?.state !== "live") return;
  current.read.set(user.name, current.last);
  client.post({ event: "read", payload: { to: current.to, seq: current.last } });
}

async function say(text, id = crypto.randomUUID(), item = view.showOwn(current, id, text), talk = current) {
  try {
    await client.send({ id, event: "say", payload: { to: talk.to, text } });
    view.tick(item, "handled");
  } catch (error) {
    // The session has ended before we knew. With the same id it is said once, whatever became of it.
    if (error.name === "LostError" && client.state !== "ended") return say(text, id, item, talk);
    view.tick(item, "lost", error.message);
  }
}

function show(talk) {
  current = talk;
  view.show(talk);
  markRead();
  view.showTalks(talks, current, show);
  view.showPeople(talk, onPerson);
}

function enter(to) {
  const isNew = !talks.has(to);
  const talk = talkNamed(to);
  if (isNew && !talk.isDirect) remember([...user.rooms, to]);
  show(talk);
  if (isNew && client.state === "live") open(talk);
}

function remember(rooms) {
  user.rooms = rooms;
  sessionStorage.setItem("user", JSON.stringify(user));
}

const kick = (name) => client.post({ event: "kick", payload: name });
const onPerson = { write: (name) => enter(`@${name}`), kick };

// What the user does.

byId("join").onsubmit = (event) => {
  event.preventDefault();
  user = { id: crypto.randomUUID(), name: byId("name").value.trim() };
  remember([byId("room-name").value.trim()]);
  begin();
};

byId("enter").onsubmit = (event) => {
  event.preventDefault();
  const room = byId("new-room").value.trim().replaceAll("@", "");
  if (room) enter(room);
  byId("new-room").value = "";
};

byId("compose").onsubmit = (event) => {
  event.preventDefault();
  const words = byId("text").value.trim();
  if (words) say(words);
  byId("text").value = "";
};

byId("text").oninput = () => {
  if (client.state !== "live" || Date.now() - (current.typedAt ?? 0) < 1_000) return;
  current.typedAt = Date.now();
  client.post({ event: "typing", payload: { to: current.to } });
};

document.onvisibilitychange = () => current && document.visibilityState === "visible" && show(current);
byId("kick-me").onclick = () => client.state === "live" && kick(user.name);
byId("retry").onclick = begin;
byId("deploy").onclick = () => fetch("/deploy", { method: "POST" });

// A session has one codec for its life. The page that comes then has the same id, and a new session.
byId("codec").value = codec;
byId("codec").onchange = ({ target }) => {
  sessionStorage.setItem("codec", target.value);
  location.reload();
};

byId("leave").onclick = () => {
  talks.delete(current.to);
  if (!current.isDirect) {
    remember(user.rooms.filter((room) => room !== current.to));
    client.post({ event: "leave", payload: current.to });
  }
  if (user.rooms.length) return show(talkNamed(user.rooms[0]));
  sessionStorage.removeItem("user");
  user = null;
  if (client.state !== "live") return location.reload();
  client.post({ event: "sign-out" }); // The server closes, and then the page is loaded anew.
};

// What the network does.

const order = (what) => fetch(`/network/${cable}/${what}`, { method: "POST" });
let silence = 0; // the timer of one that ends by itself

function setNetwork(isOn) {
  clearTimeout(silence);
  byId("network").checked = isOn;
  return order(isOn ? "restore" : "silence");
}

byId("close").onclick = () => order("close");
byId("reset").onclick = () => order("reset");
byId("network").onchange = ({ target }) => setNetwork(target.checked);
byId("silence").onclick = () => {
  setNetwork(false);
  silence = setTimeout(setNetwork, 5_000, true);
};

if (user) begin();
