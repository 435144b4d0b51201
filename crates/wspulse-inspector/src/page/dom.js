// Elements, requests and numbers.

export const $ = (id) => document.getElementById(id);

/** Where the page is: all that it loads has this path, and says in its query what it is. */
export const url = (query) => new URL(`?${query}`, location.href);

/** An element with these attributes and children; text is text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, '');
    else if (value !== undefined && value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Like `element`, for a picture. */
export function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const query = (wanted, parameters = {}) => {
  const filled = Object.entries(parameters).filter(([, value]) => value !== '' && value != null);
  const rest = new URLSearchParams(filled).toString();
  return rest ? `${wanted}&${rest}` : wanted;
};

/** What the server answers to this; an error with its words if it refuses. */
export async function ask(wanted, parameters) {
  const response = await fetch(url(query(wanted, parameters)), { cache: 'no-store' });
  if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
  return response.json();
}

/** Has the server do something. The header is one that other sites' pages cannot send. */
export async function act(wanted, parameters) {
  const response = await fetch(url(query(wanted, parameters)), {
    method: 'POST',
    headers: { 'x-wspulse-inspector': '1' },
  });
  if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
}

const units = ['', ' k', ' M', ' G', ' T'];

/** 12,345 as 12.3 k. */
export function short(value) {
  if (value == null || Number.isNaN(value)) return '–';
  let unit = 0;
  let left = Math.abs(value);
  while (left >= 999.5 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(value) ? 0 : left < 10 ? (unit ? 2 : 1) : left < 100 ? 1 : 0;
  return `${value < 0 ? '−' : ''}${left.toFixed(digits)}${units[unit]}`;
}

export const whole = (value) => (value == null ? '–' : value.toLocaleString('en-US'));

/** A time span in its two largest units. */
export function span(seconds) {
  const parts = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  let left = Math.max(0, Math.floor(seconds));
  const told = [];
  for (const [unit, length] of parts) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count || (unit === 's' && !told.length)) told.push(`${count} ${unit}`);
    else if (told.length) break;
    if (told.length === 2) break;
  }
  return told.join(' ');
}

export function micros(value) {
  if (value == null) return '> 5 s';
  if (value < 1000) return `${value} µs`;
  if (value < 1_000_000) return `${value / 1000} ms`;
  return `${value / 1_000_000} s`;
}

export const clock = (millis) => new Date(millis).toLocaleTimeString('en-GB', { hour12: false });

export const exactClock = (millis) => `${clock(millis)}.${String(millis % 1000).padStart(3, '0')}`;
