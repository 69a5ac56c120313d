"""Proteins as files: PDB, mmCIF and CSV, written by Gemmi (Wojdyr 2022); PDB and mmCIF read back (`reading`)."""

from __future__ import annotations

import csv
import io
import json
import textwrap
import zipfile
from collections.abc import Sequence
from typing import Any

import gemmi
import numpy as np

from ...recipe import Recipe
from ...run import Result
from ..base import Export
from .judging import chain_of
from .reading import ATOMS, CATEGORY, FEWEST, LARGEST_FILE, MOST, REMARK, ReadProtein, read_protein

__all__ = [
    "ATOMS", "CATEGORY", "FEWEST", "LARGEST_FILE", "MOST", "REMARK", "ReadProtein", "exports", "mmcif", "pdb",
    "read_protein", "structure_of", "table_csv", "trajectory_pdb",
]  # fmt: skip


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
