// The plane at a moment: contour lines of the experts and of the composed density, samples by owner, arrows of what moves
// them, the paths of the chosen ones, and their log-densities as estimated and exact.
//
// shared: {
//   half: half the width of the square, plane units (of the view),
//   enlarged: how many times as long as it is a step's arrows are drawn unless another factor is chosen,
//   total: A, which a formula's weights sum to,
//   composed: "" or, where the operator is no formula, why there is no composed density,
//   still: whether samples keep their rows (not where they are resampled and nobody knows who came from whom),
// }
// moments: [{
//   places: [n, 2] f4, plane units; owner: [n] i1, -1 where no expert owns the sample,
//   pulls: [experts, n, 2], mix: [n, 2], noise: [n, 2] or null,
//   lattice: [experts, points, 2], latticeMix: [points, 2] or null: each { unit, values: i2 }, plane units = unit * value;
//     pulls and mixes are s^2 sum_i kappa_i S_i, the way to the denoised mean,
//   side: points of the lattice each way, rows upwards, over the whole square,
//   share: g / s^2, of a pull the share that the coming step takes,
//   lines: [[segments, 4] i2, ...] of the experts, target: the same or null: x, y, x', y' of which 32000 is half the width,
// }, ...]

const PLANE_KEPT = "superdiff-plane";
const PLANE_PLACES = {
  chosen: "the chosen samples", some: "twelve samples", grid: "a grid", points: "points that I click",
};
const PLANE_LENGTHS = [1, 2, 5, 10, 20, 50];
const PLANE_SOME = 12;
const PLANE_WORDS = {
  expert: "Contour lines of log q of this expert at the noise level of now, 0.5, 2 and 4.5 nats below its highest point " +
    "(one, two and three standard deviations of a Gaussian); and its score's arrows",
  target: "Contour lines of the density that the operator composes, log p = f(log q₁, log q₂, …), at the noise level of now",
  scores: "Arrows of each expert's score S = ∇ log q: where that expert alone would move the sample",
  mix: "Arrow of the mix κ₁ S₁ + κ₂ S₂ + …: where all experts, weighed, move the sample",
  noise: "Arrow of the noise that the coming step adds, drawn from the mix's tip: together they lead to the next place",
  paths: "The way of the chosen samples through all kept moments: bold up to now, dashed after it; coloured by the expert " +
    "that owns the sample",
};

