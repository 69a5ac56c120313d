// The pace of a run that is watched: pause and go on, one step, steps a second.
//
// data: { run: its id, paused, rate: steps a second at most or null for as many as it can, made: steps a second that it
//   makes by itself or null, off: whether it takes no orders any more, note: a sentence, taken: the number of the last
//   press that the server has taken in }
// state: asked: [[number, what, run, rate], ...], the last ones. Presses are numbered, so that none is lost and none is done
// twice however slow the page or the server is; until they are taken in, the bar shows what was asked for.

const KEPT = 40, PAUSE_BETWEEN = 120; // milliseconds between two tellings of a slider that is being moved
const LAST = 40, FASTEST = 200; // the slider's last position is "as fast as it can", the one before so many steps a second
// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffTransport ??= { number: 0, asked: [], send: null, data: null, timer: null, wanted: {} });

const rounded = (rate) => Number(rate.toPrecision(rate < 10 ? 2 : rate < 100 ? 2 : 3));
const rateAt = (position) => (position >= LAST ? null : rounded(FASTEST ** (position / (LAST - 1))));
const positionOf = (rate) =>
  rate === null ? LAST : Math.min(Math.max(Math.round(((LAST - 1) * Math.log(rate)) / Math.log(FASTEST)), 0), LAST - 1);
const steps = (rate) => `${rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate)} ${rate === 1 ? "step" : "steps"}/s`;

function words(rate, made) {
  if (rate === null) return `as fast as it can${made === null ? "" : `: ${steps(made)}`}`;
  return made !== null && made < 0.85 * rate ? `${steps(rate)} asked, ${steps(made)} made` : steps(rate);
}

// A slider that has just been moved goes first: a run that goes on does so at the pace that is shown.
function settle() {
  if (tab.timer === null) return;
  clearTimeout(tab.timer);
  tab.timer = null;
  ask("rate", tab.wanted.rate);
}

function ask(what, rate = null) {
  settle();
  tab.number += 1;
  tab.asked = [...tab.asked, [tab.number, what, tab.data.run, rate]].slice(-KEPT);
  tab.send("asked", tab.asked);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(place) {
  const { data } = tab;
  // What was asked for and has not been taken in yet counts before what the server says.
  const now = { ...data, ...tab.wanted };
  const pause = place.querySelector(".transport-pause"), slider = place.querySelector("input");
  pause.dataset.act = now.paused ? "go-on" : "pause";
  say(pause, now.paused ? "Continue" : "Pause");
  pause.title = now.paused ? "Take steps again (p)" : "Stand still after this step (p)";
  for (const one of [pause, place.querySelector(".transport-step"), slider]) one.disabled = data.off;
  if (slider.value !== String(positionOf(now.rate))) slider.value = positionOf(now.rate);
  const said = words(now.rate, now.paused || "rate" in tab.wanted ? null : data.made);
  slider.setAttribute("aria-valuetext", words(now.rate, null));
  say(place.querySelector("output"), said);
  say(place.querySelector(".transport-note"), data.note);
}

function create(place) {
  const slider = place.querySelector("input");
  place.querySelector(".transport-pause").onclick = (event) => {
    const what = event.currentTarget.dataset.act;
    tab.wanted = { ...tab.wanted, paused: what === "pause" };
    ask(what);
    show(place);
  };
  place.querySelector(".transport-step").onclick = () => {
    tab.wanted = { ...tab.wanted, paused: true };
    ask("step");
    show(place);
  };
  slider.oninput = () => {
    tab.wanted = { ...tab.wanted, rate: rateAt(Number(slider.value)) };
    show(place);
    tab.timer ??= setTimeout(settle, PAUSE_BETWEEN);
  };
  place.made = true;
}

export default function ({ data, parentElement, setStateValue }) {
  const place = parentElement.querySelector(".transport");
  if (tab.data?.run !== data.run) tab.wanted = {};
  tab.data = data;
  tab.send = setStateValue;
  if (!place.made) create(place);
  if (tab.timer === null && data.taken >= tab.number) tab.wanted = {};
  show(place);
}
