"""Emoji as training data: what there is to draw (concepts), how each designer drew it (styles), and where it is.

A *concept* is one emoji, say U+1F431 "cat face"; a *style* is one designer's set of pictures. Four sets train the
embedded text-to-image model; six others, which it never sees, are kept for a judge of its pictures:

    train   noto, flat (Fluent), 3d (Fluent), twemoji          judge   SCORER_SETS below

All come as npm packages, read straight from the .tgz files that `npm pack` leaves in a folder: icons as SVG (Iconify's
JSON) or WebP, labels, tags and groups from emojibase-data (CLDR's names). Only sets with permissive or attribution
licences are used; share-alike ones (emojione-v1, openmoji) are left out on purpose.

A picture is painted on white with a margin and stored as a *master* of one and a half times the model's size (192 x
192), so that shifts and scalings by fractions of a pixel stay crisp after the reduction to 128 x 128.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...errors import ModelError
from ...system.files import write_whole

DATA_FOLDER = Path.home() / ".cache" / "superdiff" / "data" / "emoji"
#: Pixels of a picture, of its master, and of the master's margin on each side (8 pixels of the picture).
SIZE = 128
MASTER = 192
MARGIN = 12
#: Part of the key of rendered pictures: raise it when rendering changes.
RENDERING = 1


class UndrawableError(ModelError):
    """One picture of a set that the renderer cannot draw; the set goes without it."""


@dataclass(frozen=True)
class EmojiSet:
    """One designer's pictures: the style word of captions, its npm package, and what its licence asks to be said."""

    style: str
    package: str
    version: str
    title: str
    licence: str
    credit: str

    @property
    def pattern(self) -> str:
        """The glob pattern of the file that `npm pack` writes (any version)."""
        return self.package.removeprefix("@").replace("/", "-") + "-[0-9]*.tgz"


GENERATOR_SETS = (
    EmojiSet("noto", "@iconify-json/noto", "1.2.9", "Noto Emoji", "Apache-2.0", "Google, googlefonts/noto-emoji"),
    EmojiSet(
        "flat",
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "Fluent Emoji (flat)",
        "MIT",
        "Microsoft Corporation, microsoft/fluentui-emoji",
    ),
    EmojiSet(
        "3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "Fluent Emoji (3D)",
        "MIT",
        "Microsoft Corporation, microsoft/fluentui-emoji; packed by LobeHub",
    ),
    EmojiSet(
        "twemoji",
        "@iconify-json/twemoji",
        "1.2.5",
        "Twemoji",
        "CC-BY-4.0",
        "Twitter and contributors, jdecked/twemoji",
    ),
)
SCORER_SETS = (
    EmojiSet("noto-v1", "@iconify-json/noto-v1", "1.2.5", "Noto Emoji v1", "Apache-2.0", "Google"),
    EmojiSet("emojione", "@iconify-json/emojione", "1.2.3", "EmojiOne 2.3", "CC-BY-4.0", "EmojiOne, EmojiTwo"),
    EmojiSet("fxemoji", "@iconify-json/fxemoji", "1.2.2", "Firefox OS Emoji", "Apache-2.0", "Mozilla"),
    EmojiSet(
        "high-contrast",
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "Fluent Emoji (high contrast)",
        "MIT",
        "Microsoft Corporation",
    ),
    EmojiSet("color", "@iconify-json/fluent-emoji", "1.2.7", "Fluent Emoji (color)", "MIT", "Microsoft Corporation"),
    EmojiSet("streamline", "@iconify-json/streamline-emojis", "1.2.4", "Streamline Emojis", "CC-BY-4.0", "Streamline"),
)
LABELS = EmojiSet("labels", "emojibase-data", "17.0.0", "emojibase-data", "MIT", "Miles Johnson; names from CLDR")
STYLES = tuple(source.style for source in GENERATOR_SETS)

