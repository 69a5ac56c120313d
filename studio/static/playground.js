// The playground: modes of Gaussian mixtures that are dragged about, and what the server's engine makes of them.
//
// data: {
//   opened: changes with every recipe that comes from elsewhere, start: its sketch (below), to be taken over then,
//   begun: the sketch to start over with,
//   offered: { operators: [{ name, title, line, target: whether it has an exact one, parameters: [{ field, title, help, kind:
//              "number" | "each" (one an expert) | "expert" | "text", least, most, step, start, shares }] }],
//              solvers: [{ name, title, noisy }], ready: [{ title, modes }], most: bounds },
//   answer: { number: of the request, problem: a sentence or "", seconds, link: the recipe's; and of the last run that was made
//             index, level: [moments], positions: int16 [moments or, live, 1, n, 2] in units of `grain`, in the variance-preserving view,
//             owners: int8 [moments, n], logDensity, exact, weights: [moments][experts], counts: float32 [n] or null,
//             target: int16 [cells, cells], log p up to a constant in units of `grain`, over the square of half-width `reach`, or null,
//             distance: [of the samples, of exact ones] or null, untold: why not,
//             beside: what else is not as usual of what has no field here, in words, or "" } or null,
//   fitted: { number, expert, add, modes, problem } or null: what a stroke is fitted with,
//   colours: { experts: [...], target, neutral, guide, picked },
// }
// state: asked: { number, sketch, stroke: { expert, add, points: [x, y, x, y, ...] } or null, open: whether to go to Compose, live: whether
//                 the hand is still moving, so that the last moment's positions are enough }
// sketch: { experts: [{ modes: [{ x, y, width: standard deviation, mass }] }], operator: { name, field: value }, steps, samples,
//           seed, solver, corrected }
// One request is on its way at a time, the next one is for the newest sketch: what came in between is never computed.
// Contours of experts are drawn here, at once; samples, the target and the curves are the engine's. All texts become text nodes.

const DEPTHS = [0.5, 2, 4.5]; // nats below the highest point: 1, 2 and 3 standard deviations of a Gaussian
const CELLS = 84, KEPT = 100, GLIDE = 50, PATIENCE = 15_000, POINTS = 600, PATHS = 24;
const REACHES = [3, 4, 6, 8, 10];
// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffPlayground ??= {
  opened: "", sketch: null, told: {}, past: [], future: [], expert: 0, mode: 0, sample: -1, moment: null, playing: false, tool: "move",
  brush: 0.3, add: false, reach: 4, paths: false, number: 0, wanted: false, flying: null, stroke: null, leave: false, answer: null,
  fitted: 0, changed: 0, drawn: [],
});
let view = null; // what is mounted

const el = (kind, properties, ...children) => {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
};
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
const round = (value, digits = 3) => Number(value.toFixed(digits));
const copy = (value) => JSON.parse(JSON.stringify(value));

function unpacked({ kind, shape, bytes }) {
  const raw = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
  const kinds = { Float32Array, Int16Array, Int8Array };
  return Object.assign(new kinds[kind](raw.buffer), { shape });
}

// What is played with

const experts = () => tab.sketch.experts;
const chosen = () => experts()[tab.expert]?.modes[tab.mode];
const operator = () => view.data.offered.operators.find((one) => one.name === tab.sketch.operator.name);
const solver = () => view.data.offered.solvers.find((one) => one.name === tab.sketch.solver);
const correctable = () => operator().target && solver().noisy;

function adopt(sketch) {
  tab.sketch = copy(sketch);
  tab.told = { [sketch.operator.name]: tab.sketch.operator };
  tab.expert = tab.mode = 0;
  tab.sample = -1;
  tab.moment = null;
  tab.past = [];
  tab.future = [];
  tab.reach = fitting();
}

// The smallest window that holds all modes and twice their widths.
function fitting() {
  const far = Math.max(...experts().flatMap(({ modes }) => modes.map((mode) => Math.max(Math.abs(mode.x), Math.abs(mode.y)) + mode.width)));
  return REACHES.find((reach) => reach >= Math.max(far, 3.5)) ?? REACHES.at(-1);
}

// Before a change that can be taken back.
function remember() {
  tab.past = [...tab.past, JSON.stringify(tab.sketch)].slice(-KEPT);
  tab.future = [];
}

function back(from, to) {
  const found = tab[from].pop();
  if (!found) return;
  tab[to].push(JSON.stringify(tab.sketch));
  tab.sketch = JSON.parse(found);
  tab.told[tab.sketch.operator.name] = tab.sketch.operator;
  settle();
  changed(true);
  say(from === "past" ? "Undone" : "Done again");
}

// After a change: the numbers an expert are as many as there are experts, and what is chosen exists.
function settle() {
  tab.expert = clamp(tab.expert, 0, experts().length - 1);
  tab.mode = clamp(tab.mode, 0, experts()[tab.expert].modes.length - 1);
  const count = experts().length;
  for (const one of operator().parameters) {
    const value = tab.sketch.operator[one.field];
    if (one.kind === "each" && value && value.length !== count)
      tab.sketch.operator[one.field] = one.shares ? Array(count).fill(1 / count) : Array.from({ length: count }, (_, k) => value[k] ?? 0);
    if (one.kind === "each" && !value && one.shares) tab.sketch.operator[one.field] = Array(count).fill(1 / count);
    if (one.kind === "expert") tab.sketch.operator[one.field] = clamp(value ?? 0, 0, count - 1);
    if (one.kind === "text" && value === undefined) tab.sketch.operator[one.field] = count > 1 ? one.start : "1";
  }
  if (!correctable()) tab.sketch.corrected = false;
}

function changed(form = false) {
  tab.changed = performance.now();
  tab.moment = null;
  tab.playing = false;
  want();
  if (form) drawPanel();
  else fillFields();
  drawTools();
  paint();
}

function chooseMode(expert, mode) {
  const other = expert !== tab.expert || mode !== tab.mode;
  tab.expert = expert;
  tab.mode = mode;
  if (other) drawPanel();
  paint();
}

function addMode(x, y) {
  const { modes } = experts()[tab.expert], { most } = view.data.offered;
  if (modes.length >= most.modes) return say(`An expert has at most ${most.modes} modes.`);
  remember();
  const like = chosen() ?? { width: 0.4, mass: 1 };
  modes.push({ x: round(clamp(x, -most.coordinate, most.coordinate)), y: round(clamp(y, -most.coordinate, most.coordinate)), width: like.width, mass: like.mass });
  tab.mode = modes.length - 1;
  changed(true);
  say(`Mode ${tab.mode + 1} of expert ${tab.expert + 1} added`);
}

function removeMode() {
  const { modes } = experts()[tab.expert];
  if (modes.length < 2) return say("An expert keeps at least one mode; remove the expert instead.");
  remember();
  modes.splice(tab.mode, 1);
  settle();
  changed(true);
  say("Mode deleted");
}

