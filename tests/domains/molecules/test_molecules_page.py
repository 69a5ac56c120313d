"""The studio's page for molecules: form, run, gallery with filters, one molecule in 3D, relaxation, comparison."""

import io
import threading
from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom
from studio_page import button, finish, give, open_link, press, read, words
from tiny_molecules import known_molecules

from studio import session
from studio.charts import viewer
from studio.stage import compare, exports
from studio.views import molecules
from superdiff_engine.domain import ALL
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.molecules import files
from superdiff_engine.domains.molecules.checks import checked_molecules
from superdiff_engine.system import sandbox as reading

RECIPE = {
    "domain": "molecules",
    "experts": [
        {"model": "molecules", "prompt": "high logP"},
        {"model": "molecules_rings", "prompt": "high TPSA, aromatic ring"},
    ],
    "operator": {"name": "and"},
    "levels": {"steps": 3},
    "solver": "euler",
    "batch": 4,
    "atoms": 9,
    "guidance": {"weight": 2.0},
}


@pytest.fixture
def app(assets, tmp_path, monkeypatch):
    """A tab that has opened the link of a recipe."""
    app = open_link(RECIPE, tmp_path / "runs", monkeypatch)
    app.run()
    assert not app.exception and not app.error
    return app


def test_the_form_says_what_the_link_said_and_properties_can_be_chosen(app):
    press(app, "run")
    (run,) = finish(app)
    assert run.recipe == make_recipe(RECIPE)
    slot = app.session_state["experts"][0]
    next(found for found in app.multiselect if found.key == f"f.terms.{slot}").set_value(["low logP", "one ring"])
    next(found for found in app.number_input if found.key == "f.size").set_value(None)
    app.run()
    press(app, "run")
    changed = finish(app)[-1].recipe
    assert changed.experts[0].prompt == "low logP, one ring" and changed.atoms is None
    # Two properties that exclude each other: a sentence, and no run.
    next(found for found in app.multiselect if found.key == f"f.terms.{slot}").set_value(["low logP", "high logP"])
    app.run()
    assert ["contradict each other" in error.value for error in app.error] == [True]
    assert button(app, "run").disabled


def test_the_molecule_shown_first_is_a_valid_one_with_the_most_prompts(app, monkeypatch):
    press(app, "run")
    (run,) = finish(app)
    decoded = known_molecules(["CC#N", "CCO", "c1ccncc1", "CCO"])
    decoded.bonds[0][0] = 2
    run.result = replace(run.result, decoded=checked_molecules(decoded))

    def first_shown(holds):
        monkeypatch.setattr(molecules, "_holds", lambda result: np.array(holds, bool))
        app.session_state[f"pick-{run.id}"] = 99
        app.run()
        assert not app.exception
        return app.session_state[f"pick-{run.id}"]

    assert first_shown([[1, 0, 0, 0], [1, 0, 0, 0]]) == 1  # the first is broken
    assert first_shown([[1, 0, 1, 1], [1, 1, 1, 1]]) == 2
    run.result.decoded.valid[:] = False
    assert first_shown([[0, 0, 0, 0], [0, 0, 0, 0]]) == 0


def test_the_gallery_filters_sorts_and_relaxes(app):
    press(app, "run")
    (run,) = finish(app)
    decoded = known_molecules(["CCO", "c1ccncc1", "CCO", "CC#N"])
    decoded.bonds[3][0] = 2
    run.result = replace(run.result, decoded=checked_molecules(decoded))
    app.run()
    assert "4 of 4 molecules" in words(app) and "CCO" in [code.value for code in app.code]
    job_id = run.id
    app.session_state[f"filter-{job_id}"] = ["valid", "once"]
    app.run()
    assert "2 of 4 molecules" in words(app)
    app.session_state[f"sort-{job_id}"], app.session_state[f"down-{job_id}"] = "logP", True
    app.session_state[f"pick-{job_id}"] = 3  # filtered away: the first that is left is taken
    app.run()
    assert app.session_state[f"pick-{job_id}"] == 1  # pyridine has the higher logP
    app.session_state[f"relax-{job_id}"] = True
    app.run()
    assert "MMFF94: strain" in words(app) and not app.error
    app.session_state[f"filter-{job_id}"] = ["all"]
    app.run()
    assert not app.exception
    press(app, "run-all-beside")
    runs = finish(app)
    assert [other.recipe.operator.name for other in runs] == ["and", "or", "average", "average", "single", "single"]
    assert runs[3].recipe.experts[0].prompt == "high logP, high TPSA, aromatic ring"