#: Subgroups of emojibase that hold everyday things, by the kind of thing (a word for captions).
KINDS: dict[str, tuple[str, ...]] = {
    "face": (
        "face-smiling",
        "face-affection",
        "face-tongue",
        "face-hand",
        "face-neutral-skeptical",
        "face-sleepy",
        "face-unwell",
        "face-hat",
        "face-glasses",
        "face-concerned",
        "face-negative",
        "face-costume",
        "cat-face",
        "monkey-face",
    ),
    "animal": (
        "animal-mammal",
        "animal-bird",
        "animal-amphibian",
        "animal-reptile",
        "animal-marine",
        "animal-bug",
    ),
    "plant": ("plant-flower", "plant-other"),
    "fruit": ("food-fruit",),
    "vegetable": ("food-vegetable",),
    "food": ("food-prepared", "food-asian", "dishware"),
    "dessert": ("food-sweet",),
    "drink": ("drink",),
    "place": ("place-map", "place-geographic", "place-building", "place-religious", "place-other", "hotel"),
    "vehicle": ("transport-ground", "transport-water", "transport-air"),
    "weather": ("sky-weather",),
    "celebration": ("event",),
    "sport": ("sport", "award-medal"),
    "game": ("game",),
    "art": ("arts-crafts",),
    "clothing": ("clothing",),
    "music": ("music", "musical-instrument", "sound"),
    "device": ("phone", "computer", "light-video"),
    "book": ("book-paper", "writing"),
    "money": ("money",),
    "mail": ("mail",),
    "office": ("office", "lock"),
    "tool": ("tool", "science", "medical"),
    "household": ("household", "time"),
    "object": ("other-object",),
    "heart": ("heart",),
    "body part": ("body-parts",),
}
#: What is left out of those subgroups: clock faces, signs and letters, and people.
_LEFT_OUT = re.compile(
    r"o.clock|-thirty|banknote| suit$|mahjong|placard|with yen|e-mail|identification card|nazar|hamsa|barber pole"
    r"|(incoming|with arrow)|head shaking|face with(out)? mouth|moon (viewing )?ceremony|map of japan|carpentry"
    r"|flexed biceps|^(leg|foot|biting lip|ear with hearing aid|mechanical (arm|leg)|heart (exclamation|decoration))$"
    r"|symbols on mouth|cigarette|funeral urn|coffin|headstone|hotel$|love hotel|with slash|speaker (low|medium)|waxing"
    r"|waning|first quarter moon$|last quarter moon$|flower playing cards|with kanji|transgender|japanese post"
)
#: Other common names of a concept, put in front (the first is the concept's name) or behind.
_PREFERRED = {"1f369": "donut", "1f9c1": "cupcake", "1f41e": "ladybug", "1f578": "spider web", "1f6de": "wheel"}
_ALSO = {
    "1f369": ("doughnut",),
    "1f5fa": ("map",),
    "1f36f": ("honey", "pot of honey"),
    "1f41d": ("bee",),
    "1f41e": ("lady beetle",),
    "1f3b9": ("piano", "piano keys"),
    "1f6b2": ("bike",),
    "1f697": ("car",),
    "1f6a2": ("boat",),
    "1f4f7": ("photo camera",),
    "1f4bb": ("notebook computer",),
    "1f50b": ("cell",),
    "1f99a": ("peafowl",),
    "1f31e": ("smiling sun",),
    "1f47d": ("ufo alien",),
    "1f4fa": ("tv",),
    "1f35f": ("fries", "chips"),
    "1f354": ("burger",),
    "1f334": ("palm",),
    "1f384": ("xmas tree",),
    "1f98b": ("moth",),
    "1f4d6": ("book",),
    "1f4a1": ("bulb", "lamp"),
    "26bd": ("football",),
    "1f3b8": ("electric guitar",),
    "1f6f8": ("ufo",),
}
#: Words of names whose pictures hold letters, digits or notes: never mirrored.
_WRITTEN = re.compile(
    r"8 ball|place medal|calendar|hundred|zzz|convenience|hospital|school|police|taxi|ambulance|fire engine|bus\b|label"
    r"|bank\b|atm|post ?office|musical|note|newspaper|keyboard|joker|playing|stop sign|memo|page|receipt|ledger|book"
    r"|dvd|coin|money|credit|yen|dollar|chart|slot machine|dice|die\b|clock|watch|ticket|mailbox|letter"
    r"|glass of milk|sake|pager|fax|television|telephone|mobile phone|ruler|thermometer|scale|abacus|\bmap\b|globe|film"
    r"|test tube|video game|x-ray"
)

#: Pairs of concepts for AND: the paper's own where they are emoji, else others that share a shape or a colour.
PAIRS: tuple[tuple[str, str], ...] = (
    ("cat", "dog"),
    ("sunflower", "lemon"),
    ("pineapple", "honey pot"),
    ("otter", "duck"),
    ("rocket", "cactus"),
    ("donut", "world map"),
    ("flamingo", "lollipop"),
    ("volcano", "soft ice cream"),
    ("spider web", "wheel"),
    ("zebra", "musical keyboard"),
    ("snail", "fish cake with swirl"),
    ("fly", "helicopter"),
    ("blossom", "fireworks"),
    ("teddy bear", "panda"),
    ("full moon", "cookie"),
    ("jellyfish", "umbrella"),
    ("hedgehog", "chestnut"),
    ("turtle", "hamburger"),
    ("lion", "sun with face"),
    ("penguin", "bowling"),
)


@dataclass(frozen=True)
class Concept:
    """One emoji: its code points (lower-case hex, without variation selectors), its names and its tags.

    Attributes:
        id: such as "1f431" or "1f43b-200d-2744".
        names: clear names, the usual one first.
        tags: one-word associations of CLDR, lower-case.
        kind: what sort of thing it is, a key of KINDS.
    """

    id: str
    names: tuple[str, ...]
    tags: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]

    @property
    def mirrors(self) -> bool:
        """Whether its mirror image is as good (it holds no letters or digits)."""
        return not any(_WRITTEN.search(name) for name in self.names)


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
    folder = _checked(folder, (*GENERATOR_SETS, LABELS))
    drawn = [set(_sources(folder, source)) for source in GENERATOR_SETS]
    return tuple(concept for concept in _everyday(folder) if sum(concept.id in available for available in drawn) >= 3)


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
    folder = _checked(folder, (*GENERATOR_SETS, *sets, LABELS))
    concepts = load_concepts(folder)
    parts = [_rendered(folder, source, concepts, report) for source in sets]
    masters, present = (np.stack(columns) for columns in zip(*parts, strict=True))
    return EmojiPictures(concepts, tuple(source.style for source in sets), masters, present)


