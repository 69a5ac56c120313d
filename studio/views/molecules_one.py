"""One molecule of a run: in 3D, its stereochemistry and properties, laid onto others, relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domains.asked import Asked
from superdiff_engine.domains.chemistry import Relaxation, relax
from superdiff_engine.domains.molecules.arrays import DecodedMolecules, Structures
from superdiff_engine.domains.molecules.atoms import ELEMENTS, PROPERTIES, pair_indices
from superdiff_engine.domains.molecules.checks import asked_of, verdicts_of
from superdiff_engine.domains.molecules.chemistry import Stereo, stereo_of
from superdiff_engine.domains.molecules.domain import prompts_of
from superdiff_engine.domains.molecules.files import sdf
from superdiff_engine.domains.molecules.superposed import LONGEST_PATTERN, heavy_atoms, lay, parse_pattern
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.result import Result

from ..charts.live import at_level
from ..charts.viewer import Style, atoms_frame, draw_viewer
from ..guard import guarded, plain
from ..job import Job
from ..part import told
from ..stage.asked import draw_asked
from ..stage.exports import Download, draw_download, picture_download
from ..stage.progress import names_of
from ..stage.sample import KEEP, ancestry, importance_text, last_moment
from ..stage.superposed import choose_laid, draw_laid_table, legend_of

#: Angstrom from one of them to the next.
SPACING = 9.5


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


def asked_of_run(result: Result[DecodedMolecules]) -> list[Asked]:
    """What the prompts ask for, and what each molecule has."""
    return asked_of(prompts_of(result.recipe), result.require_decoded().properties)


def draw_one_molecule(job: Job, result: Result[DecodedMolecules], picked: int) -> bool:
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
        "Drawn as", ["sticks", "spheres", "surface"], default="sticks", required=True, key=told(f"style-{job.id}"),
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
    draw_asked(asked_of_run(result), picked)
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
        key=told(f"pattern-{job.id}"),
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
        key=told(f"relax-{job.id}"),
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
