// What surrounds a page: its keyboard and the list of it, the drawer that holds the form on narrow screens, and the pane
// of the form that is put away on wide ones.
//
// data: { page: the page's path, panes: whether it has form and stage, shown: the ids of the runs it shows, result:
// whether that is one finished run, narrow: pixels below which the form is a drawer, shortcuts: [{key, shown, meaning, act,
// place, number, awaited}] as in page.py }
//
// On the root element data-drawer="open" and data-form="away" say so to the style.

const root = document.documentElement;
const FORM = ".st-key-form-pane", STAGE = ".st-key-stage-pane", RUN = ".st-key-run button";
// Where a letter is a letter: fields, lists that are searched by typing, cells of tables.
const TYPED = "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable='true'], " +
  "[role=textbox], [role=combobox], [role=listbox], [role=menu], .gdg-style, .clip-region, [data-testid=stDataFrame]";
const PATIENCE = 3000; // milliseconds for which a key waits for what it presses
const OPEN = "[data-testid=stPopoverBody], [data-baseweb=popover], [role=listbox], [data-testid=stDialog]";

// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffPage ??= { data: null, listens: false, part: null, pointed: STAGE });

const part = (selector) => tab.part?.querySelector(selector);
const column = (pane) => document.querySelector(pane)?.closest("[data-testid=stColumn]");
const narrow = () => window.matchMedia(`(max-width: ${tab.data.narrow - 0.02}px)`).matches;
const opened = () => root.dataset.drawer === "open";
const presenting = () => root.dataset.present === "on";
const keysWork = () => localStorage.getItem("superdiff-keys") !== "off";

function label() {
  const settings = part(".page-settings"), handle = part(".page-handle");
  if (!settings) return;
  settings.hidden = handle.hidden = !tab.data.panes;
  settings.setAttribute("aria-expanded", String(opened()));
  settings.textContent = opened() ? "Close" : "Settings";
  const away = root.dataset.form === "away";
  handle.setAttribute("aria-expanded", String(!away));
  handle.setAttribute("aria-label", away ? "Take the settings out (.)" : "Put the settings away (.)");
  handle.title = handle.getAttribute("aria-label");
  const show = part(".page-present");
  show.setAttribute("aria-pressed", String(presenting()));
  show.title = presenting() ? "Leave the presentation (f or Esc)" : "Present: the stage alone, for a room (f)";
  show.setAttribute("aria-label", show.title);
}

// The form as a sheet over the page; what lies below it can neither be reached nor read meanwhile.
function drawer(open, focus = true) {
  const form = column(FORM);
  if (open === opened() || (open && !form)) return;
  if (open) root.dataset.drawer = "open";
  else delete root.dataset.drawer;
  for (const below of [column(STAGE), document.querySelector("[data-testid=stHeader]")]) if (below) below.inert = open;
  if (form) {
    for (const [name, value] of [["role", "dialog"], ["aria-modal", "true"], ["aria-label", "Settings"], ["tabindex", "-1"]])
      if (open) form.setAttribute(name, value);
      else form.removeAttribute(name);
  }
  label();
  if (focus) (open ? form : part(".page-settings"))?.focus({ preventScroll: true });
}

function toggleForm() {
  if (!tab.data.panes) return;
  if (narrow()) return drawer(!opened());
  const form = column(FORM), inside = form?.contains(document.activeElement);
  if (root.dataset.form === "away") delete root.dataset.form;
  else root.dataset.form = "away";
  label();
  if (inside) part(".page-handle").focus();
  // Charts take up the new width.
  requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
}

// Presentation mode is the tab's (tab.js), which tells the server how much room there is.
function present() {
  if (opened()) drawer(false, false);
  window.superdiffTab?.present(!presenting());
}

function help() {
  const dialog = part(".page-shortcuts");
  if (!dialog) return;
  if (dialog.open) return dialog.close();
  part(".page-keys").checked = keysWork();
  dialog.showModal();
}

// A key may come before what it presses, on a page that is still being built.
function press(one, until = performance.now() + PATIENCE) {
  const found = [...document.querySelectorAll(one.place)].filter((each) => each.offsetParent)[one.number];
  if (found) found.click();
  else if (one.awaited && document.querySelector(one.awaited) && performance.now() < until) setTimeout(press, 50, one, until);
}

const acts = {
  press,
  focus: (one) => document.querySelector(one.place)?.focus(),
  form: toggleForm,
  present,
  help,
};

