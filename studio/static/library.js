// The gallery of the page Library: cards or rows of entries, which can be opened, selected, starred and put into the bin
// by mouse, finger and keyboard. Whatever a user typed is set as text, never as markup.
//
// data: {
//   token: of the session; acts of another one are not done again,
//   entries: [{ id, name, experts, sentence, state, mark, domain, operator, tags, facts: ["16 samples", ...], began: seconds
//             since 1970, star, note: whether there is one, opens: what a click does ("open" or "panel"), can: whether it
//             may be selected, alone: whether its star can be set, picture: its name or "" }],
//   pictures: data URIs by name, of those that were not sent before,
//   look: "cards" | "rows", page: from 0, pages: how many, panel: the id whose panel is open,
//   chosen: the ids that the server wants selected, turn: raised whenever it does, alt: a sentence for those who cannot see it
// }
// states: chosen: the selected ids; acts: the last acts, [{ n, token, what, ids, value }], n counts, so that none is lost
// and none is done twice however fast one clicks.

const SETTLED = 120, KEPT = 20; // milliseconds until a selection is told; acts that are sent along
const MOST_PICTURES = 1500, ASK_AGAIN = 3000; // pictures that are kept; milliseconds until one is asked for again
const SVG = "http://www.w3.org/2000/svg";
const GLYPHS = {
  running: "M12 3a9 9 0 1 0 9 9M12 7v5l3 2", interrupted: "M4 12h5l2-5 2 10 2-5h5", failed: "M12 4v10M12 18v1",
  damaged: "M5 4h9l5 5v11H5zM9 11l6 6M15 11l-6 6", newer: "M5 4h9l5 5v11H5zM12 17v-6M9 13l3-3 3 3",
  foreign: "M3 6h7l2 2h9v11H3z", cancelled: "M7 7h10v10H7z", done: "M4 18l5-6 4 4 3-3 4 5zM8 8h.01",
};

// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffLibrary ??= { count: 0, pictures: new Map(), wanted: new Map() });

const element = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
};

