// The chat. All that has to do with dropped links is in the client: this page only shows it.

import { connect } from "/client.js";
import * as view from "/view.js";
import { byId, count } from "/view.js";

// Who this tab is. The id outlives a reload, so that the page which comes then takes the place of
// the one before; others must not know it.
let user = JSON.parse(sessionStorage.getItem("user")); // { id, name, room } or null
// The cable of this page, which its buttons cut; see `network.rs`. No application has one.
const cable = crypto.randomUUID();

let client;
let lastSeq = null; // the newest message that we have; null if there is none to go on from
let replayed = 0; // so many of the frames that come next were sent or waiting while we were away

function openChat() {
  view.openChat(user.room);
  view.showStatus("connecting", "Connecting…");
  const address = new URL(`/ws?${new URLSearchParams({ ...user, cable })}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  client = connect(address, {
    sessions: "require",
    // All times are short, so that what happens is to be seen.
    reconnect: { base: 500, max: 4_000 },
    connectTimeout: 5_000,
    probeTimeout: 2_000,
  });

  client.listen("session", ({ session, replay }) => {
    const frames = `${count(replay, "frame")} replayed`;
    if (session === "resumed") view.showNotice(`Resumed: ${frames}`, "good");
    else if (lastSeq !== null) view.showNotice("A new session: something is missing here.", "bad");
    if (session === "new") lastSeq = null;
    replayed = replay;
    view.showStatus("live", session === "resumed" ? `Live again, ${frames}` : "Live");
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

  client.listen("message", ({ event, payload, id }) => {
    const isReplay = replayed > 0;
    if (isReplay) replayed--;
    if (event === "welcome") {
      view.setMe(payload.member);
      lastSeq = payload.seq;
    } else if (event === "room.members") {
      view.showMembers(payload, kick);
    } else if (event === "frame.refused") {
      view.showNotice("The server refused a message.", "bad");
      view.take(id)?.remove();
    } else if (event === "chat.message") {
      const { seq } = payload;
      if (lastSeq !== null && seq !== lastSeq + 1) {
        view.showNotice(`Message ${seq} came after message ${lastSeq}.`, "bad");
      }
      lastSeq = seq;
      view.showMessage(payload, view.take(id), isReplay);
    }
  });
}

const ending = (code, reason) => (reason ? `${code} “${reason}”` : String(code));

async function say(text) {
  const id = crypto.randomUUID();
  const item = view.showOwn(id, user.name, text);
  try {
    await client.send({ id, event: "chat.message", payload: text });
    view.tick(item, "handled");
  } catch (error) {
    view.tick(item, "lost", error.message);
  }
}

const kick = (member) => client.post({ event: "member.kick", payload: member });

// What the user does.

byId("join").onsubmit = (event) => {
  event.preventDefault();
  user = { id: crypto.randomUUID(), name: byId("name").value.trim(), room: byId("room-name").value.trim() };
  sessionStorage.setItem("user", JSON.stringify(user));
  openChat();
};

byId("compose").onsubmit = (event) => {
  event.preventDefault();
  const words = byId("text").value.trim();
  if (words) say(words);
  byId("text").value = "";
};

byId("kick-me").onclick = () => client.state === "live" && kick(view.me);
byId("retry").onclick = openChat;

byId("leave").onclick = () => {
  sessionStorage.removeItem("user");
  user = null;
  if (client.state !== "live") return location.reload();
  client.post({ event: "room.leave" }); // The server closes, and then the page is loaded anew.
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

if (user) openChat();
