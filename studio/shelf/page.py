"""The page Library: what is asked of it, the gallery that answers, and what comes new while it is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from superdiff_engine.library import Entry, Found
from superdiff_engine.library.entry import STATES
from superdiff_engine.system.library_folder import VARIABLE

from ..guard import callback, guarded, plain, show_sentence
from ..part import part
from ..stage.grid import draw_stored_grid
from ..words import bytes_text
from . import acts, asked
from .bar import draw_bar
from .cards import domain_title, draw_gallery, operator_title
from .export import draw_export
from .panel import began_text, draw_panel

#: Seconds between two looks at the folder, while something changes and while nothing does; and the least between two
#: drawings of the gallery.
_TICK, _IDLE_TICK, _REST = 1.0, 3.0, 2.0
#: Seconds that a new look at the folder may keep the page waiting, and those after which an index is looked at again.
_PATIENCE, _OLDER = 0.3, 1.0
#: A page that was drawn less than so many seconds ago is looked at again by its ticks alone, so that nothing that is
#: typed or pressed waits for the folder.
_AWAY = 10.0
_SORTS = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "name": "By name",
    "largest": "Largest first",
    "longest": "Longest first",
}
#: The pause in typing after which a search begins.
_PAUSE = "50ms"
_LOOKS = {"cards": ":material/grid_view:", "rows": ":material/view_list:"}


@dataclass(frozen=True)
class Seen:
    """What the library answers: a page of entries, numbers of what there is, how many lie in the bin."""

    found: Found
    counts: dict[str, dict[str, int]]
    in_bin: int
    pictures: dict[str, bytes]

    @property
    def mark(self) -> int:
        """Another number whenever anything of it is another."""
        counts = tuple((name, tuple(sorted(part.items()))) for name, part in self.counts.items())
        told = (tuple(self.found.entries), self.found.total, self.found.bytes, counts, self.in_bin)
        return hash((told, tuple(sorted(self.pictures))))

    @property
    def changing(self) -> bool:
        """Whether more is on its way."""
        library = asked.library()
        running = any(entry.state == "running" for entry in self.found.entries)
        return running or library.drawing or library.reading is not None


def draw_library() -> None:
    """The whole page."""
    here, library = asked.shelf(), asked.library()
    if time.monotonic() - here.drawn[1] > _AWAY:
        library.look(_OLDER, _PATIENCE)
    seen = _look()
    if here.grid:
        _draw_grid()
    else:
        _head(seen)
    problem = st.session_state["problem"]
    if problem:
        show_sentence(problem)
    _said()
    draw_export()
    here.drawn = seen.mark, time.monotonic()
    _watch(seen.changing)
    with st.container(key="shelf", gap="small"):
        if seen.found.entries:
            draw_gallery(seen.found.entries, seen.pictures, seen.found.total)
        else:
            _nothing()
    tags = list(seen.counts.get("tag", {}))
    with guarded("the selection"):
        draw_bar(seen.found.total, tags)
    if here.panel:
        draw_panel(tags)


def _look() -> Seen:
    """What there is to see now; a page behind the last one is the last one."""
    library, here = asked.library(), asked.shelf()
    found = library.find(asked.query())
    if not found.entries and found.total and here.number:
        here.number = (found.total - 1) // asked.PAGE
        found = library.find(asked.query())
    in_bin = library.find(asked.replace(asked.Query(), binned=True, part_of=None, most=0)).total
    pictures = library.thumbnails(found.entries, wait=False)
    return Seen(found, library.counts(asked.binned()), in_bin, pictures)


def _head(seen: Seen) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="shelf-head"):
        st.text_input(
            "Search",
            key=asked.TEXT,
            type="search",
            live=_PAUSE,
            icon=":material/search:",
            placeholder="Search names, notes, tags, prompts, models",
            on_change=callback(_afresh),
            label_visibility="collapsed",
            persist_state=asked.KEEP,
        )
        st.selectbox(
            "Order",
            list(_SORTS),
            format_func=_SORTS.__getitem__,
            key=asked.SORT,
            on_change=callback(_afresh),
            label_visibility="collapsed",
            persist_state=asked.KEEP,
            width=160,
        )
        st.segmented_control(
            "Look",
            asked.LOOKS,
            format_func=_LOOKS.__getitem__,
            key=asked.LOOK,
            required=True,
            label_visibility="collapsed",
            persist_state=asked.KEEP,
        )
        st.segmented_control(
            "Place",
            [asked.SHELF, asked.BIN],
            format_func=lambda place: f"Bin ({seen.in_bin:,})" if place == asked.BIN else place,
            key=asked.PLACE,
            required=True,
            on_change=callback(_elsewhere),
            label_visibility="collapsed",
            persist_state=asked.KEEP,
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="shelf-filters"):
        counts = seen.counts
        _filter(asked.DOMAINS, "Any domain", "domain", counts.get("domain", {}), domain_title)
        _filter(asked.OPERATORS, "Any operator", "operator", counts.get("operator", {}), operator_title)
        _filter(asked.STATES, "Any state", "state", counts.get("state", {}), lambda name: STATES.get(name, name))
        _filter(asked.TAGS, "Any tag", "tag", counts.get("tag", {}), str)
        st.toggle("Starred", key=asked.STAR, on_change=callback(_afresh), persist_state=asked.KEEP)
        if asked.filtered():
            st.button("Show all", icon=":material/filter_alt_off:", key="shelf-clear", on_click=callback(asked.clear))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="shelf-told"):
        found = seen.found
        what = "found" if asked.filtered() else "in the bin" if asked.binned() else "in the library"
        noun = "entry" if found.total == 1 else "entries"
        st.markdown(f"**{found.total:,} {noun}** {what} · {bytes_text(found.bytes)}", width="content")
        if asked.binned():
            if found.total:
                st.button(
                    "Empty the bin",
                    icon=":material/delete_forever:",
                    key="shelf-empty",
                    on_click=callback(acts.be_sure),
                )
        else:
            _where()


def _filter(key: str, anything: str, label: str, counts: dict[str, int], title: Callable[[str], str]) -> None:
    chosen = st.session_state.get(key) or []
    say = title if callable(title) else str
    st.multiselect(
        label.capitalize(),
        [*counts, *(name for name in chosen if name not in counts)],
        format_func=lambda name: f"{say(name)} ({counts.get(name, 0):,})",
        key=key,
        placeholder=anything,
        select_all=False,
        on_change=callback(_afresh),
        label_visibility="collapsed",
        persist_state=asked.KEEP,
        width=190,
    )


def _where() -> None:
    library = asked.library()
    with st.popover("Where it is", icon=":material/folder:", key="shelf-where", type="tertiary"):
        st.markdown("Every run of the studio, and of `superdiff sample` into the same place, is kept in this folder:")
        st.code(str(library.folder.absolute()), language=None, wrap_lines=True)
        st.markdown(
            f"To keep them elsewhere, set `{VARIABLE}` to another folder and start the studio again; folders that you "
            "move there yourself are found by themselves. Backing up the folder backs up everything."
        )
        st.caption(f"All of it takes {bytes_text(library.bytes)}, the bin included.")
        st.button(
            "Read all folders anew",
            icon=":material/refresh:",
            key="shelf-reindex",
            on_click=callback(library.read_anew),
            help="Makes the index anew; needed only where something seems to be wrong with this page",
        )


def _afresh() -> None:
    """Something else is asked for: from its first page on."""
    asked.shelf().number = 0


def _elsewhere() -> None:
    here = asked.shelf()
    acts.begin()
    here.number, here.panel = 0, ""
    here.choose([])


def _said() -> None:
    """What happened last, with the way back; and what has to be confirmed."""
    here = asked.shelf()
    if here.sure:
        size = sum(entry.bytes for entry in asked.library().entries(here.sure, binned=True))
        with st.container(horizontal=True, vertical_alignment="center", gap="small", border=True, key="shelf-sure"):
            what = f"Delete {acts.counted(here.sure)} ({bytes_text(size)}) for good? Nothing brings them back."
            st.markdown(f":material/warning: {what}", width="content")
            st.button("Delete for good", key="shelf-sure-yes", type="primary", on_click=callback(acts.delete_for_good))
            st.button("Keep", key="shelf-sure-no", on_click=callback(acts.begin))
    if here.said:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", border=True, key="shelf-said"):
            st.markdown(plain(here.said), width="content")
            if here.deleted:
                st.button("Undo", icon=":material/undo:", key="shelf-undo", on_click=callback(acts.undo))


def _nothing() -> None:
    if asked.library().reading is not None:
        return  # it is on its way
    if asked.filtered():
        st.info("Nothing here has all of that. Search for less, or choose fewer filters.", icon=":material/search_off:")
    elif asked.binned():
        st.info("The bin is empty. What you delete goes here first, and can be put back.", icon=":material/delete:")
    elif asked.shelf().grid:
        st.info("This grid has no cells that can be opened.", icon=":material/grid_off:")
    else:
        st.info(
            "Nothing is kept here yet. Every run on the page Compose comes here by itself, unless its record is "
            "switched off.",
            icon=":material/photo_library:",
        )
        st.page_link("screens/compose.py", label="To Compose", icon=":material/join_inner:")


def _draw_grid() -> None:
    """A grid of the library, in place of what is asked for; its cells are below it."""
    here, library = asked.shelf(), asked.library()
    entry: Entry = library.entry(here.grid)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("All runs", icon=":material/arrow_back:", key="shelf-leave", on_click=callback(acts.leave_grid))
        st.markdown(f"### {plain(entry.name)}", width="content")
        st.button(
            "Name, note and more",
            icon=":material/edit_note:",
            key="shelf-grid-more",
            on_click=callback(lambda: setattr(here, "panel", here.grid)),
        )
    st.caption(f"Grid · {began_text(entry)} · {bytes_text(entry.bytes)}")
    draw_stored_grid(library.path(here.grid))
    st.markdown("**Its cells**")


def _watch(changing: bool) -> None:
    """Look again every few seconds, and draw the page again where something is new."""
    part(_watched, run_every=_TICK if changing else _IDLE_TICK)(changing)


def _watched(changing: bool) -> None:
    here, library = asked.shelf(), asked.library()
    with guarded("the library"):
        library.look(_OLDER, 0.0 if changing else _PATIENCE)
        reading = library.reading
        if reading is not None and reading[1] > asked.PAGE:
            done, total = reading
            st.progress(done / total, text=f"Reading the library: {done:,} of {total:,}")
        mark, drawn = here.drawn
        if time.monotonic() - drawn < _REST / 4:
            return  # with the page
        seen = _look()
        if (seen.mark != mark or seen.changing != changing) and time.monotonic() - drawn > _REST:
            st.rerun()
