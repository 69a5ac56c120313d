// What a browser tab does by itself: the address line always names what the tab shows, so that a reload, the way back and a
// new server find it again; what was asked of it (presses.js) is told; it presents, and follows the system's colours.
//
// The player's part of the address, `sample=12&step=40`, is `tab.look`, since it moves without the server.
//
// data: { query: "run=...&recipe=...", page: the page's path, so that a change of page writes the query again,
//         scheme: "light" or "dark", as the server drew it }
// state: screen: [width, height, scale] of the window while the tab presents, else []
//        asked: how often Run has been asked for (presses.js)
//        scheme: "light" or "dark", where that is not what the server drew its charts and own colours for.

// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffTab ??= { query: "", tell: null, listens: false, look: null, screen: "" });

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

if (!tab.listens) {
  tab.listens = true;
  window.addEventListener("resize", onResize);
  window.addEventListener("popstate", () => setTimeout(write, 0));
}

export default function ({ data, setStateValue }) {
  tab.query = data.query;
  tab.tell = setStateValue;
  tab.write = write;
  write();
  // What is told while it is being mounted may be dropped.
  setTimeout(() => window.superdiffPresses?.bind(setStateValue), 150);
  // After a reload, and to a server that knows nothing of it.
  tab.presents ??= kept();
  fit();
  tellScreen();
  followScheme(data.scheme);
}
