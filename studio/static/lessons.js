// How far a student is in each lesson: kept in this browser, and told to the server once it asks.
//
// data: { keep: {lesson: what was done of it, or null to forget it}, known: whether the server was told, place: the lesson
// and the step that are shown }
// state: kept: all that is kept, by lesson

const KEY = "superdiff-lessons";

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
  } catch {
    return {}; // no storage, or not ours
  }
}

// Of the tab, not of this module, which may be loaded once more.
const tab = (window.superdiffLessons ??= { place: null });

// Who goes on by keyboard goes on from the step, not from the head of the page: the button that was pressed is gone.
function goOn(place) {
  const step = document.querySelector(`.st-key-lesson-part-${Number(place.split("/")[1])} button`);
  if (document.activeElement === document.body) step?.focus({ preventScroll: true });
}

export default function ({ data, setStateValue }) {
  // Another step is read from its head.
  if (tab.place !== null && tab.place !== data.place) {
    document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0 });
    setTimeout(() => goOn(data.place), 200);
  }
  tab.place = data.place;
  const kept = read();
  if (!data.known) setStateValue("kept", kept);
  const before = JSON.stringify(kept);
  for (const [lesson, done] of Object.entries(data.keep)) {
    if (done === null) delete kept[lesson];
    else kept[lesson] = done;
  }
  if (JSON.stringify(kept) === before) return;
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // A browser that keeps nothing: the tab knows it as long as it lives.
  }
}
