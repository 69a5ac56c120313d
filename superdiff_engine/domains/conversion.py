"""Models of other projects, converted: from the files that their authors publish to a folder of this project's layout.

A domain says in its `convert.py` which it converts, and the command line relies on this and no more:

    CONVERSIONS: Mapping[str, Conversion]   in domains/NAME/convert.py, by the names of the models
    conversion.files                        what is wanted, a `Wanted` each, in the order of the command
    conversion.options                      a dataclass: its fields are the options of `superdiff convert`, each with
                                            its metadata as `system.options.option` keeps them
    conversion.convert(files, out, options) writes the folder, and returns what there is to say about it

A new one says in `take` what of the files becomes what (`Taken`); all else is the same for all: files are digested,
weights written in float32, and config.json last, which makes a folder a converted model. Pickles are read by
`system.inert`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import ModelError, OutputError, quoted
from ..system.files import whole_file, write_whole
from ..system.inert import Inert
from ..training.saved import CARD, SETTINGS
from .sources import FOLDERS_VARIABLE, local_name

#: Called with what is being done, bytes done, and bytes in all.
Report = Callable[[str, int, int], None]
_BLOCK = 8 * 2**20
#: Names in a sentence about tensors.
_NAMED = 4
#: Entries of settings, and levels of them: OmegaConf takes two for one of ours.
_MOST_SETTINGS, _DEEPEST_SETTINGS = 20_000, 60


def silent(what: str, done: int, total: int) -> None:
    """A report to nobody."""


@dataclass(frozen=True)
class Wanted:
    """A file that a conversion reads: what it is, and what its authors call it."""

    what: str
    usual: str


@dataclass(frozen=True)
class Source:
    """A file that was converted: its name, its SHA-256 and its length."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class NoOptions:
    """Of a conversion that asks for files alone."""


@dataclass
class Taken:
    """What a conversion takes out of its files, for the folder that is written.

    Attributes:
        network: settings that config.json keeps, so that the network can be built again.
        weights: tensors by our names, by the path of the file that holds them: "model.safetensors",
            "decoder/model.safetensors".
        texts: other small files by their paths.
        copies: files that are copied as they are, by the paths that they get; they have digests on the card.
        left_out: what of the files is not used, in half sentences without a full stop.
        more: further entries of config.json.
        exact: whether numbers with a point keep their precision; otherwise they are written in float32.
    """

    network: dict[str, Any]
    weights: dict[str, Mapping[str, Tensor]]
    texts: dict[str, bytes] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    exact: bool = False


@dataclass(frozen=True)
class Converted:
    """A folder that was written: its bytes, its tensors and their numbers, its sources, and what was left out."""

    folder: Path
    bytes: int
    tensors: int
    parameters: int
    sources: tuple[Source, ...]
    left_out: tuple[str, ...]


