// The page's WebSocket: what comes without being asked for. It is closed while nobody sees the page,
// so that the server counts nothing then.

const { $, url } = await import(new URL('?dom.js', import.meta.url));

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

const listeners = new Map();
let socket;
let timer;
let retry = RETRY_MIN_MS;

export const on = (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]);

const emit = (event, payload) => (listeners.get(event) ?? []).forEach((listener) => listener(payload));

export function say(event, payload) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event, payload }));
}

function show(state, words) {
  $('status').dataset.state = state;
  $('status').textContent = words;
}

function connect() {
  clearTimeout(timer);
  if (document.hidden) return show('paused', 'Paused');
  show('connecting', 'Connecting');
  const target = url('live');
  target.protocol = target.protocol.replace('http', 'ws');
  const opened = new WebSocket(target);
  socket = opened;
  opened.onopen = () => {
    retry = RETRY_MIN_MS;
    show('live', 'Live');
    emit('open');
  };
  opened.onmessage = ({ data }) => {
    const { event, payload } = JSON.parse(data);
    emit(event, payload);
  };
  opened.onclose = ({ code }) => {
    if (socket !== opened) return;
    socket = undefined;
    emit('closed');
    if (document.hidden) return show('paused', 'Paused');
    // 4401: the guard is to be asked again, at once.
    const wait = code === 4401 ? 0 : retry;
    retry = Math.min(retry * 2, RETRY_MAX_MS);
    if (wait) show('waiting', 'No connection');
    timer = setTimeout(connect, wait);
  };
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    clearTimeout(timer);
    socket?.close();
    show('paused', 'Paused');
  } else if (!socket) connect();
});

export { connect };