function addExpert() {
  const last = chosen();
  remember();
  const turn = experts().length * 2.4;
  experts().push({ modes: [{ x: round(1.8 * Math.cos(turn)), y: round(1.8 * Math.sin(turn)), width: last?.width ?? 0.4, mass: 1 }] });
  tab.expert = experts().length - 1;
  tab.mode = 0;
  settle();
  changed(true);
}

function removeExpert() {
  remember();
  experts().splice(tab.expert, 1);
  settle();
  changed(true);
}

function move(mode, x, y) {
  const { coordinate } = view.data.offered.most;
  mode.x = round(clamp(x, -coordinate, coordinate));
  mode.y = round(clamp(y, -coordinate, coordinate));
}

function widen(mode, width) {
  const [least, most] = view.data.offered.most.width;
  mode.width = round(clamp(width, Math.max(least, 0.02), most));
}

function weigh(mode, mass) {
  mode.mass = round(clamp(mass, 0.01, 1000));
}

// Asking the engine

// Whether a hand is moving something, and nobody looks at the past: the next answer is replaced at once.
const moving = () => Boolean(view.drag?.moved || view.sliding) && !tab.paths && tab.sample < 0;

function want() {
  tab.wanted = true;
  pump();
}

function pump() {
  if (!view?.send || tab.flying || !(tab.wanted || tab.stroke)) return;
  const { operator: told, ...rest } = tab.sketch;
  const fields = Object.fromEntries(operator().parameters.map(({ field }) => [field, told[field]]).filter(([, value]) => value !== undefined));
  const asked = { number: ++tab.number, sketch: { ...rest, operator: { name: told.name, ...fields } }, stroke: tab.stroke, open: tab.leave, live: moving() };
  if (!tab.stroke) tab.wanted = tab.leave = false;
  tab.flying = { number: tab.number, since: tab.changed, at: performance.now() };
  tab.stroke = null;
  clearTimeout(view.watch);
  // An answer that was lost, as with its server: asked for again.
  view.watch = setTimeout(() => {
    tab.flying = null;
    want();
  }, PATIENCE);
  view.send("asked", asked);
}

function take(data) {
  const { answer, fitted } = data;
  if (fitted && fitted.number !== tab.fitted && fitted.number === tab.flying?.number) {
    tab.fitted = fitted.number;
    landed();
    if (fitted.problem) complain(fitted.problem);
    else {
      remember();
      const expert = experts()[Math.min(fitted.expert, experts().length - 1)], before = fitted.add ? expert.modes : [];
      expert.modes = [...before, ...fitted.modes].slice(0, data.offered.most.modes);
      for (const mode of expert.modes) mode.width = round(mode.width);
      tab.mode = before.length;
      settle();
      changed(true);
      say(`Fitted with ${fitted.modes.length} modes`);
    }
  }
  if (answer && answer.number !== tab.answer?.number) {
    const since = tab.flying?.number === answer.number ? tab.flying.since : 0;
    if (since) landed();
    receive(answer, since);
  }
  pump();
}

function landed() {
  tab.flying = null;
  clearTimeout(view.watch);
}

function receive(answer, since) {
  const made = answer.positions ? { ...answer, positions: unpacked(answer.positions), owners: unpacked(answer.owners) } : answer;
  if (answer.target) made.target = unpacked(answer.target);
  if (answer.counts) made.counts = unpacked(answer.counts);
  tab.answer = made;
  complain(answer.problem);
  if (!made.positions) return;
  if (tab.moment !== null) tab.moment = Math.min(tab.moment, made.index.length - 1);
  if (tab.sample >= made.positions.shape[1]) tab.sample = -1;
  // The seed is the same, so a sample's next place is near: it glides there.
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  view.glide = view.places?.length === 2 * made.positions.shape[1] && !calm ? { from: view.places, at: performance.now() } : null;
  view.since = since;
  view.targetPath = null;
  if (answer.link) window.superdiffTab?.name?.(named(answer.link));
  drawTransport();
  drawFigures();
  paint();
}

// The address with this recipe in it.
function named(link) {
  const query = new URLSearchParams(location.search);
  query.set("play", link);
  return query.toString().replaceAll("%2C", ",");
}

// Geometry of the canvas

const scale = () => Number(getComputedStyle(document.documentElement).getPropertyValue("--studio-scale")) || 1;

function frame(canvas) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

const room = () => ({ left: 30 * scale(), right: 8, top: 8, bottom: 30 * scale() });

function placing(canvas) {
  const { left, right, top, bottom } = room(), side = Math.min(canvas.clientWidth - left - right, canvas.clientHeight - top - bottom);
  const unit = side / (2 * tab.reach);
  return {
    left, top, side, unit,
    x: (x) => left + (x + tab.reach) * unit, y: (y) => top + (tab.reach - y) * unit,
    toX: (px) => (px - left) / unit - tab.reach, toY: (py) => tab.reach - (py - top) / unit,
  };
}

// Log-densities and their contour lines

// On a grid of CELLS x CELLS over the window, rows upwards, at noise level s in the variance-preserving view.
function density(modes, s) {
  const shrink = 1 / Math.sqrt(1 + s * s), mass = modes.reduce((sum, mode) => sum + mode.mass, 0);
  const parts = modes.map((mode) => {
    const variance = (mode.width ** 2 + s * s) * shrink * shrink;
    return [mode.x * shrink, mode.y * shrink, -0.5 / variance, Math.log(mode.mass / mass / (2 * Math.PI * variance))];
  });
  const found = new Float64Array(CELLS * CELLS), step = (2 * tab.reach) / (CELLS - 1);
  for (let row = 0, at = 0; row < CELLS; row++)
    for (let column = 0; column < CELLS; column++, at++) {
      const x = column * step - tab.reach, y = row * step - tab.reach;
      let top = -Infinity, sum = 0;
      for (const [mx, my, sharp, height] of parts) {
        const value = height + sharp * ((x - mx) ** 2 + (y - my) ** 2);
        if (value > top) {
          sum = sum * Math.exp(top - value) + 1;
          top = value;
        } else sum += Math.exp(value - top);
      }
      found[at] = top + Math.log(sum);
    }
  return found;
}