class Conversion(ABC):
    """How the published files of one model become a folder of this project's layout.

    Attributes:
        name: of the model, and the "kind" in config.json.
        title: for people.
        description: one line.
        licence: of code and weights, as their authors give it.
        home: address of the authors' repository.
        cite: the paper.
        files: what is wanted, in the order of the command.
        options: the class of what it may be asked for.
    """

    name: str
    title: str
    description: str
    licence: str
    home: str
    cite: str
    files: tuple[Wanted, ...]
    options: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def take(self, files: Sequence[Path], options: Any) -> Taken:
        """What of the files becomes what.

        Args:
            files: one for each of `self.files`, all of them there.
            options: of the class `self.options`.

        Raises:
            ModelError: in one sentence, for a file that is not what it should be.
        """

    def convert(
        self, files: Sequence[Path], out: Path, options: Any = None, force: bool = False, report: Report = silent
    ) -> Converted:
        """Write the folder `out`: weights, config.json, card.

        Args:
            files: in the order of `self.files`.
            out: the folder, which is not there yet.
            options: of the class `self.options`; None for its defaults.
            force: whether files of a converted model that lies there already are replaced.
            report: told how far it is.

        Raises:
            ModelError: in one sentence, for a file that is not what it should be.
            OutputError: when the folder is there already, or cannot be written.
        """
        files = list(files)
        if len(files) != len(self.files):
            raise ModelError(
                f"{self.title} is converted from {_counted(len(self.files), 'file')} ({self._wanted()}), and "
                f"{_counted(len(files), 'file')} {'is' if len(files) == 1 else 'are'} given; name "
                f"{'it' if len(self.files) == 1 else 'them in this order'}."
            )
        for file, wanted in zip(files, self.files, strict=True):
            if not file.is_file():
                raise ModelError(f"There is no file {file}; name {wanted.what} ({wanted.usual}).")
        fresh = _check_place(out, force)
        taken = self.take(files, self.options() if options is None else options)
        for file in taken.copies.values():
            if not file.is_file():
                raise ModelError(f"There is no file {file}; name another one, or copy it there.")
        _check_finite(taken.weights)
        written: list[Path] = []
        try:
            sources = [digested(file, report) for file in [*files, *taken.copies.values()]]
            return self._write(out, taken, sources, report, written)
        except BaseException as error:
            if fresh:  # nothing stays of a folder that was begun here
                shutil.rmtree(out, ignore_errors=True)
            if isinstance(error, OSError):
                raise OutputError(f"{out} could not be written: {error.strerror or error}.") from error
            raise

    def use(self, folder: Path) -> str:
        """What a folder that was written is good for, in a line."""
        place = folder.resolve()
        return f"Recipes name it local/{local_name(place.name)} where {FOLDERS_VARIABLE} names {place.parent}"

    def _wanted(self) -> str:
        return " and ".join(f"{wanted.what} ({wanted.usual})" for wanted in self.files)

    def _write(
        self, out: Path, taken: Taken, sources: Sequence[Source], report: Report, written: list[Path]
    ) -> Converted:
        out.mkdir(parents=True, exist_ok=True)
        (out / SETTINGS).unlink(missing_ok=True)  # until all is there, this is no model
        for path in [*taken.weights, *taken.texts, *taken.copies]:
            (out / path).parent.mkdir(parents=True, exist_ok=True)
        for path, named in taken.weights.items():
            write_weights(out / path, named, report, taken.exact)
            written.append(out / path)
        for path, source in taken.copies.items():
            _copy(source, out / path, report)
            written.append(out / path)
        for path, content in taken.texts.items():
            write_whole(out / path, content)
            written.append(out / path)
        tensors = [value for group in taken.weights.values() for value in group.values()]
        size = sum(path.stat().st_size for path in written)
        found = Converted(
            out, size, len(tensors), sum(value.numel() for value in tensors), tuple(sources), tuple(taken.left_out)
        )
        write_whole(out / CARD, self._card(found, taken.exact).encode())
        settings = {
            "kind": self.name,
            "title": self.title,
            "description": self.description,
            "network": taken.network,
            "licence": self.licence,
            "home": self.home,
            "source": [{"file": one.file, "sha256": one.sha256, "bytes": one.bytes} for one in sources],
            "left_out": taken.left_out,
            **taken.more,
        }
        write_whole(out / SETTINGS, (json.dumps(settings, indent=1, ensure_ascii=False) + "\n").encode())
        return found

    def _card(self, found: Converted, exact: bool) -> str:
        sources = "\n".join(
            f"| From | `{_in_table(one.file)}`, {one.bytes:,} bytes, SHA-256 `{one.sha256}` |" for one in found.sources
        )
        left_out = "\n".join(f"- {quoted(line, 400)}" for line in found.left_out)
        return f"""# {self.title}

{self.description}; converted by `superdiff convert {self.name}`, nothing trained or changed here.

| | |
| --- | --- |
| Network | {found.parameters / 1e6:.2f} million parameters in {found.tensors:,} tensors{"" if exact else ", float32"} |
| Files | {found.bytes / 1e6:.1f} MB |
| Authors' repository | {self.home} |
| Paper | {self.cite} |
| Licence | {self.licence}; it stays that of its authors |
{sources}

{f"Left out of its files:{chr(10)}{chr(10)}{left_out}" if left_out else "Nothing of its files is left out."}
"""


def _in_table(text: str) -> str:
    return quoted(text).replace("|", "\N{REPLACEMENT CHARACTER}").replace("`", "'")


