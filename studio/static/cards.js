// Samples as cards: a drawing each, and below it what was asked, what the sample has, and whether that satisfies it.
// A click, Enter or Space picks one; arrows move the focus.
//
// data: {
//   cards: [{ number, label, picture: a data URI, alt, lines: [{ name, value, bound, holds, colour: of who asks or "" }],
//             note: a line of another kind, or "" }, ...],
//   picked: the number of the one that is looked at,
//   alt: a sentence for those who cannot see it,
// }
// state: picked: [count, number], counted so that the same card can be picked once more.
// All texts become text nodes; none is ever markup.

const counts = new WeakMap();

function put(parent, name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function drawLine(list, line) {
  const row = put(list, "span", "line");
  const asked = put(row, "span", "asked");
  if (line.colour) put(asked, "span", "dot").style.background = line.colour;
  asked.append(`${line.name} ${line.bound}`);
  const mark = put(row, "span", line.holds ? "holds" : "fails", `${line.value} `);
  put(mark, "span", "", line.holds ? "✓" : "✗").setAttribute("aria-hidden", "true");
  put(mark, "span", "unseen", line.holds ? "satisfied" : "not satisfied");
}

function fill(card, one, picked) {
  card.replaceChildren();
  card.dataset.number = String(one.number);
  card.setAttribute("aria-pressed", String(one.number === picked));
  card.classList.toggle("picked", one.number === picked);
  const picture = put(card, "img", "");
  picture.src = one.picture;
  picture.alt = one.alt;
  put(card, "span", "label", one.label);
  one.lines.forEach((line) => drawLine(card, line));
  if (one.note) put(card, "span", "note", one.note);
}

export default function ({ data, parentElement, setStateValue }) {
  const place = parentElement.querySelector(".cards");
  place.setAttribute("aria-label", data.alt);
  const pick = (number) => {
    const count = (counts.get(place) || Date.now()) + 1; // grows over reloads too
    counts.set(place, count);
    setStateValue("picked", [count, number]);
  };
  while (place.children.length > data.cards.length) place.lastChild.remove();
  while (place.children.length < data.cards.length) put(place, "button", "card").type = "button";
  data.cards.forEach((one, index) => {
    const card = place.children[index];
    const seen = JSON.stringify([one, one.number === data.picked]);
    if (card.seen !== seen) fill(card, one, data.picked); // what stays the same keeps its elements
    card.seen = seen;
    card.onclick = () => pick(one.number);
  });
  place.onkeydown = (event) => {
    const cards = [...place.children], here = cards.indexOf(event.target);
    const row = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[event.key];
    const next = here < 0 || !step ? null : cards[here + step];
    if (next) {
      event.preventDefault();
      event.stopPropagation();
      next.focus();
    }
  };
}
