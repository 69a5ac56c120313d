"""Molecules from text: prompts as experts of one network, what is read and written, verdicts, files, and no model."""

import csv
import io
import shutil

import numpy as np
import pytest
import tiny_ldmol
import torch
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors
from studio_page import finish, open_link, press, words
from transformers import T5EncoderModel

from superdiff_engine.domains import get_domain, model_notices
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.smiles import geometry, model
from superdiff_engine.domains.smiles.arrays import PROPERTY_NAMES
from superdiff_engine.domains.smiles.checks import checked, figures_of
from superdiff_engine.domains.smiles.convert import CONVERSIONS, LDMolOptions
from superdiff_engine.domains.smiles.latents import packed
from superdiff_engine.domains.smiles.pieces import read_pieces
from superdiff_engine.domains.smiles.text import NULL_PROMPT
from superdiff_engine.errors import ModelError, RecipeError
from superdiff_engine.measured import Sampled
from superdiff_engine.runs.run import Run

AMINE, ACID = "this molecule contains an amino group .", "this molecule is a carboxylic acid ."


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where a tiny LDMol was converted."""
    found = tmp_path_factory.mktemp("ldmol")
    tiny_ldmol.converted(found)
    return found


@pytest.fixture
def installed(place, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(place / "models"))
    return model.load_model(place / "models" / "ldmol")


def recipe(**changed):
    experts = [{"model": "local/ldmol", "prompt": text} for text in (AMINE, ACID)]
    return make_recipe({"domain": "smiles", "experts": experts, "levels": {"steps": 3}, "batch": 4} | changed)


def test_scores_of_all_prompts_are_one_call_and_those_of_the_network(installed, monkeypatch):
    """By hand: epsilon of each prompt alone, at the time that the linear betas give, without padding."""
    experts, calls = [*installed.experts([AMINE, ACID]), installed.reference()], []
    level, y = 3.0, torch.randn(2, 127, 64, generator=torch.Generator().manual_seed(1))
    kept = (torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).neg() + 1).cumprod(0)
    levels = ((1 - kept) / kept).sqrt()
    time = float(np.interp(np.log(level), levels.log(), np.arange(1000)))
    alpha = (1 + level**2) ** -0.5
    network = installed.transformer
    found = []
    for said in installed.read([AMINE, ACID, NULL_PROMPT]):
        mask = torch.ones(2, len(said.tokens), dtype=torch.bool)
        noise = network(alpha * y, torch.full((2,), time), said.tokens.expand(2, -1, -1), mask)
        found.append(-noise / level)
    assert len({len(said.tokens) for said in installed.read([AMINE, ACID, NULL_PROMPT])}) > 1
    network.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    for mine, theirs in zip(installed.scores(y, level, [one.condition for one in experts]), found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-3 * float(theirs.std()))
    assert calls == [6]
    assert not torch.allclose(found[0], found[1]) and not torch.allclose(found[0], found[2])


def test_texts_are_read_once_by_transformers_own_encoder(place, installed, monkeypatch):
    model.load_model.cache_clear()
    fresh, loads = model.load_model(place / "models" / "ldmol"), []
    read = model.read_texts
    monkeypatch.setattr(model, "read_texts", lambda folder, texts, device: loads.append(texts) or read(folder, texts))
    get_domain("smiles").prepare(recipe(guidance={"weight": 2.5}), "cpu")
    assert loads == [[AMINE, ACID, NULL_PROMPT]]
    (said,) = fresh.read([AMINE])
    assert len(loads) == 1
    # Ids by hand: the words' places among the pieces, and the end.
    ids = [4 + tiny_ldmol.WORDS.index(word) for word in AMINE.removesuffix(" .").split()]
    ids += [3, 4 + len(tiny_ldmol.WORDS) + len(tiny_ldmol.LETTERS), 1]
    encoder = T5EncoderModel.from_pretrained(place / "models" / "ldmol" / "text_encoder").eval()
    with torch.no_grad():
        torch.testing.assert_close(said.tokens, encoder(torch.tensor([ids])).last_hidden_state[0])


def test_pieces_of_sentencepiece_are_read_without_it(place, tmp_path):
    found = read_pieces(place / "files" / "molt5" / "spiece.model")
    assert found.scores[3:5] == (("▁", -3.0), ("▁this", -2.0)) and found.letters == b""
    for content in (b"", b"\x0a\xff", b"\x0a\x03abc", b"\xff" * 40, bytes(range(256))):
        (tmp_path / "spiece.model").write_bytes(content)
        with pytest.raises(ModelError, match="is no SentencePiece model"):
            read_pieces(tmp_path / "spiece.model")


def test_a_run_writes_molecules_and_its_files_hold_them(installed, tmp_path):
    made = recipe(guidance={"weight": 2.5}, batch=8, seed=3)
    run = Run(made, tmp_path / "run")
    result = run.execute()
    assert run.state == "done" and not run.notes and result.decoded.valid.any() and not result.decoded.valid.all()
    assert result.samples["x"].shape == (8, 127, 64) and np.isfinite(result.log_density).all()
    valid = int(result.decoded.valid.sum())
    assert next(one for one in get_domain("smiles").figures(result) if one.name == "valid").said == f"{valid} of 8"
    files = {one.name: one.make().decode("utf-8", "replace") for one in get_domain("smiles").exports(result)}
    lines = files["molecules.smi"].splitlines()
    assert len(lines) == valid and all(Chem.CanonSmiles(line.split()[0]) == line.split()[0] for line in lines)
    rows = list(csv.DictReader(io.StringIO(files["molecules.csv"])))
    assert [row["valid"] == "yes" for row in rows] == result.decoded.valid.tolist()
    for kind, high in (("2d", 0), ("3d", 0.2)):
        read = Chem.SDMolSupplier()
        read.SetData(files[f"molecules_{kind}.sdf"], removeHs=False)
        found = list(read)
        assert len(found) == valid
        for one in found:
            assert Chem.MolToSmiles(Chem.RemoveHs(one), isomericSmiles=False) == Chem.CanonSmiles(one.GetProp("smiles"))
            assert (np.ptp(one.GetConformer().GetPositions()[:, 2]) > high) == (kind == "3d")
    frame = run.trace.latest.preview
    assert frame.latents.dtype == np.uint8 and frame.latents.shape == (8, 127, 64)


def test_verdicts_and_properties_are_rdkits():
    texts = [
        "CCO",
        "OCC",
        "c1ccccc1C(=O)O",
        "C[N+](C)(C)C.[Cl-]",
        "C1CC",
        "CC(",
        "C(C)(C)(C)(C)C",
        "",
        "c1cccc1",
        "N[C@@H](C)O",
    ]
    found = checked(texts)
    assert found.smiles.tolist()[:2] == ["CCO", "CCO"] and found.smiles[-1] == Chem.CanonSmiles(texts[-1])
    assert found.valid.tolist() == [True] * 4 + [False] * 5 + [True]
    assert "not SMILES" in found.reason[4] and "valence" in found.reason[6] and found.reason[7] == "nothing was written"
    assert "kekulize" in found.reason[8] and not found.reason[found.valid].any()
    acid = dict(zip(PROPERTY_NAMES, found.properties[2], strict=True))
    molecule = Chem.MolFromSmiles(texts[2])
    assert acid["weight"] == pytest.approx(Descriptors.MolWt(molecule)) == pytest.approx(122.12, abs=0.01)
    assert acid["logp"] == pytest.approx(Crippen.MolLogP(molecule)) and acid["qed"] == pytest.approx(QED.qed(molecule))
    assert (acid["donors"], acid["rings"], acid["heavy"]) == (1, 1, 9) and np.isnan(found.properties[4]).all()
    figures = {one.name: one for one in figures_of(found, Sampled(10))}
    assert figures["valid"].value == 0.5 and figures["unique"].value == pytest.approx(0.8)
    assert figures["unique"].said == "4 of 5"


def test_a_geometry_is_that_of_the_molecule():
    built = geometry.build("CCO")
    assert sorted(built.elements) == ["C"] * 2 + ["H"] * 6 + ["O"] and len(built.bonds) == 8
    first, second = next((i, j) for i, j, _ in built.bonds if {built.elements[i], built.elements[j]} == {"C", "O"})
    assert np.linalg.norm(built.positions[first] - built.positions[second]) == pytest.approx(1.42, abs=0.05)
    assert geometry.build("CCO") is built and built.relaxation.converged


def test_latents_are_packed_around_grey():
    found = packed(torch.tensor([[[-9.0, -3.0, 0.0, 1.5, 3.0, float("nan")]]]))
    assert found.ravel().tolist() == [1, 1, 128, 192, 255, 128]


def test_what_cannot_be_run_is_said(installed, monkeypatch):
    for changed, said in (
        ({"experts": [{"model": "local/ldmol", "prompt": " "}]}, "Expert 1 has no prompt"),
        ({"experts": [{"model": "local/other", "prompt": "a"}]}, "There is no LDMol called 'local/other'"),
        ({"experts": [{"model": "hub/a/b", "prompt": "a"}]}, "belongs to"),
        ({"pipeline": {"height": 8, "width": 8}}, "no pipeline settings"),
        ({"dtype": "float16"}, "float32"),
        ({"estimator": "exact", "solver": "ode"}, "8128"),
    ):
        with pytest.raises(RecipeError, match=said):
            recipe(**changed)


def test_what_does_not_fit_is_not_converted(place, tmp_path):
    files = place / "files"
    checkpoints = [files / "checkpoint_ldmol.pt", files / "checkpoint_autoencoder.ckpt"]
    bare = tmp_path / "bare"
    shutil.copytree(files / "molt5", bare)
    (bare / "spiece.model").unlink()
    vocabulary, convert = files / "vocab_bpe_300_sc.txt", CONVERSIONS["ldmol"].convert
    for options, said in (
        (LDMolOptions(), "--vocabulary"),
        (LDMolOptions(vocabulary), "--text-encoder"),
        (LDMolOptions(vocabulary, bare), "has no tokenizer"),
        (LDMolOptions(checkpoints[0], files / "molt5"), "vocabulary|text|large"),
    ):
        with pytest.raises(ModelError, match=said):
            convert(checkpoints, tmp_path / "out", options)
        assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match="ema"):
        convert(checkpoints[::-1], tmp_path / "out", LDMolOptions(vocabulary, files / "molt5"))


def test_without_a_model_the_page_says_how_to_come_by_one(tmp_path, monkeypatch):
    monkeypatch.delenv("SUPERDIFF_MODELS", raising=False)
    domain = get_domain("smiles")
    assert domain.absent and not domain.examples() and not domain.left_out() and not model_notices()
    plane = {"domain": "plane", "experts": [{"model": "ring"}]}
    app = open_link(plane, tmp_path / "runs", monkeypatch)
    app.run()
    (choice,) = [found for found in app.get("button_group") if found.key == "f.domain"]
    choice.set_value("smiles").run()
    assert not app.exception and not app.error and "superdiff convert ldmol" in words(app)
    assert not [found.key for found in app.button if found.key.startswith(("run", "add-expert"))]
    assert not [found.label for found in app.selectbox]
    choice = next(found for found in app.get("button_group") if found.key == "f.domain")
    choice.set_value("plane").run()
    assert not app.exception and not app.error and [found for found in app.button if found.key.startswith("run")]


def test_the_page_shows_what_is_written(installed, tmp_path, monkeypatch):
    app = open_link(recipe(batch=8, seed=3).model_dump(mode="json"), tmp_path / "runs", monkeypatch)
    app.run()
    press(app, "run")
    (run,) = finish(app)
    assert f"{int(run.result.decoded.valid.sum())} of 8 are valid molecules" in words(app)
    (shown,) = [found for found in app.toggle if found.label == "Show in 3D"]
    shown.set_value(True).run()
    assert not app.exception and not app.error and "embedded by ETKDG" in words(app)
    picked = app.session_state[f"pick-{run.id}"]
    assert str(run.result.decoded.smiles[picked]) in [found.value for found in app.code]