def _counted(count: int, what: str) -> str:
    number = {0: "no", 1: "one"}.get(count, str(count))
    return f"{number} {what}{'' if count == 1 else 's'}"


def _check_place(out: Path, force: bool) -> bool:
    """Whether `out` is new (or an empty folder); raises OutputError where something else is there."""
    if not out.exists() and not out.is_symlink():
        return True
    if not out.is_dir():
        raise OutputError(f"{out} is there already and is no folder; choose another one with --out.")
    if not any(out.iterdir()):
        return True
    if not (out / SETTINGS).is_file() and not (out / CARD).is_file():
        raise OutputError(f"{out} holds files that are no converted model; choose another folder with --out.")
    if not force:
        raise OutputError(
            f"{out} is there already; choose another folder with --out, or replace its files with --force."
        )
    return False


def _check_finite(weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    wrong = [
        name
        for tensors in weights.values()
        for name, value in tensors.items()
        if value.is_floating_point() and not bool(value.isfinite().all())
    ]
    if wrong:
        raise ModelError(
            f"The checkpoint has weights that are no finite numbers, in {listed(wrong)}; download the file again."
        )


def listed(names: Sequence[str]) -> str:
    """Some names for a sentence, the first ones where there are many."""
    more = len(names) - _NAMED
    return ", ".join(quoted(name) for name in names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def digested(file: Path, report: Report = silent) -> Source:
    """A file's name, SHA-256 and length."""
    total, done = file.stat().st_size, 0
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
            done += len(block)
            report(f"reading {file.name}", done, total)
    return Source(file.name, digest.hexdigest(), done)


def write_weights(path: Path, tensors: Mapping[str, Tensor], report: Report = silent, exact: bool = False) -> None:
    """Write tensors as safetensors, numbers with a point in float32, one after the other without a copy of them all.

    With `exact` float64 stays what it is.

    Raises:
        OutputError: when the file cannot be written.
    """
    kinds = {torch.float32: "F32", torch.int64: "I64", torch.int32: "I32", torch.bool: "BOOL", torch.uint8: "U8"}
    if exact:
        kinds[torch.float64] = "F64"
    head: dict[str, Any] = {}
    at = 0
    for name, value in tensors.items():
        kind = torch.float32 if value.is_floating_point() and value.dtype not in kinds else value.dtype
        end = at + value.numel() * kind.itemsize
        head[name] = {"dtype": kinds[kind], "shape": list(value.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        done = 0
        for value in tensors.values():
            other = value.is_floating_point() and value.dtype not in kinds
            content = (value.float() if other else value).detach().contiguous()
            raw = content.reshape(-1).view(torch.uint8).numpy()
            file.write(raw.data)
            done += raw.nbytes
            report(f"writing {path.name}", done, at)


def _copy(source: Path, path: Path, report: Report) -> None:
    total, done = source.stat().st_size, 0
    with open(source, "rb") as content, whole_file(path) as file:
        while block := content.read(_BLOCK):
            file.write(block)
            done += len(block)
            report(f"copying {source.name}", done, total)


def plain_configuration(value: Any) -> Any:
    """OmegaConf's nodes, as `inert.read` leaves them, as plain dicts, lists and values.

    References to other entries ("${model.width}") and whatever is no plain value become None.

    Raises:
        ModelError: for more entries than settings have.
    """
    return _Plain().of(value, 0)


class _Plain:
    """Counts what it visits: a small file may show the same part without end."""

    def __init__(self) -> None:
        self.visited = 0

    def of(self, value: Any, depth: int) -> Any:
        self.visited += 1
        if self.visited > _MOST_SETTINGS or depth > _DEEPEST_SETTINGS:
            raise ModelError("The checkpoint's settings are endless; give the file as its authors publish it.")
        if isinstance(value, Inert):
            state = value.state if isinstance(value.state, Mapping) else {}
            return self.of(state.get("_content", state.get("_val")), depth + 1)
        if isinstance(value, Mapping):
            return {name: self.of(part, depth + 1) for name, part in value.items() if isinstance(name, str)}
        if isinstance(value, list | tuple):
            return [self.of(part, depth + 1) for part in value]
        if isinstance(value, str) and value.startswith("${"):
            return None
        return value if isinstance(value, str | int | float | bool) else None