def test_an_sdf_of_the_users_own_is_judged_and_its_recipe_taken_back(app):
    press(app, "run")
    (run,) = finish(app)
    run.result = replace(run.result, decoded=checked_molecules(known_molecules(["CCO", "c1ccncc1", "CCO", "CC#N"])))
    text = files.sdf(run.result, [0, 1]).replace("molecule_00000", "<script>alert(1)</script>")
    slot = app.session_state["experts"][0]
    next(found for found in app.multiselect if found.key == f"f.terms.{slot}").set_value([])
    app.run()
    give(app, "mine.sdf", text.encode())
    assert not app.exception and not app.error
    assert "script" not in words(app) and "script" not in str([frame.value for frame in app.dataframe])
    press(app, "own-estimate")
    job = next(job for job in session.registry()._jobs.values() if not hasattr(job.run, "trace"))
    assert job.run.finished.wait(90) and job.run.state == "done"
    app.run()
    shown = next(frame.value for frame in app.dataframe if "atoms" in frame.value)
    assert list(shown["SMILES, or why not valid"]) == ["CCO", "c1ccncc1"]
    assert np.isfinite(shown["log q₁ − log q₂, nats"]).all()
    press(app, "own-recipe")
    assert app.session_state[f"f.terms.{app.session_state['experts'][0]}"] == ["high logP"]


def test_a_bad_sdf_is_one_sentence_and_the_page_goes_on(app):
    give(app, "mine.sdf", b"no molecule")
    assert not app.exception and len(app.error) == 1 and "SDF" in app.error[0].value
    press(app, "run")
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(90) and job.run.state == "done"


def test_no_joint_prompt_of_properties_that_exclude_each_other(assets):
    rivals = make_recipe(
        RECIPE
        | {
            "experts": [{"model": "molecules", "prompt": "high logP"}, {"model": "molecules", "prompt": "low logP"}],
            "operator": {"name": "or"},
        }
    )
    # AND, which no molecule satisfies, is not offered either.
    assert [other.operator.name for other in compare.variants(rivals)] == ["average", "single", "single"]


def test_no_coordinate_that_the_viewer_does_not_survive_reaches_it():
    places = np.array([[np.nan, np.inf, -np.inf], [1e308, -1e30, 1.23456]])
    shown = viewer.atoms_frame(["C", "C"], places, [])["positions"]
    assert shown == [[0.0, 1e4, -1e4], [1e4, -1e4, 1.235]]
    chain = viewer.chain_frame([np.full((1, 4, 3), np.inf)], ["-"])["chains"][0]["positions"]
    assert np.isfinite(chain).all()


def test_scenes_hold_every_atom_and_bond_side_by_side():
    judged = checked_molecules(known_molecules(["CCO", "C#N"]))
    shown = molecules.scene(judged, [0, 1])
    assert shown["elements"][9:] == ["C", "N", "H"] and len(shown["positions"]) == 12
    assert sorted(map(tuple, shown["bonds"]))[-2:] == [(9, 10, 3), (9, 11, 1)]
    first, second = np.array(shown["positions"][:9]), np.array(shown["positions"][9:])
    assert np.linalg.norm(first[:, None] - second[None], axis=-1).min() > 3


def test_what_a_file_lacks_is_said_and_hydrogens_are_added_on_request(app):
    whole = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(whole, randomSeed=7)
    drawing = Chem.MolFromSmiles("c1ccccc1")
    rdDepictor.Compute2DCoords(drawing)
    records = [Chem.MolToMolBlock(one) for one in (Chem.RemoveHs(whole), drawing, whole)]
    give(app, "mine.sdf", "$$$$\n".join([records[0], "nothing\n", *records[1:]]).encode("latin-1"))
    assert not app.exception and not app.error
    said = words(app)
    assert "Molecule 2 is left out" in said and "Molecule 3 is not scored" in said and "12 hydrogens missing" in said
    shown = next(frame.value for frame in app.dataframe if "atoms" in frame.value)
    assert list(shown["molecule"]) == [1, 3, 4] and list(shown["atoms"]) == [3, 6, 9]
    next(found for found in app.toggle if found.key == "own-add_hydrogens").set_value(True)
    app.run()
    read(app)
    assert "RDKit added 6 hydrogens" in words(app)
    shown = next(frame.value for frame in app.dataframe if "atoms" in frame.value)
    assert list(shown["atoms"]) == [9, 6, 9] and shown["SMILES, or why not valid"][0] == "CCO"
    press(app, "own-estimate")
    job = next(job for job in session.registry()._jobs.values() if not hasattr(job.run, "trace"))
    assert job.run.finished.wait(90) and job.run.state == "done"
    app.run()
    shown = next(frame.value for frame in app.dataframe if "atoms" in frame.value)
    densities = shown.filter(like="log q of").to_numpy()
    assert np.isfinite(densities).all(1).tolist() == [True, False, True]


