// Token strips. A unit is a token, a word or a sentence; the cell after the last unit is the "end" cell.
const drawn = new WeakMap();
const RIGHT_TO_LEFT = /^\P{L}*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

export default function ({ data, parentElement }) {
  let panel = drawn.get(parentElement);
  if (!panel) drawn.set(parentElement, (panel = mount(parentElement)));
  if (panel.sig !== data.sig) {
    Object.assign(panel, { sig: data.sig, data, solo: data.solo });
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
  const panel = { root, copies: [], marked: {} };
  panel.legend = el(root, 'div', 'legend');
  panel.body = el(root, 'div', 'body');
  panel.tip = el(root, 'div', 'tip');
  panel.tip.popover = 'manual'; // the top layer: nothing clips it, and it is placed in the window
  panel.live = el(root, 'div', 'unseen');
  panel.live.setAttribute('aria-live', 'polite');
  panel.listen = (what, token) => mark(panel, what, token);
  panel.observer = new ResizeObserver(() => tagLines(panel));
  root.addEventListener('pointerover', (e) => hover(panel, e.target.closest?.('.u')));
  root.addEventListener('pointerleave', () => hover(panel, null));
  root.addEventListener('click', (e) => click(panel, e.target.closest?.('.u')));
  root.addEventListener('keydown', (e) => key(panel, e));
  root.addEventListener('focusout', () => hideTip(panel));
  return panel;
}

function join(panel, entry) {
  panel.entry?.listeners.delete(panel.listen);
  panel.entry = entry;
  entry.listeners.add(panel.listen);
  const { content, first, count, end } = panel.data;
  if (!entry.send && entry.content !== content) publish(entry, 'pin', null); // another response; with a door the server says it
  entry.content = content;
  panel.unitOf = new Int32Array(count + 1).fill(end ? first.length : -1);
  first.forEach((start, u) => panel.unitOf.fill(u, start, first[u + 1] ?? count));
  panel.last = (u) => (u < first.length ? first[u + 1] ?? count : count + 1);
  panel.first = (u) => (u < first.length ? first[u] : count);
  entry.spans = (token) => {
    const u = panel.unitOf[token] ?? -1;
    return u < 0 ? null : [panel.first(u), panel.last(u)];
  };
  entry.nameOf = (token) => ((panel.unitOf[token] ?? -1) < 0 ? '' : label(panel, panel.unitOf[token]));
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function draw(panel) {
  const { root, data, legend, body, entry } = panel;
  const alone = panel.solo !== null;
  const lanes = alone ? [panel.solo] : data.lanes.map((_, i) => i);
  const full = alone || data.layout === 'stacked';
  panel.marked = {};
  panel.observer.disconnect();
  panel.rtl = RIGHT_TO_LEFT.test(data.units.flat().join(''));
  root.className = `rv ${full ? 'full' : 'lanes'}${alone ? ' alone' : ''}${panel.rtl ? ' rtl' : ''}`;
  const lane = Math.max(5, Math.round(data.size * 0.46));
  root.style.setProperty('--size', `${data.size}px`);
  root.style.setProperty('--lane', `${lane}px`);
  root.style.setProperty('--lanes', lanes.length);
  root.style.setProperty('--at', lanes.map((_, i) => `left 0 bottom ${(lanes.length - 1 - i) * lane}px`).join(',') || '0 0');
  legend.replaceChildren();
  body.replaceChildren();
  if (!full || alone) for (const i of data.lanes.keys()) legendCard(panel, legend, i);
  panel.copies = (full ? lanes.map((i) => [i]) : [lanes]).map((shown) => {
    const copy = el(body, 'section', 'copy');
    if (full && !alone) legendCard(panel, copy, shown[0]);
    return drawText(panel, copy, shown, full);
  });
  if (!full) panel.observer.observe(panel.copies[0].text);
  for (const what of ['pin', 'hover']) mark(panel, what, entry[what]);
}

function drawText(panel, parent, shown, full) {
  const { data } = panel;
  const text = el(parent, 'div', 'text');
  text.tabIndex = 0;
  text.setAttribute('role', 'listbox');
  text.setAttribute('aria-label', `Credit of each ${data.noun}: ${shown.map((i) => data.lanes[i].name).join(', ')}. `
    + 'Left and right move the pin, 1 to 9 show one method, 0 all. The token table holds the same numbers.');
  const values = shown.map((i) => [...data.lanes[i].values, data.lanes[i].end]);
  const cells = data.units.map((pieces, u) => {
    if (data.gaps[u]) text.append(data.gaps[u]);
    return cell(text, pieces, u);
  });
  if (data.end) cells.push(cell(text, ['', 'end'], cells.length, ' close'));
  cells.forEach((node, u) => paint(node, shown.map((i, k) => strength(values[k][u], data.lanes[i].limit)), full && data.turns));
  if (data.rest) el(text, 'span', 'rest', data.rest).title = 'Cut off: the model never read this part.';
  if (!cells.length) el(text, 'span', 'rest', 'The response is empty: no token earns anything.');
  return { text, cells };
}

function cell(parent, pieces, u, extra = '') {
  const node = el(parent, 'span', 'u' + extra);
  node.dataset.u = u;
  node.setAttribute('role', 'option');
  if (typeof pieces === 'string') node.textContent = pieces;
  else pieces.forEach((piece, i) => (i % 2 ? el(node, 'i', '', piece) : piece && node.append(piece)));
  return node;
}

const strength = (value, limit) => (value === null ? 0 : Math.max(-1, Math.min(1, value / limit)));
const tint = (x) => `color-mix(in srgb,var(--rv-${x > 0 ? 'pos' : 'neg'}) ${(Math.abs(x) * 100).toFixed(1)}%,var(--zero))`;

// One flat layer per lane; on a full-colour cell the text turns where the ground gets too strong for the theme's ink.
function paint(node, strengths, turns) {
  node.style.backgroundImage = strengths.map((x) => `linear-gradient(${tint(x)} 0 0)`).join(',');
  if (!turns) return;
  const [x] = strengths;
  const side = x > 0 ? 1 : 0;
  if (Math.abs(x) >= turns[0][side]) node.classList.add('turn-light');
  if (Math.abs(x) >= turns[1][side]) node.classList.add('turn-dark');
}

function legendCard(panel, parent, i) {
  const { name, limit, sum, colour } = panel.data.lanes[i];
  const card = el(parent, 'button', 'card');
  card.type = 'button';
  card.setAttribute('aria-pressed', panel.solo === i);
  card.title = panel.solo === i ? 'Show all methods (key 0)' : `Show ${name} alone (key ${i + 1})`;
  card.onclick = () => solo(panel, panel.solo === i ? null : i);
  const head = el(card, 'span', 'head');
  if (i < 9) el(head, 'kbd', '', String(i + 1));
  el(head, 'span', 'name', name).style.setProperty('--series', `var(--rv-s${colour % 8})`);
  el(head, 'span', 'sum', `Σ ${signed(sum)}`).title = 'Sum of all credits';
  const bar = el(card, 'span', 'bar');
  bar.title = `Colour ends at ±${number(limit)}, three times the root mean square of the credits.`;
  el(bar, 'span', 'ramp');
  for (const end of [number(-limit), '0', signed(limit)]) el(bar, 'span', 'tick', end);
}

// Under every line of text, at its left, the keys of the bands: which band is which, wherever one looks.
function tagLines(panel) {
  const { text, cells } = panel.copies[0];
  text.querySelector('.tags')?.remove();
  const box = cells[0]?.getClientRects()[0];
  if (!box) return;
  const lane = parseFloat(getComputedStyle(panel.root).getPropertyValue('--lane'));
  const pitch = parseFloat(getComputedStyle(text).lineHeight);
  const names = panel.data.lanes.map((_, i) => i + 1).join('\n');
  const tags = document.createElement('div');
  tags.className = 'tags';
  tags.setAttribute('aria-hidden', 'true');
  const top = box.bottom - text.getBoundingClientRect().top - lane * panel.data.lanes.length;
  const lines = Math.round((text.scrollHeight - parseFloat(getComputedStyle(text).paddingBottom)) / pitch);
  for (let i = 0; i < lines; i++) el(tags, 'div', '', names).style.top = `${top + i * pitch}px`;
  text.append(tags);
}

// ---- pointing ------------------------------------------------------------------------------------------------------

function mark(panel, what, token) {
  const u = token === null ? -1 : panel.unitOf[token] ?? -1;
  const before = panel.marked[what] ?? -1;
  panel.marked[what] = u;
  for (const { text, cells } of panel.copies) {
    cells[before]?.classList.remove(what);
    cells[u]?.classList.add(what);
    if (what !== 'pin') continue;
    cells[before]?.removeAttribute('id');
    cells[before]?.removeAttribute('aria-selected');
    text.removeAttribute('aria-activedescendant');
    if (!cells[u]) continue;
    cells[u].id = 'pinned';
    cells[u].setAttribute('aria-selected', 'true');
    cells[u].setAttribute('aria-label', sentence(panel, u));
    text.setAttribute('aria-activedescendant', 'pinned');
  }
}

function hover(panel, node) {
  const u = node ? +node.dataset.u : null;
  publish(panel.entry, 'hover', u === null ? null : panel.first(u));
  if (node) showTip(panel, node, u);
  else hideTip(panel);
}

function click(panel, node) {
  if (!node) return;
  const token = panel.first(+node.dataset.u);
  const again = panel.marked.pin === +node.dataset.u;
  pinByHand(panel.entry, again ? null : token);
  panel.live.textContent = again ? 'Pin removed' : sentence(panel, +node.dataset.u);
}

function key(panel, e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const on = panel.rtl ? -1 : 1;
  const steps = { ArrowLeft: -on, ArrowRight: on, Home: -Infinity, End: Infinity };
  const used = e.key in steps ? () => step(panel, steps[e.key])
    : /^[1-9]$/.test(e.key) && e.key <= panel.data.lanes.length ? () => solo(panel, e.key - 1)
    : e.key === '0' ? () => solo(panel, null)
    : e.key === 'Escape' ? () => (panel.solo !== panel.data.solo ? solo(panel, panel.data.solo) : pinByHand(panel.entry, null))
    : (e.key === 'Enter' || e.key === ' ') && !e.target.closest('button') ? () => pinHovered(panel)
    : null;
  if (used) e.preventDefault();
  if (used || /^[a-z]$/i.test(e.key)) e.stopPropagation(); // Streamlit's own c and r must not fire from here
  used?.();
}

function step(panel, by) {
  const last = panel.copies[0].cells.length - 1;
  const from = panel.marked.pin ?? -1;
  const u = Math.max(0, Math.min(last, from < 0 && by === -1 ? last : from + by));
  if (last < 0) return;
  pinByHand(panel.entry, panel.first(u));
  const copy = panel.copies.find((c) => c.text.matches(':focus')) ?? panel.copies[0];
  copy.cells[u].scrollIntoView({ block: 'nearest' });
  showTip(panel, copy.cells[u], u);
  panel.live.textContent = sentence(panel, u);
}

function pinHovered(panel) {
  if (panel.entry.hover !== null) pinByHand(panel.entry, panel.entry.hover);
}

function solo(panel, i) {
  if (panel.solo === i) return;
  const focused = panel.root.contains(panel.root.getRootNode().activeElement);
  panel.solo = i;
  draw(panel);
  if (focused) panel.copies[0]?.text.focus({ preventScroll: true });
}
