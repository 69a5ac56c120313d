"""Molecules as files: SDF with properties and recipe as data fields, XYZ, SMILES, CSV, all in a zip; and SDF read back
(`reading`).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace

from rdkit import Chem

from ...domain import ALL, COUNTING, Export, Shown
from ...result import Result, importance_fields, weighing
from ..chemistry import relax
from .arrays import DecodedMolecules
from .atoms import ELEMENTS, PROPERTY_NAMES
from .checks import first_of_their_kind, verdicts_of
from .chemistry import Verdict, stereo_of
from .reading import LARGEST_SDF, MOST_READ, ReadMolecules, read_sdf
from .records import RECIPE_FIELD

__all__ = [
    "LARGEST_SDF", "MOST_READ", "RECIPE_FIELD", "ReadMolecules", "archive", "exports", "read_sdf", "sdf", "sdf_block",
    "smi", "stereo_smiles", "table_csv", "xyz",
]  # fmt: skip


def exports(result: Result[DecodedMolecules], shown: Shown = ALL) -> list[Export]:
    """The files that the molecules that are shown can be saved as."""
    if result.decoded is None:
        return []
    rows, relaxed = shown.rows, shown.relaxed
    smiles, chemical = "SMILES of the valid ones", "chemical/x-mdl-sdfile"
    whole = "SMILES with stereochemistry from 3D"
    return [
        Export("molecules.sdf", "Molecules (SDF)", chemical, lambda: sdf(result, rows, relaxed).encode()),
        Export("molecules.xyz", "Geometries (XYZ)", "chemical/x-xyz", lambda: xyz(result, rows, relaxed).encode()),
        Export("molecules.smi", smiles, "chemical/x-daylight-smiles", lambda: smi(result, rows).encode()),
        Export("molecules_3d.smi", whole, "chemical/x-daylight-smiles", lambda: smi(result, rows, True).encode()),
        Export("molecules.csv", "Properties (CSV)", "text/csv", lambda: table_csv(result, rows).encode()),
        Export("molecules.zip", "All of these (ZIP)", "application/zip", lambda: archive(result, rows, relaxed)),
    ]


def shown_molecules(
    result: Result[DecodedMolecules], rows: Sequence[int] | None, relaxed: bool = False
) -> tuple[list[int], DecodedMolecules, dict[int, str]]:
    """(numbers of the molecules, all molecules, what geometry each has): as sampled, or relaxed where that is asked for
    and MMFF94 can.
    """
    molecules = result.require_decoded()
    chosen = list(range(len(molecules.atoms))) if rows is None else list(rows)
    geometries = dict.fromkeys(chosen, "as sampled")
    if relaxed:
        molecules = replace(molecules, positions=molecules.positions.copy())
        for row, verdict in zip(chosen, verdicts_of(molecules, chosen), strict=True):
            found = relax(verdict.molecule) if verdict.valid else None
            if found is not None:
                molecules.positions[row, : len(found.positions)] = found.positions
                geometries[row] = "relaxed with MMFF94"
    return chosen, molecules, geometries


def sdf(result: Result[DecodedMolecules], rows: Sequence[int] | None = None, relaxed: bool = False) -> str:
    """All molecules, or some rows, as an SDF (V2000) in Angstrom; those that are not valid say why."""
    rows, molecules, geometries = shown_molecules(result, rows, relaxed)
    recipe = json.dumps(json.loads(result.recipe.to_json()))
    found = []
    for row, verdict in zip(rows, verdicts_of(molecules, rows), strict=True):
        fields = {"sample_from_0": str(row), "counting": COUNTING, "geometry": geometries[row]}
        fields |= {"valid": "yes" if verdict.valid else f"no: {verdict.reason}"}
        if verdict.valid:
            fields |= {"smiles": verdict.smiles, "smiles_from_3d": stereo_of(verdict.molecule).smiles}
            fields |= {name: f"{molecules.properties[row, k]:.6g}" for k, name in enumerate(PROPERTY_NAMES)}
        for expert, (log_density, weight) in enumerate(
            zip(result.log_density[:, row], result.weights[:, row], strict=True)
        ):
            fields |= {f"log_density_of_expert_{expert}_nats": f"{log_density:.6g}"}
            fields |= {f"weight_of_expert_{expert}": f"{weight:.6g}"}
        fields |= {"level": f"{result.level:.6g}", **importance_fields(result, row), RECIPE_FIELD: recipe}
        found.append(sdf_block(verdict, f"molecule_{row:05d}", fields))
    return "".join(found)


def sdf_block(verdict: Verdict, title: str, fields: dict[str, str]) -> str:
    """One molecule of an SDF: its bonds in Kekule form, then its data fields."""
    molecule = Chem.Mol(verdict.molecule)
    molecule.SetProp("_Name", title)
    block = Chem.MolToMolBlock(molecule, kekulize=verdict.valid, forceV3000=False)
    return block + "".join(f">  <{name}>\n{value}\n\n" for name, value in fields.items()) + "$$$$\n"


def xyz(result: Result[DecodedMolecules], rows: Sequence[int] | None = None, relaxed: bool = False) -> str:
    """All geometries in Angstrom, or some rows, one frame a molecule."""
    rows, molecules, geometries = shown_molecules(result, rows, relaxed)
    lines = []
    for row in rows:
        count, valid = int(molecules.atoms[row]), "yes" if molecules.valid[row] else "no"
        counts = "".join(f" {name}={value}" for name, value in importance_fields(result, row).items())
        said = f'molecule_{row:05d} valid={valid} geometry="{geometries[row]}" counting="{COUNTING}"{counts}'
        lines += [str(count), said]
        for element, place in zip(molecules.elements[row][:count], molecules.positions[row][:count], strict=True):
            lines.append(f"{ELEMENTS[element]} {place[0]:.5f} {place[1]:.5f} {place[2]:.5f}")
    return "\n".join([*lines, ""])


def smi(result: Result[DecodedMolecules], rows: Sequence[int] | None = None, stereo: bool = False) -> str:
    """A line "SMILES name" for every valid molecule; the number in the name counts from 0.

    Args:
        result: of a run.
        rows: numbers of the molecules; None: all.
        stereo: with the stereochemistry that the geometries have.
    """
    chosen, molecules, _ = shown_molecules(result, rows)
    smiles = stereo_smiles(molecules, chosen) if stereo else [str(molecules.smiles[row]) for row in chosen]
    return "".join(f"{text} molecule_{row:05d}\n" for row, text in zip(chosen, smiles, strict=True) if text)


def stereo_smiles(molecules: DecodedMolecules, rows: Sequence[int]) -> list[str]:
    """SMILES with stereochemistry of some molecules; "" for those that are not valid."""
    return [stereo_of(one.molecule).smiles if one.valid else "" for one in verdicts_of(molecules, rows)]


def table_csv(result: Result[DecodedMolecules], rows: Sequence[int] | None = None) -> str:
    """One row a molecule: verdict, SMILES, duplicate, properties; log-density and weight of every expert, and level."""
    chosen, molecules, _ = shown_molecules(result, rows)
    experts = range(len(result.log_density))
    first, text = first_of_their_kind(molecules), io.StringIO()
    writer = csv.writer(text)
    head = ["sample_from_0", "atoms", "valid", "reason", "smiles", "duplicate", "smiles_from_3d", *PROPERTY_NAMES]
    head += [f"log_density_of_expert_{k}_nats" for k in experts]
    writer.writerow([*head, *(f"weight_of_expert_{k}" for k in experts), "level", *importance_fields(result, 0)])
    for row, stereo in zip(chosen, stereo_smiles(molecules, chosen), strict=True):
        valid = bool(molecules.valid[row])
        known = [f"{value:.6g}" if valid else "" for value in molecules.properties[row]]
        writer.writerow(
            [row, int(molecules.atoms[row]), "yes" if valid else "no", molecules.reason[row], molecules.smiles[row]]
            + ["yes" if valid and not first[row] else "no", stereo, *known]
            + [f"{value:.6g}" for value in (*result.log_density[:, row], *result.weights[:, row], result.level)]
            + list(importance_fields(result, row).values())
        )
    return text.getvalue()


def archive(result: Result[DecodedMolecules], rows: Sequence[int] | None = None, relaxed: bool = False) -> bytes:
    """All files and the recipe in one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("molecules.sdf", sdf(result, rows, relaxed))
        packed.writestr("molecules.xyz", xyz(result, rows, relaxed))
        packed.writestr("molecules.smi", smi(result, rows))
        packed.writestr("molecules_3d.smi", smi(result, rows, True))
        packed.writestr("molecules.csv", table_csv(result, rows))
        packed.writestr(
            "README.txt", f"In all files {COUNTING}; molecule_00000 is the first sample of the run.\n{weighing(result)}"
        )
        packed.writestr("recipe.json", result.recipe.to_json())
    return buffer.getvalue()
