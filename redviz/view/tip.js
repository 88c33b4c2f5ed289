// What a strip says about one unit: in the tooltip and, as one sentence, to a screen reader.
const PIECES_SHOWN = 12;

const values = (panel, u) =>
  panel.data.lanes.map((lane) => ({ ...lane, value: u < lane.values.length ? lane.values[u] : lane.end }));

const label = (panel, u) => {
  if (u >= panel.data.units.length) return 'end';
  const pieces = panel.data.units[u];
  const text = typeof pieces === 'string' ? pieces : pieces.map((p, i) => (i % 2 ? p : p.replace(/[\n\t\u200b\u200c]/g, ''))).join('');
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
};

// Tokens are counted from 1 for people, as in the papers: P_t is the score after token t, P_0 the prompt's.
function place(panel, u) {
  const [first, last] = [panel.first(u), panel.last(u)];
  if (u >= panel.data.units.length) return 'what the template adds after the response';
  const noun = panel.data.noun;
  return last - first > 1 ? `${noun}s ${first + 1}–${last} of ${panel.data.count}` : `${noun} ${last} of ${panel.data.count}`;
}

function prefixes(panel, u) {
  const { scores, score, count, units } = panel.data;
  return u >= units.length
    ? [count, scores[count], null, score]
    : [panel.first(u), scores[panel.first(u)], panel.last(u), scores[panel.last(u)]];
}

function sentence(panel, u) {
  const credits = values(panel, u).map(({ name, value }) => `${name} ${signed(value)}`).join(', ');
  return `${label(panel, u).trim() || 'blank'}, ${place(panel, u)}: ${credits}`;
}

function showTip(panel, node, u) {
  const { tip } = panel;
  tip.replaceChildren();
  const head = el(tip, 'div', 'what');
  el(head, 'b', '', label(panel, u).trim()).dir = 'auto';
  el(head, 'span', 'where', place(panel, u));
  const [first, last] = [panel.first(u), panel.last(u)];
  if (panel.data.tokens && u < panel.data.units.length && last - first > 1) {
    const row = el(tip, 'div', 'tokens');
    for (const piece of panel.data.tokens.slice(first, Math.min(last, first + PIECES_SHOWN))) el(row, 'span', '', piece);
    if (last - first > PIECES_SHOWN) el(row, 'em', '', `+${last - first - PIECES_SHOWN}`);
  }
  const table = el(tip, 'table');
  values(panel, u).forEach(({ name, value, limit }, i) => {
    const row = el(table, 'tr', panel.solo === null || panel.solo === i ? '' : 'quiet');
    el(row, 'th', '', name);
    el(row, 'td', 'value', signed(value));
    el(el(row, 'td'), 'span', 'swatch').style.backgroundColor = tint(strength(value, limit));
  });
  const [before, from, after, to] = prefixes(panel, u);
  const path = el(tip, 'div', 'path');
  scoreAt(path, before, from);
  el(path, 'span', '', '→');
  scoreAt(path, after, to);
  el(path, 'b', '', signed(to - from));
  if (!tip.matches(':popover-open')) tip.showPopover();
  put(tip, [...node.getClientRects()].find((r) => r.width > 1) ?? node.getBoundingClientRect());
}

function scoreAt(parent, t, value) {
  const node = el(parent, 'span', '', t === null ? 'score' : 'P');
  if (t !== null) el(node, 'sub', '', String(t));
  node.append(` ${number(value)}`);
}

function hideTip(panel) {
  if (panel.tip.isConnected && panel.tip.matches(':popover-open')) panel.tip.hidePopover();
}

// Below the unit, above it where there is no room, and always inside the window.
function put(tip, at) {
  const { width, height } = tip.getBoundingClientRect();
  const below = at.bottom + 6 + height < window.innerHeight;
  tip.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - width - 8))}px`;
  tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - 6 - height)}px`;
}