function planeNode(kind, className, text) {
  const node = document.createElement(kind);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

// What was switched, for as long as the tab lives: the live view and the replay share it.
function planeRead() {
  const usual = { hidden: [], scores: true, mix: true, noise: true, paths: true, at: "chosen", length: 0, points: [] };
  try {
    return Object.assign(usual, JSON.parse(sessionStorage.getItem(PLANE_KEPT)) || {});
  } catch {
    return usual;
  }
}

function planeWrite(choice) {
  try {
    sessionStorage.setItem(PLANE_KEPT, JSON.stringify(choice));
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
}

const planeNumber = (value, digits = 2) =>
  Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";

function createScene(host, player) {
  const choice = planeRead();
  const canvas = planeNode("canvas", "plane-canvas");
  canvas.setAttribute("role", "img");
  host.append(canvas);
  const pen = canvas.getContext("2d");
  const legend = planeNode("div", "plane-legend");
  legend.setAttribute("role", "group");
  legend.setAttribute("aria-label", "Layers of the plane");
  const settings = planeNode("div", "plane-settings");
  settings.setAttribute("role", "group");
  settings.setAttribute("aria-label", "Arrows");
  const note = planeNode("p", "plane-note");
  const table = planeNode("div", "plane-table");
  const controls = planeNode("div", "plane-controls");
  controls.append(legend, settings, note, table);
  // Of each moment what was unpacked already.
  let read = new Map(), frame = null, hovered = null, open = !player.live, shortened = 1;

  function change(changes) {
    Object.assign(choice, changes);
    planeWrite(choice);
    player.redraw();
  }

  // In front of an audience, and beside the curves of a run that goes, there is no room for what is set once.
  function unfold() {
    const large = player.scale() > 1;
    settings.hidden = note.hidden = !open || large;
    table.hidden = large;
    legend.querySelector(".plane-more").setAttribute("aria-expanded", String(!settings.hidden));
  }

  const hidden = (layer) => choice.hidden.includes(layer);

  // Controls

  function chip(layer, words, colour, look, text) {
    const button = planeNode("button", "plane-chip");
    button.type = "button";
    const mark = planeNode("span", `plane-mark plane-${look}`);
    mark.style.color = colour;
    mark.setAttribute("aria-hidden", "true");
    button.append(mark, planeNode("span", "plane-word", text));
    button.title = words;
    button.dataset.layer = layer;
    return button;
  }

  function toggled(button, on, act) {
    button.setAttribute("aria-pressed", String(on));
    button.onclick = () => {
      act();
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    };
    return button;
  }

  function hide(layer) {
    change({ hidden: hidden(layer) ? choice.hidden.filter((one) => one !== layer) : [...choice.hidden, layer] });
  }

  function drawLegend() {
    const { data } = player, colour = data.neutral;
    const chips = data.names.map((name, expert) =>
      toggled(chip(`expert-${expert}`, PLANE_WORDS.expert, data.colours[expert], "line", name), !hidden(`expert-${expert}`),
        () => hide(`expert-${expert}`)));
    const composed = chip("target", PLANE_WORDS.target, data.target, "line", "composed density");
    if (data.shared.composed) {
      composed.setAttribute("aria-disabled", "true");
      composed.setAttribute("aria-pressed", "false");
      composed.title = data.shared.composed;
    } else {
      toggled(composed, !hidden("target"), () => hide("target"));
    }
    chips.push(composed);
    for (const [layer, text, look] of [
      ["scores", "scores", "arrow"], ["mix", "mix", "bold"], ["noise", "noise", "dashed"], ["paths", "paths", "path"],
    ]) {
      const tint = layer === "noise" ? data.guide : layer === "scores" ? data.colours[0] : colour;
      if (layer === "paths" && !data.shared.still) continue;
      chips.push(toggled(chip(layer, PLANE_WORDS[layer], tint, look, text), choice[layer],
        () => change({ [layer]: !choice[layer] })));
    }
    const more = planeNode("button", "plane-chip plane-more", "arrows");
    more.type = "button";
    more.title = "Where arrows are drawn, and what they show";
    more.onclick = () => {
      open = settings.hidden;
      unfold();
    };
    legend.replaceChildren(...chips, more);
    unfold();
  }

  function select(label, options, value, act) {
    const field = planeNode("label", "plane-field"), list = planeNode("select");
    for (const [key, text] of options) {
      const option = planeNode("option", "", text);
      option.value = key;
      list.append(option);
    }
    list.value = value;
    list.onchange = () => act(list.value);
    field.append(planeNode("span", "", label), list);
    return field;
  }

  function drawSettings() {
    const usual = player.data.shared.enlarged;
    const lengths = PLANE_LENGTHS.map((times) => [String(times), `the coming step, ${times === 1 ? "true to scale" :
      `${times} times as long`}`]);
    lengths.push(["mean", "the way to the denoised mean"]);
    const clear = planeNode("button", "plane-chip", "Remove points");
    clear.type = "button";
    clear.onclick = () => change({ points: [] });
    clear.hidden = choice.at !== "points";
    const fields = [];
    // The player has such a field of its own.
    if (player.live) {
      const field = planeNode("label", "plane-field"), number = planeNode("input");
      Object.assign(number, { type: "number", min: 0, placeholder: "none" });
      number.oninput = () => {
        const sample = Number(number.value);
        if (number.value !== "" && Number.isInteger(sample) && player.row(sample, player.moment()) >= 0) player.choose(sample);
      };
      field.append(planeNode("span", "", "Sample"), number);
      fields.push(field);
    }
    settings.replaceChildren(
      ...fields,
      select("Arrows at", Object.entries(PLANE_PLACES), choice.at, (at) => {
        change({ at });
        clear.hidden = at !== "points";
      }),
      select("they show", lengths, String(choice.length || usual), (value) =>
        change({ length: value === "mean" ? "mean" : Number(value) })),
      clear,
    );
  }

  const factor = () => (choice.length === "mean" ? null : choice.length || player.data.shared.enlarged);

  // What a moment holds

  function moment(index) {
    if (!read.has(index)) {
      const given = player.data.moments[index];
      const scaled = (one) => one && { unit: one.unit, values: unpacked(one.values) };
      read.set(index, {
        side: given.side, share: given.share, places: unpacked(given.places), owner: unpacked(given.owner),
        pulls: scaled(given.pulls), mix: scaled(given.mix), noise: scaled(given.noise),
        lattice: scaled(given.lattice), latticeMix: scaled(given.latticeMix),
        lines: given.lines.map(unpacked), target: given.target && unpacked(given.target),
      });
    }
    return read.get(index);
  }

  const vector = (field, place) => [field.unit * field.values[2 * place], field.unit * field.values[2 * place + 1]];

  function spread(count) {
    return Array.from({ length: Math.min(PLANE_SOME, count) }, (_, k) => k);
  }

  // The bases of the arrows: { x, y, pulls: [[dx, dy] an expert], mix, noise }.
  function bases(now, index) {
    const experts = player.data.names.length, count = now.places.length / 2;
    const ofSample = (row) => ({
      x: now.places[2 * row], y: now.places[2 * row + 1],
      pulls: Array.from({ length: experts }, (_, expert) => vector(now.pulls, expert * count + row)),
      mix: vector(now.mix, row), noise: now.noise ? vector(now.noise, row) : null,
    });
    const points = now.side * now.side;
    const ofPoint = (point) => ({
      ...place(point, now.side),
      pulls: Array.from({ length: experts }, (_, expert) => vector(now.lattice, expert * points + point)),
      mix: now.latticeMix ? vector(now.latticeMix, point) : null, noise: null,
    });
    if (choice.at === "some") return spread(count).map(ofSample);
    if (choice.at === "grid") {
      const all = [];
      for (let row = 1; row < now.side; row += 2) {
        for (let column = 1; column < now.side; column += 2) all.push(ofPoint(row * now.side + column));
      }
      return all;
    }
    if (choice.at === "points") return choice.points.filter((point) => point < points).map(ofPoint);
    return player.chosen().map((sample) => player.row(sample, index)).filter((row) => row >= 0 && row < count).map(ofSample);
  }

  function place(point, side) {
    const { half } = player.data.shared, apart = 2 * half / (side - 1);
    return { x: -half + apart * (point % side), y: -half + apart * Math.floor(point / side) };
  }

  // Drawing

  function measure() {
    const scale = player.scale(), width = host.clientWidth, height = host.clientHeight;
    const dense = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
    }
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    const left = 42 * scale, right = 10, top = 8, bottom = 38 * scale;
    const side = Math.max(Math.min(width - left - right, height - top - bottom), 20);
    const across = Math.max((width - left - right - side) / 2, 0);
    const { half } = player.data.shared;
    frame = {
      scale, width, height, side, left: left + across, top, unit: side / (2 * half),
      x: (value) => left + across + (value + half) / (2 * half) * side,
      y: (value) => top + (half - value) / (2 * half) * side,
    };
  }

  function axes(text, guide) {
    const { half } = player.data.shared, { scale } = frame;
    const apart = Math.max(1, Math.floor(half / 4)) * (frame.side < 230 ? 2 : 1);
    pen.lineWidth = 1;
    pen.font = `${12 * scale}px ${getComputedStyle(host).fontFamily}`;
    pen.fillStyle = text;
    for (let tick = Math.ceil(-half / apart) * apart; tick <= half; tick += apart) {
      pen.strokeStyle = guide;
      pen.globalAlpha = 0.25;
      pen.beginPath();
      pen.moveTo(frame.x(tick), frame.y(-half));
      pen.lineTo(frame.x(tick), frame.y(half));
      pen.moveTo(frame.x(-half), frame.y(tick));
      pen.lineTo(frame.x(half), frame.y(tick));
      pen.stroke();
      pen.globalAlpha = 1;
      const said = String(tick).replace("-", "−");
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.fillText(said, frame.x(tick), frame.y(-half) + 4);
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(said, frame.left - 5, frame.y(tick));
    }
    pen.strokeStyle = guide;
    pen.strokeRect(frame.left, frame.top, frame.side, frame.side);
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.fillText("x, plane units", frame.left + frame.side / 2, frame.y(-half) + 20 * scale);
    pen.save();
    pen.translate(frame.left - 36 * scale, frame.top + frame.side / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("y, plane units", 0, 0);
    pen.restore();
  }

  function contours(segments, colour, width) {
    const step = player.data.shared.half / 32000;
    pen.strokeStyle = colour;
    pen.lineWidth = width * frame.scale;
    pen.lineCap = "round";
    pen.beginPath();
    for (let k = 0; k < segments.length; k += 4) {
      pen.moveTo(frame.x(segments[k] * step), frame.y(segments[k + 1] * step));
      pen.lineTo(frame.x(segments[k + 2] * step), frame.y(segments[k + 3] * step));
    }
    pen.stroke();
  }

  function dots(now) {
    const radius = 2.1 * Math.min(frame.side / 340, 1.6) * frame.scale;
    pen.globalAlpha = 0.6;
    for (let expert = -1; expert < player.data.names.length; expert += 1) {
      pen.fillStyle = expert < 0 ? player.data.neutral : player.data.colours[expert];
      pen.beginPath();
      for (let row = 0; row < now.owner.length; row += 1) {
        if (now.owner[row] !== expert) continue;
        const x = frame.x(now.places[2 * row]), y = frame.y(now.places[2 * row + 1]);
        pen.moveTo(x + radius, y);
        pen.arc(x, y, radius, 0, 2 * Math.PI);
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  function paths(index, ground) {
    const last = player.data.moments.length;
    for (const sample of player.chosen()) {
      let before = null;
      for (let k = 0; k < last; k += 1) {
        const row = player.row(sample, k), now = moment(k);
        if (row < 0 || row >= now.owner.length) {
          before = null;
          continue;
        }
        const at = [frame.x(now.places[2 * row]), frame.y(now.places[2 * row + 1])];
        if (before) {
          const line = () => {
            pen.beginPath();
            pen.moveTo(...before);
            pen.lineTo(...at);
            pen.stroke();
          };
          const coming = k > index, owner = now.owner[row];
          pen.setLineDash(coming ? [2 * frame.scale, 4 * frame.scale] : []);
          // What is long ago lies behind what is recent.
          pen.globalAlpha = coming ? 0.8 : 0.25 + 0.75 * (index > 0 ? k / index : 1) ** 2;
          if (!coming) {
            pen.strokeStyle = ground;
            pen.lineWidth = 3.4 * frame.scale;
            line();
          }
          pen.strokeStyle = owner < 0 ? player.data.neutral : player.data.colours[owner];
          pen.lineWidth = (coming ? 1.1 : 1.7) * frame.scale;
          line();
        }
        before = at;
      }
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  function arrow(x, y, dx, dy, colour, width, ground, dash) {
    // Beyond the view by far is beyond what a canvas draws.
    const far = 3 * player.data.shared.half / Math.max(Math.hypot(dx, dy), 1e-9);
    const cut = Math.min(1, far);
    const from = [frame.x(x), frame.y(y)], to = [frame.x(x + cut * dx), frame.y(y + cut * dy)];
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (length < 1.5) return;
    const head = Math.min((3 + 2.6 * width) * frame.scale, length), along = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
    const neck = [to[0] - head * along[0], to[1] - head * along[1]], wide = 0.5 * head;
    const body = (colour_, more) => {
      pen.strokeStyle = pen.fillStyle = colour_;
      pen.lineWidth = width * frame.scale + more;
      pen.lineCap = "butt";
      pen.lineJoin = "round";
      pen.setLineDash(dash && !more ? [4 * frame.scale, 3 * frame.scale] : []);
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...neck);
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.moveTo(...to);
      pen.lineTo(neck[0] - wide * along[1], neck[1] + wide * along[0]);
      pen.lineTo(neck[0] + wide * along[1], neck[1] - wide * along[0]);
      pen.closePath();
      if (more) {
        pen.lineWidth = more;
        pen.stroke();
      }
      pen.fill();
    };
    body(ground, 2.5 * frame.scale);
    body(colour, 0);
  }

  // Of arrows at all points of a grid, by what they are shortened, so that none reaches beyond the next point.
  function fitted(found, pull, now) {
    if (choice.at !== "grid") return 1;
    let longest = 1e-9;
    for (const base of found) {
      const drawn = [...(choice.scores ? base.pulls.filter((_, expert) => !hidden(`expert-${expert}`)) : [])];
      if (choice.mix && base.mix) drawn.push(base.mix);
      for (const [dx, dy] of drawn) longest = Math.max(longest, pull * Math.hypot(dx, dy));
    }
    return Math.min(1, (4 * player.data.shared.half) / (now.side - 1) / longest);
  }

  function arrows(now, index, ground) {
    const times = factor(), { data } = player, found = bases(now, index);
    let pull = times === null ? 1 : times * now.share;
    shortened = fitted(found, pull, now);
    pull *= shortened;
    for (const base of found) {
      if (choice.scores) {
        base.pulls.forEach(([dx, dy], expert) => {
          if (!hidden(`expert-${expert}`)) {
            arrow(base.x, base.y, pull * dx, pull * dy, data.colours[expert], 1.8, ground, false);
          }
        });
      }
      const mixed = base.mix && base.mix.map((part) => (times === null ? pull * part / data.shared.total : pull * part));
      if (choice.mix && mixed) arrow(base.x, base.y, ...mixed, data.neutral, 2.8, ground, false);
      if (choice.noise && base.noise && times !== null) {
        const start = choice.mix && mixed ? mixed : [0, 0];
        const [dx, dy] = base.noise.map((part) => times * part);
        arrow(base.x + start[0], base.y + start[1], dx, dy, data.guide, 1.8, ground, true);
      }
    }
  }

  function rings(now, index, ground) {
    const chosen = player.chosen();
    pen.font = `${12 * frame.scale}px ${getComputedStyle(host).fontFamily}`;
    chosen.forEach((sample, order) => {
      const row = player.row(sample, index);
      if (row < 0 || row >= now.owner.length) return;
      const x = frame.x(now.places[2 * row]), y = frame.y(now.places[2 * row + 1]);
      pen.strokeStyle = player.data.picked;
      pen.lineWidth = (order ? 1.6 : 2.6) * frame.scale;
      pen.beginPath();
      pen.arc(x, y, 6 * frame.scale, 0, 2 * Math.PI);
      pen.stroke();
      if (chosen.length > 1) {
        pen.fillStyle = player.data.picked;
        pen.textAlign = "left";
        pen.textBaseline = "bottom";
        pen.strokeStyle = ground;
        pen.lineWidth = 4 * frame.scale;
        pen.strokeText(String(sample), x + 7 * frame.scale, y - 5 * frame.scale);
        pen.fillText(String(sample), x + 7 * frame.scale, y - 5 * frame.scale);
      }
    });
  }

  function lattice(now) {
    const radius = 1.3 * frame.scale;
    pen.fillStyle = player.data.guide;
    for (let point = 0; point < now.side * now.side; point += 1) {
      const { x, y } = place(point, now.side), here = choice.points.includes(point) || point === hovered;
      pen.globalAlpha = here ? 1 : 0.45;
      pen.beginPath();
      pen.arc(frame.x(x), frame.y(y), here ? 3 * radius : radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  // Words

  function said(now, index) {
    const times = factor(), known = now.latticeMix !== null;
    const shown = ["scores", "mix", "noise"].some((one) => choice[one]);
    if (!shown) return "";
    const sentences = [];
    if (choice.at === "chosen" && !player.chosen().length) {
      sentences.push("Click a sample to choose it: its arrows and its path are drawn.");
    } else if (times === null) {
      sentences.push("Arrows end at the denoised mean, y + s² S: what the clean sample is expected to be, from here.");
    } else {
      sentences.push(`Arrows: what the coming step adds${times === 1 ? "" : `, ${times} times as long`}; each expert's ` +
        "is what it would add alone" + (choice.noise && now.noise && choice.mix && ["chosen", "some"].includes(choice.at) ?
        ", and noise starts at the mix's tip." : "."));
    }
    if (choice.at === "grid" && shortened < 0.999) {
      sentences.push(`All are shortened to ${planeNumber(100 * shortened, 0)} % of that, so that the longest reaches the next point.`);
    }
    if (choice.at === "points" && !choice.points.length) sentences.push("Click in the plane to set a point.");
    if (["grid", "points"].includes(choice.at) && !known && choice.mix) {
      sentences.push("This operator knows its weights only where samples are, so there is no mix here.");
    }
    return sentences.join(" ");
  }

  function figures(index) {
    const exact = player.exact(index), estimated = player.estimated(index), { data } = player;
    const rows = player.chosen().map((sample) => [sample, player.row(sample, index)]).filter(([, row]) => row >= 0);
    if (!exact || !estimated || !rows.length) {
      table.replaceChildren();
      return;
    }
    const count = exact.length / data.names.length, body = planeNode("table");
    const caption = planeNode("caption", "", `log q of the chosen at s = ${Number(data.level[index].toPrecision(3))}, in nats`);
    const head = planeNode("tr");
    for (const text of ["sample", "expert", "estimated", "exact", "off by"]) {
      const cell = planeNode("th", "", text);
      cell.scope = "col";
      head.append(cell);
    }
    body.append(caption, head);
    for (const [sample, row] of rows) {
      if (row >= count) continue;
      data.names.forEach((name, expert) => {
        const found = estimated[expert * count + row], truth = exact[expert * count + row];
        const line = planeNode("tr"), first = planeNode("td", "", expert ? "" : String(sample));
        const named = planeNode("th", "plane-named", name);
        named.scope = "row";
        named.style.setProperty("--plane-colour", data.colours[expert]);
        line.append(first, named, ...[found, truth, found - truth].map((value) => planeNode("td", "", planeNumber(value))));
        body.append(line);
      });
    }
    table.replaceChildren(body);
  }

  // Clicks

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function latticePoint([px, py], side) {
    const { half } = player.data.shared, apart = frame.side / (side - 1);
    const column = Math.round((px - frame.left) / apart), row = Math.round((frame.top + frame.side - py) / apart);
    return half && row >= 0 && row < side && column >= 0 && column < side ? row * side + column : null;
  }

  function nearest([px, py], now) {
    let best = -1, least = (12 * frame.scale) ** 2;
    for (let row = 0; row < now.owner.length; row += 1) {
      const far = (frame.x(now.places[2 * row]) - px) ** 2 + (frame.y(now.places[2 * row + 1]) - py) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  canvas.onclick = (event) => {
    if (!player.data.moments.length) return;
    const index = player.moment(), now = moment(index), at = pointed(event);
    if (choice.at === "points") {
      const point = latticePoint(at, now.side);
      if (point === null) return;
      const { points } = choice;
      change({ points: points.includes(point) ? points.filter((one) => one !== point) : [...points, point] });
      return;
    }
    const row = nearest(at, now);
    const sample = row < 0 ? -1 : player.sampleOf(row, index);
    if (sample >= 0) player.choose(sample, event.shiftKey || event.ctrlKey || event.metaKey);
  };
  canvas.onmousemove = (event) => {
    if (!player.data.moments.length || !frame) return;
    const now = moment(player.moment()), at = pointed(event);
    if (choice.at === "points") {
      const point = latticePoint(at, now.side);
      canvas.style.cursor = point === null ? "" : "crosshair";
      if (point !== hovered) {
        hovered = point;
        player.redraw();
      }
      return;
    }
    canvas.style.cursor = nearest(at, now) < 0 ? "" : "pointer";
  };
  canvas.onmouseleave = () => {
    if (hovered !== null) {
      hovered = null;
      player.redraw();
    }
  };

  return {
    controls,
    changed() {
      read = new Map();
      canvas.setAttribute("aria-label", player.data.alt || "Samples in the plane over contour lines of the densities");
      Object.assign(choice, planeRead());
      if (!(choice.at in PLANE_PLACES)) choice.at = "chosen";
      drawLegend();
      drawSettings();
    },
    resized() {},
    show(index) {
      if (!player.data.moments.length || !host.clientWidth) return;
      measure();
      pen.clearRect(0, 0, frame.width, frame.height);
      const style = getComputedStyle(host), now = moment(index), { data } = player;
      const ground = style.getPropertyValue("--st-background-color") || "#ffffff";
      axes(style.color, data.guide);
      pen.save();
      pen.beginPath();
      pen.rect(frame.left, frame.top, frame.side, frame.side);
      pen.clip();
      dots(now);
      now.lines.forEach((segments, expert) => {
        if (!hidden(`expert-${expert}`)) contours(segments, data.colours[expert], expert ? 1.6 : 2.8);
      });
      if (now.target && !hidden("target")) contours(now.target, data.target, 2);
      if (choice.at === "points") lattice(now);
      if (choice.paths && data.shared.still) paths(index, ground);
      rings(now, index, ground);
      arrows(now, index, ground);
      pen.restore();
      const words = said(now, index);
      if (note.textContent !== words) note.textContent = words;
      figures(index);
      host.dataset.square = [frame.left, frame.top, frame.side].join(" ");
      host.dataset.moment = host.dataset.drawn = index;
    },
  };
}
