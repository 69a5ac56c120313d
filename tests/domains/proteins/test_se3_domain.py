"""FrameDiff and Proteus in the domain: folders with tiny networks of both, composed, alone, refused with others."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_proteins import whole_helix

from superdiff_engine import estimate_log_density, karras_levels
from superdiff_engine.domains import conversions, domains, get_domain, model_notices
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.proteins import catalogue, files
from superdiff_engine.domains.proteins.local import DRAWS, local_weights
from superdiff_engine.domains.proteins.se3 import schedules
from superdiff_engine.domains.proteins.se3.framediff import FrameDiffNetwork
from superdiff_engine.domains.proteins.se3.proteus import ProteusNetwork
from superdiff_engine.domains.sources import JUDGES
from superdiff_engine.errors import ModelError, RecipeError
from superdiff_engine.runs.density_check import check_densities
from superdiff_engine.runs.run import Run
from superdiff_engine.walk import levels_of

SMALL = {"width": 16, "pair": 8, "waves": 4, "blocks": 2, "heads": 2, "channels": 8, "skip": 8, "chain_layers": 1}
NETWORKS = {
    "framediff": (FrameDiffNetwork, SMALL | {"bins": 6}),
    "proteus": (ProteusNetwork, SMALL | {"neighbours": 8, "triangle": 8, "local_channels": 8}),
}
BOTH = ("local/framediff", "local/proteus")


def write(folder, kind, network=None):
    torch.manual_seed(len(kind))
    build, sizes = NETWORKS[kind]
    folder.mkdir()
    save_file(build(**sizes).state_dict(), folder / "model.safetensors")
    config = {"kind": kind, "title": kind.capitalize(), "description": "for tests", "network": network or sizes}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def models(tmp_path, monkeypatch, assets):
    for kind in NETWORKS:
        write(tmp_path / kind, kind)
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    return tmp_path


def recipe(*ids, **fields):
    document = {
        "domain": "proteins",
        "experts": [{"model": one} for one in ids or BOTH],
        "levels": {"steps": 3, "spacing": "time"},
        "solver": "euler",
        "noise_scale": 0.1,
        "batch": 2,
        "residues": 30,
    }
    return make_recipe(document | fields)


def test_both_are_composed_and_a_run_is_the_same_again(models):
    domain = get_domain("proteins")
    assert {info.id: info.source for info in domain.models()}.items() >= dict.fromkeys(BOTH, "local").items()
    asked = recipe(operator={"name": "and"}, per_component=True)
    run = Run(asked)
    result, again = run.execute(), Run(asked, previews=False).execute()
    assert np.array_equal(result.samples["positions"], again.samples["positions"])
    assert np.array_equal(result.samples["rotations"], again.samples["rotations"])
    assert result.decoded.residues.tolist() == [30, 30] and np.isfinite(result.decoded.backbone).all()
    assert [one.title for one in domain.prepare(asked, "cpu").experts] == ["Framediff", "Proteus"]
    assert any("belongs to the path" in note for note in run.notes)
    found = check_densities(result, steps=4, paths=1)
    assert found.samples == 2


def test_a_memory_changes_what_is_sampled(models, monkeypatch):
    asked = recipe("local/framediff", operator={"name": "single", "index": 0})
    told = Run(asked, previews=False).execute()
    monkeypatch.setattr(catalogue.FrameScore, "remember", lambda self: None)
    plain = Run(asked, previews=False).execute()
    assert not np.allclose(told.samples["positions"], plain.samples["positions"], atol=1e-4)


def test_an_ode_with_divergences_and_resampled_particles_run(models):
    ode = {"solver": "ode_heun", "estimator": "hutchinson", "noise_scale": 1, "levels": {"steps": 2}}
    found = Run(recipe(operator={"name": "or"}, **ode), previews=False).execute()
    assert np.isfinite(found.log_density).all() and np.isfinite(found.samples["positions"]).all()
    particles = {"correction": {"threshold": 1}, "noise_scale": 1, "batch": 4, "levels": {"steps": 2}}
    corrected = Run(recipe(operator={"name": "average"}, **particles), previews=False).execute()
    assert np.isfinite(corrected.importance).all()


def test_with_embedded_models_they_are_refused_before_anything_runs(models):
    with pytest.raises(RecipeError, match=r"Framediff and Tiny proteins cannot be walked together.* compose FrameDiff"):
        recipe("local/framediff", "proteins", levels={"steps": 4})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dtype": "bfloat16"}, "computes in float32"),
        ({"levels": {"steps": 4, "highest": 200}}, "levels up to 152.2"),
        ({"residues": 501}, "500"),
    ],
)
def test_what_they_do_not_know_is_one_sentence(models, fields, words):
    with pytest.raises(RecipeError, match=words) as caught:
        recipe(**fields)
    assert "\n" not in str(caught.value)


def test_lengths_left_open_are_the_papers(models):
    asked = recipe(residues=None, batch=40)
    assert set(catalogue.numbers_of_residues(asked)) == {100, 150, 200, 250, 300}
    assert any("100, 150, 200, 250, 300" in line for line in get_domain("proteins").remarks(asked))


def test_the_papers_settings_are_examples_of_those_who_have_the_models(models):
    examples = get_domain("proteins").examples()
    papers = {title: one for title, one in examples.items() if "paper" in title}
    assert len(papers) == 3 and next(iter(examples)).startswith("OR: helices")
    for one in papers.values():
        make_recipe(one.model_dump(mode="json", exclude_none=True))
        assert (one.levels.steps, one.noise_scale, one.solver, one.per_component) == (500, 0.1, "euler", True)
        grid = one.levels.grid((0.1, schedules.NOISING.highest), schedules.TRANSLATIONS)
        assert np.allclose(schedules.TRANSLATIONS.time(grid), np.linspace(1, 0.002, 501), atol=1e-6)
    (models / "proteus").rename(models / "elsewhere.zip")
    (models / "elsewhere.zip" / "config.json").unlink()
    alone = [one for title, one in get_domain("proteins").examples().items() if "paper" in title]
    assert [[expert.model for expert in one.experts] for one in alone] == [["local/framediff"]]


def test_chains_from_files_are_judged_and_weighed_residue_by_residue(models):
    domain, asked = get_domain("proteins"), recipe()
    chain = whole_helix(30)
    experts, state, lowest = domain.place(asked, files.ReadProtein(chain, "G" * 30, None, ()), "cpu")
    levels = domain.component_levels(karras_levels(4, domain.level_range(experts)[1], lowest), experts)
    found = estimate_log_density(experts, state, levels, paths=1)
    assert found.mean.shape == (2, 1) and found.mean.isfinite().all()
    weights = local_weights(catalogue.experts_of(asked, [30] * DRAWS, "cpu"), chain)
    assert weights.shape == (2, 30) and np.allclose(weights.sum(0), 1)


@pytest.mark.parametrize("spoil", ["network", "weights", "missing"])
def test_a_damaged_folder_is_one_sentence(models, spoil):
    folder = models / "framediff"
    if spoil == "network":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"network": {"width": "wide"}}))
    elif spoil == "weights":
        (folder / "model.safetensors").write_bytes(b"none")
    else:
        (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="protein model") as caught:
        get_domain("proteins").prepare(recipe("local/framediff"), "cpu")
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_there_is_named(models):
    with pytest.raises(RecipeError, match=r"no model of proteins called 'local/gone'; .*SUPERDIFF_MODELS"):
        recipe("local/gone")
    assert catalogue.folder_of("local/framediff") == models / "framediff" and model_notices() == []


def test_every_kind_of_expert_that_is_converted_has_a_domain_that_reads_it():
    read = {kind for domain in domains().values() for kind in domain.converted}
    assert read == set(conversions()) - set(JUDGES)


def test_levels_are_the_models_own_before_any_is_loaded(models):
    """What a form shows, and what a grid of runs tries."""
    domain = get_domain("proteins")
    levels = levels_of(recipe(), domain, ())
    assert (float(levels[-1]), float(levels[0])) == pytest.approx((0.04469, 152.167), rel=1e-4)
    assert float(levels_of(recipe("proteins", levels={"steps": 4}), domain, ())[0]) == pytest.approx(40)
