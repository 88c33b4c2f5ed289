// The annotation pad: a response as cells that a person grades. What is pressed is an entry with a number; entries are
// kept in this browser until the server says that they are committed, and sent again until it does.
const pads = new WeakMap();
const SEND_MS = 80, AGAIN_MS = 3000, LATE_MS = 6000, HEAL_MS = 30000, GAP_MS = 2000;
const KEPT = 'redviz.pad.', HEALED = 'redviz.pad.healed', STANDS = 'redviz.pad.stands.';
const RIGHT_TO_LEFT = /^\P{L}*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

export default function ({ data, parentElement, setStateValue }) {
  let pad = pads.get(parentElement);
  if (!pad) pads.set(parentElement, (pad = mount(parentElement)));
  pad.tell = (value) => setStateValue('sent', value);
  const another = pad.data?.assignment !== data.assignment;
  pad.data = data;
  if (another) begin(pad);
  acknowledge(pad);
  show(pad);
  return () => {
    if (pad.root.getRootNode().activeElement === pad.text) gather(pad);
    clearTimeout(pad.timer);
    clearInterval(pad.again);
    document.removeEventListener('visibilitychange', pad.leave);
    pad.root.remove();
    pads.delete(parentElement);
  };
}

function mount(parent) {
  const root = el(parent, 'div', 'pad');
  const pad = { root, waiting: new Map(), said: '' };
  pad.text = el(root, 'div', 'text');
  pad.text.tabIndex = 0;
  pad.text.setAttribute('role', 'listbox');
  pad.text.setAttribute('aria-multiselectable', 'true');
  pad.bar = el(root, 'div', 'bar');
  pad.ask = el(root, 'div', 'ask');
  pad.ask.hidden = true;
  pad.live = el(root, 'div', 'unseen');
  pad.live.setAttribute('aria-live', 'polite');
  pad.text.addEventListener('pointerdown', (e) => grab(pad, e));
  pad.text.addEventListener('pointermove', (e) => drag(pad, e));
  for (const end of ['pointerup', 'pointercancel']) pad.text.addEventListener(end, () => (pad.dragging = false));
  root.addEventListener('keydown', (e) => key(pad, e));
  pad.again = setInterval(() => { if (pad.waiting.size) send(pad); status(pad); heal(pad); }, AGAIN_MS);
  pad.leave = () => document.visibilityState === 'hidden' && send(pad);
  document.addEventListener('visibilitychange', pad.leave);
  return pad;
}

// ---- entries and their way to the server -----------------------------------------------------------------------------

// A new item: an own client number, and whatever an earlier page of this browser could not get acknowledged.
function begin(pad) {
  Object.assign(pad, { client: crypto.getRandomValues(new Uint32Array(4)).join('-'), seq: 0, anchor: 0, at: 0, dragging: false, ...stood(pad) });
  pad.mine = `${pad.data.assignment}/${pad.client}`;
  for (const name of pad.data.keep ? Object.keys(localStorage) : []) {
    if (!name.startsWith(place(pad, ''))) continue;
    try {
      pad.waiting.set(name.slice(place(pad, '').length), JSON.parse(localStorage.getItem(name)));
    } catch { localStorage.removeItem(name); }
  }
  pad.drawn = null;
  if (pad.waiting.size) later(pad);
  if (document.activeElement === document.body) setTimeout(() => { pad.text.focus({ preventScroll: true }); typed(pad); });
}

// Streamlit may build a pad anew while somebody types: keys that fall between the two builds wait for the second.
const gap = { assignment: null, keys: [], timer: null };

function between(e) {
  if (e.target !== document.body || e.ctrlKey || e.metaKey || e.altKey) return;
  e.preventDefault();
  e.stopPropagation();
  gap.keys.push(e);
}

function gather(pad) {
  typed(null);
  gap.assignment = pad.data.assignment;
  gap.timer = setTimeout(() => typed(null), GAP_MS);
  document.addEventListener('keydown', between, true);
}

function typed(pad) {
  clearTimeout(gap.timer);
  document.removeEventListener('keydown', between, true);
  for (const e of gap.keys.splice(0)) if (pad?.data.assignment === gap.assignment) key(pad, e);
}

