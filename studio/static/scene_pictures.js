// Moments of pictures: one picture a moment, in which those of all samples stand side by side without a gap.
//
// shared: { columns, count, width, height: of one sample's picture, smooth: whether enlarged ones are smoothed }
// moment: { picture: "data:image/..." }

function createScene(host, player) {
  const canvas = el("canvas"), pen = canvas.getContext("2d");
  canvas.style.cssText = "position: absolute; inset: 0; width: 100%; height: 100%; cursor: pointer;";
  host.append(canvas);
  const alone = el("input", { type: "checkbox" });
  const controls = el("label", {}, alone, "Chosen sample alone");
  alone.onchange = () => player.redraw();
  let sheets = [], shown = 0;

  // The side of a square cell, how many are in a row, and where the first one begins.
  function cells() {
    const { columns, count, width, height } = player.data.shared;
    const rows = Math.ceil(count / columns), room = host.clientWidth, tall = host.clientHeight;
    const side = Math.max(4, Math.min(room / columns, tall / rows / (height / width)));
    return { columns, side, up: (side * height) / width, left: (room - side * columns) / 2 };
  }
  function paint() {
    const { columns, count, width, height, smooth } = player.data.shared, sheet = sheets[shown];
    const dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(host.clientWidth * dense);
    canvas.height = Math.round(host.clientHeight * dense);
    host.dataset.moment = shown;
    if (!sheet.complete || !sheet.naturalWidth) return;
    host.dataset.drawn = shown;
    pen.scale(dense, dense);
    pen.imageSmoothingEnabled = smooth;
    const rows = player.chosen().map((sample) => player.row(sample, shown)).filter((row) => row >= 0 && row < count);
    const from = (row) => [(row % columns) * width, Math.floor(row / columns) * height, width, height];
    if (alone.checked && rows.length) {
      const each = host.clientWidth / rows.length, side = Math.min(each, (host.clientHeight * width) / height);
      rows.forEach((row, place) => pen.drawImage(sheet, ...from(row), place * each + (each - side) / 2 + 1, 1, side - 2, (side * height) / width - 2));
      return;
    }
    const { side, up, left } = cells();
    for (let row = 0; row < count; row += 1)
      pen.drawImage(sheet, ...from(row), left + (row % columns) * side + 1, Math.floor(row / columns) * up + 1, side - 2, up - 2);
    rows.forEach((row, place) => {
      pen.strokeStyle = player.data.picked;
      pen.lineWidth = (place ? 2 : 3.5) * player.scale();
      const edge = pen.lineWidth / 2;
      pen.strokeRect(left + (row % columns) * side + edge, Math.floor(row / columns) * up + edge, side - 2 * edge, up - 2 * edge);
    });
  }
  canvas.onclick = (event) => {
    const { count } = player.data.shared, { columns, side, up, left } = cells();
    const more = event.shiftKey || event.ctrlKey || event.metaKey;
    if (alone.checked && player.chosen().length) return;
    const across = Math.floor((event.offsetX - left) / side), row = Math.floor(event.offsetY / up) * columns + across;
    if (across < 0 || across >= columns || row >= count) return;
    const sample = player.sampleOf(row, shown);
    if (sample >= 0) player.choose(sample, more);
  };
  return {
    controls,
    changed() {
      if (sheets.moments === player.data.moments) return;
      sheets = player.data.moments.map((moment, place) => {
        const sheet = new Image();
        sheet.onload = () => place === shown && host.isConnected && paint();
        sheet.src = moment.picture;
        return sheet;
      });
      sheets.moments = player.data.moments;
    },
    show(moment) {
      shown = moment;
      paint();
    },
    resized() {},
  };
}
