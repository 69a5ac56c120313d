// The queue of a browser tab: a line that says what runs and waits, the panel that it opens, the share of this tab's work
// in the tab's title and, if that is wanted, a sound or a notification when all of it has ended.
//
// data: {
//   line: what runs and waits, in a few words,
//   facts: [sentence, ...] of the machine, warnings: [sentence, ...],
//   paused, follow: whether the queue is paused, and the stage follows it,
//   mine: how many jobs of this tab wait,
//   parts: [{ title, buttons: [[what, word, help], ...], rows: [row, ...], more: how many are not listed }, ...], each row
//          { id, title, text, share: 0 to 1 or null, buttons: [[what, word, help], ...] },
//   compare: { most: how many at once, runs: [[id, title], ...] } or null,
//   work, percent: how many of this tab's jobs have not ended, and how much of them is done; ended: a sentence for then,
// }
// state: asked: [[number, what, argument], ...] what the panel's buttons asked for, the last ones. They are numbered, so that
// none is lost and none is done twice however slow the page or the server is.
// All texts become text nodes; none is ever markup.

const KEY = "superdiff-tell", KEPT = 40;
const CHOICES = { off: "do not tell me", sound: "by a sound", note: "by a notification" };
const REFUSED = "This browser does not let this page notify you: allow notifications for this address in its settings, " +
  "or choose the sound.";
const SILENT = "This browser lets no page make a sound before it was clicked.";
// Of the tab, not of this module, which may be loaded once more.
const queue = (window.superdiffQueue ??= { open: false, work: 0, number: 0, asked: [], sound: null, told: 0, problem: "" });

function make(kind, className, text) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Children of `place` by their keys, in this order: those that are there stay the same elements, so that nothing that is
// being clicked is replaced.
function keyed(place, items, keyOf, create, update) {
  const known = new Map([...place.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = String(keyOf(item));
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    if (place.children[index] !== child) place.insertBefore(child, place.children[index] || null);
    update(child, item);
  });
  for (const child of known.values()) child.remove();
}

// What the browser tells

function wish() {
  try {
    const found = localStorage.getItem(KEY);
    return found in CHOICES ? found : "off";
  } catch {
    return "off";
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {} // a browser that keeps nothing: off again after a reload
}

// Two notes, of a sine each, that swell and fade.
async function sound() {
  queue.sound ??= new AudioContext();
  // A browser that allows no sound leaves this waiting for a click.
  await Promise.race([queue.sound.resume(), new Promise((done) => setTimeout(done, 1000))]);
  if (queue.sound.state !== "running") throw new Error(SILENT);
  for (const [pitch, delay] of [[660, 0], [880, 0.18]]) {
    const tone = queue.sound.createOscillator(), volume = queue.sound.createGain();
    const start = queue.sound.currentTime + delay;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.2, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, start + 0.5);
    tone.connect(volume).connect(queue.sound.destination);
    tone.start(start);
    tone.stop(start + 0.5);
  }
}

function note(text) {
  const shown = new Notification("SuperDiff Studio", { body: text, tag: "superdiff-queue" });
  shown.onclick = () => {
    window.focus();
    shown.close();
  };
}

async function tell(text) {
  const choice = wish();
  queue.told += 1;
  queue.problem = "";
  try {
    if (choice === "sound") await sound();
    if (choice === "note") note(text);
  } catch {
    queue.problem = choice === "sound" ? SILENT : REFUSED;
  }
}

async function choose(choice) {
  queue.problem = "";
  if (choice === "sound") await sound().catch(() => (queue.problem = SILENT));
  if (choice === "note") {
    // Asked for by the click that this is; a browser asks no more where it was refused once.
    const answer = "Notification" in window ? await Notification.requestPermission() : "denied";
    try {
      if (answer !== "granted") throw new Error(REFUSED);
      note("You are told like this when all of this tab's work has ended.");
    } catch {
      queue.problem = REFUSED; // on phones only an installed page may, though it may ask
      choice = "off";
    }
  }
  keep(choice);
}

function title(data) {
  const plain = document.title.replace(/^\(\d+\) \d+ % /, "");
  const wanted = data.work ? `(${data.work}) ${data.percent} % ${plain}` : plain;
  if (document.title !== wanted) document.title = wanted;
}

// The panel

function ask(what, argument) {
  queue.number += 1;
  queue.asked = [...queue.asked, [queue.number, what, argument]].slice(-KEPT);
  queue.send("asked", queue.asked);
}

