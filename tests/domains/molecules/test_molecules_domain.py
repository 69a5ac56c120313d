"""The domain: recipes, a run from recipe to molecules, files out and in again."""

import io
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen, rdForceFieldHelpers
from tiny_molecules import column, known_molecules

from superdiff_engine.domain import Shown
from superdiff_engine.domains import depiction, get_domain
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.molecules import checks, drawing, files
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.measured import Sampled
from superdiff_engine.recipes.document import CorrectionRecipe
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system import devices

pytestmark = pytest.mark.usefixtures("assets")


def recipe(*prompts, models=None, **fields):
    models = models or ["molecules"] * len(prompts)
    document = {
        "domain": "molecules",
        "experts": [{"model": model, "prompt": prompt} for model, prompt in zip(models, prompts, strict=True)],
        "levels": {"steps": 4},
        "batch": 5,
    }
    return make_recipe(document | fields)


def test_a_run_makes_molecules_of_the_sizes_asked_for():
    asked = recipe("high logP", "high TPSA, aromatic ring", operator={"name": "and"}, guidance={"weight": 2.0}, atoms=9)
    result = Run(asked).execute()
    assert result.decoded.atoms.tolist() == [9] * 5 and result.log_density.shape == (2, 5)
    assert np.isfinite(result.log_density).all()
    assert np.abs(result.samples["positions"].sum(1) / 9).max() < 1e-5  # the centre of mass stays where it was
    assert not result.samples["positions"][:, 9:].any() and not result.samples["types"][:, 9:].any()
    drawn = Run(recipe("", operator={"name": "single"}, batch=60)).execute().decoded.atoms
    assert set(drawn) == {5, 9, 17} and (drawn == 9).sum() > (drawn == 5).sum()


def test_the_live_view_is_a_cloud_that_settles_into_the_denoised_molecules():
    domain, asked = get_domain("molecules"), recipe("high logP", operator={"name": "single"}, batch=40, atoms=17)
    experts, steps = domain.prepare(asked, "cpu").experts, []
    Run(asked).execute(steps.append)
    first, last = (domain.preview(step, experts, 40) for step in (steps[0], steps[-1]))
    assert 0.8 * 1.4 < first.positions[:, :17].std() < 1.2 * 1.4  # Angstrom: as large as molecules are
    np.testing.assert_allclose(last.positions, domain.decode(steps[-1], experts).positions, atol=0.01)


def test_experts_of_one_model_go_through_it_in_one_call_and_networks_compose(monkeypatch):
    from superdiff_engine.domains.molecules.model import MoleculeScores

    calls = []
    plain = MoleculeScores.scores

    def counted(self, y, level, conditions):
        calls.append(len(conditions))
        return plain(self, y, level, conditions)

    monkeypatch.setattr(MoleculeScores, "scores", counted)
    Run(recipe("high logP", "high TPSA", guidance={"weight": 2.0})).execute()
    assert set(calls) == {3}
    calls.clear()
    both = recipe("", "", models=["molecules_rings", "molecules_chains"], operator={"name": "or"})
    Run(both).execute()
    assert set(calls) == {1}


def test_bfloat16_gives_nearly_the_same_scores(monkeypatch):
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device="cpu": True)  # slow or not, it must be right
    precise, quick = (
        Run(recipe("high logP", operator={"name": "single"}, levels={"steps": 1}, dtype=dtype)).execute()
        for dtype in ("float32", "bfloat16")
    )
    for name, part in precise.denoised.items():
        wrong = np.abs(quick.denoised[name] - part).max()
        assert 0 < wrong < 0.02 * np.abs(part).max()


def test_examples_name_models_that_are_there(assets):
    domain = get_domain("molecules")
    assert len(domain.examples()) == 7
    shutil.rmtree(assets / "molecules_chains")
    used = {expert.model for one in domain.examples().values() for expert in one.experts}
    assert used == {"molecules"}


def test_guidance_leads_away_from_the_negative_prompt():
    plain = Run(recipe("high logP", operator={"name": "single"}, guidance={"weight": 3.0})).execute()
    away = {"weight": 3.0, "negative_prompt": "contains nitrogen"}
    negative = Run(recipe("high logP", operator={"name": "single"}, guidance=away)).execute()
    none = Run(recipe("high logP", operator={"name": "single"}, guidance={"weight": 1.0})).execute()
    assert not np.allclose(plain.samples["types"], negative.samples["types"])
    assert not np.allclose(plain.samples["types"], none.samples["types"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"experts": [{"model": "molecules", "prompt": "spicy"}]}, "'spicy'"),
        ({"experts": [{"model": "molecules", "prompt": "high logP, low logP"}]}, "contradict"),
        ({"experts": [{"model": "molecules", "prompt": "no ring, aromatic ring"}]}, "contradict"),
        ({"atoms": 2}, "atoms"),
        ({"atoms": 30}, "atoms"),
        ({"pipeline": {}}, "pipeline"),
        ({"dtype": "float16"}, "bfloat16"),
        ({"guidance": {"negative_prompt": "ugly"}}, "'ugly'"),
        ({"experts": [{"model": "garments_a"}]}, "garments_a"),
    ],
)
def test_bad_recipes_are_one_sentence(fields, words):
    document = {"domain": "molecules", "experts": [{"model": "molecules", "prompt": ""}]} | fields
    with pytest.raises(RecipeError, match=words) as caught:
        make_recipe(document)
    assert "\n" not in str(caught.value)


