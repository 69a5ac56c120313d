// The plane while a run goes: the scene of scene_plane.js, which is put before this text, given one moment after the other.
//
// data: {
//   run: of which the moments are; another one begins afresh,
//   moment: as scene_plane.js has it, shared, names, index: its step, level: s,
//   estimated, exact: [experts, n] f4, nats,
//   look: { colours, neutral, guide, target, picked, theme }, height: of the plane, in pixels, alt,
// }
// What came before stays here, for the paths of the samples that are chosen by a click; the server hears nothing.

const PLANE_MOMENTS = 400, PLANE_CHOSEN = 6;

class PlaneLive {
  constructor(root) {
    this.host = root.querySelector(".plane-host");
    this.under = root.querySelector(".plane-under");
    this.picks = [];
    this.live = true;
    this.run = this.look = null;
    this.scene = null;
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.host);
  }
  scale() {
    return Number(getComputedStyle(this.host).getPropertyValue("--studio-scale")) || 1;
  }
  moment() {
    return this.data.moments.length - 1;
  }
  chosen() {
    return this.picks;
  }
  choose(sample, more) {
    if (more && this.picks.includes(sample)) this.picks = this.picks.filter((one) => one !== sample);
    else this.picks = [sample, ...(more ? this.picks.filter((one) => one !== sample) : [])].slice(0, PLANE_CHOSEN);
    this.redraw();
  }
  row(sample, moment) {
    return sample >= 0 && sample < this.data.pairs[moment].exact.shape[1] ? sample : -1;
  }
  sampleOf(row) {
    return row;
  }
  estimated(moment) {
    return this.data.pairs[moment].estimated;
  }
  exact(moment) {
    return this.data.pairs[moment].exact;
  }
  redraw() {
    if (this.data?.moments.length) this.scene.show(this.moment());
  }
  take(given) {
    const look = JSON.stringify([given.look, given.names, given.shared, given.alt, this.scale()]);
    // The same recipe run again begins at its first step.
    let fresh = given.run !== this.run || given.index < this.data.index.at(-1);
    if (fresh) {
      if (given.run !== this.run) this.picks = [];
      this.run = given.run;
      this.data = { moments: [], pairs: [], index: [], level: [] };
    }
    const { data } = this;
    fresh ||= look !== this.look;
    Object.assign(data, given.look, { names: given.names, shared: given.shared, alt: given.alt });
    this.look = look;
    if (data.index.at(-1) !== given.index) {
      if (data.moments.length >= PLANE_MOMENTS) {
        for (const name of ["moments", "pairs", "index", "level"]) data[name] = data[name].filter((_, place) => place % 2);
        fresh = true;
      }
      data.moments.push(given.moment);
      data.pairs.push({ estimated: unpacked(given.estimated), exact: unpacked(given.exact) });
      data.index.push(given.index);
      data.level.push(given.level);
    }
    const height = `${given.height}px`;
    if (this.host.style.height !== height) this.host.style.height = height;
    if (!this.scene) {
      this.scene = createScene(this.host, this);
      this.under.append(this.scene.controls);
      fresh = true;
    }
    if (fresh) this.scene.changed();
    this.redraw();
  }
}

const planes = new WeakMap();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".plane-live");
  if (!root || !data) return;
  if (!planes.has(root)) planes.set(root, new PlaneLive(root));
  planes.get(root).take(data);
}
