// One connection: what is known of it, and what passes it.

const { $, ask, clock, element, exactClock, span, whole } = await import(new URL('?dom.js', import.meta.url));
const live = await import(new URL('?live.js', import.meta.url));

const REFRESH_MS = 2000;
const MESSAGES_MAX = 500;

let id;
let timer;
let isPaused = false;
let leftOut = 0;

export const current = () => id;

export function open(of) {
  id = of;
  leftOut = 0;
  pause(false);
  $('detail-id').textContent = of;
  $('messages').replaceChildren();
  $('facts').replaceChildren();
  $('filter').value = '';
  if (!$('detail').open) $('detail').showModal();
  live.say('tail', { id });
  tell('Nothing has passed yet.');
  refresh();
}

const FACTS = [
  ['Person', (it) => it.user ?? '–'],
  ['Home room', (it) => it.room || '–'],
  ['Rooms', (it) => it.rooms.join(', ') || '–'],
  ['State', (it) => it.state],
  ['Address', (it) => it.address ?? '–'],
  ['Age', (it) => `${span((Date.now() - it.connected_at) / 1000)}, since ${clock(it.connected_at)}`],
  ['Messages from it', (it) => whole(it.received)],
  ['Frames accepted', (it) => whole(it.accepted)],
  ['Sent', (it) => whole(it.sent)],
  ['Waiting', (it) => `${whole(it.waiting)}, not acknowledged ${whole(it.unacknowledged)}, ${whole(it.held_bytes)} bytes held`],
  ['Acknowledged', (it) => whole(it.acknowledged)],
  ['Dropped', (it) => `${whole(it.dropped)}, replaced by newer ones ${whole(it.conflated)}`],
];

export async function refresh() {
  clearTimeout(timer);
  const of = id;
  if (of === undefined) return;
  try {
    const found = await ask('connection', { id: of });
    if (of !== id) return;
    $('facts').replaceChildren(...FACTS.map(([name, read]) =>
      element('div', {}, element('dt', {}, name), element('dd', {}, read(found)))));
    told(found.departures);
  } catch {
    if (of !== id) return;
    const page = await ask('departures', { search: of }).catch(() => ({ rows: [] }));
    if (of !== id) return;
    $('facts').replaceChildren(element('div', {}, element('dt', {}, 'State'), element('dd', {}, 'gone')));
    told(page.rows.filter((row) => row.id === of));
  }
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

function told(departures) {
  $('gone').hidden = !departures.length;
  $('gone').querySelector('ul').replaceChildren(...departures.map((it) =>
    element('li', {}, `${clock(it.at)} ${it.is_suspended ? 'transport lost' : 'ended'}: ${it.cause}`)));
}

const tell = (words) => { $('tail-state').textContent = words; };

function pause(is) {
  isPaused = is;
  $('pause').setAttribute('aria-pressed', is);
  $('pause').textContent = is ? 'Go on' : 'Pause';
}

function add({ id: of, left_out, messages }) {
  if (of !== id) return;
  leftOut += left_out + messages.reduce((sum, message) => sum + message.left_out, 0);
  if (!isPaused) {
    const needle = $('filter').value.trim().toLowerCase();
    const rows = messages
      .filter((message) => !needle || (message.event ?? '').toLowerCase().includes(needle))
      .map(row);
    // The newest on top.
    $('messages').prepend(...rows.reverse());
    while ($('messages').rows.length > MESSAGES_MAX) $('messages').deleteRow(-1);
  }
  tell(leftOut ? `${whole(leftOut)} left out: more passes than is shown.` : '');
}

function row(message) {
  const event = element('td', {}, message.event === null ? '(no frame)' : message.event || '(none)');
  if (message.payload !== undefined) event.append(element('code', {}, message.payload));
  return element('tr', { class: message.way },
    element('td', {}, exactClock(message.at)),
    element('td', {}, message.way === 'in' ? '← in' : '→ out'),
    event,
    element('td', { class: 'number' }, whole(message.bytes)),
    element('td', {}, message.id ?? ''));
}

live.on('tail', add);
live.on('tail_over', (of) => { if (of === id) tell('It has ended.'); });
// A new socket knows of no tail.
live.on('open', () => { if (id !== undefined) live.say('tail', { id }); });
$('pause').onclick = () => pause(!isPaused);
$('close').onclick = () => $('detail').close();
$('detail').onclose = () => {
  id = undefined;
  clearTimeout(timer);
  live.say('no_tail');
};
document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else refresh();
});
