// What a browser tab does by itself: Ctrl+Enter (on a Mac also Cmd+Enter) runs wherever the focus is, and the address
// line always names what the tab shows, so that a reload, the way back and a new server find it again.
//
// data: { query: "run=...&recipe=...", page: the page's path, so that a change of page writes the query again }

const STEP = 60, PATIENCE = 3000; // milliseconds
let query = "";

const button = () => document.querySelector(".st-key-run button");
const busy = () => document.querySelector(".st-key-live, [data-testid='stApp'][data-test-script-state='running']") !== null;

// What has been typed and not been taken over yet is taken over as by Enter or by leaving the field.
function settle() {
  const field = document.activeElement;
  if (!field || field === document.body) return false;
  const typed = field.matches("input, textarea");
  const list = field.getAttribute("role") === "combobox" && field.getAttribute("aria-expanded") === "true" && field.value;
  if (list || field.closest(".gdg-style, .clip-region")) {
    for (const type of ["keydown", "keyup"])
      field.dispatchEvent(new KeyboardEvent(type, { key: "Enter", code: "Enter", keyCode: 13, bubbles: true, cancelable: true }));
  }
  field.blur();
  return typed;
}

// The run begins once the page has taken in what was typed: a button that was disabled by it is enabled then.
function run(typed) {
  const end = Date.now() + PATIENCE;
  const attempt = () => {
    const found = button();
    const late = Date.now() >= end;
    if (found && !found.disabled && (late || !busy())) found.click();
    else if (!late && !document.querySelector(".st-key-live")) setTimeout(attempt, STEP);
  };
  // The table of modes sends its changes a moment later.
  if (typed) setTimeout(attempt, 5 * STEP);
  else attempt();
}

function onKey(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  if (!button()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (!event.repeat) run(settle());
}

function write() {
  const wanted = query ? `?${query}` : "";
  if (location.search !== wanted) history.replaceState(history.state, "", location.pathname + wanted + location.hash);
}

// Before every listener of the page's own, and only once however often this is mounted.
if (!window.superdiffTab) {
  window.superdiffTab = true;
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("popstate", () => setTimeout(write, 0));
}

export default function ({ data }) {
  query = data.query;
  write();
}