def test_what_no_molecule_can_be_is_refused_under_and_only():
    with pytest.raises(RecipeError, match="satisfies both"):
        recipe("high logP", "low logP", operator={"name": "and"})
    assert recipe("high logP", "low logP", operator={"name": "or"})
    averaged = recipe("high logP", "low logP", operator={"name": "average"})
    assert "satisfies both" in get_domain("molecules").remarks(averaged)[0]
    with pytest.raises(RecipeError, match="number of atoms"):
        make_recipe({"domain": "pictures", "experts": [{"model": "garments_a"}], "atoms": 9})


def test_verdicts_and_properties_are_those_of_rdkit_from_smiles():
    known = ["CCO", "c1ccncc1", "CC(=O)N", "FC(F)F", "CCO"]
    judged = checks.checked_molecules(known_molecules(known))
    assert judged.valid.all() and judged.smiles[0] == "CCO"
    for text, found in zip(known, judged.properties, strict=True):
        assert found[column("logp")] == pytest.approx(Crippen.MolLogP(Chem.MolFromSmiles(text)), abs=1e-4)
    assert checks.first_of_their_kind(judged).tolist() == [True, True, True, True, False]
    assert checks.stability(judged) == (1.0, 1.0)
    terms = get_domain("molecules")
    aromatic = next(term for term in _terms(terms, "aromatic ring"))
    assert checks.satisfied([aromatic], judged.properties).tolist() == [False, True, False, False, False]
    assert checks.satisfied([], judged.properties).all()


def _terms(domain, text):
    from superdiff_engine.domains.molecules.domain import words_of

    return words_of("molecules").parse(text)


def test_a_broken_molecule_is_counted_and_said_and_satisfies_nothing():
    decoded = known_molecules(["CCO", "CCO"])
    decoded.bonds[1][0] = 3  # a carbon with six bonds
    judged = checks.checked_molecules(decoded)
    assert judged.valid.tolist() == [True, False] and judged.reason[1] == "C with 6 bonds"
    assert checks.satisfied([], judged.properties).tolist() == [True, False]
    said = {one.title: one.said for one in checks.figures_of(judged, [("x", [])], Sampled(2))}
    assert said["valid molecules"] == "1 of 2" and said["unique among the valid"] == "1 of 1"
    assert drawing.grid(judged).size == (2 * depiction.CELL, depiction.CELL)


@pytest.fixture
def result():
    """A finished run, its molecules replaced by known ones and a broken one."""
    found = Run(recipe("high logP", "", batch=4)).execute()
    decoded = known_molecules(["CCO", "c1ccncc1", "CCO", "CC#N"])
    decoded.bonds[3][0] = 2
    return replace(found, decoded=checks.checked_molecules(decoded))


def test_the_sdf_is_read_back_by_rdkit_and_by_the_studio(result):
    text = files.sdf(result)
    read = list(Chem.ForwardSDMolSupplier(io.BytesIO(text.encode()), removeHs=False, sanitize=False))
    assert len(read) == 4 and [molecule.GetProp("valid")[:2] for molecule in read] == ["ye", "ye", "ye", "no"]
    first = Chem.SDMolSupplier()
    first.SetData(text.split("$$$$")[1].lstrip("\n") + "$$$$\n")
    assert Chem.MolToSmiles(Chem.RemoveHs(first[0])) == "c1ccncc1"
    assert parse_recipe(read[0].GetProp(files.RECIPE_FIELD)) == result.recipe
    again = files.read_sdf(text.encode())
    assert parse_recipe(again.recipe) == result.recipe
    for name in ("elements", "bonds", "atoms"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result.decoded, name))
    places, known = again.positions[0][:9], result.decoded.positions[0][:9]
    np.testing.assert_allclose(places, known - known.mean(0), atol=2e-4)


def test_every_export_holds_every_molecule(result):
    made = {export.name: export.make() for export in get_domain("molecules").exports(result)}
    frames = made["molecules.xyz"].decode().splitlines()
    assert len(frames) == sum(int(count) + 2 for count in result.decoded.atoms)
    assert made["molecules.smi"].decode().split()[::2] == ["CCO", "c1ccncc1", "CCO"]
    rows = made["molecules.csv"].decode().splitlines()
    assert len(rows) == 5 and rows[3].split(",")[5] == "yes"  # the second CCO is a duplicate
    with zipfile.ZipFile(io.BytesIO(made["molecules.zip"])) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 7
    picture = get_domain("molecules").preview_png(result)
    assert picture.startswith(b"\x89PNG") and b"superdiff_recipe" in picture
    assert get_domain("molecules").picture_png(result, 3).startswith(b"\x89PNG")


