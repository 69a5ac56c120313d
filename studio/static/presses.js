// Ctrl+Enter (on a Mac also Cmd+Enter) runs wherever the focus is, and so does a press of the button Run.
//
// This comes first on the page, and Run is seen as soon as this listens (data-listens on the root element says so to the
// style); the script that comes last (tab.js) binds it to the server. A press reaches the server behind all that was typed
// before, and counts, so that none is lost and none counts twice however slow the page or the server is: Streamlit's own
// button misses a key that comes while it is being mounted, and tells the server twice of a click that meets the tick of a
// live view.

const TAKEN = 200, TAKEN_OF_TABLE = 1000; // milliseconds until what was typed is on its way to the server
// Of the tab, not of this module, which may be loaded once more.
const presses = (window.superdiffPresses ??= { asked: 0, told: 0, tell: null, bind: null });

const button = () => document.querySelector(".st-key-run button");
const inCell = (field) => !!field && field.closest(".gdg-style, .clip-region") !== null;

// What has been typed and not been taken over yet is taken over as by Enter or by leaving the field. Returns for how many
// milliseconds the page may keep it before it is sent.
function settle() {
  const field = document.activeElement;
  if (!field || field === document.body) return 0;
  const typed = field.matches("input, textarea");
  const list = field.getAttribute("role") === "combobox" && field.getAttribute("aria-expanded") === "true" && field.value;
  const cell = inCell(field);
  if (list || cell) {
    for (const type of ["keydown", "keyup"])
      field.dispatchEvent(new KeyboardEvent(type, { key: "Enter", code: "Enter", keyCode: 13, bubbles: true, cancelable: true }));
  }
  field.blur();
  // A table sends its changes a moment later.
  return typed && cell ? TAKEN_OF_TABLE : typed ? TAKEN : 0;
}

// What is asked for while the page is not yet, or no longer, bound to the server is told as soon as it is.
function tell() {
  if (!presses.tell || presses.told === presses.asked) return;
  presses.told = presses.asked;
  presses.tell("asked", presses.asked);
}

function ask() {
  presses.asked += 1;
  tell();
}

function onKey(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  if (!button()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  // A held key is one press. A table takes in the last letter with its next drawing.
  if (!event.repeat) setTimeout(() => setTimeout(ask, settle()), inCell(document.activeElement) ? 60 : 0);
}

let left = 0; // milliseconds that the field which a mouse's button has just left may keep what was typed

function onPointer() {
  const field = document.activeElement;
  left = !field || !field.matches("input, textarea") ? 0 : inCell(field) ? TAKEN_OF_TABLE : TAKEN;
}

function onClick(event) {
  const pressed = event.target.closest(".st-key-run button");
  if (!pressed || pressed.disabled) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  setTimeout(ask, left);
  left = 0;
}

// Before every listener of the page's own, and only once however often this is mounted.
if (!presses.bind) {
  presses.bind = (told) => {
    presses.tell = told;
    tell();
  };
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("pointerdown", onPointer, true);
  window.addEventListener("click", onClick, true);
  document.documentElement.dataset.listens = "on";
}

export default function () {}
