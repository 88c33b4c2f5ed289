// Where values and tokens stand on a chart: round ticks, the extent of the values, the shared axis of tokens.
const LEFT = 52, LETTER = 6.2;

// Round steps of 1, 2 or 5 times a power of ten, about `wanted` of them.
function ticks(low, high, wanted, least = 0) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const steps = [10, 5, 2, 1, 0.5].filter((m) => m >= raw / power || least).map((m) => m * power);
  let step, found;
  for (step of least ? steps : steps.slice(-1)) {  // at least that many: one tick is no scale
    found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
    if (found.length >= least) break;
  }
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// All values in sight with a little air; zero too, unless the values are far from it.
function extent(panel, chart) {
  const { from, to } = panel.x;
  let low = Infinity, high = -Infinity;
  const take = (v) => { if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); } };
  for (const s of chart.series) s.values.slice(Math.max(0, from - chart.x0), to - chart.x0).forEach(take);
  if (!panel.window) for (const m of chart.marks) take(m.value);
  if (low > high) [low, high] = [0, 1];
  if (low > 0 && low < high - low) low = 0;
  if (high < 0 && -high < high - low) high = 0;
  const air = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - air, high + air];
}

// Room at the right for the longest label of a level.
function margin(panel) {
  const labels = panel.data.panels.flatMap((chart) => chart.marks.map((m) => `${m.label} ${number(m.value)}`.length));
  return Math.min(panel.width / 3, Math.max(28, ...labels.map((length) => length * LETTER + 10)));
}

function horizontal(panel) {
  const { n, end } = panel.data;
  const [from, to] = panel.window ?? [-1, n + (end ? 1 : 0)]; // P_0, the tokens, the end cell
  const right = panel.width - margin(panel), left = LEFT, cell = (right - left) / (to - from);
  const at = (token) => left + (token - from + 0.5) * cell;
  return { left, right, cell, from, to, at, token: (x) => Math.floor((x - left) / cell) + from };
}
