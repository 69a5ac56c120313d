// A run played back, without the server: its moments, drawn by the scene (createScene of scene_KIND.js, which is put before
// this text; null where there is none), beside its curves, over which one cursor moves.
//
// data: {
//   token: of what is played; the same token is the same content,
//   given: { moments, shared, rows, names, index, level, steps, traced, batch, corrected, ancestors, compared, agreement,
//            curves, alt, note } as charts/player.py makes it; arrays are read by `unpacked` (arrays.js),
//   look: { colours, neutral, guide, target, resampled, picked, theme },
//   sample: the sample that is chosen at first, or null, step: the step it opens at, or null,
// }
// state: sample: the number of the sample that was chosen here, -1 for none. Moments are never told: they move in here alone.
// The tab's script (tab.js) keeps sample and step in the address line; `window.superdiffPlayers` remembers, of each run,
// where it was left while another view is looked at.

const LEFT = 50, RIGHT = 16, TOP = 8, FOOT = 30; // around a plot, in pixels at scale 1
const FASTEST = 60, MOST_CHOSEN = 6, NEAR = 7;
const remembered = (window.superdiffPlayers ??= { rate: null, runs: {} });

function el(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const shortly = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 0.995 ? 2 : 3;
  return value.toFixed(digits).replace("-", "−");
};
const exponent = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");

// Where an axis from `low` to `high` is labelled, at about `most` places.
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / width - 1e-9) * width; at <= high + width * 1e-6; at += width) found.push(Math.abs(at) < width / 1e6 ? 0 : at);
  return [found, Math.max(0, -Math.floor(Math.log10(width) + 1e-9))];
}

// A share of the values from below; NaN is left out.
function quantile(values, share) {
  if (!values.length) return NaN;
  return values[Math.min(values.length - 1, Math.max(0, Math.round(share * (values.length - 1))))];
}

class Player {
  constructor(root) {
    this.root = root;
    const find = (selector) => root.querySelector(selector);
    this.parts = {
      back: find(".back"), play: find(".play"), forward: find(".forward"), scrub: find(".scrub"), now: find(".now"),
      speed: find(".speed input"), pace: find(".speed output"), sample: find(".sample input"), all: find(".all"), part: find(".part"),
      choice: find(".part select"), legend: find(".legend"), link: find(".link"), said: find(".said"), body: find(".body"),
      left: find(".left"), scene: find(".scene"), controls: find(".controls"), curves: find(".curves"), note: find(".note"),
    };
    this.at = 0;
    this.picks = [];
    this.timer = null;
    this.component = "";
    this.panels = [];
    this.listen();
  }

  // --- what a scene may ask
  scale() {
    return Number(getComputedStyle(this.root).getPropertyValue("--studio-scale")) || 1;
  }
  moment() {
    return this.at;
  }
  chosen() {
    return this.picks;
  }
  playing() {
    return this.timer !== null;
  }
  row(sample, moment) {
    const { ancestors, rows, batch } = this.data;
    if (sample < 0 || sample >= batch) return -1;
    if (!ancestors) return sample < rows ? sample : -1;
    const count = ancestors.shape[1];
    return sample < count ? ancestors[moment * count + sample] : -1;
  }
  sampleOf(row, moment) {
    const { ancestors } = this.data;
    if (!ancestors) return row;
    const count = ancestors.shape[1], all = ancestors.subarray(moment * count, (moment + 1) * count);
    // The one that is chosen, if it came from here, else the first.
    return this.picks.find((sample) => sample < count && all[sample] === row) ?? all.indexOf(row);
  }
  estimated(moment) {
    return this.pair("estimated", moment);
  }
  exact(moment) {
    return this.pair("exact", moment);
  }
  pair(name, moment) {
    const whole = this.data.compared?.[name];
    if (!whole) return null;
    const size = whole.shape[1] * whole.shape[2], found = whole.subarray(moment * size, (moment + 1) * size);
    found.shape = whole.shape.slice(1);
    return found;
  }
  logDensity(sample, moment) {
    return this.ofSample(this.data.curves.single, sample, moment);
  }
  weights(sample, moment) {
    return this.ofSample(this.data.curves.singleWeights, sample, moment);
  }
  ofSample(array, sample, moment) {
    const [, experts, traced] = array.shape, row = this.curveRow(moment);
    if (sample < 0 || sample >= traced || row < 0) return null;
    return Array.from({ length: experts }, (_, expert) => array[(row * experts + expert) * traced + sample]);
  }
  // The row of the curves at a moment; they hold every moment's step.
  curveRow(moment) {
    return this.data.curves.index.indexOf(this.data.index[moment]);
  }
  redraw() {
    this.draw();
  }
  choose(sample, more = false) {
    const before = this.picks.join();
    if (sample === null || sample < 0) this.picks = [];
    else if (!Number.isInteger(sample) || sample >= this.data.batch) return;
    else if (more && this.picks.includes(sample)) this.picks = this.picks.filter((one) => one !== sample);
    else this.picks = [sample, ...(more ? this.picks.filter((one) => one !== sample) : [])].slice(0, MOST_CHOSEN);
    if (this.picks.join() === before) return;
    this.frame(true);
    clearTimeout(this.telling);
    // Told a moment later: whoever steps through the samples is not to wait for the server.
    this.telling = setTimeout(() => this.tell?.("sample", this.picks[0] ?? -1), 120);
  }
  go(moment) {
    this.play(false);
    this.move(moment);
  }

