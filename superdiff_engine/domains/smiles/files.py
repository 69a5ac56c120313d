"""Molecules as files: SMILES, CSV with properties, SDF as flat drawings or in 3D."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem import rdDepictor

from ...domain import ALL, COUNTING, Export, Shown
from ...result import Result, importance_fields, weighing
from .arrays import PROPERTY_NAMES, DecodedSmiles
from .checks import first_of_their_kind, molecule_of
from .geometry import build

__all__ = ["archive", "exports", "sdf", "smi", "table_csv"]

#: The data field of an SDF that holds the recipe, as JSON.
_RECIPE = "superdiff_recipe"


def exports(result: Result[DecodedSmiles], shown: Shown = ALL) -> list[Export]:
    """The files that the molecules that are shown can be saved as."""
    if result.decoded is None:
        return []
    rows, chemical = shown.rows, "chemical/x-mdl-sdfile"
    text = "chemical/x-daylight-smiles"
    return [
        Export("molecules.smi", "SMILES of the valid ones", text, lambda: smi(result, rows).encode()),
        Export("molecules.csv", "Properties (CSV)", "text/csv", lambda: table_csv(result, rows).encode()),
        Export("molecules_2d.sdf", "Flat drawings (SDF)", chemical, lambda: sdf(result, rows).encode()),
        Export("molecules_3d.sdf", "In 3D by ETKDG (SDF)", chemical, lambda: sdf(result, rows, True).encode()),
        Export("molecules.zip", "All but 3D (ZIP)", "application/zip", lambda: archive(result, rows)),
    ]


def _rows(result: Result[DecodedSmiles], rows: Sequence[int] | None) -> list[int]:
    return list(range(len(result.require_decoded().smiles))) if rows is None else list(rows)


def smi(result: Result[DecodedSmiles], rows: Sequence[int] | None = None) -> str:
    """A line "SMILES name" for every valid molecule; the number in the name counts from 0."""
    smiles = result.require_decoded().smiles
    return "".join(f"{smiles[row]} molecule_{row:05d}\n" for row in _rows(result, rows) if smiles[row])


def table_csv(result: Result[DecodedSmiles], rows: Sequence[int] | None = None) -> str:
    """One row a molecule: what was written, verdict, properties; log-density and weight of every expert, and level."""
    decoded, experts, text = result.require_decoded(), range(len(result.log_density)), io.StringIO()
    first, writer = first_of_their_kind(decoded), csv.writer(text)
    head = ["sample_from_0", "written", "valid", "reason", "smiles", "duplicate", *PROPERTY_NAMES]
    head += [*(f"log_density_of_expert_{k}_nats" for k in experts), *(f"weight_of_expert_{k}" for k in experts)]
    writer.writerow([*head, "level", *importance_fields(result, 0)])
    for row in _rows(result, rows):
        valid = bool(decoded.valid[row])
        writer.writerow(
            [row, decoded.written[row], "yes" if valid else "no", decoded.reason[row], decoded.smiles[row]]
            + ["yes" if valid and not first[row] else "no"]
            + [f"{value:.6g}" if valid else "" for value in decoded.properties[row]]
            + [f"{value:.6g}" for value in (*result.log_density[:, row], *result.weights[:, row], result.level)]
            + list(importance_fields(result, row).values())
        )
    return text.getvalue()


def sdf(result: Result[DecodedSmiles], rows: Sequence[int] | None = None, solid: bool = False) -> str:
    """The valid molecules as an SDF (V2000): flat without hydrogens, or `solid`, in Angstrom with all of them.

    What has no geometry (`geometry.build`) is flat there too, and says so in its field "geometry".
    """
    decoded, found = result.require_decoded(), []
    recipe = json.dumps(json.loads(result.recipe.to_json()))
    for row in _rows(result, rows):
        smiles = str(decoded.smiles[row])
        if not smiles:
            continue
        built = build(smiles) if solid else None
        if built is None:
            molecule = molecule_of(smiles)
            rdDepictor.Compute2DCoords(molecule)
        else:
            molecule = Chem.Mol(built.molecule)
        molecule.SetProp("_Name", f"molecule_{row:05d}")
        geometry = "flat drawing" if built is None else built.said
        fields = {"sample_from_0": str(row), "counting": COUNTING, "geometry": geometry, "smiles": smiles}
        fields |= {name: f"{decoded.properties[row, k]:.6g}" for k, name in enumerate(PROPERTY_NAMES)}
        for expert, (value, weight) in enumerate(zip(result.log_density[:, row], result.weights[:, row], strict=True)):
            fields |= {f"log_density_of_expert_{expert}_nats": f"{value:.6g}"}
            fields |= {f"weight_of_expert_{expert}": f"{weight:.6g}"}
        fields |= {"level": f"{result.level:.6g}", **importance_fields(result, row), _RECIPE: recipe}
        block = Chem.MolToMolBlock(molecule, kekulize=True, forceV3000=False)
        found.append(block + "".join(f">  <{name}>\n{value}\n\n" for name, value in fields.items()) + "$$$$\n")
    return "".join(found)


def archive(result: Result[DecodedSmiles], rows: Sequence[int] | None = None) -> bytes:
    """SMILES, table, flat drawings and recipe in one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("molecules.smi", smi(result, rows))
        packed.writestr("molecules.csv", table_csv(result, rows))
        packed.writestr("molecules_2d.sdf", sdf(result, rows))
        packed.writestr(
            "README.txt", f"In all files {COUNTING}; molecule_00000 is the first sample of the run.\n{weighing(result)}"
        )
        packed.writestr("recipe.json", result.recipe.to_json())
    return buffer.getvalue()
