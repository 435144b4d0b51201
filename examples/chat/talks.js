// What the page knows: its talks, each in a room or with one person, and who is here.

/** By what they are called here: a room's name, or `@` and a person's. */
export const talks = new Map();

export function talkNamed(to) {
  if (!talks.has(to)) {
    talks.set(to, {
      to,
      isDirect: to.startsWith("@"),
      title: to.startsWith("@") ? to.slice(1) : to,
      last: null, // the number of the newest message; null until the server has told what there is
      isOpening: true, // what comes before the server has told that is in what it tells
      unread: 0,
      read: new Map(), // person → the newest message that they have read
      people: new Map(), // person → "here" or "away"
      presence: 0, // the number of the newest change of people
      typing: new Map(), // person → the timer of their hint
    });
  }
  return talks.get(to);
}

/** The talk that an event of the server belongs to. */
export function talkOf({ room, between }, me) {
  return talkNamed(room ?? `@${between.find((name) => name !== me) ?? me}`);
}

/** Takes who is in a room, or what has changed; false if a change is missing before. */
export function takePresence({ room, seq, people, changes }) {
  const talk = talks.get(room);
  if (!talk) return true; // we have left it
  if (people) talk.people = new Map(people.map(({ user, state }) => [user, state]));
  else if (seq !== talk.presence + 1) return false;
  for (const { user, state } of changes ?? []) {
    if (state === "gone") talk.people.delete(user);
    else talk.people.set(user, state);
  }
  talk.presence = seq;
  return true;
}

/** Here, away, or undefined: as far as our rooms know. */
export function stateOf(person) {
  const states = [...talks.values()].map(({ people }) => people.get(person));
  return states.includes("here") ? "here" : states.find(Boolean);
}

/** Who is in a talk, by name. */
export function peopleIn(talk, me) {
  const names = talk.isDirect ? [...new Set([me, talk.title])] : [...talk.people.keys()];
  return names.sort((a, b) => a.localeCompare(b)).map((name) => ({ name, state: stateOf(name) }));
}

/** How many others have read one of our messages. */
export function readers(talk, seq, me) {
  return [...talk.read].filter(([name, upTo]) => name !== me && upTo >= seq).length;
}
