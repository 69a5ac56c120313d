"""Molecules as files: SDF with properties and recipe as data fields, XYZ, SMILES, CSV, all in a zip; and SDF read back
(`reading`).
"""

from __future__ import annotations

import csv
import io
import json
import zipfile

from rdkit import Chem

from ...run import Result
from ..base import Export
from .atoms import ELEMENTS, PROPERTY_NAMES
from .chemistry import Verdict
from .judging import first_of_their_kind, verdicts_of
from .reading import LARGEST_SDF, MOST_READ, ReadMolecules, read_sdf
from .records import RECIPE_FIELD

__all__ = [
    "LARGEST_SDF", "MOST_READ", "RECIPE_FIELD", "ReadMolecules", "archive", "exports", "read_sdf", "sdf", "sdf_block",
    "smi", "table_csv", "xyz",
]  # fmt: skip


def exports(result: Result) -> list[Export]:
    """The files that molecules can be saved as."""
    if "elements" not in result.decoded:
        return []
    return [
        Export("molecules.sdf", "Molecules (SDF)", "chemical/x-mdl-sdfile", lambda: sdf(result).encode()),
        Export("molecules.xyz", "Geometries (XYZ)", "chemical/x-xyz", lambda: xyz(result).encode()),
        Export("molecules.smi", "SMILES of the valid ones", "chemical/x-daylight-smiles", lambda: smi(result).encode()),
        Export("molecules.csv", "Properties (CSV)", "text/csv", lambda: table_csv(result).encode()),
        Export("molecules.zip", "All of these (ZIP)", "application/zip", lambda: archive(result)),
    ]


def sdf(result: Result, rows: list[int] | None = None) -> str:
    """All molecules, or some rows, as an SDF (V2000) in Angstrom; those that are not valid say why."""
    arrays = result.decoded
    rows = list(range(len(arrays["atoms"]))) if rows is None else rows
    recipe = json.dumps(json.loads(result.recipe.to_json()))
    found = []
    for row, verdict in zip(rows, verdicts_of(arrays, rows), strict=True):
        fields = {"index": str(row), "valid": "yes" if verdict.valid else f"no: {verdict.reason}"}
        if verdict.valid:
            fields |= {"smiles": verdict.smiles}
            fields |= {name: f"{arrays['properties'][row, k]:.6g}" for k, name in enumerate(PROPERTY_NAMES)}
        for number, values in enumerate(zip(result.log_density[:, row], result.weights[:, row], strict=True), start=1):
            fields |= {f"log_density_{number}_nats": f"{values[0]:.6g}", f"weight_{number}": f"{values[1]:.6g}"}
        found.append(sdf_block(verdict, f"molecule_{row:05d}", fields | {RECIPE_FIELD: recipe}))
    return "".join(found)


def sdf_block(verdict: Verdict, title: str, fields: dict[str, str]) -> str:
    """One molecule of an SDF: its bonds in Kekule form, then its data fields."""
    molecule = Chem.Mol(verdict.molecule)
    molecule.SetProp("_Name", title)
    block = Chem.MolToMolBlock(molecule, kekulize=verdict.valid, forceV3000=False)
    return block + "".join(f">  <{name}>\n{value}\n\n" for name, value in fields.items()) + "$$$$\n"


def xyz(result: Result) -> str:
    """All geometries in Angstrom, one frame a molecule."""
    arrays, lines = result.decoded, []
    for row, count in enumerate(arrays["atoms"].astype(int)):
        lines += [str(count), f"molecule_{row:05d} valid={'yes' if arrays['valid'][row] else 'no'}"]
        for element, place in zip(arrays["elements"][row][:count], arrays["positions"][row][:count], strict=True):
            lines.append(f"{ELEMENTS[element]} {place[0]:.5f} {place[1]:.5f} {place[2]:.5f}")
    return "\n".join(lines) + "\n"


def smi(result: Result) -> str:
    """A line "SMILES name" for every valid molecule."""
    smiles = result.decoded["smiles"]
    return "".join(f"{text} molecule_{row:05d}\n" for row, text in enumerate(smiles) if text)


def table_csv(result: Result) -> str:
    """One row a molecule: verdict, SMILES, duplicate, properties, log-density and weight of every expert."""
    arrays, experts = result.decoded, range(1, len(result.log_density) + 1)
    first, text = first_of_their_kind(arrays), io.StringIO()
    writer = csv.writer(text)
    head = ["index", "atoms", "valid", "reason", "smiles", "duplicate", *PROPERTY_NAMES]
    writer.writerow([*head, *(f"log_density_{k}_nats" for k in experts), *(f"weight_{k}" for k in experts)])
    for row in range(len(arrays["atoms"])):
        valid = bool(arrays["valid"][row])
        known = [f"{value:.6g}" if valid else "" for value in arrays["properties"][row]]
        writer.writerow(
            [row, int(arrays["atoms"][row]), "yes" if valid else "no", arrays["reason"][row], arrays["smiles"][row]]
            + ["yes" if valid and not first[row] else "no", *known]
            + [f"{value:.6g}" for value in (*result.log_density[:, row], *result.weights[:, row])]
        )
    return text.getvalue()


def archive(result: Result) -> bytes:
    """All files and the recipe in one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, make in (("sdf", sdf), ("xyz", xyz), ("smi", smi), ("csv", table_csv)):
            packed.writestr(f"molecules.{name}", make(result))
        packed.writestr("recipe.json", result.recipe.to_json())
    return buffer.getvalue()
