// Charts of what the server has told in the last two minutes, as SVG.

const { $, element, micros, shape, short } = await import(new URL('?dom.js', import.meta.url));

const TICKS_MAX = 120;
const WIDTH = 320;
const HEIGHT = 96;

const ticks = [];

/** What happened in the second before a tick. */
const rate = (name) => (tick, before) => {
  const seconds = (tick.at - before.at) / 1000;
  return seconds > 0 ? Math.max(0, tick[name] - before[name]) / seconds : null;
};

/** The bound below which so large a part of the timed broadcasts lies, in microseconds. */
const quantile = (part) => (tick, before) => {
  const counts = tick.latencies.map(([, count], place) => count - before.latencies[place][1]);
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return null;
  let left = all * part;
  const place = counts.findIndex((count) => (left -= count) <= 0);
  // What is beyond the last bound is drawn at it.
  return tick.latencies[place][0] ?? tick.latencies.at(-2)[0];
};

const dropped = (reason) => (tick, before) => {
  const seconds = (tick.at - before.at) / 1000;
  return seconds > 0 ? Math.max(0, tick.dropped[reason] - before.dropped[reason]) / seconds : null;
};

/** What the compressed messages of the last two minutes took on the wire, of what they are. */
const compressedTo = (way) => (tick) => {
  const plain = tick[way].plain - ticks[0][way].plain;
  return plain > 0 ? `${Math.round((100 * (tick[way].wire - ticks[0][way].wire)) / plain)} %` : '–';
};

/** A server that compresses nothing has no number of that. */
const wasCompressed = (way) => (tick) => tick[way].plain > 0;

const charts = [
  { title: 'Messages a second', lines: [['from clients', rate('received')], ['to clients', rate('sent')]] },
  { title: 'Fan-out latency', lines: [['half within', quantile(0.5)], ['99 % within', quantile(0.99)]], write: micros },
  { title: 'Frames that wait', lines: [['waiting', (tick) => tick.waiting_frames], ['not acknowledged', (tick) => tick.unacknowledged_frames]] },
  { title: 'Suspended sessions', lines: [['suspended', (tick) => tick.suspended]] },
  { title: 'Drops a second, by reason', lines: [], reasons: true },
];

const numbers = [
  ['Connections', (tick) => short(tick.connections)],
  ['Suspended', (tick) => short(tick.suspended)],
  ['Rooms', (tick) => short(tick.rooms)],
  ['Largest room', (tick) => short(tick.largest_room)],
  ['People', (tick) => short(tick.users)],
  ['Broadcasts/s', (tick, before) => short(before && rate('broadcasts')(tick, before))],
  ['Bytes in/s', (tick, before) => short(before && rate('received_bytes')(tick, before))],
  ['Bytes out/s', (tick, before) => short(before && rate('sent_bytes')(tick, before))],
  ['Refused/s', (tick, before) => short(before && rate('refused')(tick, before))],
  ['Compressed in', compressedTo('received_compressed'), wasCompressed('received_compressed')],
  ['Compressed out', compressedTo('sent_compressed'), wasCompressed('sent_compressed')],
];

for (const chart of charts) {
  chart.svg = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  chart.legend = element('p', { class: 'legend' });
  chart.top = element('span', { class: 'top' });
  $('charts').append(element('figure', {},
    element('figcaption', {}, chart.title, ' ', chart.top), chart.svg, chart.legend));
}
for (const number of numbers) {
  number.shown = element('dd', {}, '–');
  number.box = element('dl', {}, element('dt', {}, number[0]), number.shown);
  number.box.hidden = Boolean(number[2]);
  $('numbers').append(number.box);
}

export function add(tick) {
  // A server that was not watched in between has counted nothing.
  if (ticks.length && tick.at - ticks.at(-1).at > 5000) ticks.length = 0;
  ticks.push(tick);
  if (ticks.length > TICKS_MAX + 1) ticks.shift();
  const before = ticks.at(-2);
  for (const number of numbers) {
    number.shown.textContent = number[1](tick, before);
    if (number[2]) number.box.hidden = !number[2](tick);
  }
  charts.forEach(draw);
}

/** What comes next is not what followed the last. */
export const forget = () => { ticks.length = 0; };

function draw(chart) {
  const lines = chart.reasons ? reasonLines() : chart.lines;
  const write = chart.write ?? short;
  const series = lines.map(([name, read]) =>
    [name, ticks.slice(1).map((tick, place) => read(tick, ticks[place]))]);
  const top = Math.max(1, ...series.flatMap(([, values]) => values.map((value) => value ?? 0)));
  chart.top.textContent = `max ${write(top)}`;
  chart.svg.replaceChildren(...series.map(([, values], place) =>
    shape('path', { class: `line line-${place % 4}`, d: path(values, top), 'vector-effect': 'non-scaling-stroke' })));
  const last = series.map(([name, values]) => [name, values.length ? values.at(-1) : null]);
  const text = (value) => (value == null ? '–' : write(value));
  chart.legend.replaceChildren(...last.map(([name, value], place) =>
    element('span', { class: `key key-${place % 4}` }, `${name} ${text(value)}`)));
  if (!last.length) chart.legend.textContent = 'none';
  chart.svg.setAttribute('aria-label',
    `${chart.title}: ${last.map(([name, value]) => `${name} ${text(value)}`).join(', ') || 'none'}`);
}

/** Those that there were in the time that is shown, the most first. */
function reasonLines() {
  const newest = ticks.at(-1);
  const seen = Object.keys(newest.dropped)
    .map((reason) => [newest.dropped[reason] - ticks[0].dropped[reason], reason])
    .filter(([count]) => count > 0)
    .sort(([a], [b]) => b - a);
  return seen.map(([, reason]) => [reason, dropped(reason)]);
}

/** The newest value is at the right edge; where there is none, there is a gap. */
function path(values, top) {
  const step = WIDTH / (TICKS_MAX - 1);
  const start = WIDTH - (values.length - 1) * step;
  let pen = 'M';
  return values.map((value, place) => {
    if (value == null) {
      pen = 'M';
      return '';
    }
    const x = (start + place * step).toFixed(1);
    const y = (HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1);
    // A point alone is seen as well.
    const drawn = pen === 'M' ? `M${x} ${y}h0.1` : `L${x} ${y}`;
    pen = 'L';
    return drawn;
  }).join('');
}