// Where the cursor stands, for as long as the tab is open: a pad that is built anew (a server that came back, a page that was opened
// again) goes on there, and who types without looking marks no other words.
function stood(pad) {
  try {
    return JSON.parse(sessionStorage.getItem(STANDS + pad.data.assignment));
  } catch { return null; }
}

function stand(pad) {
  try {
    sessionStorage.setItem(STANDS + pad.data.assignment, JSON.stringify({ anchor: pad.anchor, at: pad.at }));
  } catch { /* a forbidden storage: the cursor then begins at the first word */ }
}

function add(pad, entry) {
  if (pad.data.locked) return;
  const list = pad.waiting.get(pad.mine) ?? [];
  if (list.some((one) => one.op === 'submit' || one.op === 'skip')) return;
  list.push({ seq: ++pad.seq, at: Date.now(), ...entry });
  pad.waiting.set(pad.mine, list);
  keep(pad, pad.mine);
  later(pad);
  show(pad);
}

const place = (pad, name) => `${KEPT}${pad.data.person}/${name}`; // of waiting entries on the disk of this browser

function keep(pad, name) {
  if (!pad.data.keep) return;
  const list = pad.waiting.get(name);
  const key = place(pad, name);
  try {
    if (list?.length) localStorage.setItem(key, JSON.stringify(list));
    else localStorage.removeItem(key);
  } catch { /* a full or forbidden storage: the entries are still in memory and on their way */ }
}

function later(pad) {
  pad.timer ||= setTimeout(() => send(pad), SEND_MS);
}

function send(pad) {
  clearTimeout(pad.timer);
  pad.timer = null;
  if (!pad.waiting.size) return;
  pad.tell({
    count: (pad.count = (pad.count ?? 0) + 1),
    batches: [...pad.waiting].map(([name, entries]) => {
      const cut = name.indexOf('/');
      return { assignment: +name.slice(0, cut), client: name.slice(cut + 1), entries };
    }),
  });
}

// A page whose messages reach a living server no more: opened again, it finds its entries on the disk of this browser and sends them.
// Once for the same entries, and only where they really are there.
function heal(pad) {
  const oldest = Math.min(...[...pad.waiting.values()].flat().map((entry) => entry.at));
  if (!pad.data.keep || !(Date.now() - oldest > HEAL_MS) || sessionStorage.getItem(HEALED) === `${oldest}`) return;
  const kept = [...pad.waiting].every(([name, list]) =>
    localStorage.getItem(place(pad, name)) === JSON.stringify(list));
  if (!kept) return;
  fetch(new URL('_stcore/health', location.href.split('?')[0])).then((answer) => {
    if (!answer.ok) return;
    sessionStorage.setItem(HEALED, `${oldest}`);
    location.reload();
  }, () => { /* no server: there is nothing to open again yet */ });
}

function acknowledge(pad) {
  for (const [name, list] of pad.waiting) {
    const committed = pad.data.acks[name] ?? 0;
    const left = list.filter((entry) => entry.seq > committed);
    if (left.length === list.length) continue;
    if (left.length) pad.waiting.set(name, left);
    else pad.waiting.delete(name);
    keep(pad, name);
  }
}

// ---- what is graded --------------------------------------------------------------------------------------------------

// Committed entries and those on their way, as the server folds them: [grade of each cell, number of its mark].
function fold(pad) {
  const grades = new Array(pad.data.cells.length).fill(null), marks = grades.map(() => 0), stack = [];
  const own = (pad.waiting.get(pad.mine) ?? []).map((e) => [e.op, e.first, e.last, e.grade]);
  for (const entry of [...pad.data.entries, ...own]) {
    if (entry[0] === 'mark') stack.push(entry);
    else if (entry[0] === 'undo') stack.pop();
  }
  stack.forEach(([, first, last, grade], n) => {
    for (let c = first; c <= last; c++) { grades[c] = grade; marks[c] = grade === null ? 0 : n + 1; }
  });
  return [grades, marks, stack.length];
}