// Marching squares: the segments at every depth below the highest point, as one path of the canvas.
function contours(values, cells, reach, place) {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  const path = new Path2D(), step = (2 * reach) / (cells - 1);
  for (const depth of DEPTHS) {
    const height = top - depth;
    for (let row = 0; row + 1 < cells; row++)
      for (let column = 0; column + 1 < cells; column++) {
        const at = row * cells + column;
        const a = values[at] - height, b = values[at + 1] - height, c = values[at + cells + 1] - height, d = values[at + cells] - height;
        const pattern = (a > 0) + 2 * (b > 0) + 4 * (c > 0) + 8 * (d > 0);
        if (pattern === 0 || pattern === 15) continue;
        const x = column * step - reach, y = row * step - reach;
        const cut = (one, other) => one / (one - other);
        const ends = [];
        if (a > 0 !== b > 0) ends.push([x + cut(a, b) * step, y]);
        if (b > 0 !== c > 0) ends.push([x + step, y + cut(b, c) * step]);
        if (c > 0 !== d > 0) ends.push([x + (1 - cut(c, d)) * step, y + step]);
        if (d > 0 !== a > 0) ends.push([x, y + (1 - cut(d, a)) * step]);
        // At a saddle four ends are two lines: around the corners that lie above it, where its middle does not.
        if (ends.length === 4 && (a > 0) !== (a + b + c + d > 0)) ends.unshift(ends.pop());
        for (let end = 0; end + 1 < ends.length; end += 2) {
          path.moveTo(place.x(ends[end][0]), place.y(ends[end][1]));
          path.lineTo(place.x(ends[end + 1][0]), place.y(ends[end + 1][1]));
        }
      }
  }
  return path;
}

function expertPath(number, s, place) {
  const key = JSON.stringify([experts()[number].modes, s, tab.reach, place.side]);
  const known = view.lines[number];
  if (known?.key === key) return known.path;
  const path = contours(density(experts()[number].modes, s), CELLS, tab.reach, place);
  view.lines[number] = { key, path };
  return path;
}

// Drawing

function paint() {
  if (!view || view.due) return;
  view.due = requestAnimationFrame((now) => {
    view.due = 0;
    drawPlane(now);
    drawCharts();
    if (view.glide) paint();
  });
}

const last = () => (tab.answer?.index ? tab.answer.index.length - 1 : 0);
const whole = (answer) => answer.positions.shape[0] === answer.index.length;
const moment = () => (tab.moment === null || !whole(tab.answer) ? last() : Math.min(tab.moment, last()));
// Where the samples of this moment begin in a table with one row each.
const rowOf = (answer) => (whole(answer) ? moment() : 0) * answer.positions.shape[1];
const atEnd = () => moment() === last();

function drawPlane(now) {
  const { canvas } = view, { pen } = frame(canvas), place = placing(canvas), size = scale(), colours = view.data.colours;
  const style = getComputedStyle(canvas), ink = style.color;
  const answer = tab.answer?.positions ? tab.answer : null;
  const s = answer ? (atEnd() ? 0 : answer.level[moment()]) : 0;
  axes(pen, place, ink, size);
  pen.save();
  pen.beginPath();
  pen.rect(place.left, place.top, place.side, place.side);
  pen.clip();
  if (answer) drawSamples(pen, place, answer, now, size);
  // Broad and below the experts' lines, with which it often runs.
  if (answer?.target && atEnd()) {
    const key = `${tab.reach} ${place.side}`;
    if (view.targetPath?.key !== key) view.targetPath = { key, path: contours(Float32Array.from(answer.target, (value) => value * answer.grain), answer.target.shape[0], answer.reach, place) };
    pen.strokeStyle = colours.target;
    pen.lineWidth = 5 * size;
    pen.globalAlpha = 0.45;
    pen.stroke(view.targetPath.path);
    pen.globalAlpha = 1;
  }
  pen.globalAlpha = 1;
  experts().forEach((_, number) => {
    pen.strokeStyle = colours.experts[number % colours.experts.length];
    pen.lineWidth = (number === tab.expert ? 2.4 : 1.4) * size;
    pen.stroke(expertPath(number, s, place));
  });
  if (view.trail) drawStroke(pen, place, colours);
  if (atEnd()) drawModes(pen, place, colours, style, size);
  pen.restore();
  canvas.dataset.moment = moment();
  if (answer && !view.glide && view.since) {
    tab.drawn = [...tab.drawn, { number: answer.number, took: performance.now() - view.since, seconds: answer.seconds }].slice(-200);
    canvas.dataset.drawn = answer.number;
    view.since = 0;
  }
}

function axes(pen, place, ink, size) {
  pen.strokeStyle = pen.fillStyle = ink;
  pen.lineWidth = 1;
  pen.font = `${11 * size}px sans-serif`;
  const step = tab.reach > 6 ? 4 : tab.reach > 4 ? 2 : 1;
  for (let value = -Math.floor(tab.reach / step) * step; value <= tab.reach; value += step) {
    const x = place.x(value), y = place.y(value);
    pen.globalAlpha = value === 0 ? 0.25 : 0.1;
    pen.beginPath();
    pen.moveTo(x, place.top);
    pen.lineTo(x, place.top + place.side);
    pen.moveTo(place.left, y);
    pen.lineTo(place.left + place.side, y);
    pen.stroke();
    pen.globalAlpha = 0.8;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    if (Math.abs(value) < tab.reach) pen.fillText(value, x, place.top + place.side + 4);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    if (Math.abs(value) < tab.reach) pen.fillText(value, place.left - 5, y);
  }
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.fillText("x, plane units", place.left + place.side / 2, place.top + place.side + 29 * size);
  pen.save();
  pen.translate(1, place.top + place.side / 2);
  pen.rotate(-Math.PI / 2);
  pen.textBaseline = "top";
  pen.fillText("y, plane units", 0, 0);
  pen.restore();
  pen.globalAlpha = 1;
}

// Where the samples stand in this picture: in view coordinates, or on their way there.
function placesOf(answer, now) {
  const count = answer.positions.shape[1], start = 2 * rowOf(answer), places = new Float32Array(count * 2);
  for (let k = 0; k < count * 2; k++) places[k] = answer.positions[start + k] * answer.grain;
  if (view.glide) {
    const part = Math.min((now - view.glide.at) / GLIDE, 1);
    if (part >= 1 || !atEnd()) view.glide = null;
    else for (let k = 0; k < count * 2; k++) places[k] = view.glide.from[k] + part * (places[k] - view.glide.from[k]);
  }
  view.places = places;
  return places;
}

function drawSamples(pen, place, answer, now, size) {
  const places = placesOf(answer, now), count = places.length / 2, { experts: inks, neutral, picked } = view.data.colours;
  const counts = answer.counts && atEnd() ? answer.counts : null, owners = answer.owners.subarray(rowOf(answer), rowOf(answer) + count);
  if (tab.paths) {
    pen.lineWidth = size;
    pen.globalAlpha = 0.35;
    for (let sample = 0; sample < Math.min(count, PATHS); sample++) drawPath(pen, place, answer, sample, colourOf(owners[sample]));
  }
  pen.globalAlpha = 0.65;
  for (let owner = -1; owner < experts().length; owner++) {
    pen.fillStyle = owner < 0 ? neutral : inks[owner % inks.length];
    pen.beginPath();
    for (let k = 0; k < count; k++) {
      if (owners[k] !== owner) continue;
      const radius = (counts ? Math.min(2.2 * Math.sqrt(counts[k]), 9) : 2.2) * size;
      if (radius < 0.15) continue;
      const x = place.x(places[2 * k]), y = place.y(places[2 * k + 1]);
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 7);
    }
    pen.fill();
  }
  if (tab.sample >= 0) {
    pen.globalAlpha = 1;
    pen.lineWidth = 2 * size;
    drawPath(pen, place, answer, tab.sample, picked);
    pen.beginPath();
    pen.arc(place.x(places[2 * tab.sample]), place.y(places[2 * tab.sample + 1]), 6 * size, 0, 7);
    pen.stroke();
  }
}

