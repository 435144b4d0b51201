// The lists, a page at a time. The server searches and sorts.

const { $, ask, clock, element, short, span, whole } = await import(new URL('?dom.js', import.meta.url));

const REFRESH_MS = 2000;

const ORDERS = {
  connections: [['newest', 'newest first'], ['oldest', 'oldest first'], ['most', 'most waiting first'], ['name', 'by id']],
  rooms: [['most', 'largest first'], ['name', 'by name']],
  users: [['name', 'by name'], ['most', 'most connections first']],
  departures: [['newest', 'newest first']],
};

const wanted = { list: 'connections', search: '', state: '', sort: 'newest', room: '', user: '', from: 0 };
let shown;
let timer;
let latest = 0;
let before = new Map();
let openDetail = () => {};

export const onOpen = (listener) => { openDetail = listener; };

const link = (text, key, act) => {
  const button = element('button', { type: 'button', class: 'link', 'data-key': key }, text || '–');
  button.onclick = act;
  return button;
};

const roomLink = (room) => (room ? link(room, `room ${room}`, () => show({ list: 'connections', room })) : '–');
/** The home room; without one, the rooms that it has joined. */
const roomsLinks = (row) => (row.room || !row.joined.length
  ? roomLink(row.room)
  : element('span', {}, ...row.joined.flatMap((room, at) => (at ? [' ', roomLink(room)] : [roomLink(room)]))));
const userLink = (user) => (user ? link(user, `user ${user}`, () => show({ list: 'connections', user })) : '–');
const number = (text) => [text, 'number'];

/** How many a second since the list was last read. */
function rates(row) {
  const old = before.get(row.id);
  const seconds = old && (performance.now() - old.at) / 1000;
  if (!old || old.connected_at !== row.connected_at) return ['–', '–'];
  const came = (row.received - old.received + 2 ** 32) % 2 ** 32;
  return [came, Math.max(0, row.sent - old.sent)].map((count) => short(count / seconds));
}

const COLUMNS = {
  connections: [
    ['Id', (row) => link(row.id, `id ${row.id}`, () => openDetail(row.id))],
    ['Person', (row) => userLink(row.user)],
    ['Room', roomsLinks],
    ['State', (row) => element('span', { class: `state ${row.state}` }, row.state)],
    ['Address', (row) => row.address ?? '–'],
    ['Age', (row) => number(span((Date.now() - row.connected_at) / 1000)), 'number'],
    ['Waiting', (row) => number(whole(row.waiting)), 'number'],
    ['In/s', (row) => number(rates(row)[0]), 'number'],
    ['Out/s', (row) => number(rates(row)[1]), 'number'],
    ['Dropped', (row) => number(whole(row.dropped)), 'number'],
  ],
  rooms: [
    ['Room', (row) => roomLink(row.id)],
    ['Members', (row) => number(whole(row.members)), 'number'],
    ['Here', (row) => number(row.people ? whole(row.people.here) : '–'), 'number'],
    ['Away', (row) => number(row.people ? whole(row.people.away) : '–'), 'number'],
  ],
  users: [
    ['Person', (row) => userLink(row.id)],
    ['State', (row) => element('span', { class: `state ${row.is_online ? 'connected' : 'suspended'}` }, row.is_online ? 'online' : 'away')],
    ['Connections', (row) => number(whole(row.connections)), 'number'],
  ],
  departures: [
    ['Time', (row) => clock(row.at)],
    ['Id', (row) => link(row.id, `id ${row.id} ${row.at}`, () => openDetail(row.id))],
    ['Person', (row) => userLink(row.user)],
    ['Room', (row) => roomLink(row.room)],
    ['Address', (row) => row.address ?? '–'],
    ['After', (row) => number(span(row.age_secs)), 'number'],
    ['What', (row) => element('span', { class: `state ${row.is_suspended ? 'suspended' : 'closed'}` }, row.reason)],
    ['Cause', (row) => row.cause],
  ],
};

const NAMES = { connections: 'connections', rooms: 'rooms', users: 'people', departures: 'lost transports and ends' };

/** Shows another list, or another part of it. */
export function show(change) {
  const isOther = 'list' in change;
  Object.assign(wanted, isOther ? { room: '', user: '', search: '', state: '' } : {}, { from: 0 }, change);
  if (isOther) {
    wanted.sort = ORDERS[wanted.list][0][0];
    $('order').replaceChildren(...ORDERS[wanted.list].map(([value, text]) => element('option', { value }, text)));
    $('needle').value = '';
    $('state').value = '';
    $('state-label').hidden = wanted.list !== 'connections';
    for (const tab of $('tabs').children) tab.setAttribute('aria-pressed', tab.dataset.list === wanted.list);
    before = new Map();
  }
  $('within').hidden = !wanted.room && !wanted.user;
  $('within').firstElementChild.textContent =
    wanted.room ? `In the room ${wanted.room}` : `Of ${wanted.user}`;
  return refresh();
}

export async function refresh() {
  clearTimeout(timer);
  const mine = (latest += 1);
  const { list, ...parameters } = wanted;
  try {
    const page = await ask(list, parameters);
    // The answer to an older question would overwrite a newer one.
    if (mine === latest) render(list, page);
  } catch (error) {
    if (mine === latest) $('caption').textContent = `The list cannot be read: ${error.message}`;
  }
  if (mine === latest && !document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

function render(list, page) {
  const focused = document.activeElement?.dataset?.key;
  const columns = COLUMNS[list];
  if (shown !== list) {
    shown = list;
    $('table').tHead.replaceChildren(element('tr', {}, ...columns.map(([name, , kind]) =>
      element('th', { scope: 'col', class: kind }, name))));
  }
  $('table').tBodies[0].replaceChildren(...page.rows.map((row) =>
    element('tr', {}, ...columns.map(([name, make]) => {
      const made = make(row);
      const [content, kind] = Array.isArray(made) ? made : [made];
      return element('td', { class: kind, 'data-name': name }, content);
    }))));
  if (list === 'connections') {
    const at = performance.now();
    before = new Map(page.rows.map((row) => [row.id, { ...row, at }]));
  }
  wanted.from = page.from;
  const last = page.from + page.rows.length;
  const found = page.found === page.total ? '' : ` of ${whole(page.total)}`;
  $('caption').textContent = `${whole(page.found)}${found} ${NAMES[list]}`;
  $('place').textContent = page.found ? `${whole(page.from + 1)}–${whole(last)} of ${whole(page.found)}` : 'none';
  $('back').disabled = page.from === 0;
  $('on').disabled = last >= page.found;
  $('back').onclick = () => show({ from: Math.max(0, page.from - 50) });
  $('on').onclick = () => show({ from: last });
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

let typing;
$('needle').oninput = () => {
  clearTimeout(typing);
  typing = setTimeout(() => show({ search: $('needle').value.trim() }), 250);
};
$('search').onsubmit = (event) => {
  event.preventDefault();
  show({ search: $('needle').value.trim() });
};
$('order').onchange = () => show({ sort: $('order').value });
$('state').onchange = () => show({ state: $('state').value });
$('leave').onclick = () => show({ list: 'connections' });
for (const tab of $('tabs').children) tab.onclick = () => show({ list: tab.dataset.list });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else refresh();
});
