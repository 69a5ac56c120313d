"""One line of the library: what a folder in it is, read without opening any of its arrays."""

from __future__ import annotations

import json
import os
import unicodedata
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import NewerError, RecordError, quoted
from ..recipes.document import Recipe
from ..runs.folder import RECORD, at_work, is_bare
from ..runs.stored import read_begun, read_recipe, read_status
from ..runs.work import is_id
from .labels import LabelError, Labels, cleaned, read_labels

#: States of an entry, and what they are called; the first five are a run's or a grid's own.
STATES: dict[str, str] = {
    "done": "finished",
    "cancelled": "cancelled",
    "failed": "stopped by an error",
    "interrupted": "broken off",
    "running": "at work",
    "damaged": "damaged",
    "newer": "of a newer version",
    "foreign": "no run",
}
#: States of what can be opened as a run.
OPENED = ("done", "cancelled", "failed", "interrupted")
_LONGEST_PROMPT = 2000
_LONGEST_SENTENCE = 1000
#: The latest time that every calendar knows, the end of 9999 but for time zones; drives' clocks go beyond.
_LAST = 253_402_128_000.0


@dataclass(frozen=True)
class Entry:
    """A folder of the library.

    Attributes:
        id: the folder's name, by which links and commands name the run.
        kind: "run", "grid", or "" for what is neither.
        state: one of STATES.
        sentence: what is wrong with it or was, "" for nothing.
        began: seconds since 1970, UTC.
        seconds: that it took; steps, samples, seed: of its recipe.
        domain, operator: their names in recipes; "" where they cannot be read.
        title: the run in a few words, as its recipe says it.
        experts: what each expert is, its prompt or the title of its model.
        models, prompts: of the experts.
        part_of: the id of the grid whose cell it is, "" for none.
        labels: of its user.
        bytes: that its files take.
        kept: the names of the record's files that are there.
        binned: whether it lies in the bin.
    """

    id: str
    kind: str = ""
    state: str = "foreign"
    sentence: str = ""
    began: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    samples: int = 0
    seed: int = 0
    domain: str = ""
    operator: str = ""
    title: str = ""
    experts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    part_of: str = ""
    labels: Labels = field(default_factory=Labels)
    bytes: int = 0
    kept: tuple[str, ...] = ()
    binned: bool = False

    @property
    def name(self) -> str:
        """What to call it: the user's name for it, else its title, else its folder's name."""
        return self.labels.name or self.title or self.id

    @property
    def can_open(self) -> bool:
        """Whether it can be shown as a run."""
        return self.kind == "run" and self.state in OPENED

    @property
    def words(self) -> str:
        """All its words, as `search_form` has them, in which a search looks."""
        labels = self.labels
        parts = [self.id, labels.name, labels.note, *labels.tags, self.title, self.domain, self.operator]
        return search_form(" \n ".join([*parts, *self.experts, *self.models, *self.prompts]))

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """What `to_json` wrote."""
        found = json.loads(text)
        labels = found.pop("labels")
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**(found | lists), labels=Labels(**(labels | {"tags": tuple(labels["tags"])})))


