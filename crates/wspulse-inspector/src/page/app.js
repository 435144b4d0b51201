// The page: what is done by which button, and what comes where.

const { $, act, ask } = await import(new URL('?dom.js', import.meta.url));
const live = await import(new URL('?live.js', import.meta.url));
const charts = await import(new URL('?charts.js', import.meta.url));
const lists = await import(new URL('?lists.js', import.meta.url));
const detail = await import(new URL('?detail.js', import.meta.url));

/** Asks whether it is meant; the answer is no unless it is yes. */
function confirmed(question, consequence, withWindow = false) {
  $('question').textContent = question;
  $('consequence').textContent = consequence;
  $('window-label').hidden = !withWindow;
  $('confirm').returnValue = '';
  $('confirm').showModal();
  // What is pressed by accident does nothing.
  $('no').focus();
  return new Promise((resolve) => {
    $('confirm').addEventListener('close', () => resolve($('confirm').returnValue === 'yes'), { once: true });
  });
}

async function perform(wanted, parameters) {
  try {
    await act(wanted, parameters);
  } catch (error) {
    $('question').textContent = 'That was not done';
    $('consequence').textContent = error.message;
  }
  lists.refresh();
  detail.refresh();
}

$('kick').onclick = async () => {
  const id = detail.current();
  if (await confirmed(`Kick ${id}?`, 'Its session ends, with what waits for it. The client is told, with close code 1000 and the reason “kicked”.')) {
    perform('kick', { id });
  }
};
$('cut').onclick = async () => {
  const id = detail.current();
  if (await confirmed(`Cut ${id}?`, 'Its transport is dropped without a word. The session waits for its client, if the server has a resume window; else it ends.')) {
    perform('cut', { id });
  }
};
$('drain').onclick = async () => {
  if (await confirmed('Drain the server?', 'It takes no more clients, sends those that are there away within so many seconds, and closes. There is no way back.', true)) {
    perform('drain', { seconds: $('window').value });
  }
};

live.on('tick', (tick) => {
  charts.add(tick);
  if (tick.is_draining) {
    $('drain').disabled = true;
    $('drain').textContent = 'Draining';
  }
});
live.on('closed', charts.forget);
lists.onOpen(detail.open);

const session = await ask('session');
for (const button of ['kick', 'cut', 'drain']) $(button).hidden = !session.may_act;
live.connect();
lists.show({ list: 'connections' });
