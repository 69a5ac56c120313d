// Moments of things in three dimensions, drawn by atoms.js, which is put before this text: a page of them side by side, or
// the chosen one alone.
//
// shared: { spacing: Angstrom from one to the next, page: how many side by side, what: "molecule", unit: of places, in Angstrom,
//           styles: [names], by_moment: whether the moment's own style is one of them }
// moment: { things: [...], style }, of molecules things are { elements: "CCO...", places [atoms, 3], bonds [bonds, 3] as i, j,
//         order }, of proteins { structure: "HE-...", places [residues, 4, 3] }; arrays packed

function createScene(host, player) {
  const canvas = el("div", { className: "viewer-stage" });
  canvas.style.cssText = "position: absolute; inset: 0;";
  const tags = el("div", { className: "viewer-tags" });
  tags.style.cssText = "position: absolute; inset: 0; pointer-events: none; overflow: hidden;";
  host.append(canvas, tags);
  const viewer = load().createViewer(canvas, { backgroundAlpha: 0, antialias: true, disableFog: true });
  const alone = el("input", { type: "checkbox" }), style = el("select"), pages = el("span");
  const before = el("button", { type: "button", textContent: "‹" }), next = el("button", { type: "button", textContent: "›" });
  before.setAttribute("aria-label", "The page before");
  next.setAttribute("aria-label", "The next page");
  style.setAttribute("aria-label", "Drawn as");
  const paging = el("span", {}, before, " ", pages, " ", next);
  const controls = el("span", {}, el("label", {}, alone, "Chosen sample alone"), " ", style, " ", paging);
  controls.style.cssText = "display: inline-flex; flex-wrap: wrap; gap: 0.3rem 0.8rem; align-items: center;";
  if (!viewer) {
    host.textContent = "This browser shows no 3D: WebGL is off.";
    return { controls: null, changed() {}, show() {}, resized() {} };
  }
  let shown = 0, page = 0, seen = "", picked = "", drawn = [];

  alone.onchange = style.onchange = () => player.redraw();
  before.onclick = () => turnPage(-1);
  next.onclick = () => turnPage(1);
  function turnPage(by) {
    page += by;
    player.redraw();
  }
  // Nested coordinates in Angstrom of a thing, unpacked when it is first drawn.
  function placesOf(thing) {
    if (thing.at) return thing.at;
    const flat = unpacked(thing.places), { unit } = player.data.shared;
    thing.at = [];
    for (let place = 0; place < flat.length; place += 3) thing.at.push([flat[place] * unit, flat[place + 1] * unit, flat[place + 2] * unit]);
    return thing.at;
  }
  function add(thing, shift, kind) {
    const places = placesOf(thing).map((place) => place.map((value, axis) => value + shift[axis]));
    if (thing.structure !== undefined) {
      const chain = Array.from({ length: thing.structure.length }, (_, residue) => places.slice(4 * residue, 4 * residue + 4));
      addChains(viewer, [{ positions: chain, structure: thing.structure, colours: null }], kind);
      return;
    }
    thing.joined ??= unpacked(thing.bonds);
    const bonds = [];
    for (let bond = 0; bond < thing.joined.length; bond += 3) bonds.push(thing.joined.slice(bond, bond + 3));
    addMolecules(viewer, { elements: [...thing.elements], positions: places, bonds }, kind);
  }
  function paint() {
    const { shared, moments } = player.data, moment = moments[shown], things = moment.things;
    const rows = player.chosen().map((sample) => player.row(sample, shown)).filter((row) => row >= 0 && row < things.length);
    const last = Math.max(Math.ceil(things.length / shared.page) - 1, 0);
    // A sample that was chosen is on the page that is shown.
    if (picked !== player.chosen().join() && rows.length) page = Math.floor(rows[0] / shared.page);
    picked = player.chosen().join();
    page = Math.min(Math.max(page, 0), last);
    const one = alone.checked && rows.length > 0;
    const numbers = one ? rows.slice(0, 4) : Array.from({ length: Math.min(shared.page, things.length - page * shared.page) }, (_, place) => page * shared.page + place);
    const columns = Math.ceil(Math.sqrt(numbers.length));
    const kind = style.value === "auto" ? moment.style : style.value;
    viewer.removeAllModels();
    viewer.removeAllShapes();
    drawn = numbers.map((row, place) => {
      const middle = [(place % columns) * shared.spacing, -Math.floor(place / columns) * shared.spacing, 0];
      add(things[row], middle, kind);
      return { row, middle };
    });
    if (!one)
      for (const { row, middle } of drawn.filter((thing) => rows.includes(thing.row)))
        frame(middle, rows.indexOf(row) ? 0.5 : 1);
    const view = `${one}-${numbers.length}-${host.clientWidth}x${host.clientHeight}`;
    if (view !== seen) {
      // How far things reach changes from moment to moment, the camera does not: it sees the places of all.
      zoom(numbers.length, columns, one);
      seen = view;
    }
    viewer.render();
    label();
    host.dataset.moment = shown;
    host.dataset.drawn = shown;
    host.dataset.rows = numbers.join();
    paging.hidden = one || last === 0;
    pages.textContent = `${numbers[0]} to ${numbers[numbers.length - 1]} of ${things.length}`;
    before.disabled = page === 0;
    next.disabled = page === last;
  }
  // A square around a thing's place.
  function frame([x, y, z], strength) {
    const half = player.data.shared.spacing * 0.47, corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
    corners.forEach(([a, b], place) => {
      const [c, d] = corners[(place + 1) % 4];
      viewer.addCylinder({
        start: { x: x + a * half, y: y + b * half, z }, end: { x: x + c * half, y: y + d * half, z },
        radius: player.data.shared.spacing * 0.008 * (1 + strength), color: player.data.picked, fromCap: 1, toCap: 1,
      });
    });
  }
  function zoom(count, columns, one) {
    const { spacing } = player.data.shared, rows = Math.ceil(count / columns), half = spacing / 2;
    if (seen === "") viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    const rotation = viewer.getView().slice(4);
    // An unseen box of the size of all places is what the camera looks at.
    const model = viewer.addModel(), corners = [[-half, half], [(columns - 0.5) * spacing, (0.5 - rows) * spacing]];
    model.addAtoms(corners.map(([x, y], serial) => ({ elem: "C", x, y, z: 0, serial, bonds: [], bondOrder: [] })));
    model.setStyle({}, {});
    viewer.zoomTo({ model });
    viewer.removeModel(model);
    // 3Dmol fits the ball around both; squares fill it better.
    const lean = host.clientWidth / Math.max(host.clientHeight, 1);
    viewer.zoom((one ? 1.3 : 1.42) * Math.min(1, lean));
    viewer.setView([...viewer.getView().slice(0, 4), ...rotation]);
  }
  // Numbers below the things, and what a click on one chooses.
  function label() {
    const { spacing } = player.data.shared;
    tags.replaceChildren(
      ...drawn.map(({ row, middle: [x, y, z] }) => {
        const at = viewer.modelToScreen({ x: x - spacing * 0.44, y: y + spacing * 0.44, z });
        const box = canvas.getBoundingClientRect(), number = player.sampleOf(row, shown);
        const tag = el("span", { textContent: number < 0 ? "–" : String(number) });
        tag.style.cssText = `position: absolute; left: ${at.x - box.left - window.scrollX}px; top: ${at.y - box.top - window.scrollY}px; opacity: 0.65; font-size: 0.8em;`;
        return tag;
      }),
    );
  }
  let down = null;
  host.addEventListener("pointerdown", (event) => (down = { x: event.clientX, y: event.clientY }), true);
  host.addEventListener("pointerup", (event) => {
    const moved = !down || Math.hypot(event.clientX - down.x, event.clientY - down.y) > 4;
    down = null;
    if (moved || event.button) return setTimeout(label, 0);
    const box = canvas.getBoundingClientRect();
    const far = ({ middle: [x, y, z] }) => {
      const at = viewer.modelToScreen({ x, y, z });
      return Math.hypot(at.x - window.scrollX - box.left - (event.clientX - box.left), at.y - window.scrollY - event.clientY);
    };
    const nearest = [...drawn].sort((a, b) => far(a) - far(b))[0];
    const sample = nearest ? player.sampleOf(nearest.row, shown) : -1;
    if (sample >= 0) player.choose(sample, event.shiftKey || event.ctrlKey || event.metaKey);
  }, true);
  viewer.setViewChangeCallback(() => requestAnimationFrame(() => host.isConnected && drawn.length && label()));
  return {
    controls,
    changed() {
      const { styles, by_moment } = player.data.shared, kept = style.value;
      style.replaceChildren(...(by_moment ? [new Option("as it folds", "auto")] : []), ...styles.map((name) => new Option(name, name)));
      if ([...style.options].some((one) => one.value === kept)) style.value = kept;
      alone.parentElement.lastChild.textContent = `Chosen ${player.data.shared.what} alone`;
    },
    show(moment) {
      shown = moment;
      paint();
    },
    resized() {
      viewer.resize();
    },
    removed() {
      viewer.removeAllModels();
    },
  };
}
