"""Masters of emoji: every concept of a set painted on white with a margin, once, and kept beside its package."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ....errors import ModelError
from ....system.files import write_whole
from .concepts import Concept
from .packages import archive_of, checked_folder, json_members, load_concepts, members_of, sources_of
from .sets import GENERATOR_SETS, LABELS, EmojiSet

#: Pixels of a picture, of its master, and of the master's margin on each side (8 pixels of the picture).
SIZE = 128
MASTER = 192
MARGIN = 12
#: Part of the key of rendered pictures: raise it when rendering changes.
RENDERING = 1


class UndrawableError(ModelError):
    """One picture of a set that the renderer cannot draw; the set goes without it."""


@dataclass(frozen=True)
class EmojiPictures:
    """Masters uint8 [sets, concepts, 192, 192, 3], and which exist: bool [sets, concepts] (the rest is white)."""

    concepts: tuple[Concept, ...]
    styles: tuple[str, ...]
    masters: np.ndarray
    present: np.ndarray

    def only(self, wanted: Callable[[Concept], bool]) -> EmojiPictures:
        """The pictures of the wanted concepts, in their order."""
        rows = [index for index, concept in enumerate(self.concepts) if wanted(concept)]
        kept = tuple(self.concepts[index] for index in rows)
        return EmojiPictures(kept, self.styles, self.masters[:, rows], self.present[:, rows])

    def picture(self, concept: int, style: int) -> Image.Image:
        """One picture of 128 x 128 pixels, RGB."""
        return Image.fromarray(self.masters[style, concept]).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def load_pictures(
    folder: Path | None = None,
    sets: Sequence[EmojiSet] = GENERATOR_SETS,
    report: Callable[[str], None] = lambda line: None,
) -> EmojiPictures:
    """The masters of all concepts in the given sets; rendered once and then read from a file beside the packages.

    Args:
        folder: with the .tgz files; None for ~/.cache/superdiff/data/emoji.
        sets: which designers.
        report: told what is being rendered, one line a set.

    Raises:
        FileNotFoundError: when a package is missing; the message has the command that fetches it.
        ModelError: when a package is damaged, or cairosvg is not installed.
    """
    folder = checked_folder(folder, (*GENERATOR_SETS, *sets, LABELS))
    concepts = load_concepts(folder)
    parts = [_rendered(folder, source, concepts, report) for source in sets]
    masters, present = (np.stack(columns) for columns in zip(*parts, strict=True))
    return EmojiPictures(concepts, tuple(source.style for source in sets), masters, present)


def _rendered(
    folder: Path, source: EmojiSet, concepts: Sequence[Concept], report: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Masters [concepts, 192, 192, 3] and presence [concepts] of one set, from its cache file if that fits."""
    path = archive_of(folder, source)
    key = hashlib.sha256(path.read_bytes())
    key.update(json.dumps([RENDERING, MASTER, MARGIN, [concept.id for concept in concepts]]).encode())
    cache = folder / f"rendered-{source.style}-{key.hexdigest()[:16]}.npz"
    if cache.is_file():
        with np.load(cache) as stored:
            return stored["masters"], stored["present"]
    report(f"Rendering {len(concepts)} concepts of {source.title} ...")
    draw = _drawer(folder, source, concepts)

    def drawn(code: str) -> Image.Image | None:
        try:
            return draw(code)
        except UndrawableError as error:
            report(f"{source.title} {code} is left out. {error}")
            return None

    masters = np.full((len(concepts), MASTER, MASTER, 3), 255, np.uint8)
    present = np.zeros(len(concepts), bool)
    for index, concept in enumerate(concepts):
        image = drawn(concept.id)
        if image is not None:
            masters[index], present[index] = on_white(image), True
    buffer = io.BytesIO()
    np.savez_compressed(buffer, masters=masters, present=present)
    write_whole(cache, buffer.getvalue())
    return masters, present


def _drawer(folder: Path, source: EmojiSet, concepts: Sequence[Concept]) -> Callable[[str], Image.Image | None]:
    """A function from code points to a picture with transparency, or None when the set has none."""
    path, names = archive_of(folder, source), sources_of(folder, source, concepts)
    wanted = {names[concept.id] for concept in concepts if concept.id in names}
    if source.package.startswith("@lobehub"):
        files = members_of(path, wanted.__contains__)
        return lambda code: _read_image(files[names[code]], path) if code in names else None
    (icons,) = json_members(path, "icons.json")
    return lambda code: render_svg(svg_of(icons, names[code])) if code in names else None


def svg_of(icons: dict[str, Any], name: str) -> str:
    """The SVG document of an icon of Iconify's JSON, aliases followed; raises ModelError when there is none."""
    aliases = icons.get("aliases", {})
    for _ in range(8):  # a chain of aliases is short; a circular one ends here
        if name in icons["icons"]:
            icon = icons["icons"][name]
            width = icon.get("width", icons.get("width", 16))
            height = icon.get("height", icons.get("height", 16))
            return (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
            )
        if name not in aliases:
            break
        name = aliases[name]["parent"]
    raise ModelError(f"The icon set {icons.get('prefix', '')} has no icon '{name}'; fetch its package again.")


def render_svg(svg: str) -> Image.Image:
    """An SVG document as RGBA, its longer side filling a master without its margins.

    Raises:
        ModelError: when cairosvg is not installed.
        UndrawableError: when cairo cannot draw it.
    """
    try:
        import cairosvg
    except (ImportError, OSError):  # OSError: the C library of cairo is missing
        raise ModelError(
            "Rendering emoji needs CairoSVG and the cairo library: 'pip install superdiff-studio[train]' and, on "
            "Debian, 'apt-get install libcairo2'."
        ) from None

    side = 2 * (MASTER - 2 * MARGIN)
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg)
    wide = found is None or float(found[1]) >= float(found[2])
    size = {"output_width": side} if wide else {"output_height": side}
    try:
        content = cairosvg.svg2png(bytestring=svg.encode(), **size)  # by default it fetches nothing that the SVG names
    except (MemoryError, ArithmeticError, ValueError) as error:  # cairo's, for gradients and filters it cannot compute
        raise UndrawableError(f"Cairo cannot draw this SVG: {error}") from None
    return Image.open(io.BytesIO(content)).convert("RGBA")


def _read_image(content: bytes, path: Path) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content)).convert("RGBA")
    except (UnidentifiedImageError, OSError):
        raise ModelError(f"The package {path} holds a damaged picture; fetch it again with 'npm pack'.") from None


def on_white(image: Image.Image) -> np.ndarray:
    """A picture with transparency as a master: centred on white within the margin; uint8 [192, 192, 3]."""
    inner = MASTER - 2 * MARGIN
    scale = inner / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (MASTER, MASTER), "white")
    canvas.paste(small, ((MASTER - size[0]) // 2, (MASTER - size[1]) // 2), small)
    return np.asarray(canvas)