// What a key would do if nobody listened to it: without a focus, it scrolls the pane that was pointed at last.
function scroll(event) {
  const pane = column(tab.pointed) ?? column(STAGE);
  if (!pane || narrow() || event.target !== document.body) return false;
  const page = pane.clientHeight * 0.9;
  const by = { PageDown: page, PageUp: -page, ArrowDown: 60, ArrowUp: -60, Home: -1e9, End: 1e9, " ": event.shiftKey ? -page : page };
  if (!(event.key in by)) return false;
  pane.scrollBy({ top: by[event.key] });
  return true;
}

function onKey(event) {
  if (!tab.data || event.defaultPrevented || event.isComposing) return;
  const target = event.composedPath()[0];
  const element = target instanceof Element ? target : document.body;
  const dialog = part(".page-shortcuts");
  if (event.key === "Escape") {
    if (dialog?.open || tab.menu) return;
    if (opened()) drawer(false);
    else if (presenting()) present();
    return;
  }
  const composed = event.getModifierState?.("AltGraph");
  if (event.metaKey || ((event.ctrlKey || event.altKey) && !composed)) return;
  if (element.closest(TYPED) || document.querySelector("[data-testid=stDialog]")) return;
  const one = tab.data.shortcuts.find((one) => one.key && one.key === event.key);
  if (dialog?.open ? one?.act !== "help" : false) return;
  if (one && !event.repeat && keysWork()) acts[one.act](one);
  else if (one && event.repeat && one.act === "press" && keysWork()) acts.press(one);
  else if (!scroll(event)) return;
  event.preventDefault();
}

// A list or a menu that is open closes first, before anybody else can see that it was there.
function onEscape(event) {
  if (event.key !== "Escape") return;
  const target = event.composedPath()[0];
  tab.menu = document.querySelector(OPEN) !== null || (target instanceof Element && target.matches("[role=combobox][aria-expanded=true]"));
}

function onPress(event) {
  const pressed = event.target instanceof Element ? event.target : null;
  if (!pressed) return;
  if (pressed.closest(".page-settings")) drawer(!opened());
  else if (pressed.closest(".page-handle")) toggleForm();
  else if (pressed.closest(".page-help")) help();
  else if (pressed.closest(".page-present")) present();
  else if (pressed.closest(RUN)) drawer(false, false);
  else if (pressed === part(".page-shortcuts")) pressed.close(); // beside the list
}

function onPoint(event) {
  for (const pane of [FORM, STAGE]) if (event.target instanceof Element && column(pane)?.contains(event.target)) tab.pointed = pane;
}

function list() {
  const rows = tab.data.shortcuts.map((one) => {
    const row = document.createElement("tr"), key = document.createElement("th"), meaning = document.createElement("td");
    key.scope = "row";
    for (const [place, name] of one.shown.split(" + ").entries()) {
      if (place) key.append(" + ");
      key.append(Object.assign(document.createElement("kbd"), { textContent: name }));
    }
    meaning.textContent = one.meaning;
    row.append(key, meaning);
    return row;
  });
  part("tbody").replaceChildren(...rows);
  part(".page-keys").onchange = (event) => localStorage.setItem("superdiff-keys", event.target.checked ? "on" : "off");
}

// What scrolls sideways in its own box, such as a long formula, can be reached and read by keyboard.
function reach() {
  for (const one of document.querySelectorAll(".katex-display")) {
    if (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
}

if (!tab.listens) {
  tab.listens = true;
  let reaching = 0;
  new MutationObserver(() => {
    reaching ||= setTimeout(() => { reaching = 0; reach(); }, 150);
  }).observe(document.body, { childList: true, subtree: true });
  window.addEventListener("resize", reach);
  window.addEventListener("keydown", onEscape, true);
  window.addEventListener("keydown", onKey);
  window.addEventListener("click", onPress);
  window.addEventListener("pointerdown", onPoint, true);
  // After a reload the tab's script says later than this one is mounted that the tab presents.
  new MutationObserver(label).observe(root, { attributeFilter: ["data-present"] });
  window.addEventListener("resize", () => { if (opened() && !narrow()) drawer(false, false); });
}

export default function ({ data, parentElement }) {
  const before = tab.data;
  tab.data = data;
  tab.part = parentElement;
  list();
  // What was asked for is shown: the drawer makes way.
  if (before && (before.page !== data.page || before.shown !== data.shown)) drawer(false, false);
  // A new run is seen from its head. From one result to the next, what is looked at keeps its place.
  if (before?.page === data.page && before.shown !== data.shown && !(before.result && data.result))
    for (const one of [column(STAGE), document.querySelector("[data-testid=stMain]")]) one?.scrollTo({ top: 0 });
  label();
}