  // --- moving
  move(moment) {
    const last = this.data.index.length - 1;
    const wanted = Math.min(Math.max(moment, 0), Math.max(last, 0));
    if (wanted === this.at) return;
    this.at = wanted;
    this.frame(false);
  }
  // One drawing for all that happens until the browser draws.
  frame(base) {
    this.stale ||= base;
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (this.root.isConnected) this.draw();
    });
  }
  rate() {
    const place = Number(this.parts.speed.value) / 20;
    return place === 1 ? Infinity : Math.round(FASTEST ** place);
  }
  play(on) {
    const last = this.data.index.length - 1;
    if (on === this.playing() || (on && last < 1)) return;
    if (!on) {
      cancelAnimationFrame(this.timer);
      this.timer = null;
    } else {
      if (this.at === last) this.move(0);
      let due = performance.now() + 1000 / this.rate();
      const tick = (time) => {
        if (!this.root.isConnected) return this.play(false);
        if (time >= due) {
          // Every moment is shown: where drawing takes longer, the replay takes longer too.
          due = Math.max(time, due + 1000 / this.rate());
          this.move(this.at + 1);
          if (this.at === last) return this.play(false);
        }
        this.timer = requestAnimationFrame(tick);
      };
      this.timer = requestAnimationFrame(tick);
    }
    this.buttons();
    this.remember();
  }
  buttons() {
    const last = this.data.index.length - 1, playing = this.playing();
    this.parts.play.textContent = playing ? "Pause" : "Play";
    this.parts.play.title = playing ? "Pause (Space)" : "Play (Space)";
    this.parts.play.disabled = last < 1;
    this.parts.back.disabled = this.at === 0;
    this.parts.forward.disabled = this.at >= last;
  }
  pace() {
    const rate = this.rate(), words = rate === Infinity ? "as fast as it can" : `${rate} moment${rate === 1 ? "" : "s"}/s`;
    this.parts.pace.textContent = words;
    this.parts.speed.setAttribute("aria-label", "Speed");
    this.parts.speed.setAttribute("aria-valuetext", words);
  }

  // --- what is remembered: of this tab, and in its address line
  remember() {
    const sample = this.picks[0] ?? null, step = this.data.index[this.at] ?? null;
    remembered.runs[this.token] = { sample, step, picks: this.picks, component: this.component };
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.write(), this.playing() ? 1500 : 250);
  }
  write() {
    const tab = window.superdiffTab, step = this.data.index[this.at];
    if (!tab || !this.root.isConnected) return;
    tab.look = { ...(this.picks.length ? { sample: this.picks[0] } : {}), ...(step === undefined ? {} : { step }) };
    tab.write?.();
  }
  async copy() {
    clearTimeout(this.writing);
    this.write();
    let said = "The link is copied.";
    try {
      await navigator.clipboard.writeText(location.href);
    } catch {
      said = "This browser lets no page copy; the address line has the link.";
    }
    this.parts.said.textContent = said;
    setTimeout(() => this.words(), 4000);
  }

  // --- what is heard
  listen() {
    const { parts } = this;
    parts.play.onclick = () => this.play(!this.playing());
    parts.back.onclick = () => this.go(this.at - 1);
    parts.forward.onclick = () => this.go(this.at + 1);
    parts.scrub.oninput = () => this.go(Number(parts.scrub.value));
    parts.speed.oninput = () => {
      remembered.rate = parts.speed.value;
      this.pace();
    };
    parts.sample.oninput = () => {
      const text = parts.sample.value, number = Number(text);
      if (text === "") this.choose(null);
      else if (Number.isInteger(number) && number >= 0 && number < this.data.batch) this.choose(number);
    };
    parts.sample.onchange = () => this.field();
    parts.all.onclick = () => this.choose(null);
    parts.link.onclick = () => this.copy();
    parts.choice.onchange = () => {
      this.component = parts.choice.value;
      this.frame(true);
    };
    this.root.addEventListener("keydown", (event) => this.key(event));
  }
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const on = event.target, typed = on.matches("input[type=number], input[type=text], select, textarea");
    const slides = on.matches("input[type=range]"), presses = on.matches("button, input[type=checkbox], input[type=radio], summary, a");
    const last = this.data.index.length - 1;
    const acts = {
      ArrowLeft: () => this.go(this.at - 1), ArrowRight: () => this.go(this.at + 1), Home: () => this.go(0), End: () => this.go(last),
      "[": () => this.choose(Math.max((this.picks[0] ?? 0) - 1, 0)),
      "]": () => this.choose(Math.min((this.picks[0] ?? -1) + 1, this.data.batch - 1)),
    };
    if (event.key === " " && !typed && !presses) this.play(!this.playing());
    else if (event.key in acts && !typed && !(slides && event.key.length > 1)) acts[event.key]();
    else return;
    event.preventDefault();
  }

  // --- taking data in
  take(data) {
    const fresh = data.token !== this.token, look = JSON.stringify(data.look);
    if (fresh) {
      const given = data.given, curves = given.curves;
      const series = (one) => ({ mean: unpacked(one.mean), meanWeights: unpacked(one.meanWeights) });
      this.data = {
        ...given,
        ancestors: given.ancestors && unpacked(given.ancestors),
        compared: given.compared && { estimated: unpacked(given.compared.estimated), exact: unpacked(given.compared.exact) },
        curves: {
          ...curves, ...series(curves), single: unpacked(curves.single), singleWeights: unpacked(curves.singleWeights),
          components: Object.fromEntries(Object.entries(curves.components).map(([name, one]) => [name, series(one)])),
          effective: curves.effective && { ...curves.effective, share: unpacked(curves.effective.share) },
        },
      };
      this.token = data.token;
      this.play(false);
    }
    const restyled = fresh || look !== this.look || this.scale() !== this.scaled;
    if (!restyled) return;
    this.look = look;
    this.scaled = this.scale();
    Object.assign(this.data, data.look);
    if (fresh) this.open(data);
    this.legend();
    this.scene?.changed();
    this.draw(true);
  }
  open(data) {
    const { parts } = this, last = Math.max(this.data.index.length - 1, 0), kept = remembered.runs[this.token];
    const step = kept ? kept.step : data.step;
    this.at = step === null ? last : this.nearest(step);
    const fits = (sample) => Number.isInteger(sample) && sample >= 0 && sample < this.data.batch;
    this.picks = (kept && data.sample === kept.sample ? kept.picks : [data.sample]).filter(fits);
    this.component = kept?.component in this.data.curves.components ? kept.component : "";
    parts.scrub.max = String(last);
    parts.scrub.disabled = last < 1;
    parts.sample.max = String(this.data.batch - 1);
    // The whole replay takes about six seconds.
    parts.speed.value = remembered.rate ?? String(Math.round((20 * Math.log(Math.max(last / 6, 2))) / Math.log(FASTEST)));
    parts.note.textContent = this.data.note;
    parts.part.hidden = !Object.keys(this.data.curves.components).length;
    parts.choice.replaceChildren(new Option("all components", ""), ...Object.keys(this.data.curves.components).map((name) => new Option(name, name)));
    parts.choice.value = this.component;
    this.pace();
    const shown = createScene !== null && this.data.moments.length > 0;
    parts.left.hidden = !shown;
    parts.body.classList.toggle("alone", !shown);
    if (shown && !this.scene) {
      this.scene = createScene(parts.scene, this);
      if (this.scene.controls) parts.controls.append(this.scene.controls);
    }
    if (shown) parts.scene.setAttribute("aria-label", this.data.alt);
    parts.scene.setAttribute("role", "group");
    this.lay();
  }
  legend() {
    const { names, colours } = this.data;
    this.parts.legend.replaceChildren(
      ...names.map((name, expert) => {
        const key = el("i");
        key.style.background = colours[expert];
        return el("span", {}, key, name);
      }),
    );
  }
  // The moment that is nearest to a step.
  nearest(step) {
    const { index } = this.data;
    let best = 0;
    for (let place = 1; place < index.length; place += 1)
      if (Math.abs(index[place] - step) < Math.abs(index[best] - step)) best = place;
    return best;
  }

  // --- drawing
  draw(base = false) {
    const redrawn = base || this.stale;
    this.stale = false;
    const { data, parts } = this, step = data.index[this.at], level = data.level[this.at];
    this.root.dataset.step = step ?? "";
    this.root.dataset.sample = this.picks[0] ?? "";
    parts.scrub.value = String(this.at);
    const words = step === undefined ? "no moments were kept" : `step ${step} of ${data.steps}, level s = ${exponent(level)}`;
    parts.now.textContent = words;
    parts.scrub.setAttribute("aria-valuetext", words);
    parts.all.disabled = !this.picks.length;
    this.field();
    this.buttons();
    if (redrawn) this.words();
    for (const panel of this.panels) {
      if (redrawn) panel.base();
      panel.now();
    }
    if (this.scene) this.scene.show(this.at);
    this.remember();
  }
  field() {
    const { sample } = this.parts, wanted = this.picks.length ? String(this.picks[0]) : "";
    if (this.root.getRootNode().activeElement !== sample || Number(sample.value) !== Number(wanted)) sample.value = wanted;
  }
  // What is to be known of the sample that is chosen.
  words() {
    const { traced, rows, batch, ancestors, compared } = this.data, sample = this.picks[0], said = [];
    if (sample !== undefined) {
      const curves = sample < traced;
      if (!curves) said.push(`Curves are kept of the first ${traced} of ${batch} samples; sample ${sample} has none.`);
      if (!ancestors && rows && sample >= rows) said.push(`Moments are kept of the first ${rows} samples.`);
      if (ancestors) said.push(`Marked is the particle that sample ${sample} descends from, where it was kept.`);
      if (this.component) said.push("Of single components only the means are kept.");
      else if (curves) said.push(`Bold: sample ${sample}; dashed: the mean${compared ? "; dotted: exact" : ""}.`);
    }
    this.parts.said.textContent = said.join(" ");
  }
  lay() {
    const { curves, compared, agreement } = this.data, panels = [];
    const experts = this.data.names.length;
    panels.push(new Curve(this, "value"));
    if (experts > 1) panels.push(new Curve(this, "difference"), new Curve(this, "weights"));
    if (curves.effective) panels.push(new Curve(this, "effective"));
    if (compared) {
      panels.push(new Curve(this, "error"));
      if (agreement) panels.push(new Agreement(this));
    }
    this.panels = panels;
    this.parts.curves.classList.toggle("odd", panels.length % 2 === 1);
    this.parts.curves.replaceChildren(...panels.map((panel) => panel.figure));
    this.sizes?.disconnect();
    this.sizes = new ResizeObserver((changes) => {
      if (!this.root.isConnected) return;
      if (changes.some((one) => one.target === this.parts.scene)) this.scene?.resized();
      this.frame(true);
    });
    for (const node of [this.parts.scene, ...panels.map((panel) => panel.plot)]) this.sizes.observe(node);
  }
  removed() {
    this.play(false);
    clearTimeout(this.writing);
    this.sizes?.disconnect();
    this.scene?.removed?.();
    const tab = window.superdiffTab;
    if (!tab) return;
    tab.look = null;
    tab.write?.(); // the tab's own script may have written the address before
  }
}