def _changed(text, old, new):
    assert old in text
    return text.replace(old, new, 1).encode()


def test_files_of_strangers_give_one_sentence(result):
    text = files.sdf(result, [0])
    cases = {
        b"": "empty",
        b"  \n": "empty",
        b"hello": "SDF",
        b"x" * (files.LARGEST_SDF + 1): "larger",
        _changed(text, " O ", " Au"): "atoms that the models do not know",
        text.encode()[:200]: "SDF|damaged",
        files.sdf(result, [0]).encode() * 300: "more than 256",
        b"\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n": "0 atoms",
    }
    for content, words in cases.items():
        with pytest.raises(SuperDiffError, match=words) as caught:
            files.read_sdf(content)
        assert "\n" not in str(caught.value)
    marked = "<script>alert(1)</script>" + text[len("molecule_00000") :]
    assert files.read_sdf(marked.encode()).atoms.tolist() == [9]  # the title is dropped


def test_files_hold_what_is_shown_and_count_from_0(result):
    """Two molecules in the order of the page, one of them relaxed; RDKit and the run's arrays say what is right."""
    shown = Shown((3, 1), relaxed=True)
    made = {export.name: export.make() for export in get_domain("molecules").exports(result, shown)}
    read = list(Chem.ForwardSDMolSupplier(io.BytesIO(made["molecules.sdf"]), removeHs=False, sanitize=False))
    assert [one.GetProp("_Name") for one in read] == ["molecule_00003", "molecule_00001"]
    assert [one.GetProp("sample_from_0") for one in read] == ["3", "1"]
    assert [one.GetProp("geometry") for one in read] == ["as sampled", "relaxed with MMFF94"]
    for expert, row in enumerate(result.weights):
        assert float(read[1].GetProp(f"weight_of_expert_{expert}")) == pytest.approx(row[1], abs=1e-5)
    # MMFF94 itself: the relaxed geometry is a minimum, the sampled one is none.
    molecule = read[1]
    Chem.SanitizeMol(molecule)
    settings = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    relaxed = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, settings)
    before = Chem.Mol(molecule)
    for atom, place in enumerate(result.decoded.positions[1][: molecule.GetNumAtoms()].astype(float)):
        before.GetConformer().SetAtomPosition(atom, place.tolist())
    sampled = rdForceFieldHelpers.MMFFGetMoleculeForceField(before, settings)
    assert relaxed.CalcEnergy() <= sampled.CalcEnergy()
    assert np.abs(relaxed.CalcGrad()).max() < 0.5
    np.testing.assert_allclose(
        read[0].GetConformer().GetPositions(), result.decoded.positions[3][: read[0].GetNumAtoms()], atol=2e-4
    )
    names = [line for line in made["molecules.xyz"].decode().splitlines() if line.startswith("molecule")]
    assert names[0].startswith("molecule_00003 ") and 'geometry="relaxed with MMFF94"' in names[1]
    assert all("samples and experts count from 0" in name for name in names)
    assert [row.split(",")[0] for row in made["molecules.csv"].decode().splitlines()] == ["sample_from_0", "3", "1"]
    assert made["molecules.smi"].decode().endswith(" molecule_00001\n")
    with zipfile.ZipFile(io.BytesIO(made["molecules.zip"])) as archive:
        assert archive.read("molecules.sdf") == made["molecules.sdf"]
        assert b"count from 0" in archive.read("README.txt")


def test_a_cell_of_a_corrected_runs_grid_is_one_molecule_of_a_group():
    formula, correction = {"name": "formula", "text": "1 + 2"}, {"particles": 2}
    asked = recipe("", "high logP", batch=4, operator=formula, correction=correction, solver="euler")
    sweep = Sweep(asked, parse_axis("seed=0:2"))
    assert sweep.recipe.batch == 2
    cells = sweep.execute()
    assert [cell.size for cell in cells.values()] == [(160, 160)] * 2


def test_files_of_a_corrected_run_say_what_each_molecule_counts_for(result):
    recipe = result.recipe.model_copy(update={"correction": CorrectionRecipe(particles=2)})
    corrected = replace(result, recipe=recipe, importance=np.array([0.375, 0.125, 0.0, 0.5]))
    read = list(Chem.ForwardSDMolSupplier(io.BytesIO(files.sdf(corrected).encode()), removeHs=False, sanitize=False))
    assert [float(one.GetProp("share_of_group")) for one in read] == [0.75, 0.25, 0, 1]
    assert [one.GetProp("group_from_0") for one in read] == list("0011")
    rows, plain = (files.table_csv(one).splitlines() for one in (corrected, result))
    assert [row.rsplit(",", 3)[0] for row in rows] == plain and rows[4].endswith(",1,1,0.5")
    said = get_domain("molecules").describe(corrected)
    assert said["valid molecules"] == "3 of 4 (50% by weight)"  # (1 + 0) / 2: every group counts the same
    assert "by weight" not in str(get_domain("molecules").describe(result))
    assert get_domain("molecules").preview_png(corrected) != get_domain("molecules").preview_png(result)
