"""The embedded model as it ships: small enough, valid to RDKit, led by its prompts, and a judge of real molecules."""

import numpy as np
import pytest

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.molecules.atoms import PROPERTY_NAMES
from superdiff_engine.domains.molecules.checks import first_of_their_kind, satisfied
from superdiff_engine.domains.molecules.domain import NAMES, words_of
from superdiff_engine.domains.molecules.evaluate import density_values
from superdiff_engine.domains.molecules.reference import load_reference
from superdiff_engine.runs.run import Run
from superdiff_engine.system.assets import assets_folder

FOLDER = assets_folder() / "molecules"


def drawn(prompt, steps=40, batch=32, models=("molecules",), operator="single"):
    return run(prompt, steps, batch, models, operator).decoded


def run(prompt, steps, batch, models, operator):
    asked = {
        "domain": "molecules", "experts": [{"model": model, "prompt": prompt} for model in models],
        "operator": {"name": operator}, "levels": {"steps": steps}, "solver": "euler", "batch": batch,
        "guidance": {"weight": 2.0} if prompt else None,
    }  # fmt: skip
    return Run(make_recipe(asked), previews=False).execute()


def ringed(decoded):
    """Bool of the valid molecules: whether they have a ring."""
    return decoded.properties[decoded.valid, PROPERTY_NAMES.index("rings")] > 0


def test_its_files_are_within_their_size():
    for name in NAMES:
        assert all(path.stat().st_size <= 50e6 for path in (assets_folder() / name).rglob("*"))


def test_its_molecules_are_valid_and_follow_their_prompt():
    """Of QM9 a quarter has a high TPSA; with few steps and samples the bars of the table have room."""
    found = drawn("high TPSA")
    assert found.valid.mean() >= 0.5
    assert first_of_their_kind(found).sum() >= 0.9 * found.valid.sum()
    terms = words_of("molecules").parse("high TPSA")
    assert satisfied(terms, found.properties)[found.valid].mean() >= 0.6


@pytest.mark.parametrize(("model", "valid", "most"), [("molecules_rings", 0.5, 1.0), ("molecules_chains", 0.3, 0.1)])
def test_the_two_of_disjoint_parts_draw_what_they_have_seen(model, valid, most):
    """No training molecule of the one is of the other's kind; QM9 has rings in 90%."""
    found = drawn("", models=[model])
    assert found.valid.mean() >= valid
    assert most - 0.2 <= ringed(found).mean() <= most


def test_their_or_holds_both_kinds_and_its_densities_tell_which_is_which():
    result = run("", 40, 32, ["molecules_rings", "molecules_chains"], "or")
    rings = ringed(result.decoded)
    assert result.decoded.valid.mean() >= 0.4 and 0.2 <= rings.mean() <= 0.8
    gap = (result.log_density[0] - result.log_density[1])[result.decoded.valid]
    assert ((gap > 0) == rings).mean() >= 0.9


def test_its_log_density_prefers_test_molecules_to_displaced_ones():
    found = density_values(0.1, load_reference(FOLDER), molecules=24)
    assert found["auc"].value > 0.8 and found["paired"].value > 0.9


def test_it_has_seen_molecules_of_every_size_that_it_draws():
    atoms = drawn("", steps=1, batch=200).atoms
    assert 15 < np.mean(atoms) < 20 and atoms.min() >= 3 and atoms.max() <= 29