function show(pad) {
  if (pad.drawn !== pad.data.signature) draw(pad);
  const [grades, marks, count] = fold(pad);
  const [low, high] = [Math.min(pad.anchor, pad.at), Math.max(pad.anchor, pad.at)];
  stand(pad);
  pad.nodes.forEach((node, c) => {
    const grade = grades[c];
    node.style.backgroundColor = grade ? tint(grade / pad.data.grades.at(-1)) : '';
    node.classList.toggle('neutral', grade === 0);
    node.classList.toggle('on', c >= low && c <= high);
    node.classList.toggle('at', c === pad.at);
    const last = grade !== null && marks[c + 1] !== marks[c];
    node.dataset.grade = last ? sign(grade) : '';
    node.setAttribute('aria-selected', c >= low && c <= high);
    const gap = pad.gaps[c];
    if (!gap) return;
    gap.style.backgroundColor = marks[c + 1] && marks[c + 1] === marks[c] && grade ? tint(grade / pad.data.grades.at(-1)) : '';
    gap.classList.toggle('on', c >= low && c < high);
  });
  for (const button of pad.buttons.all) button.disabled = !!pad.data.locked;
  pad.buttons.undo.disabled ||= !count;
  status(pad);
}

const tint = (x) => `color-mix(in srgb,var(--rv-${x > 0 ? 'pos' : 'neg'}) ${Math.abs(x) * 62}%,transparent)`;
const sign = (grade) => (grade > 0 ? `+${grade}` : grade < 0 ? `−${-grade}` : '0');

function draw(pad) {
  const { data, text, bar } = pad;
  pad.drawn = data.signature;
  text.replaceChildren();
  text.dir = 'auto';
  pad.rtl = RIGHT_TO_LEFT.test(data.cells.join(' '));
  text.setAttribute('aria-label', 'The response. Arrows move, shift and arrows select, the number keys grade.');
  if (data.gaps[0]) text.append(data.gaps[0]);
  pad.gaps = [];
  pad.nodes = data.cells.map((piece, c) => {
    const node = el(text, 'span', 'c', piece);
    node.dataset.c = c;
    node.setAttribute('role', 'option');
    pad.gaps.push(data.gaps[c + 1] ? el(text, 'span', 'gap', data.gaps[c + 1]) : null);
    return node;
  });
  bar.replaceChildren();
  const grades = el(bar, 'div', 'grades');
  pad.buttons = { all: [] };
  data.grades.forEach((grade, i) => {
    const made = button(pad, grades, `${sign(grade)}  ${data.names[i]}`, () => grade_(pad, grade), `${i + 1}`);
    made.style.setProperty('--tint', grade ? tint(grade / data.grades.at(-1)) : 'transparent');
  });
  button(pad, grades, 'Clear', () => grade_(pad, null), '⌫');
  const rest = el(bar, 'div', 'rest');
  pad.buttons.undo = button(pad, rest, 'Undo', () => add(pad, { op: 'undo' }), 'U');
  if (data.reasons.length) button(pad, rest, 'Skip', () => ask(pad), 'S');
  button(pad, rest, 'Submit', () => submit(pad), 'Ctrl ↵').classList.add('primary');
  pad.state = el(rest, 'span', 'state');
  pad.ask.hidden = true;
}

function button(pad, parent, label, act, shortcut) {
  const made = el(parent, 'button', '', label);
  made.type = 'button';
  el(made, 'kbd', '', shortcut);
  made.onclick = () => { act(); if (pad.ask.hidden) pad.text.focus({ preventScroll: true }); };
  pad.buttons.all.push(made);
  return made;
}

function status(pad) {
  if (!pad.state) return;
  const waits = [...pad.waiting.values()].flat();
  const oldest = Math.min(...waits.map((entry) => entry.at));
  const said = pad.data.locked ? pad.data.locked
    : !waits.length ? (pad.data.entries.length ? pad.data.saved : 'Nothing marked yet')
    : Date.now() - oldest > LATE_MS ? 'Not saved yet: kept in this browser and sent again'
    : 'Saving…';
  if (said === pad.said) return;
  pad.said = pad.state.textContent = said;
  pad.state.classList.toggle('late', said.startsWith('Not '));
  pad.live.textContent = said === 'Saving…' ? '' : said;
}

// ---- hands -----------------------------------------------------------------------------------------------------------

function grade_(pad, grade) {
  if (!pad.nodes.length) return;
  add(pad, { op: 'mark', first: Math.min(pad.anchor, pad.at), last: Math.max(pad.anchor, pad.at), grade });
}

function submit(pad) {
  add(pad, { op: 'submit' });
  send(pad);
}

