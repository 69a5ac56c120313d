"""Molecules: atoms moving while a run goes on; a gallery to filter, and one molecule in 3D; SDF of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domain import Shown
from superdiff_engine.domains.asked import Asked
from superdiff_engine.domains.molecules.arrays import DecodedMolecules, MoleculePreview, Structures
from superdiff_engine.domains.molecules.atoms import ELEMENTS, PROPERTIES, pair_indices
from superdiff_engine.domains.molecules.checks import asked_of, first_of_their_kind, satisfied, verdicts_of
from superdiff_engine.domains.molecules.chemistry import Relaxation, Stereo, relax, stereo_of
from superdiff_engine.domains.molecules.domain import prompts_of
from superdiff_engine.domains.molecules.drawing import depict
from superdiff_engine.domains.molecules.files import sdf
from superdiff_engine.domains.molecules.reading import LARGEST_SDF, ReadMolecules
from superdiff_engine.domains.molecules.superposed import LONGEST_PATTERN, heavy_atoms, lay, parse_pattern
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.system.sandbox import as_text
from superdiff_engine.trace import Frame

from ..charts.cards import Card, lines_of, picture_uri
from ..charts.live import at_level
from ..charts.palette import theme_name
from ..charts.player import Scenes, packed
from ..charts.scatter import Axis
from ..charts.viewer import SENT_UNIT, Style, atoms_frame, draw_viewer
from ..guard import guarded, plain
from ..job import Job
from ..stage.asked import draw_asked
from ..stage.exports import Download, draw_download, picture_download, show_only
from ..stage.gallery import choose_page, draw_card_gallery
from ..stage.progress import names_of
from ..stage.sample import KEEP, ONE_A_GROUP, ancestry, importance_text, last_moment, share_labels
from ..stage.scatter import draw_scatter, draw_selection, selected_of
from ..stage.superposed import choose_laid, draw_laid_table, legend_of
from ..stage.together import PICKED
from . import GUESS, GUESSED, Beside, OwnFiles, ReadingOption, View

#: Molecules side by side in the live view, and Angstrom from one to the next.
SIDE_BY_SIDE, SPACING = 9, 9.5
#: Depictions on one page of the gallery, and their width in pixels: twice that of a card, for sharp screens.
PAGE, CELL = 24, 260
#: Depictions on a page beside other runs.
BESIDE = 9
_WHAT = "molecules as flat drawings"
_FILTERS = {"valid": "valid", "all": "satisfy all prompts", "once": "no duplicates"}
#: Of a corrected run: of every group one, drawn by what they count for.
_ONE = {"one": "one a group"}


def scene(molecules: Structures, rows: Sequence[int]) -> dict[str, Any]:
    """A viewer's frame of some molecules, laid out side by side if there are several."""
    elements: list[str] = []
    places, bonds = [], []
    columns = int(np.ceil(np.sqrt(len(rows))))
    first, second = pair_indices()
    for position, row in enumerate(rows):
        count = int(molecules.atoms[row])
        shift = np.array([position % columns, -(position // columns), 0]) * SPACING
        orders = molecules.bonds[row]
        bonds += [
            (len(elements) + int(first[k]), len(elements) + int(second[k]), int(orders[k]))
            for k in np.nonzero(orders)[0]
        ]
        elements += [ELEMENTS[element] for element in molecules.elements[row][:count]]
        places.append(molecules.positions[row][:count] + shift)
    return atoms_frame(elements, np.concatenate(places), bonds)


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
        return Scenes(
            kind="viewer",
            rows=len(latest.preview.atoms),
            moment=_moment,
            alt="Molecules in three dimensions at the moment that is shown",
            shared={
                "spacing": SPACING,
                "page": SIDE_BY_SIDE,
                "what": "molecule",
                "unit": SENT_UNIT,
                "styles": ["sticks", "spheres"],
                "by_moment": False,
            },
            note=self.preview_note,
        )

    def draw_samples(self, job: Job, result: Result[DecodedMolecules]) -> None:
        """The gallery beside the molecule that was picked in it."""
        molecules = result.decoded
        if molecules is None:
            return  # the notes above say why
        left, right = st.columns([1.05, 1], gap="medium")
        with left:
            rows = _chosen_rows(job, result)
            picked = _picked(job, rows, molecules.valid * (1 + _holds(result).sum(0)))
            draw_selection(job, "molecule")
            _gallery(job, result, rows, picked)
            draw_scatter(job, result, _axes(molecules), _asked(result), _first_axes(result), "molecule")
        with right:
            relaxed = _one_molecule(job, result, picked)
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
            draw_asked(_asked(result), picked)


def _picked(job: Job, rows: np.ndarray, merit: np.ndarray) -> int:
    """The molecule that was clicked, while it is among `rows`; else the first of highest merit, valid and with the most
    prompts satisfied.
    """
    key = f"pick-{job.id}"
    if len(rows) and st.session_state.get(key) not in rows:
        st.session_state[key] = int(rows[int(merit[rows].argmax())])
    return int(st.session_state.get(key, 0))


def _holds(result: Result[DecodedMolecules]) -> np.ndarray:
    """Bool [experts, n]: which molecules satisfy each expert's prompt."""
    return np.array([satisfied(terms, result.require_decoded().properties) for _, terms in prompts_of(result.recipe)])


def _asked(result: Result[DecodedMolecules]) -> list[Asked]:
    """What the prompts ask for, and what each molecule has."""
    return asked_of(prompts_of(result.recipe), result.require_decoded().properties)


def _chosen_rows(job: Job, result: Result[DecodedMolecules]) -> np.ndarray:
    molecules = result.require_decoded()
    filters = _FILTERS if result.importance is None else _FILTERS | _ONE
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        wanted = st.pills(
            "Show only",
            list(filters),
            format_func=filters.__getitem__,
            help=None if result.importance is None else ONE_A_GROUP,
            selection_mode="multi",
            key=f"filter-{job.id}",
            persist_state=KEEP,
        )
        orders: dict[str, np.ndarray] = {"number": np.arange(len(molecules.atoms))}
        for column, one in enumerate(PROPERTIES):
            orders[one.title.split(" (")[0]] = molecules.properties[:, column]
        for name, values in zip(names_of(job), result.log_density, strict=True):
            orders[at_level(result.level, name)] = values
        if result.shares is not None:
            orders["what they count for"] = result.shares
        by = st.selectbox("Sort by", list(orders), key=f"sort-{job.id}", persist_state=KEEP, width=220)
        down = st.toggle("highest first", key=f"down-{job.id}", persist_state=KEEP, disabled=by == "number")
    keep = np.ones(len(molecules.atoms), bool)
    if "valid" in wanted:
        keep &= molecules.valid
    if "all" in wanted:
        keep &= _holds(result).all(0)
    if "once" in wanted:
        keep &= first_of_their_kind(molecules)
    if "one" in wanted:
        keep &= np.isin(np.arange(len(keep)), result.one_a_group())
    chosen = selected_of(job)
    if chosen is not None:
        keep &= np.isin(np.arange(len(keep)), chosen)
    values = orders[by].astype(float)
    # Molecules without a value go last, whichever end comes first.
    values = np.where(np.isnan(values), np.inf, -values if down and by != "number" else values)
    order = np.argsort(values, kind="stable")
    return order[keep[order]]


def _axes(molecules: DecodedMolecules) -> list[Axis]:
    """What of the molecules can be drawn against each other."""
    known = zip(PROPERTIES, molecules.properties.T.astype(float), strict=True)
    return [Axis(one.short, one.unit or ("count" if one.count else ""), values) for one, values in known] + [
        Axis("atoms", "count", molecules.atoms.astype(float))
    ]


def _first_axes(result: Result[DecodedMolecules]) -> tuple[str, str]:
    """The first two properties that prompts ask for; logP and TPSA where they ask for none."""
    asked = [*dict.fromkeys(one.name for one in _asked(result)), *(PROPERTIES[place].short for place in (0, 1, 2))]
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
    asked, cards = _asked(result), []
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


def _one_molecule(job: Job, result: Result[DecodedMolecules], picked: int) -> bool:
    """One molecule in 3D with its figures; returns whether it was asked to be relaxed."""
    molecules = result.require_decoded()
    (verdict,) = verdicts_of(molecules, [picked])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Molecule {picked}**", width="content")
        if verdict.valid:
            stereo = stereo_of(verdict.molecule)
            st.code(stereo.smiles, language=None)
        else:
            st.markdown(f"not valid: {plain(verdict.reason)}")
    if verdict.valid:
        st.caption(_stereo_text(stereo, molecules.elements[picked]))
    style: Style = st.segmented_control(
        "Drawn as", ["sticks", "spheres", "surface"], default="sticks", required=True, key=f"style-{job.id}",
        persist_state=KEEP, label_visibility="collapsed",
    )  # fmt: skip
    relaxed = _relaxation(job, verdict, picked)
    if relaxed is None:
        frames, labels = _trajectory(job, result, picked)
    else:
        after = replace(molecules, positions=molecules.positions.copy())
        after.positions[picked, : len(relaxed.positions)] = relaxed.positions
        frames, labels = [scene(molecules, [picked]), scene(after, [picked])], ["as sampled", "relaxed"]
    kind = "path" if relaxed is None else "relaxed"
    draw_viewer(
        frames,
        f"one-3d-{job.id}",
        f"{job.id}-{picked}-{kind}",
        f"Molecule {picked} in three dimensions",
        style,
        labels,
        height=400,
    )
    draw_asked(_asked(result), picked)
    if relaxed is not None:
        st.caption(
            f"MMFF94: strain {relaxed.energy:.1f} kcal/mol, moved by {relaxed.rmsd:.2f} Angstrom (RMSD)"
            f"{'' if relaxed.converged else '; not converged after 500 steps'}. The slider shows before and after."
        )
    with st.container(horizontal=True, gap="small"):
        draw_download(
            job,
            Download(
                "This molecule (SDF)",
                f"{job.id}-{picked:05d}{'' if relaxed is None else '-relaxed'}.sdf",
                "chemical/x-mdl-sdfile",
                lambda: sdf(result, [picked], relaxed is not None).encode(),
            ),
        )
        draw_download(job, picture_download(job, result, picked))
    _figures(job, result, picked)
    if verdict.valid:
        with st.expander("Superpose others on it", icon=":material/stacks:"), guarded("the superposition"):
            _superposed(job, result, picked)
    return bool(st.session_state[f"relax-{job.id}"])


def _stereo_text(stereo: Stereo, elements: np.ndarray) -> str:
    """The stereochemistry of a molecule in a sentence."""

    def name(atom: int) -> str:
        return f"{ELEMENTS[elements[atom]]}{atom}"

    found = [f"{name(atom)} {label}" for atom, label in stereo.centres]
    found += [f"{name(first)}={name(second)} {label}" for first, second, label in stereo.bonds]
    said = ", ".join(found) or "no centre and no double bond that could be either"
    unclear = " (?: the geometry is too flat to tell)" if "?" in said else ""
    return plain(f"Stereochemistry, read from 3D (atoms count from 0): {said}{unclear}.")


def _superposed(job: Job, result: Result[DecodedMolecules], picked: int) -> None:
    """Other molecules laid onto the picked one, by their common part or by a pattern."""
    molecules = result.require_decoded()
    chosen = choose_laid(job, np.nonzero(molecules.valid)[0], picked, "molecule")
    text = st.text_input(
        "By the atoms of a pattern (SMARTS)",
        key=f"pattern-{job.id}",
        max_chars=LONGEST_PATTERN,
        placeholder="left empty: by the largest part that both have",
        persist_state=KEEP,
        help="C(=O)N, for instance, lays molecules onto each other by an amide. Hydrogens are left out",
    )
    if not chosen:
        st.caption("Choose molecules above; each is turned until the matched atoms lie as near as they can (Kabsch).")
        return
    pattern = parse_pattern(text.strip()) if text.strip() else None
    fixed, *others = (heavy_atoms(one.molecule) for one in verdicts_of(molecules, [picked, *chosen]))
    laid, left = {}, {}
    for row, other in zip(chosen, others, strict=True):
        try:
            laid[row] = lay(other, fixed, pattern)
        except SuperDiffError as error:
            left[row] = str(error)
    for row, why in left.items():
        st.caption(f"Molecule {row}: {plain(why)}")
    if not laid:
        return
    numbers = [picked, *laid]
    colours, legend = legend_of(numbers)
    shown = [fixed, *(other for row, other in zip(chosen, others, strict=True) if row in laid)]
    places = [fixed.GetConformer().GetPositions(), *(one.positions for one in laid.values())]
    elements: list[str] = []
    carbons: list[str] = []
    bonds: list[tuple[int, int, int]] = []
    for molecule, colour in zip(shown, colours, strict=True):
        first = len(elements)
        elements += [atom.GetSymbol() for atom in molecule.GetAtoms()]
        carbons += [colour] * molecule.GetNumAtoms()
        bonds += [
            (first + one.GetBeginAtomIdx(), first + one.GetEndAtomIdx(), int(one.GetBondTypeAsDouble()))
            for one in molecule.GetBonds()
        ]
    frame = atoms_frame(elements, np.concatenate(places), bonds, carbons)
    alt = f"Molecules {', '.join(map(str, laid))} laid onto molecule {picked}, without hydrogens"
    draw_viewer([frame], f"laid-3d-{job.id}", f"{job.id}-{numbers}-{text}", alt, height=320)
    st.markdown(legend)
    sizes = [other.GetNumAtoms() for other in shown[1:]]
    draw_laid_table(
        {
            "molecule": list(laid),
            "matched": [f"{len(one.pairs)} of {size} atoms" for one, size in zip(laid.values(), sizes, strict=True)],
            "RMSD, Å": [one.distance for one in laid.values()],
            "RMSD of its mirror image, Å": [one.mirrored for one in laid.values()],
        },
        f"How far each molecule is from molecule {picked}",
    )

    def as_laid() -> bytes:
        moved = replace(molecules, positions=molecules.positions.copy())
        for row, one in laid.items():
            count = int(molecules.atoms[row])
            moved.positions[row, :count] = one.motion.of(molecules.positions[row, :count].astype(float))
        return sdf(replace(result, decoded=moved), numbers).encode()

    draw_download(job, Download("As they lie (SDF)", f"{job.id}-superposed.sdf", "chemical/x-mdl-sdfile", as_laid))


def _trajectory(job: Job, result: Result[DecodedMolecules], picked: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The moments that the live view kept of this molecule, and the last one."""
    kept = ancestry(job, picked, lambda preview: len(preview.atoms))
    frames = [scene(moment.preview, [row]) for moment, row in kept]
    labels = [f"step {moment.index}, s = {moment.level:.2g}" for moment, _ in kept]
    return [*frames, scene(result.require_decoded(), [picked])], [*labels, last_moment(result)]


def _relaxation(job: Job, verdict: Any, picked: int) -> Relaxation | None:
    """What MMFF94 makes of the molecule, where that was asked for."""
    asked = st.toggle(
        "Relax with MMFF94",
        key=f"relax-{job.id}",
        persist_state=KEEP,
        disabled=not verdict.valid,
        help="Moves the atoms to the nearest minimum of the MMFF94 force field; the run's own molecule stays as it is.",
    )
    if not asked or not verdict.valid:
        return None
    found: Relaxation | None = None
    with guarded("the relaxation"):
        found = relax(verdict.molecule)
        if found is None:
            st.caption("MMFF94 has no parameters for an atom of this molecule.")
    return found


def _figures(job: Job, result: Result[DecodedMolecules], picked: int) -> None:
    values = result.log_density[:, picked]
    if result.importance is not None:
        st.caption(importance_text(job, result, picked))
    rows = [(at_level(result.level, name), f"{value:.3f}") for name, value in zip(names_of(job), values, strict=True)]
    if result.require_decoded().valid[picked]:
        values = result.require_decoded().properties[picked]
        rows += [
            (one.title, f"{value:.0f}" if one.count else f"{value:.3g}")
            for one, value in zip(PROPERTIES, values, strict=True)
        ]
    st.dataframe(
        pd.DataFrame(rows, columns=["measured", "value"]),
        hide_index=True,
        alt=f"Log-densities and properties of molecule {picked}",
    )


VIEW = MoleculesView()
