// Line charts over tokens, drawn at the width they have. Token t (from 0) stands at x = t, P_0 at -1, the "end" cell at n.
const drawn = new WeakMap();
const HEIGHT = 108, TOP = 8, AXIS = 36, DRAG = 12, LONG = 150;

export default function ({ data, parentElement }) {
  let panel = drawn.get(parentElement);
  if (!panel) drawn.set(parentElement, (panel = mount(parentElement)));
  if (panel.sig !== data.sig) {
    if (panel.data?.n !== data.n) panel.window = null;
    Object.assign(panel, { sig: data.sig, data });
    join(panel, link(data.group));
    draw(panel);
  }
  return () => {
    panel.entry.listeners.delete(panel.listen);
    panel.observer.disconnect();
    panel.root.remove();
    drawn.delete(parentElement);
  };
}

function mount(parent) {
  const root = el(parent, 'div', 'rv');
  root.tabIndex = 0;
  root.setAttribute('role', 'group');
  const panel = { root, charts: [], window: null };
  panel.listen = () => point(panel);
  panel.observer = new ResizeObserver(() => root.clientWidth !== panel.width && draw(panel));
  panel.observer.observe(root);
  root.addEventListener('pointermove', (e) => move(panel, e));
  root.addEventListener('pointerleave', () => publish(panel.entry, 'hover', null));
  root.addEventListener('pointerdown', (e) => (panel.from = e.button ? null : tokenAt(panel, e)));
  root.addEventListener('pointerup', (e) => release(panel, tokenAt(panel, e)));
  root.addEventListener('dblclick', () => zoom(panel, null));
  root.addEventListener('keydown', (e) => key(panel, e));
  return panel;
}

function join(panel, entry) {
  panel.entry?.listeners.delete(panel.listen);
  panel.entry = entry;
  entry.listeners.add(panel.listen);
}

