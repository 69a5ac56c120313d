"""Proteins as files: PDB, mmCIF and CSV, written by Gemmi (Wojdyr 2022); PDB and mmCIF read back (`reading`)."""

from __future__ import annotations

import csv
import io
import json
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import gemmi
import numpy as np

from ...domain import ALL, COUNTING, Export, Shown
from ...recipes.document import Recipe
from ...result import Result, importance_fields, weighing
from .arrays import DecodedProteins
from .reading import ATOMS, CATEGORY, FEWEST, LARGEST_FILE, MOST, REMARK, ReadProtein, read_protein

if TYPE_CHECKING:
    from .mpnn import Design

__all__ = [
    "ATOMS", "CATEGORY", "FEWEST", "LARGEST_FILE", "MOST", "REMARK", "ReadProtein", "exports", "fasta", "mmcif", "pdb",
    "read_protein", "structure_of", "table_csv", "trajectory_pdb",
]  # fmt: skip

#: Remark of a PDB file that says which sample it holds.
_COUNTING_REMARK = "REMARK   6 "


def structure_of(
    chains: Sequence[np.ndarray], weights: Sequence[np.ndarray] = (), numbers: Sequence[int] = ()
) -> gemmi.Structure:
    """Backbones [residues, 4, 3] in Angstrom as the models of one structure, of glycine, which has no side chain.

    Args:
        chains: of one length, or of any.
        weights: for each residue, in the place of the temperature factor; left out: zero.
        numbers: of the models; left out: from 0.
    """
    structure = gemmi.Structure()
    structure.name = "superdiff"
    for number, chain in enumerate(chains):
        model, holder = gemmi.Model(numbers[number] if len(numbers) else number), gemmi.Chain("A")
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


def pdb(
    chains: Sequence[np.ndarray],
    recipe: Recipe | None = None,
    numbers: Sequence[int] = (),
    said: str = "",
    result: Result[DecodedProteins] | None = None,
) -> str:
    """A PDB file; several chains become its models. The recipe stands in REMARK 888.

    Args:
        chains: backbones [residues, 4, 3] in Angstrom.
        recipe: that made them.
        numbers: of the samples, which the models have too; left out: from 0.
        said: what the models are, if not samples.
        result: that they are samples of; of a corrected one a remark says what each counts for.
    """
    structure = structure_of(chains, numbers=numbers)
    listed = list(numbers) or list(range(len(chains)))
    what = said or (f"SAMPLE {listed[0]}" if len(listed) == 1 else "MODEL N IS SAMPLE N")
    remarks = [f"{_COUNTING_REMARK}{what}; {COUNTING.upper()}"]
    for number in [] if result is None or said else listed:
        counts = {} if result is None else importance_fields(result, number)
        if counts:
            # Short words: a line of a PDB file has 80 columns.
            words = zip(("GROUP", "SHARE", "IMPORTANCE"), counts.values(), strict=True)
            remarks.append(f"{_COUNTING_REMARK}SAMPLE {number} {' '.join(f'{name} {value}' for name, value in words)}")
    if recipe is not None:
        remarks += [REMARK + line for line in _packed(recipe)]
    structure.raw_remarks = remarks
    return structure.make_pdb_string()


def mmcif(
    chain: np.ndarray,
    recipe: Recipe | None = None,
    number: int = 0,
    result: Result[DecodedProteins] | None = None,
) -> str:
    """An mmCIF file of sample `number`; the recipe stands in _superdiff_studio.recipe, and beside it what the sample
    counts for in a corrected `result`.
    """
    document = structure_of([chain], numbers=[number]).make_mmcif_document()
    document.sole_block().set_pair(f"{CATEGORY}.sample", str(number))
    document.sole_block().set_pair(f"{CATEGORY}.counting", gemmi.cif.quote(COUNTING))
    for name, value in ({} if result is None else importance_fields(result, number)).items():
        document.sole_block().set_pair(f"{CATEGORY}.{name}", value)
    if recipe is not None:
        document.sole_block().set_pair(f"{CATEGORY}.recipe", gemmi.cif.quote("\n".join(_packed(recipe))))
    return document.as_string()


def _packed(recipe: Recipe) -> list[str]:
    # ASCII: a PDB file knows no other letters.
    text = json.dumps(recipe.model_dump(mode="json", exclude_none=True), separators=(",", ":"))
    return textwrap.wrap(text, 60, drop_whitespace=False, break_on_hyphens=False)


