// A demonstration starts again when nobody has touched it for a while: a countdown, then the app is opened anew.
// The watch is the window's, not the component's: it goes on when a page is left, a script fails or the server is away.
// It asks a clock, again and again; no single event has to arrive for it to act.
const SEEN = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'input'];
const TICK_MS = 500, ANSWERS_MS = 3000;
const watch = (window[Symbol.for('redviz.idle')] ||= { last: Date.now(), touched: false });

export default function ({ data }) {
  watch.seconds = data.seconds;
  watch.warned = data.warned;
  if (watch.timer) return;
  for (const name of SEEN) window.addEventListener(name, seen, { capture: true, passive: true });
  watch.timer = setInterval(tick, TICK_MS);
}

function seen(event) {
  // What moves under a pointer that lies still makes the browser say that the pointer moved.
  if (event.type === 'pointermove' && !event.movementX && !event.movementY) return;
  if (!event.isTrusted) return;
  watch.last = Date.now();
  watch.touched = true;
  if (watch.box) tick();
}

function tick() {
  const left = watch.seconds - (Date.now() - watch.last) / 1000;
  const start = new URL('.', location.href).href;
  if (!watch.touched && location.href === start) {
    watch.last = Date.now(); // it is at its start, and nobody has been here
    return;
  }
  if (left > watch.warned) {
    watch.box?.remove();
    watch.box = null;
    return;
  }
  show(left > 0 ? `Nobody there? This starts again in ${Math.ceil(left)} s; click anywhere to go on.` : 'Starting again …');
  if (left <= 0) again(start);
}

// Only when the server answers: an error page of the browser would have no way back.
async function again(start) {
  if (watch.asking) return;
  watch.asking = true;
  try {
    const answer = await fetch(`${start}_stcore/health`, { cache: 'no-store', signal: AbortSignal.timeout(ANSWERS_MS) });
    if (answer.ok && Date.now() - watch.last >= watch.seconds * 1000) location.replace(start);
  } catch {
    // The next tick asks again.
  }
  watch.asking = false;
}

function show(text) {
  if (!watch.box) {
    watch.box = document.createElement('div');
    watch.box.setAttribute('role', 'status');
    watch.box.dataset.redviz = 'idle';
    Object.assign(watch.box.style, {
      position: 'fixed', insetInline: '0', bottom: '0', zIndex: '2147483647', padding: '1rem', textAlign: 'center',
      font: '600 1.2rem system-ui, sans-serif', color: '#fff', background: '#8a3b00', pointerEvents: 'none',
    });
    document.body.append(watch.box);
  }
  watch.box.textContent = text;
}