function svg(parent, name, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

// Text in which P_t is written with its index set low.
function indexed(parent, text, low) {
  text.split(/(?<!\p{L})(\p{L})_(\w)(?!\w)/u).forEach((part, i) => (i % 3 === 2 ? low(parent, part) : parent.append(part)));
}

const html = (parent, part) => el(parent, 'sub', '', part);

function tspans(parent, part) {
  svg(parent, 'tspan', { dy: 3, 'font-size': 9 }, part);
  svg(parent, 'tspan', { dy: -3 }, '\u200b');
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function draw(panel) {
  const { root, data } = panel;
  panel.width = root.clientWidth;
  if (!panel.width || !data) return;
  panel.x = horizontal(panel);
  root.setAttribute('aria-label', `${data.panels.map((p) => p.title).join(', ')} over ${data.n} ${data.unit}s. `
    + 'Left and right move the pin. The token table holds the same numbers.');
  root.replaceChildren();
  panel.charts = data.panels.map((chart, i) => drawChart(panel, chart, i === data.panels.length - 1));
  point(panel);
}

function drawChart(panel, chart, isLast) {
  const figure = el(panel.root, 'figure');
  const head = el(figure, 'figcaption');
  indexed(el(head, 'b'), chart.title, html);
  if (chart.note) el(head, 'span', 'note', chart.note);
  const legend = el(head, 'span', 'legend');
  const height = TOP + HEIGHT + (isLast ? AXIS : 4);
  const picture = svg(figure, 'svg', { width: panel.width, height, 'aria-hidden': 'true' });
  const [low, high] = extent(panel, chart);
  const y = (v) => TOP + (high - v) / (high - low) * HEIGHT;
  axes(panel, picture, low, high, y, isLast);
  const plot = svg(picture, 'svg', { x: panel.x.left, y: TOP - 4, width: panel.x.right - panel.x.left, height: HEIGHT + 8,
    viewBox: `${panel.x.left} ${TOP - 4} ${panel.x.right - panel.x.left} ${HEIGHT + 8}`, class: 'plot' });
  const cell = svg(plot, 'rect', { class: 'cell', y: TOP, height: HEIGHT, display: 'none' });
  levels(panel, picture, chart.marks.filter((m) => m.value >= low && m.value <= high), y);
  const values = chart.series.map((s) => {
    svg(plot, 'path', { class: 'curve', d: path(panel, chart, s, y), stroke: `var(--rv-s${s.colour})`,
      ...(s.dashed ? { 'stroke-dasharray': '6 4' } : {}) });
    return legendItem(legend, s, chart.series.length);
  });
  const lines = ['hover', 'pin'].map((what) => svg(plot, 'line', { class: what, y1: TOP, y2: TOP + HEIGHT, display: 'none' }));
  const dots = chart.series.map((s) => svg(plot, 'circle', { r: 3.5, fill: `var(--rv-s${s.colour})`, display: 'none' }));
  const where = isLast ? svg(picture, 'text', { class: 'where', y: TOP + HEIGHT + 32, 'text-anchor': 'middle' }) : null;
  return { chart, y, values, hover: lines[0], pin: lines[1], dots, cell, where };
}

function legendItem(parent, series) {
  const item = el(parent, 'span', 'item');
  const line = svg(item, 'svg', { width: 18, height: 8 });
  svg(line, 'line', { x1: 0, x2: 18, y1: 4, y2: 4, stroke: `var(--rv-s${series.colour})`, 'stroke-width': 2.5,
    ...(series.dashed ? { 'stroke-dasharray': '6 4' } : {}) });
  indexed(el(item, 'span'), series.label, html);
  return el(item, 'output', '', '');
}

function axes(panel, picture, low, high, y, isLast) {
  const { left, right, at, from, to } = panel.x;
  const vertical = ticks(low, high, 3, 3);
  for (const v of vertical.found) {
    const zero = Math.abs(v) < 1e-12;
    svg(picture, 'line', { class: zero ? 'zero' : 'grid', x1: left, x2: right, y1: y(v), y2: y(v) });
    svg(picture, 'text', { x: left - 8, y: y(v) + 4, 'text-anchor': 'end' }, zero ? '0' : v.toFixed(vertical.digits).replace('-', '−'));
  }
  // Tokens are counted from 1 for people: the tick t stands where P_t does, and 0 where P_0 does.
  const { n, end } = panel.data, last = Math.min(n, to);
  const steps = ticks(from + 1, last, Math.min(last - from, Math.max(2, (right - left) / 90))).found;
  for (const t of steps.filter(Number.isInteger)) {
    svg(picture, 'line', { class: 'grid', x1: at(t - 1), x2: at(t - 1), y1: TOP, y2: TOP + HEIGHT + (isLast ? 4 : 0) });
    if (isLast) svg(picture, 'text', { x: at(t - 1), y: TOP + HEIGHT + 16, 'text-anchor': 'middle' }, String(t));
  }
  if (!isLast) return;
  svg(picture, 'text', { x: LEFT - 8, y: TOP + HEIGHT + 16, 'text-anchor': 'end' }, panel.data.unit);
  if (end && to > n) svg(picture, 'text', { x: Math.max(at(n), at(steps.at(-1) - 1) + 30), y: TOP + HEIGHT + 16, 'text-anchor': 'middle' }, 'end');
  hint(panel, picture);
}

function hint(panel, picture) {
  panel.hint = svg(picture, 'text', { y: TOP + HEIGHT + 32 });
  if (panel.window) panel.hint.textContent = 'double-click for the whole response';
  else if (panel.data.n >= LONG) panel.hint.textContent = 'drag to zoom in';
}

function levels(panel, picture, marks, y) {
  const { left, right } = panel.x;
  let free = -Infinity;
  for (const m of marks.sort((a, b) => b.value - a.value)) {
    svg(picture, 'line', { class: 'level', x1: left, x2: right, y1: y(m.value), y2: y(m.value) });
    free = Math.max(y(m.value) + 4, free + 12);
    indexed(svg(picture, 'text', { x: right + 6, y: free }), `${m.label} ${number(m.value)}`, tspans);
  }
}

function path(panel, chart, series, y) {
  const { at, cell } = panel.x;
  let d = '', open = false;
  series.values.forEach((v, i) => {
    if (v === null) { open = false; return; }
    const x = at(chart.x0 + i), level = y(v).toFixed(1);
    if (chart.step) d += `${open ? 'L' : 'M'}${(x - cell / 2).toFixed(1)} ${level}H${(x + cell / 2).toFixed(1)}`;
    else d += `${open ? 'L' : 'M'}${x.toFixed(1)} ${level}`;
    open = true;
  });
  return series.values.length === 1 && !chart.step ? `${d}h0.01` : d;
}

// ---- pointing ------------------------------------------------------------------------------------------------------

function tokenAt(panel, e) {
  if (!panel.x || !e.target.closest?.('figure > svg')) return null;
  const x = e.clientX - panel.root.getBoundingClientRect().left;
  if (x < panel.x.left - 4 || x > panel.x.right + 4) return null;
  return Math.max(0, Math.min(lastToken(panel), panel.x.to - 1, panel.x.token(x)));
}

const lastToken = (panel) => panel.data.n - (panel.data.end ? 0 : 1);

function move(panel, e) {
  const token = tokenAt(panel, e);
  publish(panel.entry, 'hover', token);
  const wide = panel.from !== null && panel.from !== undefined && token !== null && e.buttons === 1;
  for (const { cell } of wide ? panel.charts : []) shade(panel, cell, ...ends(panel.from, token));
}

const ends = (a, b) => [Math.min(a, b), Math.max(a, b) + 1];

// A click pins, a drag over several tokens zooms in on them.
function release(panel, token) {
  const { from, entry } = panel;
  panel.from = null;
  if (token === null || from === null || from === undefined) return;
  if (Math.abs(panel.x.at(token) - panel.x.at(from)) >= DRAG && token !== from) zoom(panel, ends(from, token));
  else pinByHand(entry, token === entry.pin ? null : token);
}

function zoom(panel, range) {
  if (panel.window === range) return;
  panel.window = range;
  draw(panel);
}

function point(panel) {
  const { entry, x } = panel;
  if (!x) return;
  const shown = entry.hover ?? entry.pin;
  for (const { chart, y, values, hover, pin, dots, cell, where } of panel.charts) {
    for (const [line, token] of [[hover, entry.hover], [pin, entry.pin]]) place(panel, line, token);
    const [first, last] = shown === null ? [0, 0] : span(entry, shown);
    shade(panel, cell, first, last);
    chart.series.forEach((s, i) => {
      const value = shown === null ? null : s.values[last - 1 - chart.x0] ?? null;
      values[i].textContent = value === null ? '' : number(value);
      dots[i].setAttribute('display', value === null ? 'none' : '');
      if (value !== null) { dots[i].setAttribute('cx', x.at(last - 1)); dots[i].setAttribute('cy', y(value)); }
    });
    if (where) caption(panel, where, shown, first, last);
  }
}

function place(panel, line, token) {
  const inside = token !== null && token <= lastToken(panel);
  line.setAttribute('display', inside ? '' : 'none');
  if (inside) for (const end of ['x1', 'x2']) line.setAttribute(end, panel.x.at(span(panel.entry, token)[1] - 1));
}

function shade(panel, cell, first, last) {
  cell.setAttribute('display', last > first ? '' : 'none');
  cell.setAttribute('x', panel.x.at(first) - panel.x.cell / 2);
  cell.setAttribute('width', Math.max(1, (last - first) * panel.x.cell));
}

function caption(panel, where, shown, first, last) {
  where.textContent = shown === null ? '' : panel.entry.nameOf?.(shown) ?? '';
  const { left, right, at } = panel.x;
  const x = Math.max(left + 30, Math.min(right - 30, at(last - 1)));
  where.setAttribute('x', x);
  const aside = shown !== null && x > (left + right) / 2; // the hint keeps out of the caption's way
  panel.hint.setAttribute('x', aside ? left : right);
  panel.hint.setAttribute('text-anchor', aside ? 'start' : 'end');
}

function key(panel, e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const { entry, data } = panel;
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[e.key];
  if (/^[a-z]$/i.test(e.key)) e.stopPropagation();
  if (by === undefined && e.key !== 'Escape') return;
  e.preventDefault();
  e.stopPropagation();
  const [first, last] = entry.pin === null ? [-1, 0] : span(entry, entry.pin);
  const next = by === undefined ? null : Math.max(0, Math.min(lastToken(panel), by === 1 ? last : first + by));
  pinByHand(entry, next);
  follow(panel, next);
}

// A pin moved by key out of a zoomed window takes the window along.
function follow(panel, token) {
  if (!panel.window || token === null) return;
  const [from, to] = panel.window;
  if (token >= from && token < to) return;
  const start = Math.max(-1, Math.min(token - Math.floor((to - from) / 2), lastToken(panel) + 1 - (to - from)));
  zoom(panel, [start, start + to - from]);
}
