"""The studio's page for proteins: form, run, gallery, one protein in 3D with its plots, and one from a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from studio_page import finish, give, open_link, press, words
from tiny_proteins import whole_helix

from studio import session
from studio.charts import backbones
from studio.views import proteins
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.proteins import files, mpnn
from superdiff_engine.domains.proteins.checks import checked_proteins
from superdiff_engine.domains.proteins.domain import experts_of
from superdiff_engine.domains.proteins.local import DRAWS, local_weights

RECIPE = {
    "domain": "proteins",
    "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}],
    "operator": {"name": "and"},
    "levels": {"steps": 3},
    "solver": "ancestral",
    "batch": 3,
    "residues": 40,
    "per_component": True,
}


@pytest.fixture
def app(assets, tmp_path, monkeypatch):
    """A tab that has opened the link of a recipe."""
    app = open_link(RECIPE, tmp_path / "runs", monkeypatch)
    app.run()
    assert not app.exception and not app.error
    return app


def test_a_run_from_the_form_is_shown_chain_by_chain(app, monkeypatch):
    monkeypatch.setattr(mpnn, "is_installed", lambda: True)
    monkeypatch.setattr(mpnn, "design", lambda chain, count: [mpnn.Design("A" * len(chain), 1.25)] * count)
    press(app, "run")
    (run,) = finish(app)
    assert run.recipe.per_component and run.recipe.residues == 40
    assert set(run.trace.curves().components) == {"positions", "rotations"}
    chains = torch.from_numpy(np.stack([whole_helix(40)] * 3))
    run.result = replace(run.result, decoded=checked_proteins(chains, [40] * 3))
    app.session_state[f"pick-{run.id}"] = 2
    app.run()
    assert not app.exception and not app.error
    assert "Protein 2" in words(app) and "40 residues" in words(app)
    app.session_state[f"superpose-{run.id}"] = [0]
    app.run()
    table = next(frame.value for frame in app.dataframe if "matched" in frame.value)
    assert list(table["protein"]) == [0] and table["TM-score"][0] == pytest.approx(1) and "TM-align" in words(app)
    app.session_state[f"colouring-{run.id}"] = "weight"
    app.run()
    assert not app.exception and not app.error and "brings it back" in words(app)
    press(app, f"design-{run.id}")
    assert not app.exception and not app.error
    assert any("sequence" in frame.value and frame.value["sequence"][0] == "A" * 40 for frame in app.dataframe)


def test_a_protein_of_the_users_own_is_judged_and_its_recipe_taken_back(app):
    other = make_recipe(RECIPE | {"seed": 77, "batch": 2})
    text = files.pdb([whole_helix(44)], other).replace("REMARK 888", "REMARK   1 <b>markup</b>\nREMARK 888", 1)
    give(app, "mine.pdb", text.encode())
    assert not app.exception and not app.error
    press(app, "own-estimate")
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(120)
    app.run()
    shown = next(frame.value for frame in app.dataframe if "residues" in frame.value)
    assert shown["residues"][0] == 44
    # The sequence is whole, and pushes nothing beyond the table's edge.
    assert "sequence" not in shown and any(found.value == "G" * 44 for found in app.code)
    told = next(frame.value for frame in app.dataframe if "±" in frame.value)
    densities = told["log q at s = 0.05, nats"].to_numpy()
    assert list(told["expert"])[-1] == "1 − 2" and np.isfinite(told["±"]).all()
    assert densities[2] == pytest.approx(densities[0] - densities[1])
    assert "<b>" not in words(app)
    press(app, "own-recipe")
    assert app.session_state["f.batch"] == 2
    give(app, "none.pdb", b"nothing of the kind")
    assert not app.exception and len(app.error) == 1 and "no atoms" in app.error[0].value


def test_scenes_hold_every_chain_apart():
    chains = torch.from_numpy(np.stack([whole_helix(40), whole_helix(40) + 1]))
    judged = checked_proteins(chains, [40, 36])
    shown = proteins.scene(judged, [0, 1])["chains"]
    assert [len(chain["positions"]) for chain in shown] == [40, 36]
    assert [len(chain["structure"]) for chain in shown] == [40, 36] and set(shown[0]["structure"]) <= set("HE-")
    first, second = (np.array(chain["positions"]).reshape(-1, 3).mean(0) for chain in shown)
    assert np.linalg.norm(first - second) > 30
    assert len(backbones.ramachandran_figure(whole_helix(40), "H" * 40).data[0].x) == 40
    assert np.array(backbones.contact_figure(whole_helix(40)).data[0].z).shape == (40, 40)


def test_the_large_map_says_residues_structures_and_contacts():
    letters = "-" + "H" * 38 + "-"
    figure = backbones.large_contact_figure(whole_helix(40), letters, contacts=True)
    heat, contour = figure.data
    alpha = whole_helix(40)[:, 1]
    assert heat.z[3, 9] == pytest.approx(np.linalg.norm(alpha[3] - alpha[9])) and heat.x[9] == 10 and heat.y[3] == 4
    assert heat.customdata[3, 0].tolist() == [" (neither)", " (helix)"]  # residue 1 across, residue 4 down
    assert contour.contours.start == contour.contours.end == 8.0
    assert [(one.x0, one.x1) for one in figure.layout.shapes[::2]] == [(0.5, 1.5), (1.5, 39.5), (39.5, 40.5)]
    assert figure.layout.xaxis.tickvals == (1, 5, 10, 15, 20, 25, 30, 35, 40)
    assert len(backbones.large_contact_figure(whole_helix(40), letters, contacts=False).data) == 1


def test_without_a_design_the_page_says_what_its_fasta_is(app, monkeypatch):
    monkeypatch.setattr(mpnn, "is_installed", lambda: False)
    press(app, "run")
    (run,) = finish(app)
    assert "make studio SEQUENCES=1" in words(app) and "pip install" not in words(app)
    assert "neither is a design" in words(app)
    press(app, f"enlarge-{run.id}")
    assert not app.exception and not app.error and "Hover says which residues" in words(app)


def test_local_weights_belong_to_the_expert_that_knows_the_residue(assets):
    recipe = make_recipe(RECIPE)
    experts = experts_of(recipe, [40] * DRAWS, "cpu")
    found = local_weights(experts, whole_helix(40))
    assert found.shape == (2, 40) and np.allclose(found.sum(0), 1) and found.std() > 0
    assert np.allclose(local_weights([experts[0]] * 2, whole_helix(40)), 0.5)
    assert np.array_equal(local_weights(experts[::-1], whole_helix(40)), found[::-1])
