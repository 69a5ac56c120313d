"""Every combination of domain, operator, solver, estimator, components and noise scale: it runs, or a sentence says no.

Networks are tiny and loaded once; runs have two steps. What the form offers is compared with what validates.
"""

import itertools
import re

import numpy as np
import pytest
import tiny_molecules
import tiny_proteins
import tiny_text_pipelines
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from tiny_pipelines import tiny_unet

from studio.form.to_recipe import estimators
from superdiff_engine import density, solvers
from superdiff_engine.domains import domains, embedded, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.molecules import domain as molecules
from superdiff_engine.domains.proteins import model as proteins
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import OPERATORS
from superdiff_engine.runs.run import Run

#: What each domain's recipes say beside the fields that are walked.
FIXED = {
    "plane": {"experts": [{"model": "overlap_a"}, {"model": "ring"}]},
    "pictures": {"experts": [{"model": "local/picture_a"}, {"model": "local/picture_b"}]},
    "prompts": {"experts": [{"model": "local/text", "prompt": "a cat"}, {"model": "local/text", "prompt": "a dog"}]},
    "molecules": {
        "experts": [{"model": "molecules", "prompt": "high logP"}, {"model": "molecules_rings", "prompt": ""}],
        "guidance": {"weight": 2.0},
        "atoms": 3,
    },
    "proteins": {"experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}], "residues": 30},
}
OPERATOR_FIELDS = {
    "fixed": {"weights": [1.5, -0.5]},
    "single": {"index": 1},
    "formula": {"text": "(1 or 2) and[2] 1"},
}
#: Operators without an exact target, which no run can be corrected to.
CONTROLS = ("and", "coin_flip")
NOISE_SCALES = (1.0, 0.5)


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    """Tiny models in the place of the embedded and the user's own ones."""
    folder, patch = tmp_path_factory.mktemp("walk"), pytest.MonkeyPatch()
    for names, save in (
        (molecules.NAMES, tiny_molecules.save_tiny),
        (proteins.NAMES, tiny_proteins.save_tiny),
    ):
        for seed, name in enumerate(names):
            save(folder / "assets" / name, f"tiny {name}", seed)
    patch.setattr(embedded, "assets_folder", lambda: folder / "assets")
    for name in ("picture_a", "picture_b"):
        pipeline = DDPMPipeline(tiny_unet(), DDPMScheduler(clip_sample=False))
        pipeline.save_pretrained(folder / "models" / name)
    tiny_text_pipelines.save(folder / "models" / "text", "sd")
    patch.setenv("SUPERDIFF_MODELS", str(folder / "models"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()


def combinations(name):
    """Documents of a domain's recipes."""
    parts = (False, True) if len(get_domain(name).components) > 1 else (False,)
    for number, (operator, solver, estimator, apart, scale) in enumerate(
        itertools.product(OPERATORS, solvers.SOLVERS, density.ESTIMATORS, parts, NOISE_SCALES)
    ):
        yield (
            FIXED[name]
            | {
                "domain": name,
                "operator": {"name": operator} | OPERATOR_FIELDS.get(operator, {}),
                "solver": solver,
                "estimator": estimator,
                "per_component": apart,
                "noise_scale": scale,
                "levels": {"steps": 2},
                "batch": 1 + number % 2,
                "seed": number,
                "device": "cpu",
            }
            | ({"correction": {"threshold": 1}, "batch": 2} if number % 4 == 0 else {})
        )


def offered(document):
    """The estimators that the form offers beside the other fields of a document."""
    size = get_domain(document["domain"]).size
    state = {
        "f.domain": document["domain"],
        "f.solver": document["solver"],
        "f.noise_scale": document["noise_scale"],
        "f.size": None if size is None else document.get(size.field),
    }
    return estimators(state)


@pytest.mark.parametrize("name", FIXED)
def test_every_combination_runs_or_is_refused_in_a_sentence(name):
    accepted = refused = 0
    for document in combinations(name):
        # Where a solver has no noise the form leaves the scale at 1, and a coin flip's weights whole.
        possible = document["noise_scale"] == 1 or solvers.SOLVERS[document["solver"]].noisy
        possible &= not (document["per_component"] and document["operator"]["name"] == "coin_flip")
        if "correction" in document:
            possible &= document["operator"]["name"] not in CONTROLS and solvers.SOLVERS[document["solver"]].noisy
            possible &= document["noise_scale"] == 1
        expected = possible and document["estimator"] in offered(document)
        try:
            recipe = make_recipe(document)
        except RecipeError as error:
            assert not expected, (document, error)
            assert re.fullmatch(r"[A-Z][^\n]{20,300}\.", str(error)) and "unexpected" not in str(error)
            refused += 1
            continue
        assert expected, f"the form does not offer what validates: {document}"
        run = Run(recipe)
        result = run.execute()
        assert run.state == "done" and result.complete, document
        assert np.isfinite(result.log_density).all(), document
        assert all(np.isfinite(values).all() for values in [*result.samples.values(), *result.denoised.values()])
        accepted += 1
    assert accepted > 50 and refused > 50


def test_solvers_and_estimators_have_one_list_each():
    fields = Recipe.model_fields
    assert set(fields["solver"].annotation.__args__) == set(solvers.SOLVERS)
    assert set(fields["estimator"].annotation.__args__) == set(density.ESTIMATORS)
    assert fields["solver"].default == solvers.DEFAULT_SOLVER
    assert set(FIXED) == {name for name, domain in domains().items() if not domain.absent}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"domain": "pictures", "estimator": "exact"}, "choose 'trapezoid' or 'ito' or 'hutchinson'"),
        ({"domain": "prompts", "estimator": "exact", "solver": "ode"}, "choose 'hutchinson'"),
        ({"domain": "molecules", "estimator": "exact"}, "at most 256 dimensions, and samples may have 638"),
        ({"domain": "molecules", "estimator": "exact", "atoms": 17}, "samples may have 272"),
        ({"domain": "proteins", "estimator": "exact", "residues": 30}, "is not for these models; choose 'trapezoid'"),
        ({"domain": "plane", "estimator": "ito", "noise_scale": 0.5}, "choose 'trapezoid' or 'hutchinson' or 'exact'"),
    ],
)
def test_an_estimator_that_does_not_fit_says_which_do(fields, words):
    document = {"experts": FIXED[fields["domain"]]["experts"]}
    with pytest.raises(RecipeError) as caught:
        make_recipe(document | fields)
    assert words in str(caught.value)
