// Moments of the plane: samples over the contour lines of every expert and of the exact target, at the level of the moment.
//
// moment: { positions [n, 2] and lines [segments, 4] of each expert in units of `unit`, owner [n] (an expert, or -1), target:
//           lines or null, extent: [x0, x1, y0, y1] }, arrays packed
// shared: { targets: whether there is an exact target }

function createScene(host, player) {
  const canvas = el("canvas"), pen = canvas.getContext("2d");
  canvas.style.cssText = "position: absolute; inset: 0; width: 100%; height: 100%; cursor: pointer;";
  host.append(canvas);
  const target = el("input", { type: "checkbox", checked: true });
  const controls = el("label", {}, target, "Exact target");
  target.onchange = () => player.redraw();
  let shown = 0, box = null;

  const open = (moment) =>
    (moment.open ??= {
      positions: unpacked(moment.positions), owner: unpacked(moment.owner), lines: moment.lines.map(unpacked),
      target: moment.target && unpacked(moment.target),
    });
  const x = (value) => box.left + ((value - box.x0) / (box.x1 - box.x0)) * box.side;
  const y = (value) => box.top + box.side - ((value - box.y0) / (box.y1 - box.y0)) * box.side;

  function axes(ink) {
    const scale = player.scale();
    pen.font = `${11 * scale}px ${getComputedStyle(host).fontFamily}`;
    pen.fillStyle = pen.strokeStyle = ink;
    pen.globalAlpha = 0.5;
    pen.lineWidth = 1;
    pen.strokeRect(box.left, box.top, box.side, box.side);
    pen.globalAlpha = 0.85;
    const [places, digits] = ticks(box.x0, box.x1, 6), [up, upDigits] = ticks(box.y0, box.y1, 6);
    const label = (value, count) => value.toFixed(count).replace("-", "−");
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const value of places) pen.fillText(label(value, digits), x(value), box.top + box.side + 3);
    pen.fillText("x", box.left + box.side / 2, box.top + box.side + 3 + 11 * scale);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of up) pen.fillText(label(value, upDigits), box.left - 4, y(value));
    pen.fillText("y", box.left - 24 * scale, box.top + box.side / 2);
  }
  function contour(lines, colour, width) {
    pen.strokeStyle = colour;
    pen.lineWidth = width * player.scale();
    pen.lineCap = "round";
    pen.beginPath();
    const { unit } = player.data.shared;
    for (let place = 0; place < lines.length; place += 4) {
      pen.moveTo(x(lines[place] * unit), y(lines[place + 1] * unit));
      pen.lineTo(x(lines[place + 2] * unit), y(lines[place + 3] * unit));
    }
    pen.stroke();
  }
  function paint() {
    const { data } = player, moment = data.moments[shown], found = open(moment), dense = window.devicePixelRatio || 1;
    const scale = player.scale(), [x0, x1, y0, y1] = moment.extent, { unit } = data.shared;
    canvas.width = Math.round(host.clientWidth * dense);
    canvas.height = Math.round(host.clientHeight * dense);
    pen.scale(dense, dense);
    const left = 38 * scale, foot = 28 * scale;
    const side = Math.max(20, Math.min(host.clientWidth - left - 8, host.clientHeight - foot - 6));
    box = { x0, x1, y0, y1, side, left: left + (host.clientWidth - left - 8 - side) / 2, top: 6 };
    axes(getComputedStyle(host).color);
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, side, side);
    pen.clip();
    const at = (row) => [x(found.positions[2 * row] * unit), y(found.positions[2 * row + 1] * unit)];
    const dot = (row, size) => {
      pen.beginPath();
      pen.arc(...at(row), size * scale, 0, 7);
      pen.fill();
    };
    const colour = (row) => (found.owner[row] < 0 ? data.neutral : data.colours[found.owner[row]]);
    pen.globalAlpha = 0.6;
    for (let row = 0; row < found.owner.length; row += 1) {
      pen.fillStyle = colour(row);
      dot(row, 2.2);
    }
    pen.globalAlpha = 0.9;
    found.lines.forEach((lines, expert) => contour(lines, data.colours[expert], expert ? 1.4 : 2.6));
    if (found.target && target.checked) contour(found.target, data.target, 2);
    pen.globalAlpha = 1;
    for (const sample of [...player.chosen()].reverse()) {
      const row = player.row(sample, shown);
      if (row < 0) continue;
      pen.fillStyle = colour(row);
      dot(row, 5.5);
      pen.strokeStyle = data.picked;
      pen.lineWidth = 2.5 * scale;
      pen.stroke();
    }
    pen.restore();
    host.dataset.moment = host.dataset.drawn = shown;
  }
  canvas.onclick = (event) => {
    const { positions, owner } = open(player.data.moments[shown]), { unit } = player.data.shared;
    let best = -1, near = 14;
    for (let row = 0; row < owner.length; row += 1) {
      const far = Math.hypot(x(positions[2 * row] * unit) - event.offsetX, y(positions[2 * row + 1] * unit) - event.offsetY);
      if (far < near) [best, near] = [row, far];
    }
    const sample = best < 0 ? -1 : player.sampleOf(best, shown);
    if (sample >= 0) player.choose(sample, event.shiftKey || event.ctrlKey || event.metaKey);
  };
  return {
    controls,
    changed() {
      controls.hidden = !player.data.shared.targets;
    },
    show(moment) {
      shown = moment;
      paint();
    },
    resized() {},
  };
}
