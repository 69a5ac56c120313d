"""Proteins as files: PDB, mmCIF, FASTA and CSV out; PDB and mmCIF in. Reading and writing is Gemmi's (Wojdyr 2022)."""

from __future__ import annotations

import csv
import io
import json
import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gemmi
import numpy as np

from ...errors import SuperDiffError
from ...recipe import Recipe
from ...run import Result
from ..base import Export
from .data import is_whole
from .judging import chain_of

#: Remark of a PDB file that carries the recipe, in lines of 60 characters of JSON.
REMARK = "REMARK 888 "
CATEGORY = "_superdiff_studio"
ATOMS = ("N", "CA", "C", "O")
#: Files larger than this are not read; residues that a chain may have.
LARGEST_FILE = 20 * 1024 * 1024
FEWEST, MOST = 30, 256


@dataclass(frozen=True)
class ReadProtein:
    """A chain read from a file: backbone float32 [residues, 4, 3] in Angstrom, one-letter sequence, the recipe in the
    file (or None), and what was left out, in sentences.
    """

    backbone: np.ndarray
    sequence: str
    recipe: str | None
    notes: tuple[str, ...]


def structure_of(chains: Sequence[np.ndarray], weights: Sequence[np.ndarray] = ()) -> gemmi.Structure:
    """Backbones [residues, 4, 3] in Angstrom as the models of one structure, of glycine, which has no side chain.

    Args:
        chains: of one length, or of any.
        weights: for each residue, in the place of the temperature factor; left out: zero.
    """
    structure = gemmi.Structure()
    structure.name = "superdiff"
    for number, chain in enumerate(chains):
        model, holder = gemmi.Model(number + 1), gemmi.Chain("A")
        for index, points in enumerate(chain):
            residue = gemmi.Residue()
            residue.name, residue.seqid = "GLY", gemmi.SeqId(index + 1, " ")
            residue.entity_type = gemmi.EntityType.Polymer
            for name, point in zip(ATOMS, points, strict=True):
                atom = gemmi.Atom()
                atom.name, atom.element = name, gemmi.Element(name[0])
                atom.pos = gemmi.Position(*(float(value) for value in point))
                atom.b_iso = float(weights[number][index]) if len(weights) else 0.0
                residue.add_atom(atom)
            holder.add_residue(residue)
        model.add_chain(holder)
        structure.add_model(model)
    structure.setup_entities()
    return structure


def pdb(chains: Sequence[np.ndarray], recipe: Recipe | None = None) -> str:
    """A PDB file; several chains become its models. The recipe stands in REMARK 888."""
    structure = structure_of(chains)
    if recipe is not None:
        structure.raw_remarks = [REMARK + line for line in _packed(recipe)]
    return structure.make_pdb_string()


def mmcif(chain: np.ndarray, recipe: Recipe | None = None) -> str:
    """An mmCIF file; the recipe stands in _superdiff_studio.recipe."""
    document = structure_of([chain]).make_mmcif_document()
    if recipe is not None:
        document.sole_block().set_pair(f"{CATEGORY}.recipe", gemmi.cif.quote("\n".join(_packed(recipe))))
    return document.as_string()


def _packed(recipe: Recipe) -> list[str]:
    # ASCII: a PDB file knows no other letters.
    text = json.dumps(recipe.model_dump(mode="json", exclude_none=True), separators=(",", ":"))
    return textwrap.wrap(text, 60, drop_whitespace=False, break_on_hyphens=False)


def read_protein(content: bytes) -> ReadProtein:
    """The first protein chain of a PDB or mmCIF file.

    Raises:
        SuperDiffError: with one sentence: empty, too large, no such file, no backbone, too short or too long.
    """
    if not content.strip():
        raise SuperDiffError("This file is empty; give a PDB or mmCIF file of a protein.")
    if len(content) > LARGEST_FILE:
        raise SuperDiffError(f"This file is larger than {LARGEST_FILE // 1024**2} MiB; give one chain of it.")
    structure, recipe = _parse(content.decode("utf-8", "replace"))
    notes: list[str] = []
    if not len(structure):
        raise SuperDiffError("This file holds no atoms; give a PDB or mmCIF file of a protein.")
    if len(structure) > 1:
        notes.append(f"Only the first of its {len(structure)} models is taken.")
    chains = [found for chain in structure[0] if (found := _backbone(chain, notes)) is not None]
    if not chains:
        raise SuperDiffError("This file has no residue with a whole backbone (atoms N, CA and C).")
    if len(chains) > 1:
        notes.append(f"Only the first of its {len(chains)} chains is taken.")
    backbone, sequence = _unbroken(*chains[0], notes)
    if not FEWEST <= len(backbone) <= MOST:
        raise SuperDiffError(
            f"This chain has {len(backbone)} residues in one piece; the models judge {FEWEST} to {MOST}."
        )
    return ReadProtein(backbone, sequence, recipe, tuple(dict.fromkeys(notes)))