// A canvas under a title, whose axes it draws.
class Panel {
  constructor(player, title, alt) {
    this.player = player;
    this.canvas = el("canvas");
    this.values = el("span", { className: "values" });
    this.title = el("strong", { textContent: title });
    this.plot = el("div", { className: "plot" }, this.canvas);
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", alt);
    this.figure = el("figure", { className: "panel" }, el("figcaption", {}, this.title, this.values), this.plot);
  }
  // Clears the canvas and draws axes; false where there is no room yet.
  axes([x0, x1], [y0, y1], xTitle, yTitle) {
    const scale = this.player.scale(), dense = window.devicePixelRatio || 1;
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (width < 80 || height < 50) return false;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    const pen = (this.pen = this.canvas.getContext("2d"));
    pen.scale(dense, dense);
    this.box = { x: LEFT * scale, y: TOP, width: width - (LEFT + RIGHT) * scale, height: height - TOP - FOOT * scale };
    this.span = { x0, x1, y0, y1 };
    const style = getComputedStyle(this.plot), { box } = this;
    const ink = style.color;
    pen.font = `${11 * scale}px ${style.fontFamily}`;
    pen.lineWidth = 1;
    const [across, xDigits] = ticks(x0, x1, box.width / (70 * scale)), [up, yDigits] = ticks(y0, y1, box.height / (21 * scale));
    const label = (value, digits) => value.toFixed(Math.min(digits, 6)).replace("-", "−");
    pen.fillStyle = ink;
    pen.strokeStyle = ink;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of up) {
      const y = this.y(value);
      pen.globalAlpha = 0.14;
      pen.beginPath();
      pen.moveTo(box.x, y);
      pen.lineTo(box.x + box.width, y);
      pen.stroke();
      pen.globalAlpha = 0.85;
      pen.fillText(label(value, yDigits), box.x - 5, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const value of across) pen.fillText(label(value, xDigits), this.x(value), box.y + box.height + 4);
    pen.fillText(xTitle, box.x + box.width / 2, box.y + box.height + 4 + 12 * scale);
    pen.save();
    pen.translate(1, box.y + box.height / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(yTitle, 0, 0);
    pen.restore();
    pen.globalAlpha = 0.5;
    pen.strokeRect(box.x, box.y, box.width, box.height);
    pen.globalAlpha = 1;
    return true;
  }
  x(value) {
    return this.box.x + ((value - this.span.x0) / (this.span.x1 - this.span.x0)) * this.box.width;
  }
  y(value) {
    return this.box.y + this.box.height - ((value - this.span.y0) / (this.span.y1 - this.span.y0)) * this.box.height;
  }
  // What follows is drawn within the axes alone.
  within(draw) {
    const { pen, box } = this;
    pen.save();
    pen.beginPath();
    pen.rect(box.x, box.y, box.width, box.height);
    pen.clip();
    pen.lineCap = pen.lineJoin = "round";
    draw(pen);
    pen.restore();
  }
  say(values) {
    this.values.replaceChildren(
      ...values.map(([text, colour]) => {
        const one = el("span", { textContent: text });
        // A dot in the colour: not all of them are dark enough, or light enough, for words.
        if (colour) one.style.setProperty("--colour", colour);
        return one;
      }),
    );
  }
  now() {}
}

// A quantity over the steps: the mean over the samples bold, single ones thin; of chosen samples their own curves bold.
class Curve extends Panel {
  constructor(player, quantity) {
    const { titles, units } = player.data.curves;
    const title = titles[quantity];
    super(player, title, `${title} over the steps; the cursor stands at the moment that is shown`);
    this.quantity = quantity;
    this.unit = units[quantity];
    this.cursor = el("div", { className: "cursor" });
    this.plot.append(this.cursor);
    this.plot.dataset.quantity = quantity;
    this.listen();
  }
  listen() {
    const { plot, player } = this;
    const step = (event) => {
      const at = event.clientX - plot.getBoundingClientRect().left;
      return this.span.x0 + ((at - this.box.x) / this.box.width) * (this.span.x1 - this.span.x0);
    };
    let down = null;
    plot.addEventListener("pointerdown", (event) => {
      if (!this.box || event.button) return;
      down = { x: event.clientX, y: event.clientY };
      plot.setPointerCapture(event.pointerId);
      player.go(player.nearest(step(event)));
    });
    plot.addEventListener("pointermove", (event) => {
      if (!this.box) return;
      if (down) player.go(player.nearest(step(event)));
      // A replay that plays is not stopped by a pointer that passes by.
      else if (event.pointerType !== "touch" && !player.playing()) player.move(player.nearest(step(event)));
    });
    const up = (event) => {
      const moved = !down || Math.hypot(event.clientX - down.x, event.clientY - down.y) > 4;
      down = null;
      if (moved) return;
      const box = plot.getBoundingClientRect(), found = this.under(event.clientX - box.left, event.clientY - box.top);
      if (found !== null) player.choose(found, event.shiftKey || event.ctrlKey || event.metaKey);
    };
    plot.addEventListener("pointerup", up);
    plot.addEventListener("pointercancel", () => (down = null));
  }
  // [steps, lines: (row, line) -> value] of the means, of the samples, and how many there are.
  series() {
    const { data, component } = this.player, { curves } = data, experts = data.names.length;
    const steps = curves.index, single = component ? 0 : data.traced;
    const part = component ? curves.components[component] : curves;
    const centred = (at) => {
      let sum = 0;
      for (let expert = 0; expert < experts; expert += 1) sum += at(expert);
      return sum / experts;
    };
    if (this.quantity === "error") return this.errors();
    if (this.quantity === "effective") {
      const { share } = curves.effective, groups = share.shape[1];
      const median = (row) => quantile(Array.from(share.subarray(row * groups, (row + 1) * groups)).sort((a, b) => a - b), 0.5);
      return { steps, experts: 1, single: groups > 1 ? groups : 0, mean: median, one: (row, _, group) => share[row * groups + group], ofSamples: false };
    }
    const weights = this.quantity === "weights", less = this.quantity === "difference";
    const mean = weights ? part.meanWeights : part.mean, own = weights ? curves.singleWeights : curves.single;
    const meanAt = (row, expert) => mean[row * experts + expert], oneAt = (row, expert, sample) => own[(row * experts + expert) * data.traced + sample];
    return {
      steps, experts, single, ofSamples: true,
      mean: less ? (row, expert) => meanAt(row, expert) - centred((other) => meanAt(row, other)) : meanAt,
      one: less ? (row, expert, sample) => oneAt(row, expert, sample) - centred((other) => oneAt(row, other, sample)) : oneAt,
    };
  }
  errors() {
    const { data } = this.player, { estimated, exact } = data.compared, [, experts, count] = exact.shape;
    const one = (row, expert, sample) => {
      const place = this.player.row(sample, row);
      if (place < 0 || place >= count) return NaN;
      const at = (row * experts + expert) * count + place;
      return estimated[at] - exact[at];
    };
    const means = Array.from({ length: data.index.length * experts }, (_, place) => {
      let sum = 0;
      for (let sample = 0; sample < count; sample += 1) sum += estimated[place * count + sample] - exact[place * count + sample];
      return sum / count;
    });
    return { steps: data.index, experts, single: Math.min(data.traced, count), mean: (row, expert) => means[row * experts + expert], one, ofSamples: true };
  }
  range(found) {
    if (this.quantity === "effective") return [0, 100];
    const bold = [], thin = [];
    const add = (to, value) => Number.isFinite(value) && to.push(value);
    for (let row = 0; row < found.steps.length; row += 1)
      for (let expert = 0; expert < found.experts; expert += 1) {
        add(bold, found.mean(row, expert));
        for (const sample of this.player.picks) add(bold, found.one(row, expert, sample));
        for (let sample = 0; sample < found.single; sample += 1) add(thin, found.one(row, expert, sample));
      }
    thin.sort((a, b) => a - b);
    let low = Infinity, high = -Infinity;
    for (const value of bold) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    // A few thin curves far out do not squeeze all others.
    if (thin.length) {
      low = Math.min(low, quantile(thin, 0.02));
      high = Math.max(high, quantile(thin, 0.98));
    }
    if (!Number.isFinite(low)) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    return [low - room, high + room];
  }
  base() {
    const { data, picks } = this.player, found = (this.found = this.series()), scale = this.player.scale();
    if (!this.axes([0, data.steps], this.range(found), "step", this.unit)) return;
    const colour = (expert) => (this.quantity === "effective" ? data.neutral : data.colours[expert]);
    const bold = found.ofSamples ? picks.filter((sample) => sample < found.single || this.quantity === "error") : [];
    this.within((pen) => {
      const line = (value, width, alpha, stroke, dash = [], steps = found.steps) => {
        pen.beginPath();
        let drawn = false;
        for (let row = 0; row < steps.length; row += 1) {
          const y = value(row);
          if (!Number.isFinite(y)) drawn = false;
          else if (drawn) pen.lineTo(this.x(steps[row]), this.y(y));
          else {
            pen.moveTo(this.x(steps[row]), this.y(y));
            drawn = true;
          }
        }
        pen.setLineDash(dash);
        pen.lineWidth = width * scale;
        pen.globalAlpha = alpha;
        pen.strokeStyle = stroke;
        pen.stroke();
        pen.setLineDash([]);
      };
      this.marks(pen);
      for (let expert = 0; expert < found.experts; expert += 1)
        for (let sample = 0; sample < found.single; sample += 1)
          line((row) => found.one(row, expert, sample), 1, bold.length ? 0.14 : 0.22, colour(expert));
      for (let expert = 0; expert < found.experts; expert += 1)
        // The first expert's line is broader, so that lines on top of each other show both colours.
        if (bold.length) line((row) => found.mean(row, expert), 1.4, 0.75, colour(expert), [5 * scale, 4 * scale]);
        else line((row) => found.mean(row, expert), expert || found.experts < 2 ? 2.2 : 3.6, 1, colour(expert));
      for (const sample of [...bold].reverse())
        for (let expert = 0; expert < found.experts; expert += 1)
          line((row) => found.one(row, expert, sample), (sample === bold[0] ? 1 : 0.6) * (expert ? 2.4 : 3.8), 1, colour(expert));
      // Of the one that is chosen, dotted, what the exact densities say at the moments.
      const exact = bold.length ? this.exact(bold[0]) : null;
      if (exact)
        for (let expert = 0; expert < found.experts; expert += 1)
          line((moment) => exact(moment, expert), 2, 1, data.neutral, [0.1, 4.5 * scale], data.index);
      if (this.quantity === "error") line(() => 0, 1.2, 1, data.guide, [4, 4]);
      if (this.quantity === "effective") line(() => data.curves.effective.threshold, 1.4, 1, data.resampled, [5, 4]);
    });
    this.cursor.style.height = `${this.box.height}px`;
    this.cursor.style.top = `${this.box.y}px`;
    this.bold = bold;
  }
  // (moment, expert) -> the exact value of a sample, of log-densities that are known exactly; else null.
  exact(sample) {
    const { player } = this, { compared, names } = player.data;
    if (!compared || player.component || !["value", "difference"].includes(this.quantity)) return null;
    const count = compared.exact.shape[2], experts = names.length;
    return (moment, expert) => {
      const row = player.row(sample, moment);
      if (row < 0 || row >= count) return NaN;
      const values = player.exact(moment), at = (one) => values[one * count + row];
      if (this.quantity === "value") return at(expert);
      return at(expert) - names.reduce((sum, _, one) => sum + at(one), 0) / experts;
    };
  }
  // Where particles were resampled.
  marks(pen) {
    const { data } = this.player, { marks, mostLines } = data.curves;
    const top = marks.length > mostLines ? 0.93 : 0;
    pen.globalAlpha = 0.55;
    pen.strokeStyle = data.resampled;
    pen.lineWidth = 1;
    for (const mark of marks) {
      pen.beginPath();
      pen.moveTo(this.x(mark), this.box.y + this.box.height * top);
      pen.lineTo(this.x(mark), this.box.y + this.box.height);
      pen.stroke();
    }
  }
  now() {
    if (!this.box) return;
    const { data, at } = this.player, step = data.index[at];
    this.cursor.hidden = step === undefined;
    if (step === undefined) return;
    this.cursor.style.left = `${this.x(step) - 1}px`;
    this.plot.dataset.step = step;
    const found = this.found, row = found.steps.indexOf(step);
    if (this.quantity === "effective") return this.say([[`${shortly(found.mean(row))} %`]]);
    const one = (this.bold || [])[0];
    this.say(data.names.map((_, expert) => [shortly(one === undefined ? found.mean(row, expert) : found.one(row, expert, one)), data.colours[expert]]));
  }
  // The sample whose curve lies at a place of the plot, or null.
  under(x, y) {
    const { found } = this;
    if (!found?.ofSamples || !this.box) return null;
    const step = this.span.x0 + ((x - this.box.x) / this.box.width) * (this.span.x1 - this.span.x0);
    let right = found.steps.findIndex((one) => one >= step);
    if (right < 0) return null;
    right = Math.max(right, Math.min(1, found.steps.length - 1));
    const left = Math.max(right - 1, 0), share = (step - found.steps[left]) / (found.steps[right] - found.steps[left] || 1);
    let best = null, near = NEAR;
    for (let expert = 0; expert < found.experts; expert += 1)
      for (let sample = 0; sample < found.single; sample += 1) {
        const value = (1 - share) * found.one(left, expert, sample) + share * found.one(right, expert, sample);
        const far = Math.abs(this.y(value) - y);
        if (far < near) [best, near] = [sample, far];
      }
    return best;
  }
}

// Estimated against exact log-densities of the samples of the moment; on the diagonal they agree.
class Agreement extends Panel {
  constructor(player) {
    super(player, "Estimated against exact", "Estimated against exact log-density of the samples of this moment; on the diagonal they agree");
    this.plot.classList.add("still");
    this.plot.dataset.quantity = "agreement";
  }
  base() {}
  now() {
    const { player } = this, { data, at, picks } = player, scale = player.scale();
    const estimated = player.estimated(at), exact = player.exact(at);
    if (!exact) return;
    const [experts, count] = exact.shape;
    let low = Infinity, high = -Infinity;
    for (const values of [estimated, exact])
      for (const value of values) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (!Number.isFinite(low)) return;
    const room = (high - low || 1) * 0.04;
    if (!this.axes([low - room, high + room], [low - room, high + room], "estimated, nats", "exact, nats")) return;
    const rows = picks.map((sample) => player.row(sample, at)).filter((row) => row >= 0 && row < count);
    this.within((pen) => {
      pen.strokeStyle = data.guide;
      pen.lineWidth = 1.2 * scale;
      pen.beginPath();
      pen.moveTo(this.x(low - room), this.y(low - room));
      pen.lineTo(this.x(high + room), this.y(high + room));
      pen.stroke();
      for (let expert = 0; expert < experts; expert += 1) {
        pen.fillStyle = data.colours[expert];
        pen.globalAlpha = 0.5;
        for (let row = 0; row < Math.min(count, 160); row += 1) {
          pen.beginPath();
          pen.arc(this.x(estimated[expert * count + row]), this.y(exact[expert * count + row]), 2 * scale, 0, 7);
          pen.fill();
        }
        pen.globalAlpha = 1;
        for (const row of rows) {
          pen.beginPath();
          pen.arc(this.x(estimated[expert * count + row]), this.y(exact[expert * count + row]), 5 * scale, 0, 7);
          pen.fill();
          pen.strokeStyle = data.picked;
          pen.lineWidth = 2 * scale;
          pen.stroke();
        }
      }
    });
    if (experts < 2) return;
    let sum = 0;
    for (let row = 0; row < count; row += 1) sum += Math.abs(estimated[row] - estimated[count + row] - exact[row] + exact[count + row]);
    this.values.title = "Mean error of log q₁ − log q₂ over the samples of this moment";
    this.say([[`error ${shortly(sum / count)} nats`]]);
  }
}

const players = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".player");
  if (!root || !data) return undefined;
  let player = players.get(root);
  if (!player) players.set(root, (player = new Player(root)));
  player.tell = setStateValue;
  player.take(data);
  return () => player.removed();
}
