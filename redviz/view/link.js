// One store per page and one entry per panel group: which token is pinned, which is hovered, who listens.
// Pins and hovers are token indices: 0..T-1, and T for the "end" cell. Put in front of each component's own code.
const links = (window[Symbol.for('redviz.link')] ||= new Map());
const REST_MS = 150;

function link(group) {
  if (!links.has(group)) {
    links.set(group, { pin: null, hover: null, content: null, spans: null, send: null, said: 0, listeners: new Set() });
  }
  return links.get(group);
}

function publish(entry, what, token) {
  if (entry[what] === token) return;
  entry[what] = token;
  for (const listen of entry.listeners) listen(what, token);
}

// What the server holds. A pin made by hand that it has not heard of yet is newer.
function obey(entry, pin, heard) {
  if (entry.unheard && heard !== entry.said) return;
  entry.unheard = false;
  publish(entry, 'pin', pin);
}

// A pin made by hand: shown at once everywhere and, where the page has a door to the server, told after a rest (the newest only).
// Each message has a number of its own, so that the same token pinned again is news.
function pinByHand(entry, token) {
  publish(entry, 'pin', token);
  if (!entry.send) return;
  entry.said += 1;
  entry.unheard = true;
  clearTimeout(entry.timer);
  entry.timer = setTimeout(() => entry.send({ token: entry.pin, number: entry.said }), REST_MS);
}

// The tokens of the unit that a token belongs to, [first, last): one token unless a strip shows larger units.
function span(entry, token) {
  return entry.spans?.(token) ?? [token, token + 1];
}

function el(parent, name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

function number(value) {
  if (value === null || !Number.isFinite(value)) return 'n/a';
  if (value === 0) return '0';
  const size = Math.abs(Number(value.toPrecision(3)));
  const text = size < 1e-4 || size >= 1e6
    ? value.toExponential(2)
    : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  return text.replace('-', '−');
}

const signed = (value) => (value > 0 ? '+' : '') + number(value);
