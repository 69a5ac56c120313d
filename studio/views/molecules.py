"""Molecules: atoms moving while a run goes on; a gallery to filter, and one molecule in 3D; SDF of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from superdiff_engine.domain import Shown
from superdiff_engine.domains.depiction import depict
from superdiff_engine.domains.molecules.arrays import DecodedMolecules, MoleculePreview, Structures
from superdiff_engine.domains.molecules.atoms import ELEMENTS, PROPERTIES, pair_indices
from superdiff_engine.domains.molecules.checks import first_of_their_kind, satisfied, verdicts_of
from superdiff_engine.domains.molecules.domain import prompts_of
from superdiff_engine.domains.molecules.reading import LARGEST_SDF, ReadMolecules
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.system.sandbox import as_text
from superdiff_engine.trace import Frame

from ..charts.cards import Card, lines_of, picture_uri
from ..charts.palette import theme_name
from ..charts.player import Scenes, packed, solid_scenes
from ..charts.scatter import Axis
from ..charts.viewer import SENT_UNIT, draw_viewer
from ..job import Job
from ..stage.asked import draw_asked
from ..stage.choosing import choose_rows, picked_row
from ..stage.exports import show_only
from ..stage.gallery import choose_page, draw_card_gallery
from ..stage.sample import share_labels
from ..stage.scatter import draw_scatter, draw_selection
from ..stage.together import PICKED
from . import GUESS, GUESSED, Beside, OwnFiles, ReadingOption, View
from .molecules_one import SPACING, asked_of_run, draw_one_molecule, scene

#: Molecules side by side in the live view.
SIDE_BY_SIDE = 9
#: Depictions on one page of the gallery, and their width in pixels: twice that of a card, for sharp screens.
PAGE, CELL = 24, 260
#: Depictions on a page beside other runs.
BESIDE = 9
_WHAT = "molecules as flat drawings"


def _moment(frame: Frame[MoleculePreview]) -> dict[str, Any]:
    """A moment's molecules for static/scene_viewer.js."""
    preview = frame.preview
    first, second = pair_indices()
    things = []
    for elements, positions, orders, count in zip(
        preview.elements, preview.positions, preview.bonds, preview.atoms, strict=True
    ):
        joined = np.nonzero(orders)[0]
        things.append(
            {
                "elements": "".join(ELEMENTS[element] for element in elements[:count]),
                "places": packed(positions[:count] / SENT_UNIT, "i2"),
                "bonds": packed(np.stack([first[joined], second[joined], orders[joined]], 1), "u1"),
            }
        )
    return {"things": things, "style": "sticks"}


@dataclass(frozen=True, eq=False)
class _OwnMolecules(Structures):
    """Molecules of a file with RDKit's verdicts, as `DecodedMolecules` has them, and their numbers in the file, [n]."""

    valid: np.ndarray
    smiles: np.ndarray
    reason: np.ndarray
    numbers: np.ndarray


def _take_own(found: dict[str, Any]) -> tuple[ReadMolecules, _OwnMolecules]:
    """Molecules and RDKit's verdicts on them, which the process that read the file has made."""
    given = ReadMolecules.from_plain(found)
    try:
        verdicts = {
            "valid": np.array([bool(valid) for valid in found["valid"]], bool),
            "smiles": np.array([as_text(text) for text in found["smiles"]], np.str_),
            "reason": np.array([as_text(text) for text in found["reason"]], np.str_),
        }
    except (KeyError, TypeError):
        verdicts = {}
    if [len(column) for column in verdicts.values()] != [len(given.atoms)] * 3:
        raise SuperDiffError("This file could not be read: it is no SDF of molecules that the models know.")
    numbers = np.array(given.numbers)
    return given, _OwnMolecules(given.elements, given.positions, given.bonds, given.atoms, **verdicts, numbers=numbers)


def _own_columns(own: _OwnMolecules) -> dict[str, np.ndarray]:
    return {
        "molecule": own.numbers,
        "SMILES, or why not valid": np.where(own.valid, own.smiles, own.reason),
        "atoms": own.atoms,
    }


def _draw_own(own: _OwnMolecules, index: int, name: str) -> None:
    alt = f"Molecule {own.numbers[index]} of the file in three dimensions"
    draw_viewer([scene(own, [index])], "own-3d", name, alt, height=300)


OWN = OwnFiles(
    domain="molecules",
    title="Molecules of your own",
    label="An SDF (H, C, N, O, F; 3 to 29 atoms a molecule, hydrogens included)",
    types=["sdf", "mol", "sd"],
    one="molecule",
    reader="superdiff_engine.domains.molecules.reading:read_plain",
    take=_take_own,
    columns=_own_columns,
    draw=_draw_own,
    megabytes=LARGEST_SDF // 2**20,
    option=ReadingOption(
        "add_hydrogens",
        "Add missing hydrogens",
        "RDKit adds them to molecules that lack some and have 3D coordinates; the models know only whole molecules",
    ),
)


