"""The npm packages of emoji, read where `npm pack` left them: which concepts each set draws, by what file or icon."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ....errors import ModelError
from .concepts import Concept, everyday_concepts, plain_code
from .sets import GENERATOR_SETS, LABELS, SCORER_SETS, EmojiSet

DATA_FOLDER = Path.home() / ".cache" / "superdiff" / "data" / "emoji"


def how_to_get(sets: Iterable[EmojiSet], folder: Path) -> str:
    """The command that downloads the packages into `folder`."""
    specs = " ".join(f"{source.package}@{source.version}" for source in sets)
    return f"mkdir -p {folder} && cd {folder} && npm pack {specs}"


def load_concepts(folder: Path | None = None) -> tuple[Concept, ...]:
    """The concepts that at least three of the four generator sets draw, in the order of their code points.

    Args:
        folder: with the .tgz files; None for ~/.cache/superdiff/data/emoji.

    Raises:
        FileNotFoundError: when a package is missing; the message has the command that fetches it.
        ModelError: when a package is damaged.
    """
    folder = checked_folder(folder, (*GENERATOR_SETS, LABELS))
    drawn = [set(sources_of(folder, source)) for source in GENERATOR_SETS]
    return tuple(concept for concept in _everyday(folder) if sum(concept.id in available for available in drawn) >= 3)


def scorer_coverage(folder: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Which concepts (ids) each of the SCORER_SETS draws; raises as `load_pictures` does."""
    folder = checked_folder(folder, (*GENERATOR_SETS, *SCORER_SETS, LABELS))
    concepts = load_concepts(folder)
    available = {source.style: sources_of(folder, source, concepts) for source in SCORER_SETS}
    return {
        style: tuple(concept.id for concept in concepts if concept.id in names) for style, names in available.items()
    }


def checked_folder(folder: Path | None, sets: Iterable[EmojiSet]) -> Path:
    """The folder of the packages, None for DATA_FOLDER; FileNotFoundError, with a command, where one is missing."""
    folder = DATA_FOLDER if folder is None else Path(folder)
    missing = [source for source in dict.fromkeys(sets) if not list(folder.glob(source.pattern))]
    if missing:
        raise FileNotFoundError(
            f"The emoji packages {', '.join(source.package for source in missing)} are not in {folder}; fetch them "
            f"with '{how_to_get(missing, folder)}'."
        )
    return folder


def archive_of(folder: Path, source: EmojiSet) -> Path:
    """The newest package of a set."""
    return sorted(folder.glob(source.pattern))[-1]


def members_of(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The wanted files of a package by name; nothing is unpacked to disk, so no path in it can do harm."""
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and wanted(member.name) and (file := archive.extractfile(member)) is not None:
                    found[member.name] = file.read()
    except (tarfile.TarError, OSError, EOFError):
        raise ModelError(f"The package {path} is damaged; delete it and fetch it again with 'npm pack'.") from None
    return found


def json_members(path: Path, *names: str) -> list[Any]:
    """JSON files of a package; one that is not in it reads as empty."""
    found = members_of(path, lambda name: name.removeprefix("package/") in names)
    try:
        return [json.loads(found.get(f"package/{name}", b"{}")) for name in names]
    except ValueError:
        raise ModelError(
            f"The package {path} holds JSON that cannot be read; fetch it again with 'npm pack'."
        ) from None


def _everyday(folder: Path) -> list[Concept]:
    entries, groups = json_members(archive_of(folder, LABELS), "en/data.json", "meta/groups.json")
    return everyday_concepts(entries, groups)


def sources_of(folder: Path, source: EmojiSet, concepts: Sequence[Concept] = ()) -> dict[str, str]:
    """What draws a concept in a set: an icon's name, or a WebP file's, by code points.

    The sets without a table of code points name their icons as others do (noto's and the Fluent names and aliases),
    some without the hyphens.
    """
    path = archive_of(folder, source)
    if source.package.startswith("@lobehub"):
        return {plain_code(Path(name).stem): name for name in _listing(path) if name.endswith(".webp")}
    chars, icons = json_members(path, "chars.json", "icons.json")
    if chars:
        return {plain_code(code): name for code, name in chars.items()}
    slugs = _slugs(folder, concepts)
    known = {_bare(name): name for name in (*icons.get("aliases", {}), *icons.get("icons", {}))}
    return {code: known[slug] for code, listed in slugs.items() for slug in reversed(listed) if slug in known}


def _listing(path: Path) -> list[str]:
    try:
        with tarfile.open(path) as archive:
            return archive.getnames()
    except (tarfile.TarError, OSError, EOFError):
        raise ModelError(f"The package {path} is damaged; delete it and fetch it again with 'npm pack'.") from None


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _slugs(folder: Path, concepts: Sequence[Concept]) -> dict[str, list[str]]:
    """Names that icons of a concept may have, the likeliest first, without hyphens."""
    slugs = {concept.id: [_bare(name) for name in concept.names] for concept in concepts}
    for source in GENERATOR_SETS:
        if not source.package.startswith("@iconify"):
            continue
        chars, icons = json_members(archive_of(folder, source), "chars.json", "icons.json")
        other: dict[str, list[str]] = {}
        for alias, entry in icons.get("aliases", {}).items():
            other.setdefault(entry.get("parent"), []).append(alias)
        for code, name in chars.items():
            if (listed := slugs.get(plain_code(code))) is not None:
                listed.extend(_bare(one) for one in (name, *other.get(name, ())))
    return slugs
