// What a browser tab does by itself: Ctrl+Enter (on a Mac also Cmd+Enter) runs wherever the focus is, and the address
// line always names what the tab shows, so that a reload, the way back and a new server find it again.
//
// data: { query: "run=...&recipe=...", page: the page's path, so that a change of page writes the query again }

const STEP = 60, PATIENCE = 3000, CELL_PATIENCE = 1500; // milliseconds
let query = "";

const button = () => document.querySelector(".st-key-run button");
const busy = () => document.querySelector(".st-key-live, [data-testid='stApp'][data-test-script-state='running']") !== null;
const inCell = (field) => !!field && field.closest(".gdg-style, .clip-region") !== null;

// What has been typed and not been taken over yet is taken over as by Enter or by leaving the field. Returns for how many
// milliseconds at most the page may take to notice.
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
  return typed && cell ? CELL_PATIENCE : typed ? 5 * STEP : 0;
}

// The run begins once the page has taken in what was typed: a button that was disabled by it is enabled then.
function run(patience) {
  const start = Date.now(), end = start + PATIENCE;
  let noticed = patience === 0;
  const attempt = () => {
    const found = button();
    const late = Date.now() >= end;
    noticed = noticed || busy() || Date.now() >= start + patience;
    if (!noticed) setTimeout(attempt, STEP / 2);
    else if (found && !found.disabled && (late || !busy())) found.click();
    else if (!late && !document.querySelector(".st-key-live")) setTimeout(attempt, STEP);
  };
  attempt();
}

function onKey(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  if (!button()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  // A table takes in the last letter with its next drawing.
  if (!event.repeat) setTimeout(() => run(settle()), inCell(document.activeElement) ? STEP : 0);
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
