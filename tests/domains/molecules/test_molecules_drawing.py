"""Drawings of whatever a model makes, however unlike a molecule."""

import io
import json

import numpy as np
from PIL import Image
from rdkit import Chem
from rdkit.Chem import rdDepictor

from superdiff_engine.domains import depiction
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.molecules import checks
from superdiff_engine.runs.run import Run


def ink(picture):
    """How many points of a picture are neither white nor transparent."""
    rgba = np.asarray(picture.convert("RGBA")).astype(int)
    return int(((rgba[..., :3].min(-1) < 200) & (rgba[..., 3] > 100)).sum())


def test_two_atoms_in_one_place_cost_no_drawing(tmp_path):
    """Rings with chains at 2 steps: tangles which RDKit lays out with atoms in one place, and then refuses to draw."""
    experts = [{"model": "molecules_rings", "prompt": ""}, {"model": "molecules_chains", "prompt": ""}]
    recipe = {
        "domain": "molecules",
        "experts": experts,
        "operator": {"name": "or"},
        "levels": {"steps": 2},
        "solver": "euler",
    }
    run = Run(make_recipe(recipe | {"batch": 64, "seed": 2}), tmp_path / "run")
    result = run.execute()
    assert run.state == "done" and not run.notes
    assert json.loads((run.folder / "status.json").read_text())["state"] == "done"
    tangles = 0
    for verdict in checks.verdicts_of(result.decoded, range(64)):
        bare = Chem.RemoveHs(verdict.molecule, sanitize=False)
        rdDepictor.Compute2DCoords(bare)
        places = bare.GetConformer().GetPositions()
        tangles += len(np.unique(places.round(3), axis=0)) < len(places)
        flat = depiction.flat(verdict.molecule).GetConformer().GetPositions()
        distances = np.linalg.norm(flat[:, None] - flat[None], axis=-1) + np.eye(len(flat))
        assert distances.min() > 9e-4
    assert tangles  # or this case tests nothing any more
    with Image.open(run.folder / "preview.png") as sheet:
        side = sheet.width // 8
        cells = [sheet.crop((side * x, side * y, side * (x + 1), side * (y + 1))) for y in range(8) for x in range(8)]
    assert min(map(ink, cells)) > 300


def test_what_rdkit_cannot_draw_is_a_cell_with_a_question_mark(monkeypatch):
    water = Chem.AddHs(Chem.MolFromSmiles("O"))

    def refuse(molecule):
        raise RuntimeError("Cannot normalize a zero length vector")

    monkeypatch.setattr(depiction, "flat", refuse)
    with Image.open(io.BytesIO(depiction.depict(water, "7"))) as cell:
        assert cell.size == (depiction.CELL, depiction.CELL) and ink(cell) > 50