def search_form(text: str) -> str:
    """Text for searching: letters that are the same to a reader are the same, small and capital ones too."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cleaned(text)).casefold())


def read_entry(folder: Path, binned: bool = False) -> Entry:
    """What a folder of the library is; whatever is wrong with it is a sentence of the entry, and nothing is raised."""
    try:
        found = _read(folder, binned)
        # Both may be a stranger's.
        sentence = quoted(cleaned(found.sentence), _LONGEST_SENTENCE)
        began = max(0.0, min(found.began, _LAST))
        return replace(found, sentence=sentence, part_of=cleaned(found.part_of), began=began)
    except OSError as error:
        return Entry(
            folder.name,
            state="damaged",
            sentence=f"The folder {folder.name} cannot be read: {error.strerror or error}.",
            binned=binned,
        )


def _read(folder: Path, binned: bool) -> Entry:
    if folder.is_symlink() or not folder.is_dir():
        size = folder.lstat().st_size
        sentence = f"{folder.name} is no folder of a run; it is left as it is."
        return Entry(folder.name, sentence=sentence, began=folder.lstat().st_mtime, bytes=size, binned=binned)
    sizes = _sizes(folder)
    kept = tuple(name for name in RECORD if name in sizes)
    told: dict[str, Any] = {"id": folder.name, "bytes": sum(sizes.values()), "kept": kept, "binned": binned}
    told["began"] = folder.stat().st_mtime
    if not kept and is_id(folder.name) and is_bare(folder):
        return Entry(**told, kind="run", **_unwritten(folder))
    if not kept:
        return Entry(**told, sentence=f"The folder {folder.name} holds no run; it is left as it is.")
    told["kind"] = "grid" if "grid.json" in kept else "run"
    try:
        told["labels"] = read_labels(folder)
    except LabelError as error:
        told["sentence"] = str(error)
    try:
        begun = read_begun(folder)
        told |= {"part_of": begun["part_of"], "began": _time(begun["begun"], folder.name, told["began"])}
        if "recipe.json" not in kept and "status.json" not in kept:
            return Entry(**told | _unwritten(folder))
        recipe = read_recipe(folder)
        told |= _of_recipe(recipe, [])  # also where the status is damaged
        status = read_status(folder)
        if status is not None:
            told |= _of_recipe(recipe, status["titles"])
    except RecordError as error:
        state = "newer" if isinstance(error, NewerError) else "damaged"
        return Entry(**told | {"state": state, "sentence": str(error)})
    if status is not None:
        said = status["message"] or told.get("sentence", "")
        return Entry(**told | {"state": status["state"], "seconds": status["seconds"], "sentence": said})
    if at_work(folder):
        return Entry(**told | {"state": "running"})
    return Entry(**told | {"state": "interrupted", "sentence": _left(kept)})


def _unwritten(folder: Path) -> dict[str, Any]:
    """State and sentence of a run that has no recipe yet, or never had one."""
    if at_work(folder):
        return {"state": "running"}
    said = "The run was broken off before its recipe was written; nothing was made."
    return {"state": "interrupted", "sentence": said}


def _left(kept: tuple[str, ...]) -> str:
    parts = {
        "samples.npz": "its samples",
        "trace.parquet": "its curves up to then",
        "grid.png": "the picture up to then",
    }
    found = [words for name, words in parts.items() if name in kept]
    return f"The run was broken off; it kept {' and '.join(found) if found else 'nothing but its recipe'}."


def _of_recipe(recipe: Recipe, titles: list[str]) -> dict[str, Any]:
    if len(titles) != len(recipe.experts):
        titles = [expert.model for expert in recipe.experts]
    experts = [expert.prompt or title for expert, title in zip(recipe.experts, titles, strict=True)]
    words = [", ".join(recipe.operator.words()), *(["corrected"] if recipe.correction is not None else [])]
    return {
        "domain": recipe.domain,
        "operator": recipe.operator.name,
        "title": _text(", ".join(words)),
        "experts": tuple(map(_text, experts)),
        "models": tuple(dict.fromkeys(_text(expert.model) for expert in recipe.experts)),
        "prompts": tuple(_text(expert.prompt) for expert in recipe.experts if expert.prompt),
        "steps": recipe.levels.steps,
        "samples": recipe.batch,
        "seed": recipe.seed,
    }


def _text(text: str) -> str:
    return cleaned(text)[:_LONGEST_PROMPT]


def _time(begun: str, name: str, otherwise: float) -> float:
    """When a run began: as its folder says, as its id does, or when the folder was last written."""
    try:
        return datetime.fromisoformat(begun).astimezone(UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return datetime.strptime(name[:15], "%Y%m%d-%H%M%S").astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return otherwise


def _sizes(folder: Path) -> dict[str, int]:
    """The sizes of the files in a folder, by name, links not followed."""
    found = {}
    with os.scandir(folder) as listed:
        for one in listed:
            with suppress(OSError):  # removed meanwhile
                if one.is_file():
                    found[one.name] = one.stat(follow_symlinks=False).st_size
    return found