function colourOf(owner) {
  const { experts: inks, neutral } = view.data.colours;
  return owner < 0 ? neutral : inks[owner % inks.length];
}

// A sample's way from the noise to this moment.
function drawPath(pen, place, answer, sample, colour) {
  const count = answer.positions.shape[1];
  if (!whole(answer)) return;
  pen.strokeStyle = colour;
  pen.beginPath();
  for (let at = 0; at <= moment(); at++) {
    const k = (at * count + sample) * 2;
    pen.lineTo(place.x(answer.positions[k] * answer.grain), place.y(answer.positions[k + 1] * answer.grain));
  }
  pen.stroke();
}

const share = (expert, mode) => mode.mass / expert.modes.reduce((sum, one) => sum + one.mass, 0);
const radiusOf = (expert, mode) => (4.5 + 6 * Math.sqrt(share(expert, mode))) * scale();

// The handles of the chosen mode: its width at twice the standard deviation to the right, its mass above.
function handles(place) {
  const mode = chosen(), reach = Math.max(2 * mode.width * place.unit, 18);
  return { width: [place.x(mode.x) + reach, place.y(mode.y)], mass: [place.x(mode.x), place.y(mode.y) - reach], reach };
}

function drawModes(pen, place, colours, style, size) {
  const ground = style.backgroundColor;
  experts().forEach((expert, number) => {
    for (const mode of expert.modes) {
      pen.beginPath();
      pen.arc(place.x(mode.x), place.y(mode.y), radiusOf(expert, mode), 0, 7);
      pen.fillStyle = colours.experts[number % colours.experts.length];
      pen.globalAlpha = number === tab.expert ? 1 : 0.75;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = mode === chosen() ? style.color : ground;
      pen.lineWidth = (mode === chosen() ? 2.5 : 1.5) * size;
      pen.stroke();
    }
  });
  const mode = chosen(), colour = colours.experts[tab.expert % colours.experts.length], { width, mass, reach } = handles(place);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5 * size;
  pen.setLineDash([2, 4]);
  pen.beginPath();
  pen.arc(place.x(mode.x), place.y(mode.y), reach, 0, 7);
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = ground;
  pen.lineWidth = 2 * size;
  pen.beginPath();
  pen.rect(width[0] - 5 * size, width[1] - 5 * size, 10 * size, 10 * size);
  pen.fill();
  pen.stroke();
  pen.beginPath();
  pen.moveTo(mass[0], mass[1] - 8 * size);
  pen.lineTo(mass[0] + 7 * size, mass[1] + 5 * size);
  pen.lineTo(mass[0] - 7 * size, mass[1] + 5 * size);
  pen.closePath();
  pen.fill();
  pen.stroke();
  // Legible over lines and dots.
  const write = (text, x, y) => {
    pen.lineJoin = "round";
    pen.strokeStyle = ground;
    pen.lineWidth = 4 * size;
    pen.strokeText(text, x, y);
    pen.fillStyle = style.color;
    pen.fillText(text, x, y);
  };
  pen.font = `${12 * size}px sans-serif`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  write(`width ${round(mode.width, 2)}`, width[0] + 9 * size, width[1]);
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  write(`mass ${round(mode.mass, 2)}`, mass[0], mass[1] - 10 * size);
}

function drawStroke(pen, place, colours) {
  pen.strokeStyle = colours.experts[tab.expert % colours.experts.length];
  pen.globalAlpha = 0.3;
  pen.lineWidth = 2 * tab.brush * place.unit;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  view.trail.forEach(([x, y]) => pen.lineTo(place.x(x), place.y(y)));
  if (view.trail.length === 1) pen.lineTo(place.x(view.trail[0][0]) + 0.1, place.y(view.trail[0][1]));
  pen.stroke();
  pen.globalAlpha = 1;
  pen.lineCap = "butt";
}

// Curves

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw)), part = raw / power;
  const step = (part > 5 ? 10 : part > 2 ? 5 : part > 1 ? 2 : 1) * power, found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}

function drawCharts() {
  const answer = tab.answer?.index ? tab.answer : null;
  if (!answer) return;
  const alone = answer.weights[0].length < 2;
  const apart = (rows) => (alone ? rows : rows.map((row) => row.map((value) => value - row.reduce((sum, one) => sum + one, 0) / row.length)));
  const title = alone ? "Log-density log q, mean over the samples" : "Log-densities, difference to the experts' mean";
  if (view.titles.difference.textContent !== title) view.titles.difference.textContent = title;
  drawChart(view.difference, answer, [[apart(answer.exact), true], [apart(answer.logDensity), false]], alone ? "log q, nats" : "log q − mean, nats", 0.1);
  drawChart(view.weights, answer, [[answer.weights, false]], "κ", 0.1);
}

