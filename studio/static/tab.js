// What a browser tab does by itself: Ctrl+Enter (on a Mac also Cmd+Enter) runs wherever the focus is, and the address
// line always names what the tab shows, so that a reload, the way back and a new server find it again.
//
// The player's part of the address, `sample=12&step=40`, is `tab.look`, since it moves without the server.
//
// data: { query: "run=...&recipe=...", page: the page's path, so that a change of page writes the query again,
//         scheme: "light" or "dark", as the server drew it }
// state: screen: [width, height, scale] of the window while the tab presents, else []
//        asked: how often Run has been asked for, by keyboard or mouse. It reaches the server behind all that was typed
// before, and counts, so that no press is lost and none counts twice however slow the page or the server is: a button's own
// click that meets the tick of a live view is told to the server twice by Streamlit's page.
//        scheme: "light" or "dark", where that is not what the server drew its charts and own colours for.

const TAKEN = 200, TAKEN_OF_TABLE = 1000; // milliseconds until what was typed is on its way to the server
// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffTab ??= { query: "", asked: 0, told: 0, tell: null, listens: false, look: null, screen: "" });

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
  if (!tab.tell || tab.told === tab.asked) return;
  tab.told = tab.asked;
  tab.tell("asked", tab.asked);
}

function ask() {
  tab.asked += 1;
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

// Presentation mode: the stage alone, larger by a factor that fits the window; the style does it by data-present and
// --studio-scale on the root element, and the server draws charts to the same measure.

const root = document.documentElement, PRESENTS = "superdiff-present", LARGER = 1.6, LEAST = 1.2;

function kept() {
  try {
    return sessionStorage.getItem(PRESENTS) === "on";
  } catch {
    return false; // a browser that keeps nothing
  }
}

function screen() {
  if (!tab.presents) return [];
  const scale = Math.max(LARGER * Math.min(innerWidth / 1280, innerHeight / 720), LEAST);
  return [innerWidth, innerHeight, Math.round(100 * scale) / 100];
}

function fit() {
  const [, , scale] = screen();
  if (scale) root.style.setProperty("--studio-scale", scale);
  else root.style.removeProperty("--studio-scale");
  if (scale) root.dataset.present = "on";
  else delete root.dataset.present;
}

function tellScreen() {
  const now = screen();
  if (!tab.tell || String(now) === tab.screen) return;
  tab.screen = String(now);
  tab.tell("screen", now);
}

tab.present ??= (on) => {
  tab.presents = on;
  try {
    sessionStorage.setItem(PRESENTS, on ? "on" : "off");
  } catch {}
  fit();
  tellScreen();
  // Charts take up their new size: at once, and when the server has drawn them anew.
  for (const later of [0, 700, 2000]) setTimeout(() => window.dispatchEvent(new Event("resize")), later);
};

function onResize() {
  if (!tab.presents) return;
  fit();
  clearTimeout(tab.settling);
  tab.settling = setTimeout(tellScreen, 250);
}

// Streamlit's page follows a change of the system's colours, or of its own menu's, but asks the server for nothing.
function tellScheme() {
  const scheme = getComputedStyle(tab.app).colorScheme;
  if (scheme === tab.drawn || scheme === tab.scheme || !tab.tell) return;
  tab.scheme = scheme;
  tab.tell("scheme", scheme);
}

function followScheme(drawn) {
  if (drawn !== tab.drawn) tab.scheme = ""; // what was told has been drawn
  tab.drawn = drawn;
  const app = document.querySelector(".stApp");
  if (app !== tab.app) new MutationObserver(tellScheme).observe((tab.app = app), { attributeFilter: ["class"] });
  tellScheme();
}

let left = 0; // milliseconds that the field which a mouse's button has just left may keep what was typed

function onPointer() {
  const field = document.activeElement;
  left = !field || !field.matches("input, textarea") ? 0 : inCell(field) ? TAKEN_OF_TABLE : TAKEN;
}

function onClick(event) {
  const pressed = event.target.closest(".st-key-run button");
  if (!pressed || pressed.disabled || !tab.tell) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  setTimeout(ask, left);
  left = 0;
}

// What the server says, and in its place what the player (player.js) says of the sample and the step that it shows.
function address() {
  const look = tab.look ?? {}, said = tab.query.split("&").filter((part) => part && !(part.split("=")[0] in look));
  return [...said, ...Object.entries(look).map(([name, value]) => `${name}=${value}`)].join("&");
}

function write() {
  const query = address(), wanted = query ? `?${query}` : "";
  if (location.search !== wanted) history.replaceState(history.state, "", location.pathname + wanted + location.hash);
}

// Another script of the page, which knows sooner what the page shows, may name it: the query of this address from now on.
tab.name = (query) => {
  tab.query = query;
  write();
};

// Before every listener of the page's own, and only once however often this is mounted.
if (!tab.listens) {
  tab.listens = true;
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("pointerdown", onPointer, true);
  window.addEventListener("click", onClick, true);
  window.addEventListener("resize", onResize);
  window.addEventListener("popstate", () => setTimeout(write, 0));
}

export default function ({ data, setStateValue }) {
  tab.query = data.query;
  tab.tell = setStateValue;
  tab.write = write;
  write();
  setTimeout(tell, 150); // what is told while it is being mounted may be dropped
  // After a reload, and to a server that knows nothing of it.
  tab.presents ??= kept();
  fit();
  tellScreen();
  followScheme(data.scheme);
}