def scorer_coverage(folder: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Which concepts (ids) each of the SCORER_SETS draws; raises as `load_pictures` does."""
    folder = _checked(folder, (*GENERATOR_SETS, *SCORER_SETS, LABELS))
    concepts = load_concepts(folder)
    available = {source.style: _sources(folder, source, concepts) for source in SCORER_SETS}
    return {
        style: tuple(concept.id for concept in concepts if concept.id in names) for style, names in available.items()
    }


def plain_code(code: str) -> str:
    """Code points as the sets agree on them: lower-case, without the variation selector fe0f."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def _checked(folder: Path | None, sets: Iterable[EmojiSet]) -> Path:
    folder = DATA_FOLDER if folder is None else Path(folder)
    missing = [source for source in dict.fromkeys(sets) if not list(folder.glob(source.pattern))]
    if missing:
        raise FileNotFoundError(
            f"The emoji packages {', '.join(source.package for source in missing)} are not in {folder}; fetch them "
            f"with '{how_to_get(missing, folder)}'."
        )
    return folder


def _archive(folder: Path, source: EmojiSet) -> Path:
    return sorted(folder.glob(source.pattern))[-1]


def _members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
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


def _json_members(path: Path, *names: str) -> list[Any]:
    """JSON files of a package; one that is not in it reads as empty."""
    found = _members(path, lambda name: name.removeprefix("package/") in names)
    try:
        return [json.loads(found.get(f"package/{name}", b"{}")) for name in names]
    except ValueError:
        raise ModelError(
            f"The package {path} holds JSON that cannot be read; fetch it again with 'npm pack'."
        ) from None


def _everyday(folder: Path) -> list[Concept]:
    """All concepts of KINDS, in the order of their code points."""
    path = _archive(folder, LABELS)
    entries, groups = _json_members(path, "en/data.json", "meta/groups.json")
    subgroups = {int(number): name for number, name in groups.get("subgroups", {}).items()}
    kinds = {subgroup: kind for kind, listed in KINDS.items() for subgroup in listed}
    concepts = []
    for entry in entries:
        kind = kinds.get(subgroups.get(entry.get("subgroup", -1), ""))
        label = _clean(str(entry["label"]))
        if kind is not None and not _LEFT_OUT.search(label):
            code = plain_code(entry["hexcode"])
            names = (_PREFERRED.get(code, label), label, *_ALSO.get(code, ()))
            tags = (_clean(tag) for tag in entry.get("tags", ()))
            concepts.append(Concept(code, tuple(dict.fromkeys(names)), tuple(tags), kind))
    return sorted(concepts, key=lambda concept: concept.id)


def _clean(label: str) -> str:
    """A label in plain lower-case words."""
    plain = label.lower().replace("’", "'").replace("ñ", "n").replace("é", "e").replace("“", "").replace("”", "")
    return " ".join(plain.replace(":", " ").split())


def _sources(folder: Path, source: EmojiSet, concepts: Sequence[Concept] = ()) -> dict[str, str]:
    """What draws a concept in a set: an icon's name, or a WebP file's, by code points.

    The sets without a table of code points name their icons as others do (noto's and the Fluent names and aliases),
    some without the hyphens.
    """
    path = _archive(folder, source)
    if source.package.startswith("@lobehub"):
        return {plain_code(Path(name).stem): name for name in _listing(path) if name.endswith(".webp")}
    chars, icons = _json_members(path, "chars.json", "icons.json")
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
        chars, icons = _json_members(_archive(folder, source), "chars.json", "icons.json")
        other: dict[str, list[str]] = {}
        for alias, entry in icons.get("aliases", {}).items():
            other.setdefault(entry.get("parent"), []).append(alias)
        for code, name in chars.items():
            if (listed := slugs.get(plain_code(code))) is not None:
                listed.extend(_bare(one) for one in (name, *other.get(name, ())))
    return slugs


def _rendered(
    folder: Path, source: EmojiSet, concepts: Sequence[Concept], report: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Masters [concepts, 192, 192, 3] and presence [concepts] of one set, from its cache file if that fits."""
    path = _archive(folder, source)
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
    path, names = _archive(folder, source), _sources(folder, source, concepts)
    wanted = {names[concept.id] for concept in concepts if concept.id in names}
    if source.package.startswith("@lobehub"):
        files = _members(path, wanted.__contains__)
        return lambda code: _read_image(files[names[code]], path) if code in names else None
    (icons,) = _json_members(path, "icons.json")
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