def table_csv(result: Result[DecodedProteins], rows: Sequence[int] | None = None) -> str:
    """A row a protein: measures, secondary structure, log-densities and weights, and the level where they stand."""
    proteins, experts = result.require_decoded(), range(len(result.log_density))
    text = io.StringIO()
    writer = csv.writer(text)
    measured = {
        "helix": proteins.helix,
        "strand": proteins.strand,
        "bonds_ok": proteins.bonds_ok,
        "clashes": proteins.clashes,
    }
    writer.writerow(
        ["sample_from_0", "residues", *measured, "radius_angstrom", "structure"]
        + [f"log_density_of_expert_{k}_nats" for k in experts]
        + [f"weight_of_expert_{k}" for k in experts]
        + ["level", *importance_fields(result, 0)]
    )
    for row in range(len(proteins.residues)) if rows is None else rows:
        _, letters = proteins.chain(row)
        writer.writerow(
            [row, int(proteins.residues[row])]
            + [f"{values[row]:.4f}" for values in measured.values()]
            + [f"{proteins.radius[row]:.2f}", letters]
            + [f"{value:.4f}" for value in result.log_density[:, row]]
            + [f"{value:.5f}" for value in result.weights[:, row]]
            + [f"{result.level:.6g}", *importance_fields(result, row).values()]
        )
    return text.getvalue()


def fasta(residues: Mapping[int, int], designs: Mapping[int, Sequence[Design]]) -> str:
    """Sequences of proteins: the designs of each, or where there is none as many X as it has residues.

    Args:
        residues: of each protein, by its number.
        designs: sequences for them, by number; those that are left out have none.
    """
    entries = []
    for number, count in residues.items():
        name = f"protein_{number:05d}"
        for place, one in enumerate(designs.get(number, ())):
            said = f"design {place} by ProteinMPNN, score {one.score:.3f} nats a residue"
            entries.append((f"{name}_design_{place} {said}", one.sequence))
        if not designs.get(number):
            said = f"{count} residues of a backbone without a sequence; X is any amino acid; not a design"
            entries.append((f"{name} {said}", "X" * count))
    return "".join(f">{head}\n" + "\n".join(textwrap.wrap(letters, 60)) + "\n" for head, letters in entries)


def trajectory_pdb(result: Result[DecodedProteins], row: int) -> str:
    """The kept previews of one sample as the models of a PDB file, the first of them noise."""
    length = int(result.require_decoded().residues[row])
    frames = [(frame.preview.backbone, result.trace.ancestor(frame.index, row)) for frame in result.trace.frames]
    kept = [frame[place, :length] for frame, place in frames if place is not None and place < len(frame)]
    return pdb(kept, result.recipe, said=f"SAMPLE {row} ON ITS WAY, A MODEL A MOMENT FROM 0")


def exports(result: Result[DecodedProteins], shown: Shown = ALL) -> list[Export]:
    """The proteins that are shown as one PDB file of models, the table, and a zip of single files."""
    proteins = result.decoded
    if proteins is None:
        return []
    rows = range(len(proteins.residues)) if shown.rows is None else shown.rows
    lengths = {int(row): int(proteins.residues[row]) for row in rows}

    def everything() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for row in rows:
                chain, _ = proteins.chain(row)
                archive.writestr(f"protein_{row:05d}.pdb", pdb([chain], result.recipe, [row], result=result))
                archive.writestr(f"protein_{row:05d}.cif", mmcif(chain, result.recipe, row, result))
            archive.writestr("proteins.csv", table_csv(result, rows))
            archive.writestr("proteins.fasta", fasta(lengths, {}))
            archive.writestr(
                "README.txt",
                f"In all files {COUNTING}; protein_00000 is the first sample of the run.\n{weighing(result)}",
            )
            archive.writestr("recipe.json", result.recipe.to_json())
        return buffer.getvalue()

    return [
        Export(
            "proteins.pdb",
            "PDB, a model each",
            "chemical/x-pdb",
            lambda: pdb([proteins.chain(row)[0] for row in rows], result.recipe, rows, result=result).encode(),
        ),
        Export("proteins.csv", "Table (CSV)", "text/csv", lambda: table_csv(result, rows).encode()),
        Export("proteins.fasta", "FASTA (X: no sequences)", "text/plain", lambda: fasta(lengths, {}).encode()),
        Export("proteins.zip", "PDB and mmCIF of each, table, recipe (zip)", "application/zip", everything),
    ]
