"""The embedded models as they ship: small enough, chains like real ones, and judges of whose chain it is."""

import numpy as np
import pytest

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.proteins.domain import NOISE_SCALE
from superdiff_engine.domains.proteins.model import NAMES, load_settings
from superdiff_engine.runs.run import Run
from superdiff_engine.system.assets import assets_folder

EXPERTS = ("proteins_alpha", "proteins_beta")


def run(*models, operator="single", steps=80, batch=6):
    asked = {
        "domain": "proteins", "experts": [{"model": model} for model in models], "operator": {"name": operator},
        "levels": {"steps": steps}, "solver": "ancestral", "batch": batch, "residues": 64,
        "noise_scale": NOISE_SCALE,
    }  # fmt: skip
    return Run(make_recipe(asked), previews=False).execute()


def test_their_files_are_within_their_size():
    for name in NAMES:
        assert all(path.stat().st_size <= 50e6 for path in (assets_folder() / name).rglob("*"))


@pytest.mark.parametrize(("model", "mostly"), [("proteins_alpha", "helix"), ("proteins_beta", "strand")])
def test_chains_hang_together_and_are_of_their_experts_kind(model, mostly):
    """With few steps and samples the bars of the table have room."""
    found = run(model).decoded
    assert found.bonds_ok.mean() >= 0.95 and found.clashes.mean() <= 0.02
    other = {"helix": "strand", "strand": "helix"}[mostly]
    assert getattr(found, mostly).mean() >= 0.2 and getattr(found, mostly).mean() >= 2 * getattr(found, other).mean()


def test_log_densities_tell_whose_chain_it_is():
    """Of each expert's own samples: its own log-density is the higher one."""
    result = run(*EXPERTS, operator="coin_flip", batch=8)
    gap = result.log_density[0] - result.log_density[1]
    helical = result.decoded.helix > result.decoded.strand
    assert 0 < helical.sum() < 8
    assert ((gap > 0) == helical).mean() >= 0.85


def test_the_lengths_that_they_draw_are_those_they_have_seen():
    for name in NAMES:
        lengths = load_settings(assets_folder() / name).lengths
        assert min(lengths) >= 40 and max(lengths) <= 128 and np.sum(list(lengths.values())) > 500
