// What is to be seen. Text of others becomes textContent, never HTML.

export const byId = (id) => document.getElementById(id);
const [status, room, countdown, lobby, chat] =
  ["status", "room", "countdown", "lobby", "chat"].map(byId);
const [log, text, members, kickMe, retry] = ["log", "text", "members", "kick-me", "retry"].map(byId);

export let me = null; // our member number
export const setMe = (member) => (me = member);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children); // a string becomes a text node
  return made;
}

export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

export function openChat(name) {
  lobby.hidden = true;
  chat.hidden = room.hidden = status.hidden = false;
  room.textContent = name;
  document.title = `${name} · wspulse chat`;
  text.focus();
}

/** `state` is connecting, waiting, live or closed. */
export function showStatus(state, words, waitMs = 0) {
  status.dataset.state = state;
  status.textContent = words;
  countdown.hidden = true;
  if (waitMs) {
    countdown.style.setProperty("--wait", `${waitMs}ms`);
    countdown.hidden = false;
  }
  const focused = document.activeElement;
  retry.hidden = state !== "closed";
  // Not `disabled`: that would take the focus away from who has just pressed it.
  kickMe.setAttribute("aria-disabled", state !== "live");
  if (focused === retry && retry.hidden) text.focus();
  // What waited has been sent, or what was sent may not have arrived.
  for (const item of outbox.values()) showTick(item);
}

// Our messages that the server has not numbered yet, by id. They stand behind all others.
const outbox = new Map();

/** Takes a message out of those that are on their way, if it is one. */
export function take(id) {
  const item = outbox.get(id);
  outbox.delete(id);
  return item;
}

function addToLog(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.insertBefore(item, outbox.values().next().value ?? null);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

export function showNotice(words, kind = "") {
  addToLog(element("li", `notice ${kind}`, words));
}

/** A message that we send. */
export function showOwn(id, name, text) {
  const about = element("span", "about", element("strong", "", name));
  const item = element("li", "message own", about, element("span", "bubble", text));
  const tick = element("span", "tick");
  tick.setAttribute("role", "img");
  item.append(tick);
  log.append(item);
  log.scrollTop = log.scrollHeight;
  outbox.set(id, item);
  showTick(item);
  return item;
}

/** What became of a message that we sent: it was handled, or lost for this reason. */
export function tick(item, became, why) {
  item.dataset.tick = became;
  if (became === "lost") for (const [id, waiting] of outbox) if (waiting === item) outbox.delete(id);
  showTick(item, why);
}

const TICKS = {
  waiting: ["…", "waits for the connection"],
  sent: ["✓", "sent"],
  handled: ["✓✓", "handled by the server"],
  lost: ["✗", "not handled"],
};

function showTick(item, why) {
  const { tick } = item.dataset;
  const done = tick === "handled" || tick === "lost";
  item.dataset.tick = done ? tick : status.dataset.state === "live" ? "sent" : "waiting";
  const [sign, meaning] = TICKS[item.dataset.tick];
  const shown = item.querySelector(".tick");
  shown.textContent = sign;
  shown.title = why ?? meaning;
  shown.setAttribute("aria-label", shown.title);
}

/** A message that the server has numbered: one of ours that was on its way, or another. */
export function showMessage({ seq, member, name, text, at }, own, isReplay) {
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const about = element("span", "about", element("strong", "", name), ` · ${time}`);
  if (isReplay) about.append(" · ", element("em", "", "replayed"));
  const item = own ?? element("li", "message", about, element("span", "bubble", text));
  if (own) own.querySelector(".about").replaceWith(about);
  else if (member === me) item.classList.add("own");
  else item.prepend(avatar(name));
  item.classList.toggle("replayed", isReplay);
  item.dataset.seq = seq;
  addToLog(item);
}

export function showMembers(list, kick) {
  const focused = document.activeElement?.dataset.member;
  members.replaceChildren(...list.map(({ member, name, away }) => {
    const isSelf = member === me;
    const notes = [isSelf && "you", away && "away"].filter(Boolean).join(", ");
    const who = element("span", "who", name, element("small", "", notes));
    const item = element("li", away ? "away" : "", avatar(name), who);
    if (!isSelf) {
      const button = element("button", "", "Kick");
      button.type = "button";
      button.dataset.member = member;
      button.setAttribute("aria-label", `Kick ${name}`);
      button.onclick = () => kick(member);
      item.append(button);
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
