"""The paper's table of molecules from text: a run with a tiny LDMol and oracles of scikit-learn's, and its measures."""

import pickle

import numpy as np
import pytest
import tiny_ldmol
from rdkit import Chem
from rdkit.Chem import QED
from sklearn.ensemble import RandomForestClassifier
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domains import conversion_of
from superdiff_engine.domains.oracles import ecfp4, qed
from superdiff_engine.domains.smiles import evaluate
from superdiff_engine.domains.smiles.checks import checked
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.tables.table import read_table


@pytest.fixture(scope="module")
def forests():
    """Two forests that look at random bits."""
    rng = np.random.default_rng(0)
    x = (rng.random((200, 2048)) < 0.3).astype(float)
    return {
        name: RandomForestClassifier(9, random_state=place, max_depth=20).fit(x, rng.random(200) < 0.5)
        for place, name in enumerate(("gsk3b", "jnk3"))
    }


@pytest.fixture
def oracles(forests, tmp_path):
    for name, forest in forests.items():
        (tmp_path / f"{name}_current.pkl").write_bytes(pickle.dumps(forest))
        conversion_of("oracle").convert([tmp_path / f"{name}_current.pkl"], tmp_path / "oracles" / name)
    return tmp_path / "oracles"


def test_rows_of_a_converted_model(forests, oracles, tmp_path, monkeypatch):
    """By the command line; every figure is worked out again from what it kept, by scikit-learn and RDKit."""
    models = tiny_ldmol.converted(tmp_path / "ldmol").parent
    monkeypatch.setenv("SUPERDIFF_MODELS", str(models))
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    out = tmp_path / "table.json"
    words = ["evaluate", "smiles", "--models", "local/ldmol", "--oracles", str(oracles), "--out", str(out)]
    words += ["--samples", "8", "--batch", "5", "--steps", "1"]
    result = CliRunner().invoke(app, [*words, "--row", "gsk3b_jnk3/and"])
    assert result.exit_code == 0, (result.output, result.exception)
    table = read_table(out)
    assert [row.name for row in table.rows] == ["gsk3b_jnk3/and"]
    settings = evaluate.Settings(models="local/ldmol", oracles=oracles, samples=8, batch=5, steps=1)
    for row in table.rows:
        files = [evaluate.chunk_file(row.name, chunk, settings) for chunk in (0, 1)]
        written = np.concatenate([np.load(file)["written"] for file in files])[:8]
        read = [Chem.MolFromSmiles(str(text)) for text in written]
        valid = [Chem.MolToSmiles(one) for one in read if one is not None and one.GetNumAtoms()]
        assert row.values["valid"].value == len(valid) / 8 and row.samples == 8
        kinds = [Chem.MolFromSmiles(text) for text in dict.fromkeys(valid)]
        assert row.values["unique"].value == pytest.approx(len(kinds) / len(valid))
        bits = np.stack([ecfp4(one, 2048) for one in kinds])
        first, second = (forests[name].predict_proba(bits)[:, 1] for name in ("gsk3b", "jnk3"))
        assert row.values["top10_product"].value == pytest.approx(np.sort(first * second)[-10:].mean())
        assert row.values["top10_minimum"].value == pytest.approx(np.sort(np.minimum(first, second))[-10:].mean())
        assert row.values["second"].value == pytest.approx(second.mean())
    page = out.with_suffix(".md").read_text()
    assert "| GSK3β and JNK3: **AND** |" in page and "| .080 | .209 |" in page
    # What there is is not made anew; DRD2's oracle is not there, so its rows are not either.
    monkeypatch.setattr(evaluate, "make_chunk", None)
    result = CliRunner().invoke(app, [*words, "--row", "gsk3b_jnk3/and"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert read_table(out) == table
    assert list(evaluate.EVALUATION.rows_of(settings)) == list(evaluate.ROWS[:8])


def test_the_ten_best_and_their_error():
    values = np.random.default_rng(0).permutation(np.arange(1000) / 1000)
    found = evaluate.best(values)
    assert found.value == pytest.approx(np.arange(990, 1000).mean() / 1000)
    rng = np.random.default_rng(5)
    spread = [np.sort(rng.uniform(0, 1, 1000))[-10:].mean() for _ in range(400)]
    assert found.error == pytest.approx(np.std(spread), rel=0.3)
    assert evaluate.best(np.array([0.25])).model_dump() == {"value": 0.25, "error": 0}


def test_measures_of_molecules_that_repeat_or_are_none():
    decoded = checked(["CCO", "OCC", "c1ccccc1", "C1CC", ""])
    found = evaluate.measures_of(decoded, qed, lambda molecules: np.full(len(molecules), 0.5))
    ethanol, benzene = (QED.default(Chem.MolFromSmiles(text)) for text in ("CCO", "c1ccccc1"))
    assert found["valid"].value == 0.6 and found["unique"].value == pytest.approx(2 / 3)
    assert found["first"].value == pytest.approx((ethanol + benzene) / 2)
    assert found["top10_product"].value == pytest.approx((ethanol + benzene) / 4)
    assert set(evaluate.measures_of(checked(["C1CC"]), qed, qed)) == {"valid"}


def test_prompts_of_a_pair():
    assert evaluate.prompts_of("gsk3b_qed/and") == [
        "This molecule inhibits GSK3B.",
        "This molecule looks like a drug.",
    ]
    assert evaluate.prompts_of("gsk3b_jnk3/joint") == ["This molecule inhibits GSK3B and inhibits JNK3."]


def test_what_is_missing_is_one_sentence(oracles, tmp_path):
    def said(*words):
        error = CliRunner().invoke(app, ["evaluate", "smiles", *words]).exception
        assert isinstance(error, SuperDiffError) and "\n" not in str(error)
        return str(error)

    assert "give --models local/NAME and --oracles FOLDER" in said()
    assert "There is no folder" in said("--models=local/x", f"--oracles={tmp_path / 'nowhere'}")
    assert "holds no oracle of gsk3b or drd2" in said("--models=local/x", f"--oracles={oracles / 'jnk3'}")
    assert "no model of the user's folders" in said("--models=molecules", f"--oracles={oracles}")
    assert "There is no LDMol called 'local/x'" in said("--models=local/x", f"--oracles={oracles}")
    assert "no row 'drd2_qed/and'" in said("--models=local/x", f"--oracles={oracles}", "--row=drd2_qed/and")