function button(kind, label, text) {
  const made = element("button", kind, text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.tabIndex = -1;
  return made;
}

function when(began) {
  const date = new Date(began * 1000), now = new Date();
  const day = { day: "numeric", month: "short", ...(date.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) };
  const time = element("time", "when", date.toLocaleString(undefined, { ...day, hour: "2-digit", minute: "2-digit" }));
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  return time;
}

function glyph(state) {
  const drawing = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  path.setAttribute("d", GLYPHS[state] || GLYPHS.foreign);
  drawing.append(path);
  return drawing;
}

function tell(what, ids, value = null) {
  tab.acts = [...tab.acts, { n: ++tab.count, token: tab.token, what, ids, value }].slice(-KEPT);
  tab.send("acts", tab.acts);
}

function tellChosen() {
  clearTimeout(tab.timer);
  tab.timer = setTimeout(() => tab.send("chosen", [...tab.chosen]), SETTLED);
}

// What is not here, because a message got lost or it was long ago, is asked for.
function lack(entries) {
  const now = Date.now();
  const missing = entries.map((entry) => entry.picture).filter((name) => name && !tab.pictures.has(name));
  const late = missing.filter((name) => now - (tab.wanted.get(name) || 0) > ASK_AGAIN);
  for (const name of late) tab.wanted.set(name, now);
  if (late.length) tell("missing", late);
}

// ---- a card

function make(entry) {
  const card = element("li", "card");
  card.dataset.id = entry.id;
  const picture = element("div", "picture");
  const pick = element("input", "pick");
  pick.type = "checkbox";
  pick.tabIndex = -1;
  const star = button("star", "", "");
  const open = button("open", "", "");
  open.removeAttribute("aria-label");
  const more = button("more", "Name, note, tags and more (e)", "⋯");
  pick.onclick = (event) => {
    event.stopPropagation();
    choose(entry.id, event.shiftKey ? "range" : "toggle");
  };
  star.onclick = (event) => {
    event.stopPropagation();
    toggleStar(entry.id);
  };
  more.onclick = (event) => {
    event.stopPropagation();
    tell("panel", [entry.id]);
  };
  card.onmousedown = (event) => {
    if (event.shiftKey) event.preventDefault(); // no text is selected meanwhile
  };
  card.onclick = (event) => {
    if (event.shiftKey) choose(entry.id, "range");
    else if (event.ctrlKey || event.metaKey) choose(entry.id, "toggle");
    else if (!String(getSelection())) go(entry.id);
  };
  open.onfocus = () => setCurrent(entry.id, false);
  const words = element("div", "words");
  card.append(picture, words, element("div", "tags"), element("div", "facts"), pick, star, more);
  words.append(open, element("div", "experts"), element("div", "sentence"), element("span", "badge mark"));
  for (const part of card.querySelectorAll(".words > *")) part.dir = "auto";
  return card;
}

function fill(card, entry) {
  const source = tab.pictures.get(entry.picture);
  const shown = JSON.stringify([entry, !!source]);
  if (card.shown === shown) return;
  card.shown = shown;
  const part = (kind) => card.querySelector(`.${kind}`);
  const text = (kind, value) => {
    part(kind).textContent = value;
    part(kind).hidden = !value;
  };
  card.dataset.state = entry.state;
  const picture = part("picture");
  picture.replaceChildren();
  if (source) {
    const image = element("img");
    image.src = source;
    image.alt = "";
    image.draggable = false;
    picture.append(image);
  } else picture.append(glyph(entry.state));
  if (entry.mark) picture.append(element("span", "mark", entry.mark));
  part("open").textContent = entry.name;
  part("open").title = entry.name;
  text("experts", entry.experts);
  part("experts").title = entry.experts;
  text("sentence", entry.sentence);
  text("badge", entry.mark);
  part("sentence").title = entry.sentence;
  const tags = part("tags");
  tags.replaceChildren(...entry.tags.map((tag) => element("span", "tag", tag)));
  for (const tag of tags.children) tag.dir = "auto";
  if (entry.note) tags.append(element("span", "noted", "note"));
  tags.hidden = !tags.children.length;
  part("facts").replaceChildren(...entry.facts.map((fact) => element("span", "", fact)), when(entry.began));
  part("pick").setAttribute("aria-label", `Select ${entry.name}`);
  part("pick").hidden = !entry.can;
  part("star").hidden = !entry.alone;
  showStar(card, entry.star);
}

function showStar(card, on) {
  const star = card.querySelector(".star");
  star.textContent = on ? "★" : "☆";
  star.title = on ? "Take the star away (s)" : "Give it a star (s)";
  star.setAttribute("aria-label", star.title);
  star.setAttribute("aria-pressed", String(on));
}

// ---- what is done

const entryOf = (id) => tab.entries.find((entry) => entry.id === id);
const cardOf = (id) => [...tab.list.children].find((card) => card.dataset.id === id);

function go(id) {
  const entry = entryOf(id);
  if (entry) tell(entry.opens, [id]);
}

function toggleStar(id) {
  const entry = entryOf(id);
  if (!entry || !entry.alone) return;
  entry.star = !entry.star;
  showStar(cardOf(id), entry.star);
  tell("star", [id], entry.star);
}

function choose(id, how) {
  const entry = entryOf(id);
  const anchor = tab.entries.findIndex((one) => one.id === tab.anchor);
  if (how === "range" && anchor >= 0) {
    const place = tab.entries.indexOf(entry);
    const some = tab.entries.slice(Math.min(anchor, place), Math.max(anchor, place) + 1);
    for (const one of some) if (one.can) tab.chosen.add(one.id);
  } else {
    if (!entry.can) return;
    if (tab.chosen.has(id)) tab.chosen.delete(id);
    else tab.chosen.add(id);
    tab.anchor = id;
  }
  showChosen();
  tellChosen();
}

function showChosen() {
  for (const card of tab.list.children) {
    const on = tab.chosen.has(card.dataset.id);
    card.classList.toggle("chosen", on);
    card.querySelector(".pick").checked = on;
  }
  tab.list.classList.toggle("choosing", tab.chosen.size > 0);
}

// The card that the keyboard is at: the only one that Tab reaches.
function setCurrent(id, focus) {
  tab.current = id;
  for (const card of tab.list.children) card.querySelector(".open").tabIndex = card.dataset.id === id ? 0 : -1;
  if (!focus) return;
  const card = cardOf(id);
  card.querySelector(".open").focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function move(event) {
  const cards = [...tab.list.children];
  const from = cards.findIndex((card) => card.dataset.id === tab.current);
  const first = cards[0].offsetTop, across = cards.findIndex((card) => card.offsetTop !== first);
  const row = across < 0 ? cards.length : across;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -from, End: cards.length - 1 - from };
  let to = from + steps[event.key];
  if (to >= cards.length && event.key === "ArrowDown" && from < cards.length - (cards.length % row || row)) to = cards.length - 1;
  if (to < 0 || to >= cards.length) return;
  setCurrent(cards[to].dataset.id, true);
  if (event.shiftKey) {
    tab.anchor ??= cards[from].dataset.id;
    choose(cards[to].dataset.id, "range");
  }
}

function onKey(event) {
  // A checkbox or a button has the focus without its card being the current one: keys act where the focus is.
  const id = event.target.closest(".card")?.dataset.id, entry = entryOf(id);
  if (!entry || event.altKey) return;
  setCurrent(id, false);
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== "a") return;
    event.preventDefault();
    for (const one of tab.entries) if (one.can) tab.chosen.add(one.id);
    showChosen();
    tellChosen();
    return;
  }
  const acts = {
    " ": () => choose(id, event.shiftKey ? "range" : "toggle"),
    Enter: () => go(id),
    s: () => toggleStar(id),
    e: () => tell("panel", [id]),
    Delete: () => entry.can && tell("bin", tab.chosen.has(id) ? [...tab.chosen] : [id]),
    Escape: () => {
      tab.chosen.clear();
      showChosen();
      tellChosen();
    },
  };
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]) acts[key] = () => move(event);
  if (!acts[event.key] || (event.repeat && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  event.stopPropagation();
  acts[event.key]();
}

// ---- pages

function pages(nav, page, count) {
  nav.replaceChildren();
  nav.hidden = count < 2;
  const add = (number, text, label) => {
    const made = element("button", "", text);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.disabled = number < 0 || number >= count;
    if (number === page) made.setAttribute("aria-current", "page");
    made.onclick = () => tell("page", [], number);
    nav.append(made);
  };
  add(page - 1, "‹", "The page before");
  const shown = [...new Set([0, page - 2, page - 1, page, page + 1, page + 2, count - 1])].filter((n) => n >= 0 && n < count);
  shown.forEach((number, place) => {
    if (place && number > shown[place - 1] + 1) nav.append(element("span", "", "…"));
    add(number, String(number + 1), `Page ${number + 1} of ${count}`);
  });
  add(page + 1, "›", "The next page");
}

export default function ({ data, parentElement, setStateValue }) {
  if (!data) return;
  const list = parentElement.querySelector("ul"), nav = parentElement.querySelector("nav");
  if (tab.token !== data.token) Object.assign(tab, { token: data.token, acts: [], chosen: new Set(), turn: -1, anchor: null });
  Object.assign(tab, { list, entries: data.entries, send: setStateValue });
  if (tab.turn !== data.turn) {
    clearTimeout(tab.timer);
    Object.assign(tab, { chosen: new Set(data.chosen), turn: data.turn });
  }
  for (const [name, source] of Object.entries(data.pictures)) {
    tab.pictures.delete(name);
    tab.pictures.set(name, source);
  }
  for (const name of tab.pictures.keys()) if (tab.pictures.size > MOST_PICTURES) tab.pictures.delete(name);
  list.onkeydown = onKey;
  list.className = data.look;
  list.setAttribute("aria-label", data.alt);
  const focused = list.getRootNode().activeElement?.closest?.(".card")?.dataset.id;
  const there = new Map([...list.children].map((card) => [card.dataset.id, card]));
  const place = focused ? [...there.keys()].indexOf(focused) : -1;
  data.entries.forEach((entry, number) => {
    const card = there.get(entry.id) || make(entry);
    there.delete(entry.id);
    fill(card, entry);
    card.classList.toggle("shown", entry.id === data.panel);
    if (list.children[number] !== card) list.insertBefore(card, list.children[number] || null);
  });
  for (const card of there.values()) card.remove();
  lack(data.entries);
  showChosen();
  const ids = data.entries.map((entry) => entry.id);
  // Where the card that had the focus is gone, its neighbour has it.
  const lost = focused && !ids.includes(focused);
  const next = ids.includes(tab.current) ? tab.current : ids[lost ? Math.min(place, ids.length - 1) : 0];
  if (next) setCurrent(next, false);
  if (next && (lost || (focused && list.getRootNode().activeElement === null))) setCurrent(next, true);
  pages(nav, data.page, data.pages);
}