def test_reading_can_be_cancelled_and_the_page_goes_on(app, monkeypatch):
    monkeypatch.setattr(reading, "_places", threading.BoundedSemaphore(1))
    with reading._places:  # another file is being read
        (uploader,) = [found for found in app.get("file_uploader") if found.key.startswith("own-")]
        uploader.set_value(("mine.sdf", b"any", "application/octet-stream"))
        app.run()
        assert "Reading the file" in words(app)
        press(app, "run")
        assert not app.exception and not app.error
        press(app, "own-cancel-reading")
        read(app)
    assert not app.exception and ["it was cancelled" in error.value for error in app.error] == [True]
    assert "Reading the file" not in words(app)
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(90) and job.run.state == "done"


def test_what_is_saved_is_what_is_shown(app):
    """The filter, the order and the relaxed geometry of the page are in its files, and stay after another view."""
    press(app, "run")
    (run,) = finish(app)
    decoded = known_molecules(["CC#N", "CCO", "c1ccncc1", "CCO"])
    decoded.bonds[0][0] = 2  # not valid
    run.result = replace(run.result, decoded=checked_molecules(decoded))
    app.run()
    job = session.registry().find(run.id)

    def saved():
        shown = app.session_state[f"shown-{run.id}"] if f"shown-{run.id}" in app.session_state else ALL  # noqa: SIM401
        made = {one.name.removeprefix(f"{run.id}-"): one.make for one in exports.downloads(job, shown)}
        name = next(name for name in made if name.endswith(".sdf"))
        read = Chem.ForwardSDMolSupplier(io.BytesIO(made[name]()), removeHs=False)
        return name, [
            (molecule.GetProp("sample_from_0"), molecule.GetProp("geometry")) for molecule in read if molecule
        ]

    assert [number for number, _ in saved()[1]] == ["1", "2", "3"]  # RDKit does not read the broken one
    next(one for one in app.get("button_group") if one.key == f"filter-{run.id}").set_value(["valid", "once"])
    app.run()
    next(one for one in app.toggle if one.key == f"relax-{run.id}").set_value(True)
    app.run()
    assert not app.exception
    name, found = saved()
    assert name == "molecules-shown-relaxed.sdf"
    assert found == [("1", "relaxed with MMFF94"), ("2", "relaxed with MMFF94")]
    assert "hold the 2 of 4 that are shown, relaxed" in words(app)
    for view in ("Table", "Samples"):
        next(one for one in app.get("button_group") if one.key == "view").set_value(view)
        app.run()
    assert not app.exception and saved() == (name, found)
    assert app.session_state[f"filter-{run.id}"] == ["valid", "once"]


def test_what_is_selected_in_the_scatter_is_shown_and_saved(app):
    press(app, "run")
    (run,) = finish(app)
    decoded = known_molecules(["CC#N", "c1ccncc1", "OCC(O)CO", "CCO"])
    run.result = replace(run.result, decoded=checked_molecules(decoded))
    app.run()
    groups = next(one for one in app.get("button_group") if one.key == f"scatter-groups-{run.id}")
    holds = molecules._holds(run.result)
    # High logP (of the tiny models: from 1.0) is pyridine's alone, and no other prompt is satisfied.
    assert holds.tolist() == [[False, True, False, False], [False] * 4]
    groups.set_value(["satisfy none"])
    app.run()
    assert not app.exception and "3 of 4 molecules" in words(app) and "3 molecules selected" in words(app)
    shown = app.session_state[f"shown-{run.id}"]
    assert shown.rows == (0, 2, 3)
    made = {one.name.split("-")[-1]: one.make for one in exports.downloads(session.registry().find(run.id), shown)}
    listed = next(make for name, make in made.items() if name.startswith("shown.smi"))().decode()
    assert [line.split()[1] for line in listed.splitlines()] == [f"molecule_{row:05d}" for row in (0, 2, 3)]
    press(app, f"select-none-{run.id}")
    assert "4 of 4 molecules" in words(app) and app.session_state[f"shown-{run.id}"] == ALL


def test_molecules_are_laid_onto_the_one_that_is_looked_at(app):
    press(app, "run")
    (run,) = finish(app)
    run.result = replace(run.result, decoded=checked_molecules(known_molecules(["CC(O)C#N", "CCO", "CC(O)C#N", "C#N"])))
    app.session_state[f"pick-{run.id}"] = 0
    app.session_state[f"superpose-{run.id}"] = [1, 2, 3]
    app.run()
    assert not app.exception and not app.error
    table = next(frame.value for frame in app.dataframe if "matched" in frame.value)
    assert list(table["molecule"]) == [1, 2] and list(table["matched"]) == ["3 of 3 atoms", "5 of 5 atoms"]
    assert (table["RMSD, Å"] < [0.2, 1e-3]).all() and "Molecule 3" in words(app) and "share no part" in words(app)
    app.session_state[f"pattern-{run.id}"] = "C(<b>"
    app.run()
    assert not app.exception and ["is no SMARTS pattern" in error.value for error in app.error] == [True]