function ask(pad) {
  pad.ask.replaceChildren();
  el(pad.ask, 'span', '', 'Why skip it?');
  pad.data.reasons.forEach((reason, i) => {
    const made = el(pad.ask, 'button', '', reason);
    made.type = 'button';
    el(made, 'kbd', '', `${i + 1}`);
    made.onclick = () => { add(pad, { op: 'skip', reason }); send(pad); };
  });
  const back = el(pad.ask, 'button', '', 'Back');
  back.type = 'button';
  el(back, 'kbd', '', 'Esc');
  back.onclick = () => close(pad);
  pad.ask.hidden = false;
  pad.ask.querySelector('button').focus();
}

function close(pad) {
  pad.ask.hidden = true;
  pad.text.focus({ preventScroll: true });
}

function cellAt(pad, e) {
  const found = pad.text.getRootNode().elementFromPoint(e.clientX, e.clientY);
  const cell = found?.closest?.('.c') ?? found?.closest?.('.gap')?.previousElementSibling;
  return cell && pad.text.contains(cell) ? +cell.dataset.c : null;
}

function grab(pad, e) {
  if (e.button) return;
  const c = cellAt(pad, e);
  if (c === null) return;
  e.preventDefault(); // the browser's own selection stays out of it
  pad.text.focus({ preventScroll: true });
  pad.text.setPointerCapture(e.pointerId);
  pad.dragging = true;
  if (!e.shiftKey) pad.anchor = c;
  pad.at = c;
  show(pad);
}

function drag(pad, e) {
  if (!pad.dragging) return;
  const c = cellAt(pad, e);
  if (c === null || c === pad.at) return;
  pad.at = c;
  show(pad);
}

function key(pad, e) {
  const typed = e.key.length === 1 && e.key !== ' ';
  if ((e.ctrlKey || e.metaKey) && e.key === 'Enter') { e.preventDefault(); e.stopPropagation(); submit(pad); return; }
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (typed) e.stopPropagation(); // Streamlit's own c and r must not fire from here
  if (!pad.ask.hidden) {
    const asked = pad.ask.querySelectorAll('button');
    if (e.key === 'Escape') close(pad);
    else if (/^[1-9]$/.test(e.key) && e.key < asked.length) asked[e.key - 1].click();
    return;
  }
  const on = pad.rtl ? -1 : 1;
  const moves = { ArrowLeft: () => pad.at - on, ArrowRight: () => pad.at + on, ArrowUp: () => line(pad, -1),
    ArrowDown: () => line(pad, 1), Home: () => 0, End: () => pad.nodes.length - 1 };
  const used = e.key in moves ? () => move(pad, moves[e.key](), e.shiftKey)
    : /^[1-9]$/.test(e.key) && e.key <= pad.data.grades.length ? () => grade_(pad, pad.data.grades[e.key - 1])
    : ['0', 'Backspace', 'Delete'].includes(e.key) ? () => grade_(pad, null)
    : /^u$/i.test(e.key) ? () => add(pad, { op: 'undo' })
    : /^s$/i.test(e.key) && pad.data.reasons.length ? () => ask(pad)
    : e.key === 'Escape' ? () => move(pad, pad.at, false)
    : null;
  if (!used) return;
  e.preventDefault();
  used();
}

function move(pad, to, extend) {
  if (!pad.nodes.length) return;
  pad.at = Math.max(0, Math.min(pad.nodes.length - 1, to));
  if (!extend) pad.anchor = pad.at;
  show(pad);
  pad.nodes[pad.at].scrollIntoView({ block: 'nearest' });
  pad.live.textContent = pad.nodes[pad.at].textContent;
}

// The cell nearest to the cursor on the line above or below.
function line(pad, by) {
  const here = pad.nodes[pad.at].getBoundingClientRect();
  const middle = (box) => (box.left + box.right) / 2;
  let best = pad.at, nearest = Infinity, row = null;
  for (let c = pad.at + by; c >= 0 && c < pad.nodes.length; c += by) {
    const box = pad.nodes[c].getBoundingClientRect();
    if (by > 0 ? box.top < here.bottom - 2 : box.bottom > here.top + 2) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) > 2) break;
    const far = Math.abs(middle(box) - middle(here));
    if (far < nearest) [best, nearest] = [c, far];
  }
  return best;
}