def _parse(text: str) -> tuple[gemmi.Structure, str | None]:
    lines = text.lstrip()
    try:
        if lines.startswith(("data_", "#")) or "\nloop_" in lines:
            block = gemmi.cif.read_string(lines)[0]
            found = block.find_value(f"{CATEGORY}.recipe")
            recipe = gemmi.cif.as_string(found) if found else None
            return gemmi.make_structure_from_block(block), None if recipe is None else recipe.replace("\n", "")
        structure = gemmi.read_pdb_string(lines)
        packed = [line[len(REMARK) :].rstrip("\n") for line in lines.splitlines() if line.startswith(REMARK)]
        return structure, "".join(packed) or None
    except (ValueError, RuntimeError, IndexError):
        raise SuperDiffError("This file is neither PDB nor mmCIF, or it is damaged.") from None


def _backbone(chain: gemmi.Chain, notes: list[str]) -> tuple[np.ndarray, str] | None:
    """Atoms and sequence of a chain's residues that have a backbone; None where none has."""
    points, letters, left = [], [], 0
    for residue in chain.first_conformer():
        atoms = {atom.name: atom for atom in residue.first_conformer()}
        if not all(name in atoms for name in ATOMS[:3]):
            left += residue.het_flag != "H"
            continue
        if any(atom.has_altloc() for atom in residue):
            notes.append("Of alternate locations the first is taken.")
        known = gemmi.find_tabulated_residue(residue.name)
        letter = known.one_letter_code.upper() if known is not None and known.is_amino_acid() else "X"
        if known is None or not known.is_standard():
            notes.append("Residues that are not of the standard twenty are taken by their backbone.")
        places = [atoms[name].pos.tolist() for name in ATOMS[:3]]
        points.append([*places, atoms["O"].pos.tolist() if "O" in atoms else places[2]])
        letters.append(letter)
    if left and points:
        notes.append(f"{left} residues without a whole backbone are left out.")
    return (np.array(points, np.float32), "".join(letters)) if points else None


def _unbroken(backbone: np.ndarray, sequence: str, notes: list[str]) -> tuple[np.ndarray, str]:
    """The longest stretch without a gap."""
    if is_whole(backbone):
        return backbone, sequence
    bonds = np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=1)
    ends = [0, *(np.nonzero((bonds <= 1.2) | (bonds >= 1.5))[0] + 1), len(backbone)]
    start, stop = max(pairwise(ends), key=lambda span: span[1] - span[0])
    notes.append(f"The chain has gaps; its longest unbroken stretch, residues {start + 1} to {stop}, is taken.")
    return backbone[start:stop], sequence[start:stop]


def table_csv(result: Result) -> str:
    """A row a protein: measures, secondary structure, log-densities and weights."""
    arrays, experts = result.decoded, range(1, len(result.log_density) + 1)
    text = io.StringIO()
    writer = csv.writer(text)
    measured = ("helix", "strand", "bonds_ok", "clashes")
    writer.writerow(
        ["index", "residues", *measured, "radius_angstrom", "structure"]
        + [f"log_density_{k}_nats" for k in experts]
        + [f"weight_{k}" for k in experts]
    )
    for row in range(len(arrays["residues"])):
        _, letters = chain_of(arrays, row)
        writer.writerow(
            [row, int(arrays["residues"][row])]
            + [f"{arrays[name][row]:.4f}" for name in measured]
            + [f"{arrays['radius'][row]:.2f}", letters]
            + [f"{value:.4f}" for value in result.log_density[:, row]]
            + [f"{value:.5f}" for value in result.weights[:, row]]
        )
    return text.getvalue()


def trajectory_pdb(result: Result, row: int) -> str:
    """The kept previews of one sample as the models of a PDB file, the first of them noise."""
    length = int(result.decoded["residues"][row])
    frames = [frame.preview["backbone"] for frame in result.trace.frames]
    return pdb([frame[row, :length] for frame in frames if row < len(frame)], result.recipe)


def exports(result: Result) -> list[Export]:
    """All proteins as one PDB file of models, the table, and a zip of single files."""
    arrays: dict[str, Any] = result.decoded
    if "backbone" not in arrays:
        return []
    rows = range(len(arrays["residues"]))

    def everything() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for row in rows:
                chain, _ = chain_of(arrays, row)
                archive.writestr(f"protein_{row:03d}.pdb", pdb([chain], result.recipe))
                archive.writestr(f"protein_{row:03d}.cif", mmcif(chain, result.recipe))
            archive.writestr("proteins.csv", table_csv(result))
            archive.writestr("recipe.json", result.recipe.to_json())
        return buffer.getvalue()

    return [
        Export(
            "proteins.pdb",
            "PDB, a model each",
            "chemical/x-pdb",
            lambda: pdb([chain_of(arrays, row)[0] for row in rows], result.recipe).encode(),
        ),
        Export("proteins.csv", "Table (CSV)", "text/csv", lambda: table_csv(result).encode()),
        Export("proteins.zip", "PDB and mmCIF of each, table, recipe (zip)", "application/zip", everything),
    ]