function drawChart(canvas, answer, groups, unit, least) {
  const { pen, width, height } = frame(canvas), size = scale(), style = getComputedStyle(canvas), { colours } = view.data;
  const left = 52 * size, right = 14 * size, top = 6, bottom = 32 * size;
  const every = groups.flatMap(([rows]) => rows.flat()).filter(Number.isFinite);
  let low = Math.min(...every), high = Math.max(...every);
  const pad = Math.max(0.06 * (high - low), least);
  low -= pad;
  high += pad;
  const end = answer.index.at(-1) || 1, x = (step) => left + (step / end) * (width - left - right);
  const y = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
  canvas.toMoment = (px) => {
    const step = ((px - left) / (width - left - right)) * end;
    return answer.index.reduce((best, one, at) => (Math.abs(one - step) < Math.abs(answer.index[best] - step) ? at : best), 0);
  };
  pen.font = `${11 * size}px sans-serif`;
  pen.fillStyle = pen.strokeStyle = style.color;
  pen.lineWidth = 1;
  for (const value of ticks(low, high, 4)) {
    pen.globalAlpha = value === 0 ? 0.35 : 0.12;
    pen.beginPath();
    pen.moveTo(left, y(value));
    pen.lineTo(width - right, y(value));
    pen.stroke();
    pen.globalAlpha = 0.85;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(value, left - 5, y(value));
  }
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const value of ticks(0, end, 6)) pen.fillText(value, x(value), height - bottom + 4);
  pen.textBaseline = "bottom";
  pen.fillText("step", left + (width - left - right) / 2, height);
  pen.save();
  pen.translate(1, top + (height - top - bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.textBaseline = "top";
  pen.fillText(unit, 0, 0);
  pen.restore();
  pen.globalAlpha = 1;
  for (const [rows, dashed] of groups)
    for (let expert = 0; expert < rows[0].length; expert++) {
      pen.strokeStyle = colours.experts[expert % colours.experts.length];
      pen.globalAlpha = dashed ? 0.85 : 1;
      pen.lineWidth = (dashed ? 1.6 : expert === 0 ? 3.2 : 2.2) * size;
      pen.setLineDash(dashed ? [5, 4] : []);
      pen.beginPath();
      rows.forEach((row, at) => pen.lineTo(x(answer.index[at]), y(row[expert])));
      pen.stroke();
    }
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.guide;
  pen.lineWidth = 1.5 * size;
  pen.beginPath();
  pen.moveTo(x(answer.index[moment()]), top);
  pen.lineTo(x(answer.index[moment()]), height - bottom);
  pen.stroke();
  const ends = groups.at(-1)[0][moment()].map((value, expert) => `expert ${expert + 1} ${value.toFixed(2)}`).join(", ");
  canvas.setAttribute("aria-label", `${unit} against the step, one curve an expert; at step ${answer.index[moment()]}: ${ends}`);
}

function drawFigures() {
  const answer = tab.answer, parts = [];
  if (!answer?.index) return;
  if (answer.distance)
    parts.push(`Total variation from the exact target: ${answer.distance[0].toFixed(3)} (of as many exact samples, on average: ${answer.distance[1].toFixed(3)}; 0 is the same, 1 nothing in common).`);
  if (answer.untold) parts.push(answer.untold);
  parts.push(`${answer.positions.shape[1]} samples, ${answer.index.at(-1)} steps, computed in ${answer.seconds.toFixed(2)} s.`);
  if (answer.beside) parts.push(answer.beside);
  view.figures.textContent = parts.join(" ");
  const inks = view.data.colours.experts;
  const keys = experts().map((_, number) => {
    const key = el("i", { className: "key" });
    key.style.color = inks[number % inks.length];
    return el("span", null, key, `expert ${number + 1}`);
  });
  keys.push(el("span", null, el("i", { className: "key" }), "estimated on the way"), el("span", null, el("i", { className: "key dashed" }), "exact"));
  if (answer.target) {
    const key = el("i", { className: "key broad" });
    key.style.color = view.data.colours.target;
    keys.push(el("span", null, key, "exact target, in the plane"));
  }
  view.legend.replaceChildren(...keys);
}

function complain(sentence) {
  view.problem.hidden = !sentence;
  if (view.problem.textContent !== (sentence || "")) view.problem.textContent = sentence || "";
}

function say(sentence) {
  view.said.textContent = sentence;
}

// The bars

function drawTools() {
  if (!view.tools.made) {
    const button = (name, text, title, act) => (view.buttons[name] = el("button", { type: "button", textContent: text, title, onclick: act, ariaLabel: title.split(" (")[0] }));
    const tool = (name, text, title) => button(name, text, title, () => {
      tab.tool = name;
      drawTools();
      hint();
    });
    const reach = el("select", { title: "Half the width of the window, plane units", ariaLabel: "Window" });
    for (const value of REACHES) reach.add(new Option(`± ${value}`, value));
    reach.onchange = () => {
      tab.reach = Number(reach.value);
      view.targetPath = null;
      paint();
    };
    const brush = el("input", { type: "range", min: 0.1, max: 1, step: 0.05, title: "Radius of the brush, plane units", ariaLabel: "Radius of the brush" });
    brush.oninput = () => (tab.brush = Number(brush.value));
    const add = el("input", { type: "checkbox" });
    add.onchange = () => (tab.add = add.checked);
    const stroke = el("span", { className: "bar" }, brush, el("label", { className: "check" }, add, "add to its modes"));
    view.fields.stroke = { stroke, brush, add, reach };
    view.tools.append(
      tool("move", "Move", "Drag modes and their handles"),
      tool("draw", "Draw", "Paint where the expert's samples shall be; a mixture is fitted to it"),
      button("add", "Add mode", "Add a mode to this expert (or double click in the plane)", () => addMode(0.3 * (experts()[tab.expert].modes.length % 5), 0)),
      button("remove", "Delete", "Delete the chosen mode (Delete)", removeMode),
      button("undo", "↶", "Undo (Ctrl + Z)", () => back("past", "future")),
      button("redo", "↷", "Redo (Ctrl + Shift + Z)", () => back("future", "past")),
      reach, stroke,
    );
    view.tools.made = true;
  }
  for (const name of ["move", "draw"]) view.buttons[name].setAttribute("aria-pressed", tab.tool === name);
  view.buttons.undo.disabled = !tab.past.length;
  view.buttons.redo.disabled = !tab.future.length;
  view.buttons.remove.disabled = experts()[tab.expert].modes.length < 2;
  const { stroke, brush, add, reach } = view.fields.stroke;
  stroke.hidden = tab.tool !== "draw";
  brush.value = tab.brush;
  add.checked = tab.add;
  reach.value = tab.reach;
}

function hint() {
  view.hint.textContent = tab.tool === "draw"
    ? `Paint with the mouse where samples of expert ${tab.expert + 1} shall be: up to 8 modes are fitted to the area (the number by BIC).`
    : "Drag a mode, its square (width) or its triangle (mass). Double click adds a mode. Keys: arrows move (Shift: further), + and − change the width, < and > the mass, Page Up and Page Down choose, Delete, Ctrl + Z.";
  view.canvas.setAttribute("aria-label", "The plane: samples over contour lines of every expert's density; modes can be moved");
}

function drawTransport() {
  if (!view.transport.made) {
    const play = el("button", { type: "button", onclick: togglePlay });
    const slider = el("input", { type: "range", min: 0, ariaLabel: "Step of the run" });
    slider.oninput = () => go(Number(slider.value));
    const now = el("span", { className: "now" });
    const paths = el("input", { type: "checkbox", checked: tab.paths });
    paths.onchange = () => {
      tab.paths = paths.checked;
      paint();
    };
    view.transport.append(play, slider, now, el("label", { className: "check" }, paths, "paths"));
    Object.assign(view.transport, { made: true, play, slider, now });
  }
  const { play, slider, now } = view.transport;
  const text = tab.playing ? "Pause" : "Play";
  if (play.textContent !== text) play.textContent = text;
  play.title = tab.playing ? "Pause" : "Watch the samples form";
  slider.max = last();
  slider.value = moment();
  if (tab.answer?.index) now.textContent = `step ${tab.answer.index[moment()]} · s = ${tab.answer.level[moment()].toPrecision(3)}`;
}

function go(at) {
  tab.playing = false;
  tab.moment = at >= last() ? null : Math.max(at, 0);
  drawTransport();
  paint();
}

function togglePlay() {
  tab.playing = !tab.playing;
  if (tab.playing) {
    if (atEnd()) tab.moment = 0;
    let before = performance.now();
    const step = (now) => {
      if (!tab.playing || !view) return;
      if (now - before > 55) {
        before = now;
        tab.moment = moment() + 1;
        if (tab.moment >= last()) {
          tab.moment = null;
          tab.playing = false;
        }
        drawTransport();
        paint();
      }
      if (tab.playing) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
  drawTransport();
  paint();
}

// The panel

function number(title, value, about, act, label = title) {
  const field = el("input", { type: "number", value: round(value, 4), step: about.step ?? "any", title: about.help ?? "", ariaLabel: label });
  if (about.least !== undefined) field.min = about.least;
  if (about.most !== undefined) field.max = about.most;
  let begun = false; // one edit is one step of undo
  field.oninput = () => {
    const found = field.valueAsNumber;
    if (!Number.isFinite(found) || found < (about.least ?? -Infinity) || found > (about.most ?? Infinity)) return;
    if (!begun) remember();
    begun = true;
    act(found);
    changed();
  };
  field.onchange = () => {
    begun = false;
    const found = field.valueAsNumber;
    if (!Number.isFinite(found)) return fillFields();
    const held = clamp(found, about.least ?? -Infinity, about.most ?? Infinity);
    if (held !== found) {
      remember();
      act(held);
      changed();
      fillFields(true);
    }
  };
  return field;
}

function fillFields(all = false) {
  for (const { field, get } of view.fields.numbers ?? []) {
    const active = view.root.activeElement === field || view.host.getRootNode().activeElement === field;
    if (all || !active) field.value = round(get(), 4);
  }
}

function tie(field, get) {
  view.fields.numbers.push({ field, get });
  return field;
}

// A number with a slider over the part of its range that is played with most.
function slid(title, get, about, act, low, high) {
  const field = tie(number(title, get(), about, act), get);
  const slider = el("input", { type: "range", min: low, max: high, step: about.step ? about.step / 5 : 0.05, value: get(), ariaLabel: `${title}, slider` });
  let begun = false;
  slider.oninput = () => {
    if (!begun) remember();
    begun = view.sliding = true;
    act(Number(slider.value));
    changed();
  };
  slider.onchange = () => {
    begun = view.sliding = false;
    want();
  };
  tie(slider, get);
  return el("div", { className: "slid", title: about.help ?? "" }, el("span", null, title), el("div", null, slider, field));
}

function drawPanel() {
  const focus = focused();
  view.fields.numbers = [];
  view.panel.replaceChildren(expertsPart(), operatorPart(), runPart());
  hint();
  drawTools();
  refocus(focus);
}

// The focus stays where it was when the panel is made anew: on the field of the same name.
function focused() {
  const field = view.root.activeElement ?? view.host.getRootNode().activeElement;
  return field && view.panel.contains(field) ? field.getAttribute("aria-label") ?? field.textContent : null;
}

function refocus(name) {
  if (name === null) return;
  [...view.panel.querySelectorAll("button, input, select")].find((one) => (one.getAttribute("aria-label") ?? one.textContent) === name)?.focus();
}

function expertsPart() {
  const { most, ready } = view.data.offered, inks = view.data.colours.experts, mode = chosen();
  const chips = experts().map((expert, index) => {
    const dot = el("i", { className: "dot" });
    dot.style.background = inks[index % inks.length];
    const chip = el("button", { type: "button", className: "chip", title: `Expert ${index + 1}, ${expert.modes.length} modes`, onclick: () => {
      tab.mode = 0;
      tab.expert = index;
      drawPanel();
      paint();
    } }, dot, `Expert ${index + 1}`);
    chip.setAttribute("aria-pressed", index === tab.expert);
    return chip;
  });
  const more = el("button", { type: "button", textContent: "+", ariaLabel: "Add an expert", title: "Add an expert", onclick: addExpert, disabled: experts().length >= most.experts });
  const fewer = el("button", { type: "button", textContent: "−", ariaLabel: "Remove this expert", title: "Remove this expert", onclick: removeExpert, disabled: experts().length < 2 });
  const start = el("select", { ariaLabel: "Ready mixtures", title: "Give this expert a ready mixture" });
  start.add(new Option("Ready mixture …", "", true, true));
  ready.forEach((one, index) => start.add(new Option(one.title, index)));
  start.onchange = () => {
    if (start.value === "") return;
    remember();
    experts()[tab.expert].modes = copy(ready[start.value].modes);
    tab.mode = 0;
    tab.reach = Math.max(tab.reach, fitting());
    changed(true);
  };
  const which = el("select", { ariaLabel: "Chosen mode", title: "The mode that is chosen" });
  experts()[tab.expert].modes.forEach((_, index) => which.add(new Option(`Mode ${index + 1}`, index, false, index === tab.mode)));
  which.onchange = () => chooseMode(tab.expert, Number(which.value));
  const { coordinate, width } = most;
  const field = (title, get, about, act) => el("label", { className: "field" }, el("span", null, title), tie(number(title, get(), about, act), get));
  const fields = el("div", { className: "fields" },
    field("x", () => chosen().x, { least: -coordinate, most: coordinate, step: 0.1, help: "Plane units" }, (value) => move(chosen(), value, chosen().y)),
    field("y", () => chosen().y, { least: -coordinate, most: coordinate, step: 0.1, help: "Plane units" }, (value) => move(chosen(), chosen().x, value)),
    field("width", () => chosen().width, { least: Math.max(width[0], 0.02), most: width[1], step: 0.05, help: "Standard deviation, plane units" }, (value) => widen(chosen(), value)),
    field("mass", () => chosen().mass, { least: 0.01, most: 1000, step: 0.1, help: "Relative to the expert's other modes" }, (value) => weigh(chosen(), value)),
  );
  return el("section", { ariaLabel: "Experts" }, el("h3", null, "Experts"), el("div", { className: "bar" }, ...chips, more, fewer),
    el("div", { className: "bar" }, which, start), mode ? fields : "");
}

function operatorPart() {
  const { operators } = view.data.offered, now = operator();
  const choice = el("select", { ariaLabel: "Operator" });
  operators.forEach((one) => choice.add(new Option(one.title, one.name, false, one.name === now.name)));
  choice.onchange = () => {
    remember();
    tab.told[tab.sketch.operator.name] = tab.sketch.operator;
    tab.sketch.operator = copy(tab.told[choice.value] ?? { name: choice.value });
    settle();
    changed(true);
  };
  const told = tab.sketch.operator, parts = [];
  for (const one of now.parameters) {
    if (one.kind === "number")
      parts.push(slid(one.title, () => told[one.field] ?? one.start, one, (value) => (told[one.field] = round(value)), Math.max(one.least, 0), Math.min(one.most, 10)));
    if (one.kind === "each" && experts().length > 1)
      experts().forEach((_, index) =>
        parts.push(slid(`${one.title} ${index + 1}`, () => told[one.field]?.[index] ?? 0, one, (value) => each(one, index, value), Math.max(one.least, one.shares ? -1 : -5), Math.min(one.most, one.shares ? 2 : 5))));
    if (one.kind === "expert") {
      const field = el("select", { ariaLabel: one.title });
      experts().forEach((_, index) => field.add(new Option(`Expert ${index + 1}`, index, false, index === told[one.field])));
      field.onchange = () => {
        remember();
        told[one.field] = Number(field.value);
        changed();
      };
      parts.push(el("label", { className: "slid" }, el("span", null, one.title), field));
    }
    if (one.kind === "text") {
      const field = el("input", { type: "text", value: told[one.field] ?? "", title: one.help, ariaLabel: one.title, spellcheck: false });
      let begun = false;
      field.oninput = () => {
        if (!begun) remember();
        begun = true;
        told[one.field] = field.value;
        changed();
      };
      field.onchange = () => (begun = false);
      parts.push(el("label", { className: "slid" }, el("span", null, one.title), field));
    }
  }
  return el("section", { ariaLabel: "Operator" }, el("h3", null, "Operator"), choice, el("p", { className: "small" }, now.line), ...parts);
}

function each(one, index, value) {
  const count = experts().length, told = tab.sketch.operator;
  const list = [...(told[one.field] ?? Array(count).fill(0))];
  // Shares sum to 1: what one gains, the others lose alike.
  if (one.shares) list.forEach((other, k) => k !== index && (list[k] = other - (value - list[index]) / (count - 1)));
  list[index] = value;
  told[one.field] = list.map((number) => round(number, 6));
}

function runPart() {
  const { most, solvers } = view.data.offered, sketch = tab.sketch;
  const field = (title, key, about) => el("label", { className: "field" }, el("span", null, title), tie(number(title, sketch[key], about, (value) => (tab.sketch[key] = Math.round(value))), () => tab.sketch[key]));
  const roll = el("button", { type: "button", textContent: "New seed", title: "Other noise", onclick: () => {
    remember();
    tab.sketch.seed = Math.floor(Math.random() * 1e6);
    changed();
    fillFields(true);
  } });
  const choice = el("select", { ariaLabel: "Solver" });
  solvers.forEach((one) => choice.add(new Option(one.title, one.name, false, one.name === sketch.solver)));
  choice.onchange = () => {
    remember();
    tab.sketch.solver = choice.value;
    settle();
    changed(true);
  };
  const corrected = el("input", { type: "checkbox", checked: sketch.corrected, disabled: !correctable() });
  corrected.onchange = () => {
    remember();
    tab.sketch.corrected = corrected.checked;
    changed();
  };
  const why = correctable() ? "Samples become weighted particles that follow the operator's exact target" : "This operator or this solver has no correction";
  return el("section", { ariaLabel: "Sampling" }, el("h3", null, "Sampling"),
    el("div", { className: "fields" },
      field("steps", "steps", { least: 1, most: most.steps, step: 1 }), field("samples", "samples", { least: 2, most: most.samples, step: 50 }),
      field("seed", "seed", { least: 0, most: 1e15, step: 1 }), roll),
    choice, el("label", { className: "check", title: why }, corrected, "Correct to the exact target"));
}

function drawWays() {
  const open = el("button", { type: "button", textContent: "Open in Compose", title: "Put these experts and this operator into the form of the page Compose", onclick: () => {
    tab.leave = true;
    tab.wanted = true;
    pump();
  } });
  const link = el("button", { type: "button", textContent: "Copy link", title: "The address that opens this sketch again", onclick: async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied");
      link.textContent = "Copied";
    } catch {
      link.textContent = "Copy it from the address line";
    }
    setTimeout(() => (link.textContent = "Copy link"), 2500);
  } });
  const again = el("button", { type: "button", textContent: "Start over", title: "The sketch that this page began with; can be undone", onclick: () => {
    remember();
    const { past } = tab;
    adopt(view.data.begun);
    tab.past = past;
    changed(true);
  } });
  view.ways.replaceChildren(open, link, again);
}

// The mouse and the fingers

function at(event) {
  const box = view.canvas.getBoundingClientRect();
  return [event.clientX - box.left - view.canvas.clientLeft, event.clientY - box.top - view.canvas.clientTop];
}

// What lies at a place of the canvas: a handle of the chosen mode, or a mode.
function hit([px, py], touch) {
  const place = placing(view.canvas), near = (touch ? 20 : 10) * scale();
  if (chosen() && atEnd()) {
    const { width, mass } = handles(place);
    if (Math.hypot(px - width[0], py - width[1]) < near) return { kind: "width" };
    if (Math.hypot(px - mass[0], py - mass[1]) < near) return { kind: "mass" };
  }
  let best = null, least = Infinity;
  experts().forEach((expert, number) => expert.modes.forEach((mode, which) => {
    const far = Math.hypot(px - place.x(mode.x), py - place.y(mode.y)) - (number === tab.expert ? 3 : 0);
    if (far < Math.max(near, radiusOf(expert, mode) + 3) && far < least) [best, least] = [{ kind: "mode", expert: number, mode: which }, far];
  }));
  return best;
}

function sampleAt([px, py]) {
  const place = placing(view.canvas), places = view.places ?? [];
  let best = -1, least = 8 * scale();
  for (let k = 0; 2 * k < places.length; k++) {
    const far = Math.hypot(px - place.x(places[2 * k]), py - place.y(places[2 * k + 1]));
    if (far < least) [best, least] = [k, far];
  }
  return best;
}

function onDown(event) {
  if (event.button !== 0) return;
  view.canvas.focus({ preventScroll: true });
  const where = at(event), place = placing(view.canvas);
  if (tab.tool === "draw") {
    view.trail = [[place.toX(where[0]), place.toY(where[1])]];
    view.drag = { kind: "stroke" };
  } else {
    const found = hit(where, event.pointerType === "touch");
    if (!found) {
      tab.sample = sampleAt(where);
      paint();
      return;
    }
    if (!atEnd()) go(last());
    if (found.kind === "mode") chooseMode(found.expert, found.mode);
    const mode = chosen();
    view.drag = { ...found, start: where, begun: { ...mode }, moved: false };
  }
  view.canvas.setPointerCapture(event.pointerId);
  paint();
}

function onMove(event) {
  const { drag } = view, where = at(event);
  if (!drag) {
    const found = tab.tool === "draw" ? null : hit(where, false);
    view.canvas.style.cursor = !found ? "crosshair" : found.kind === "width" ? "ew-resize" : found.kind === "mass" ? "ns-resize" : "grab";
    return;
  }
  const place = placing(view.canvas), x = place.toX(where[0]), y = place.toY(where[1]);
  if (drag.kind === "stroke") {
    const end = view.trail.at(-1);
    if (Math.hypot(x - end[0], y - end[1]) * place.unit > 2) view.trail.push([x, y]);
    return paint();
  }
  if (!drag.moved) {
    if (Math.hypot(where[0] - drag.start[0], where[1] - drag.start[1]) < 2) return;
    drag.moved = true;
    remember();
  }
  const mode = chosen(), across = (where[0] - drag.start[0]) / place.unit, up = (drag.start[1] - where[1]) / place.unit;
  if (drag.kind === "mode") move(mode, drag.begun.x + across, drag.begun.y + up);
  if (drag.kind === "width") widen(mode, Math.max(drag.begun.width + across / 2, 0.02));
  if (drag.kind === "mass") weigh(mode, drag.begun.mass * Math.exp((drag.start[1] - where[1]) / 60));
  changed();
}

function onUp() {
  const { drag } = view;
  view.drag = null;
  if (drag?.kind === "stroke") finishStroke();
  else if (drag?.moved) {
    want();
    say(`Mode ${tab.mode + 1} of expert ${tab.expert + 1}: x ${round(chosen().x, 2)}, y ${round(chosen().y, 2)}, width ${round(chosen().width, 2)}, mass ${round(chosen().mass, 2)}`);
  }
}

// Points drawn evenly from the painted area: cells of a grid that the brush went over.
function finishStroke() {
  const trail = view.trail, cells = 220, step = (2 * tab.reach) / cells, inside = [];
  view.trail = null;
  const far = tab.brush ** 2;
  for (let row = 0; row < cells; row++)
    for (let column = 0; column < cells; column++) {
      const x = (column + 0.5) * step - tab.reach, y = (row + 0.5) * step - tab.reach;
      const covered = trail.some(([px, py], k) => {
        const [qx, qy] = trail[Math.max(k - 1, 0)], dx = px - qx, dy = py - qy, length = dx * dx + dy * dy;
        const part = length ? clamp(((x - qx) * dx + (y - qy) * dy) / length, 0, 1) : 0;
        return (x - qx - part * dx) ** 2 + (y - qy - part * dy) ** 2 <= far;
      });
      if (covered) inside.push([x, y]);
    }
  paint();
  if (!inside.length) return;
  let seed = 12345;
  const random = () => (seed = (seed * 1664525 + 1013904223) % 4294967296) / 4294967296;
  const points = [];
  for (let k = 0; k < POINTS; k++) {
    const [x, y] = inside[Math.floor(random() * inside.length)];
    points.push(round(x + (random() - 0.5) * step), round(y + (random() - 0.5) * step));
  }
  tab.stroke = { expert: tab.expert, add: tab.add, points };
  pump();
}

// The keyboard, while the plane has the focus

const FURTHER = 5, STEP = 0.1;

function onKey(event) {
  const typed = event.composedPath()[0];
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !(typed instanceof HTMLInputElement && typed.type === "text")) {
    event.preventDefault();
    return event.shiftKey ? back("future", "past") : back("past", "future");
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "y") {
    event.preventDefault();
    return back("future", "past");
  }
  if (typed !== view.canvas || event.ctrlKey || event.metaKey || event.altKey || !chosen()) return;
  const by = STEP * (event.shiftKey ? FURTHER : 1), mode = chosen();
  const acts = {
    ArrowLeft: () => move(mode, mode.x - by, mode.y),
    ArrowRight: () => move(mode, mode.x + by, mode.y),
    ArrowUp: () => move(mode, mode.x, mode.y + by),
    ArrowDown: () => move(mode, mode.x, mode.y - by),
    "+": () => widen(mode, mode.width * 1.1),
    "=": () => widen(mode, mode.width * 1.1),
    "-": () => widen(mode, mode.width / 1.1),
    ">": () => weigh(mode, mode.mass * 1.2),
    "<": () => weigh(mode, mode.mass / 1.2),
  };
  const every = experts().flatMap(({ modes }, expert) => modes.map((_, which) => [expert, which]));
  const turn = { PageDown: 1, PageUp: -1 }[event.key];
  if (turn) {
    const now = every.findIndex(([expert, which]) => expert === tab.expert && which === tab.mode);
    const [expert, which] = every[(now + turn + every.length) % every.length];
    chooseMode(expert, which);
    say(`Expert ${expert + 1}, mode ${which + 1}, x ${round(chosen().x, 2)}, y ${round(chosen().y, 2)}`);
  } else if (event.key === "Delete" || event.key === "Backspace") removeMode();
  else if (event.key === " ") togglePlay();
  else if (event.key in acts) {
    if (!event.repeat) remember();
    acts[event.key]();
    changed();
    say(`x ${round(mode.x, 2)}, y ${round(mode.y, 2)}, width ${round(mode.width, 2)}, mass ${round(mode.mass, 2)}`);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function create(root) {
  const host = root.querySelector(".play"), part = (name) => host.querySelector(name);
  view = {
    root, host, canvas: part(".plane"), tools: part(".tools"), transport: part(".transport"), hint: part(".hint"), said: part(".said"),
    panel: part(".panel"), problem: part(".problem"), legend: part(".legend"), figures: part(".figures"), ways: part(".ways"),
    difference: part(".difference canvas"), weights: part(".weights canvas"), titles: { difference: part(".difference h3") },
    buttons: {}, fields: {}, lines: [], glide: null, due: 0, drag: null, trail: null, places: null, since: 0,
  };
  host.made = view;
  const { canvas } = view;
  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", onUp);
  canvas.addEventListener("dblclick", (event) => {
    if (tab.tool === "draw" || hit(at(event), false)) return;
    const [px, py] = at(event), place = placing(canvas);
    addMode(place.toX(px), place.toY(py));
  });
  host.addEventListener("keydown", onKey);
  for (const chart of [view.difference, view.weights]) {
    const point = (event) => event.buttons && chart.toMoment && go(chart.toMoment(event.clientX - chart.getBoundingClientRect().left));
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointermove", point);
  }
  new ResizeObserver(() => {
    view.lines = [];
    view.targetPath = null;
    paint();
  }).observe(canvas);
}

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".play"), first = !host.made;
  if (first) create(parentElement);
  view = host.made;
  const recoloured = JSON.stringify(view.data?.colours) !== JSON.stringify(data.colours);
  view.data = data;
  view.send = setStateValue;
  if (tab.opened !== data.opened || !tab.sketch) {
    tab.opened = data.opened;
    tab.answer = null;
    adopt(data.start);
    settle();
  }
  if (first) {
    tab.flying = null; // an answer to what an earlier page asked may never come
    tab.playing = false;
    drawWays();
    if (tab.answer) drawFigures();
    drawTransport();
  }
  if (first || recoloured) {
    drawPanel();
    drawFigures();
  }
  take(data);
  if (first) {
    tab.changed = performance.now();
    want();
  }
  paint();
}
