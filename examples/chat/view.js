// What is to be seen. Text of others becomes textContent, never HTML.

import { peopleIn, readers } from "/talks.js";

export const byId = (id) => document.getElementById(id);
const [status, countdown, lobby, chat, text] = ["status", "countdown", "lobby", "chat", "text"].map(byId);
const TYPING_MS = 3_000;
let me = ""; // the name of who looks at this

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children); // a string becomes a text node
  return made;
}

function button(label, name, onclick) {
  const made = element("button", "", label);
  made.type = "button";
  made.setAttribute("aria-label", name);
  made.onclick = onclick;
  return made;
}

export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

export function openChat(name) {
  me = name;
  lobby.hidden = true;
  chat.hidden = status.hidden = false;
  byId("me").replaceChildren(avatar(name), name);
  text.focus();
}

/** `state` is connecting, waiting, live or closed. */
export function showStatus(state, words, waitMs = 0) {
  status.dataset.state = state;
  status.textContent = words;
  countdown.hidden = !waitMs;
  countdown.style.setProperty("--wait", `${waitMs}ms`);
  const [retry, focused] = [byId("retry"), document.activeElement];
  retry.hidden = state !== "closed";
  // Not `disabled`: that would take the focus away from who has just pressed it.
  byId("kick-me").setAttribute("aria-disabled", state !== "live");
  if (focused === retry && retry.hidden) text.focus();
  // What waited has been sent, or what was sent may not have arrived.
  for (const { item } of outbox.values()) showTick(item);
}

// Talks.

/** A talk's list of messages is in the page while the talk is shown. */
function logOf(talk) {
  if (!talk.log) {
    talk.log = element("ol", "");
    Object.assign(talk.log, { id: "log", role: "log", ariaLive: "polite", ariaLabel: "Messages", tabIndex: 0 });
  }
  return talk.log;
}

export function show(talk) {
  byId("log").replaceWith(logOf(talk));
  talk.log.scrollTop = talk.log.scrollHeight;
  byId("title").textContent = talk.isDirect ? talk.title : `# ${talk.title}`;
  byId("leave").textContent = talk.isDirect ? "Close this talk" : "Leave the room";
  text.placeholder = `Message ${talk.isDirect ? talk.title : `# ${talk.title}`}`;
  showTyping(talk);
  text.focus();
}

/** A talk's button stays the same, lest one vanish under the pointer of who presses it. */
function entryOf(talk, onShow) {
  if (!talk.entry) {
    const sign = talk.isDirect ? avatar(talk.title) : element("span", "sign", "#");
    const made = element("button", "", sign, element("span", "to", talk.title), element("span", "unread"));
    made.type = "button";
    made.dataset.to = talk.to;
    made.onclick = () => onShow(talk);
    talk.entry = element("li", "", made);
  }
  return talk.entry;
}

export function showTalks(talks, current, onShow) {
  const list = byId("talks");
  const entries = [...talks.values()].map((talk) => entryOf(talk, onShow));
  for (const entry of [...list.children]) if (!entries.includes(entry)) entry.remove();
  for (const entry of entries) if (!entry.isConnected) list.append(entry);
  for (const { entry, unread } of talks.values()) {
    entry.firstChild.ariaCurrent = entry === current.entry ? "true" : null;
    entry.querySelector(".unread").textContent = unread ? String(unread) : "";
  }
  const unread = [...talks.values()].reduce((sum, talk) => sum + talk.unread, 0);
  document.title = `${unread ? `(${unread}) ` : ""}${current.title} · wspulse chat`;
}

