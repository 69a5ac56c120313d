"""Which runs make room, by rules: a plan first, which can be looked at, and then the bin or the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import SuperDiffError
from .entry import OPENED, Entry
from .index import Query
from .library import Library

#: States by which runs may be pruned; what is at work and what is no run never is.
PRUNED = ("done", "cancelled", "failed", "interrupted", "damaged", "newer")
_DAY = 86_400.0
#: Entries that go between two looks at the progress.
_AT_ONCE = 50


@dataclass(frozen=True)
class Rules:
    """What may go: runs and grids that fit all of these; a grid goes with its cells, and is as protected as they are.

    Attributes:
        older: days since they began; None for any age.
        larger: bytes that the library may take, without its bin; of what fits the rest, the oldest go until it takes no
            more, those without a star and a name first. None for no bound: all that fit go.
        states: of those that go; empty for whatever can be opened.
        starred, named: whether those with a star, and those to which their user gave a name, may go.
    """

    older: float | None = None
    larger: int | None = None
    states: tuple[str, ...] = ()
    starred: bool = False
    named: bool = False

    def __post_init__(self) -> None:
        if self.older is None and self.larger is None and not self.states:
            raise SuperDiffError("Say what is to go: runs older than some days, what is beyond a size, or a state.")
        unknown = [state for state in self.states if state not in PRUNED]
        if unknown:
            raise SuperDiffError(f"Runs are pruned by the states {', '.join(PRUNED)}, not by '{unknown[0]}'.")


@dataclass(frozen=True)
class Pruning:
    """What would go: the entries, oldest first, cells not among them; the bytes that they take, with cells."""

    entries: list[Entry]
    bytes: int


def plan(library: Library, rules: Rules, now: float | None = None) -> Pruning:
    """What goes by these rules; nothing is changed.

    Args:
        library: whose runs.
        rules: that they fit.
        now: seconds since 1970; None for the clock's.
    """
    library.refresh()
    now = time.time() if now is None else now
    everything = library.find(Query(part_of=None, sort="oldest"))
    cells: dict[str, list[Entry]] = {}
    grids = {entry.id for entry in everything.entries if entry.kind == "grid"}
    for entry in everything.entries:
        if entry.part_of in grids:
            cells.setdefault(entry.part_of, []).append(entry)
    whole = {
        entry.id: [entry, *cells.get(entry.id, [])]
        for entry in everything.entries
        if entry.kind and entry.part_of not in grids
    }

    def fits(entry: Entry) -> bool:
        family = whole[entry.id]
        states = rules.states or OPENED
        return (
            entry.state in states
            and (rules.older is None or now - entry.began > rules.older * _DAY)
            and (rules.starred or not any(one.labels.star for one in family))
            and (rules.named or not any(one.labels.name for one in family))
            and not any(one.state == "running" for one in family)
        )

    chosen = [family[0] for family in whole.values() if fits(family[0])]
    sizes = {id: sum(one.bytes for one in family) for id, family in whole.items()}
    if rules.larger is not None:
        left, gone = everything.bytes, []
        for entry in sorted(chosen, key=lambda one: (one.labels.star, bool(one.labels.name), one.began, one.id)):
            if left <= rules.larger:
                break
            left -= sizes[entry.id]
            gone.append(entry)
        chosen = gone
    chosen.sort(key=lambda one: (one.began, one.id))
    return Pruning(chosen, sum(sizes[entry.id] for entry in chosen))


def prune(
    library: Library,
    entries: Sequence[Entry],
    forever: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Put runs into the bin, grids with their cells, or remove them for good; gives how many folders went.

    Args:
        library: that has them.
        entries: of a plan.
        forever: whether they are removed from the bin, too.
        on_progress: called with how many entries are gone and how many are to go; what it raises ends this between
            some of them.

    Raises:
        RecordError: where somebody is at work on one by now.
        OutputError: when one cannot be moved.
    """
    count = 0
    for done in range(0, len(entries), _AT_ONCE):
        if on_progress is not None:
            on_progress(done, len(entries))
        names = library.delete([entry.id for entry in entries[done : done + _AT_ONCE]])
        count += library.empty_bin(names) if forever else len(names)
    if on_progress is not None:
        on_progress(len(entries), len(entries))
    return count
