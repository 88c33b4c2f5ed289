// One store per page and one entry per panel group: which token is pinned, which is hovered, who listens.
// Pins and hovers are token indices: 0..T-1, and T for the "end" cell. Put in front of each component's own code.
const links = (window[Symbol.for('redviz.link')] ||= new Map());
const REST_MS = 150;

function link(group) {
  if (!links.has(group)) links.set(group, { pin: null, hover: null, seed: null, spans: null, listeners: new Set() });
  return links.get(group);
}

function publish(entry, what, token) {
  if (entry[what] === token) return;
  entry[what] = token;
  for (const listen of entry.listeners) listen(what, token);
}

// The server's own wish for the pin: [token, count]. Each panel sees it; only a count that is new to the group moves the pin.
function obey(entry, panel, [token, count]) {
  if (panel.seed === count) return;
  panel.seed = count;
  if (entry.seed === count) return;
  entry.seed = count;
  publish(entry, 'pin', token);
}

// A pin made by hand: shown at once everywhere, told to the server after a rest (the newest one only).
function pinByHand(entry, panel, token) {
  publish(entry, 'pin', token);
  clearTimeout(panel.timer);
  panel.timer = setTimeout(() => panel.send?.(entry.pin), REST_MS);
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