export function showTyping(talk, person) {
  if (person) {
    clearTimeout(talk.typing.get(person));
    talk.typing.set(person, setTimeout(() => stopTyping(talk, person), TYPING_MS));
  }
  if (talk.log !== byId("log")) return;
  const names = [...talk.typing.keys()];
  byId("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
}

function stopTyping(talk, person) {
  clearTimeout(talk.typing.get(person));
  talk.typing.delete(person);
  showTyping(talk);
}

// Messages.

// Ours that the server has not numbered yet, by id. They stand behind all others of their talk.
const outbox = new Map(); // id → { talk, item }

function addToLog(talk, item) {
  const log = logOf(talk);
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const unnumbered = [...outbox.values()].find((own) => own.talk === talk);
  log.insertBefore(item, unnumbered?.item ?? null);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

export function showNotice(talk, words, kind = "") {
  addToLog(talk, element("li", `notice ${kind}`, words));
}

/** A message that we send. */
export function showOwn(talk, id, words) {
  const about = element("span", "about", element("strong", "", me));
  const item = element("li", "message own", about, element("span", "bubble", words), element("span", "tick"));
  logOf(talk).append(item);
  talk.log.scrollTop = talk.log.scrollHeight;
  outbox.set(id, { talk, item });
  showTick(item);
  return item;
}

/** What became of a message that we sent: it was handled, or lost for this reason. */
export function tick(item, became, why) {
  if (item.dataset.tick === "lost") return;
  item.dataset.tick = became;
  if (became === "lost") for (const [id, own] of outbox) if (own.item === item) outbox.delete(id);
  showTick(item, why);
}

export function showRefused(id, why) {
  const own = outbox.get(id);
  if (own) tick(own.item, "lost", why);
}

const TICKS = {
  waiting: ["…", "waits for the connection"],
  sent: ["✓", "sent"],
  handled: ["✓✓", "arrived at the server"],
  lost: ["✗", "not handled"],
};

function showTick(item, why) {
  const { tick } = item.dataset;
  const isDone = tick === "handled" || tick === "lost";
  item.dataset.tick = isDone ? tick : status.dataset.state === "live" ? "sent" : "waiting";
  const [sign, meaning] = TICKS[item.dataset.tick];
  const words = why ?? (item.dataset.readers ? `read by ${item.dataset.readers}` : meaning);
  const shown = item.querySelector(".tick");
  shown.replaceChildren(element("span", "sign", sign), ` ${words}`);
}

/** How many have read each of our messages. */
export function showReaders(talk) {
  for (const item of logOf(talk).querySelectorAll(".own[data-seq]")) {
    const n = readers(talk, Number(item.dataset.seq), me);
    if (n) item.dataset.readers = n;
    showTick(item);
  }
}

/** A message that the server has numbered: one of ours that was on its way, or another. */
export function showMessage(talk, { seq, key, from, text, at }, isReplay) {
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const about = element("span", "about", element("strong", "", from), ` · ${time}`);
  if (isReplay) about.append(" · ", element("em", "", "replayed"));
  const own = outbox.get(key)?.item;
  outbox.delete(key);
  const item = own ?? element("li", "message", about, element("span", "bubble", text));
  if (own) {
    own.querySelector(".about").replaceWith(about);
  } else if (from === me) {
    item.classList.add("own");
    item.append(element("span", "tick"));
    item.dataset.tick = "handled";
  } else {
    item.prepend(avatar(from));
    stopTyping(talk, from);
  }
  item.classList.toggle("replayed", isReplay);
  item.dataset.seq = seq;
  addToLog(talk, item);
  if (from === me) showReaders(talk);
}

// People.

export function showPeople(talk, on) {
  const focused = document.activeElement?.ariaLabel;
  byId("members").replaceChildren(...peopleIn(talk, me).map(({ name, state }) => {
    const notes = [name === me && "you", state === "away" && "away", !state && "not here"].filter(Boolean);
    const who = element("span", "who", name, element("small", "", notes.join(", ")));
    const item = element("li", state ?? "gone", avatar(name), who);
    if (name !== me) {
      if (!talk.isDirect) item.append(button("Write", `Write to ${name}`, () => on.write(name)));
      item.append(button("✕", `Kick ${name}`, () => on.kick(name)));
    }
    return item;
  }));
  if (focused) document.querySelector(`#members [aria-label="${CSS.escape(focused)}"]`)?.focus();
}

function avatar(name) {
  const made = element("span", "avatar", [...name][0].toUpperCase());
  made.setAttribute("aria-hidden", "true");
  const hue = [...name].reduce((hue, char) => (hue * 137 + char.codePointAt(0)) % 360, 7);
  made.style.setProperty("--hue", hue);
  return made;
}