class MoleculesView(View[MoleculePreview, DecodedMolecules]):
    """Atoms and bonds in 3D, and flat drawings to choose from."""

    cancelled_note = GUESSED
    preview_note = GUESS
    own = OWN

    def draw_preview(
        self, frame: Frame[MoleculePreview], names: list[str], key: str, size: int, recipe: Recipe
    ) -> None:
        """The molecules of a frame as they would become from here, up to nine in one viewer."""
        rows = range(min(SIDE_BY_SIDE, len(frame.preview.atoms)))
        alt = f"{len(rows)} molecules at level {frame.level:.3g}"
        draw_viewer([scene(frame.preview, rows)], f"{key}-3d", key, alt, height=size)

    def scenes(self, job: Job) -> Scenes | None:
        """All molecules that were kept, a page of them side by side, or the chosen one alone."""
        latest = job.run.trace.latest
        if latest is None:
            return None
        return solid_scenes(
            len(latest.preview.atoms), _moment, "molecule", SPACING, SIDE_BY_SIDE, ("sticks", "spheres"), False,
            self.preview_note,
        )  # fmt: skip

    def draw_samples(self, job: Job, result: Result[DecodedMolecules]) -> None:
        """The gallery beside the molecule that was picked in it."""
        molecules = result.decoded
        if molecules is None:
            return  # the notes above say why
        left, right = st.columns([1.05, 1], gap="medium")
        with left:
            rows = _chosen_rows(job, result)
            picked = picked_row(job, rows, molecules.valid * (1 + _holds(result).sum(0)))
            draw_selection(job, "molecule")
            _gallery(job, result, rows, picked)
            draw_scatter(job, result, _axes(molecules), asked_of_run(result), _first_axes(result), "molecule")
        with right:
            relaxed = draw_one_molecule(job, result, picked)
        everything = np.array_equal(rows, np.arange(len(molecules.atoms)))
        show_only(job, Shown(None if everything else tuple(int(row) for row in rows), relaxed))

    def draw_beside(self, job: Job, result: Result[DecodedMolecules], beside: Beside) -> None:
        """A page of flat drawings, and the picked molecule in 3D; all turn with one of them."""
        molecules, picked = result.decoded, beside.picked
        if molecules is None:
            return
        numbers = beside.page(len(molecules.atoms), BESIDE)
        draw_card_gallery(job, result, _cards(job, result, numbers), picked, _WHAT, together=PICKED)
        if picked < len(molecules.atoms):
            alt = f"Molecule {picked} in three dimensions"
            frames = [scene(molecules, [picked])]
            draw_viewer(frames, f"beside-3d-{job.id}", f"{job.id}-{picked}", alt, height=250, turning="molecules")
            draw_asked(asked_of_run(result), picked)


def _holds(result: Result[DecodedMolecules]) -> np.ndarray:
    """Bool [experts, n]: which molecules satisfy each expert's prompt."""
    return np.array([satisfied(terms, result.require_decoded().properties) for _, terms in prompts_of(result.recipe)])


def _chosen_rows(job: Job, result: Result[DecodedMolecules]) -> np.ndarray:
    molecules = result.require_decoded()
    filters = {
        "valid": ("valid", lambda: molecules.valid),
        "all": ("satisfy all prompts", lambda: np.asarray(_holds(result).all(0))),
        "once": ("no duplicates", lambda: first_of_their_kind(molecules)),
    }
    orders = {one.title.split(" (")[0]: molecules.properties[:, column] for column, one in enumerate(PROPERTIES)}
    return choose_rows(job, result, filters, orders)


def _axes(molecules: DecodedMolecules) -> list[Axis]:
    """What of the molecules can be drawn against each other."""
    known = zip(PROPERTIES, molecules.properties.T.astype(float), strict=True)
    return [Axis(one.short, one.unit or ("count" if one.count else ""), values) for one, values in known] + [
        Axis("atoms", "count", molecules.atoms.astype(float))
    ]


def _first_axes(result: Result[DecodedMolecules]) -> tuple[str, str]:
    """The first two properties that prompts ask for; logP and TPSA where they ask for none."""
    asked = [
        *dict.fromkeys(one.name for one in asked_of_run(result)),
        *(PROPERTIES[place].short for place in (0, 1, 2)),
    ]
    first, second = list(dict.fromkeys(asked))[:2]
    return first, second


def _gallery(job: Job, result: Result[DecodedMolecules], rows: np.ndarray, picked: int) -> None:
    molecules = result.require_decoded()
    if not len(rows):
        st.info("No molecule of this run is left by these filters and the selection; take one off.")
        return
    shown = rows[choose_page(job, len(rows), PAGE)]
    note = (
        f"{len(rows)} of {len(molecules.atoms)} molecules. Click one to see it in 3D. Below each: what a prompt asks "
        "for, what the molecule has, and whether that satisfies it (✓ or ✗). = marks one that was there before, mirror "
        "images included."
    )
    draw_card_gallery(job, result, _cards(job, result, shown), picked, _WHAT, note)


def _cards(job: Job, result: Result[DecodedMolecules], numbers: np.ndarray) -> list[Card]:
    """The molecules of a page; those that are not valid say why."""
    molecules, first = result.require_decoded(), first_of_their_kind(result.require_decoded())
    rows = tuple(int(row) for row in numbers)
    pictures = _depictions(job.id, molecules, rows, theme_name() == "dark")
    shares = share_labels(result, numbers) or [""] * len(rows)
    asked, cards = asked_of_run(result), []
    for row, picture, share in zip(rows, pictures, shares, strict=True):
        valid = bool(molecules.valid[row])
        label = " · ".join(filter(None, [f"{row}{' =' if valid and not first[row] else ''}", share]))
        note = "" if valid else f"not valid: {molecules.reason[row]}"
        lines = lines_of(asked, row) if valid else []
        cards.append(Card(row, label, picture, f"Molecule {row}: {molecules.smiles[row] or 'not valid'}", lines, note))
    return cards


@st.cache_data(show_spinner=False, max_entries=32)
def _depictions(job_id: str, _molecules: DecodedMolecules, rows: tuple[int, ...], dark: bool) -> list[str]:
    """Drawings, a data URI each; a job's molecules never change."""
    drawn = (depict(verdict.molecule, "", CELL, CELL, dark) for verdict in verdicts_of(_molecules, rows))
    return [picture_uri(one) for one in drawn]


VIEW = MoleculesView()
