"""Oracles without scikit-learn, against scikit-learn; fingerprints against RDKit's older functions."""

import json
import os
import pickle
import warnings

import numpy as np
import pytest
from rdkit import Chem, RDLogger
from rdkit.Chem import QED, AllChem
from scipy import sparse
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domains import conversion_of, model_notices
from superdiff_engine.domains.oracles import classifier_of, find_oracles, load_oracle, qed
from superdiff_engine.errors import ModelError
from superdiff_engine.system import inert

SMILES = [
    "CC(=O)Nc1ccc(O)cc1",
    "CN1CCC[C@H]1c1cccnc1",
    "O=C(O)c1ccccc1OC(C)=O",
    "C[N+](C)(C)CC([O-])=O",
    "CCO",
    "[Na+].[Cl-]",
]


@pytest.fixture(scope="module")
def data():
    """Random bits of which some decide, [400, 2048], and their classes."""
    rng = np.random.default_rng(0)
    x = (rng.random((400, 2048)) < 0.2).astype(float)
    return x, (x[:, 0] + x[:, 3] * x[:, 5] + 0.3 * rng.standard_normal(400) > 0.5).astype(int)


def pickled(path, model, protocol=4):
    path.write_bytes(pickle.dumps(model, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_predicts_as_scikit_learns_to_the_last_digit(data, tmp_path, kind, protocol):
    x, y = data
    forest = kind(24, random_state=0, max_depth=12).fit(x[:300], y[:300])
    ours = classifier_of(inert.read(pickled(tmp_path / "gsk3b.pkl", forest, protocol)))
    assert np.array_equal(ours.probability(x), forest.predict_proba(x)[:, 1])


def test_a_forest_of_before_shares_is_divided_as_it_was_then(data, tmp_path):
    """Up to scikit-learn 1.2 leaves hold weighted counts, and a prediction divides them."""
    x, y = data
    forest = RandomForestClassifier(8, random_state=0, max_depth=6).fit(x, y)
    found = inert.read(pickled(tmp_path / "forest.pkl", forest))
    for tree in found.state["estimators_"]:
        inner = tree.state["tree_"].state
        inner["values"] = inner["values"] * inner["nodes"]["weighted_n_node_samples"][:, None, None]
    assert classifier_of(found).probability(x) == pytest.approx(forest.predict_proba(x)[:, 1], abs=1e-14)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("packed", [np.asarray, sparse.csr_matrix])
def test_a_support_vector_machine_predicts_as_scikit_learns(data, tmp_path, kernel, packed):
    x, y = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine = SVC(C=2.0, gamma=0.01, kernel=kernel, probability=True, random_state=0).fit(
            packed(x[:150, :64]), y[:150]
        )
    ours = classifier_of(inert.read(pickled(tmp_path / "drd2.pkl", machine, 3)))
    theirs = machine.predict_proba(packed(x[:, :64]))[:, 1]
    assert theirs.min() < 0.2 < 0.8 < theirs.max()
    assert np.abs(ours.probability(x[:, :64]) - theirs).max() < 1e-9


def test_oracles_are_converted_found_and_asked(data, tmp_path, monkeypatch):
    """By the command line, with fingerprints of RDKit's older functions, which the oracles learned from."""
    x, y = data
    forest = RandomForestClassifier(5, random_state=1, max_depth=8).fit(x, y)
    counts = np.random.default_rng(1).poisson(0.1, (60, 2048)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine = SVC(gamma=0.02, probability=True, random_state=0).fit(counts, np.arange(60) % 2)
    folder = tmp_path / "oracles"
    for name, model in {"gsk3b_current": forest, "drd2_current": machine}.items():
        path = pickled(tmp_path / f"{name}.pkl", model)
        result = CliRunner().invoke(app, ["convert", "oracle", str(path), "--out", str(folder / name[:4])])
        assert result.exit_code == 0, (result.output, result.exception)
        assert "superdiff evaluate smiles finds it by --oracles" in " ".join(result.output.split())
    assert json.loads((folder / "drd2" / "config.json").read_text())["network"] == {
        "property": "drd2", "classifier": "support_vectors", "fingerprint": "fcfp6_counts",
    }  # fmt: skip
    found, molecules = find_oracles(folder), [Chem.MolFromSmiles(text) for text in SMILES]
    assert set(found) == {"gsk3b", "drd2"} and len(found["gsk3b"]([])) == 0
    RDLogger.DisableLog("rdApp.*")
    bits = np.array([list(AllChem.GetMorganFingerprintAsBitVect(one, 2, nBits=2048)) for one in molecules])
    features = np.zeros((len(molecules), 2048))
    for row, one in enumerate(molecules):
        for number, count in AllChem.GetMorganFingerprint(one, 3, useFeatures=True).GetNonzeroElements().items():
            features[row, number % 2048] += count
    RDLogger.EnableLog("rdApp.*")
    assert np.array_equal(found["gsk3b"](molecules), forest.predict_proba(bits)[:, 1])
    assert np.abs(found["drd2"](molecules) - machine.predict_proba(features)[:, 1]).max() < 1e-9
    assert np.array_equal(qed(molecules), [QED.default(one) for one in molecules])
    monkeypatch.setenv("SUPERDIFF_MODELS", str(folder))  # it may lie there, and is no model of a recipe
    assert not model_notices()


class Runs:
    """Would run a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def test_what_is_no_oracle_is_one_sentence(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = data[0][:40, :16], data[1][:40]
    forest = RandomForestClassifier(3, random_state=0).fit(x, y)
    three = RandomForestClassifier(3, random_state=0).fit(x, np.arange(40) % 3)
    for model, words in (
        (LogisticRegression().fit(x, y), "an object of the class LogisticRegression"),
        (RandomForestRegressor(3).fit(x, y), "an object of the class RandomForestRegressor"),
        (Runs(), "an object of the class system"),
        ({"gsk3b": 3}, "but something else"),
        (three, "two classes"),
        (SVC().fit(x, y), "without probabilities"),
        (SVC(kernel="poly").fit(x, y), "kernel poly"),
        (RandomForestClassifier(), "lacks a part"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            conversion_of("oracle").convert([pickled(tmp_path / "one.pkl", model)], tmp_path / "out")
        assert "\n" not in str(caught.value)
    for change in (
        lambda nodes: nodes["left_child"].__setitem__(0, 0),  # a walk without an end
        lambda nodes: nodes["right_child"].__setitem__(0, 10**6),
        lambda nodes: nodes["feature"].__setitem__(0, 16),
        lambda nodes: nodes["feature"].__setitem__(0, -1),
    ):
        found = inert.read(pickled(tmp_path / "one.pkl", forest))
        tree = found.state["estimators_"][1].state["tree_"].state
        tree["nodes"] = tree["nodes"].copy()
        change(tree["nodes"])
        with pytest.raises(ModelError, match="cannot be walked"):
            classifier_of(found)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()
    odd = pickled(tmp_path / "9 lives.pkl", forest)
    with pytest.raises(ModelError, match="no name of a property"):
        conversion_of("oracle").convert([odd], tmp_path / "out")
    made = conversion_of("oracle")
    made.convert([odd], tmp_path / "out", made.options(property="lives", fingerprint="ecfp4"))
    assert load_oracle(tmp_path / "out").property == "lives"
    with pytest.raises(ModelError, match="no fingerprint 'maccs'"):
        made.convert([odd], tmp_path / "other", made.options(property="lives", fingerprint="maccs"))
    (tmp_path / "out" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="holds no oracle"):
        find_oracles(tmp_path / "out")
    with pytest.raises(ModelError, match="no folder"):
        find_oracles(tmp_path / "nowhere")