function drawButtons(place, buttons, argument) {
  keyed(
    place,
    buttons,
    ([what]) => what,
    ([what]) => {
      const button = make("button");
      button.type = "button";
      button.onclick = () => ask(what, button.argument);
      return button;
    },
    (button, [, word, help]) => {
      say(button, word);
      button.argument = argument;
      button.title = help;
      button.setAttribute("aria-label", word.length > 1 ? word : help);
    },
  );
}

function drawRow(element, row) {
  const [words, bar, buttons] = element.children;
  say(words.children[0], row.title);
  say(words.children[1], row.text);
  bar.hidden = row.share === null;
  bar.setAttribute("aria-valuenow", Math.round(100 * row.share));
  bar.firstChild.style.width = `${100 * row.share}%`;
  drawButtons(buttons, row.buttons, row.id);
}

function createRow() {
  const row = make("div", "row"), words = make("div", "words"), bar = make("div", "bar");
  words.append(make("div", "title"), make("div", "text"));
  bar.append(make("div"));
  bar.setAttribute("role", "progressbar");
  row.append(words, bar, make("div", "buttons"));
  return row;
}

function drawPart(element, part) {
  const [head, rows, more] = element.children;
  say(head.children[0], part.title);
  drawButtons(head.children[1], part.buttons, part.rows.map((row) => row.id));
  head.hidden = !part.title;
  keyed(rows, part.rows, (row) => row.id, createRow, drawRow);
  say(more, part.more);
}

function createPart() {
  const part = make("section"), head = make("div", "head");
  head.append(make("strong"), make("div", "buttons"));
  part.append(head, make("div", "rows"), make("p", "text"));
  return part;
}

function drawCompare(place, compare) {
  place.hidden = !compare;
  if (!compare) return;
  const [label, choices, button] = place.children;
  say(label, `Compare 2 to ${compare.most} of them`);
  const counts = () => {
    const ticked = [...choices.querySelectorAll("input")].filter((box) => box.checked);
    button.disabled = ticked.length < 2 || ticked.length > compare.most;
    button.onclick = () => ask("show", ticked.map((box) => box.value));
  };
  keyed(
    choices,
    compare.runs,
    ([id]) => id,
    ([id, words]) => {
      const choice = make("label"), box = make("input");
      box.type = "checkbox";
      box.value = id;
      box.checked = compare.runs.findIndex(([other]) => other === id) < compare.most;
      choice.append(box, words);
      return choice;
    },
    (choice) => (choice.firstChild.onchange = counts),
  );
  counts();
}

function create(place) {
  const line = place.querySelector(".line"), panel = place.querySelector(".panel");
  line.onclick = () => {
    queue.open = !queue.open;
    show();
  };
  const show = () => {
    panel.hidden = !queue.open;
    line.setAttribute("aria-expanded", queue.open);
  };
  panel.querySelector(".follow input").onchange = (event) => ask("follow", event.target.checked);
  const field = panel.querySelector("select");
  for (const [value, text] of Object.entries(CHOICES)) field.add(new Option(text, value));
  field.value = wish();
  field.onchange = async () => {
    await choose(field.value);
    field.value = wish();
    say(panel.querySelector(".problem"), queue.problem);
  };
  place.made = true;
  show();
}

export default function ({ data, parentElement, setStateValue }) {
  const place = parentElement.querySelector(".queue");
  queue.send = setStateValue;
  if (!place.made) create(place);
  title(data);
  if (queue.work && !data.work && data.ended) tell(data.ended);
  queue.work = data.work;
  const panel = place.querySelector(".panel");
  say(place.querySelector(".line span"), data.line);
  drawButtons(panel.querySelector(".whole"), [
    data.paused ? ["resume", "Go on", "Let what waits begin again"]
      : ["pause", "Pause", "Begin nothing new, for all tabs; what is at work goes on to its end"],
    ...(data.mine ? [["cancel-waiting", `Cancel my ${data.mine} that wait`, "Those of this tab; what is at work goes on"]] : []),
  ], null);
  panel.querySelector(".follow input").checked = data.follow;
  const lines = (list, sentences) =>
    keyed(list, sentences.map((text, index) => [index, text]), ([index]) => index, () => make("p"), (p, [, text]) => say(p, text));
  lines(panel.querySelector(".warnings"), data.warnings);
  lines(panel.querySelector(".facts"), data.facts);
  keyed(panel.querySelector(".parts"), data.parts, (part) => part.name, createPart, drawPart);
  drawCompare(panel.querySelector(".compare"), data.compare);
  say(panel.querySelector(".problem"), queue.problem);
}
