"""The table of molecules: its figures against known molecules and other libraries, and a small run of the command."""

import numpy as np
import pytest
from rdkit import Chem
from scipy.spatial.transform import Rotation
from scipy.stats import mannwhitneyu
from tiny_molecules import column, known_molecules

from superdiff_engine.domains.molecules import data, evaluate, logic, measures, reference
from superdiff_engine.domains.molecules.atoms import PROPERTY_NAMES
from superdiff_engine.domains.molecules.checks import checked_molecules
from superdiff_engine.domains.molecules.chemistry import properties_of
from superdiff_engine.domains.molecules.domain import WHOLE, Molecules, words_of
from superdiff_engine.runs.run import Run
from superdiff_engine.tables import chunks
from superdiff_engine.tables.table import read_table

SMILES = ["CCO", "c1ccncc1", "CC(N)=O", "FC(F)F", "CCO", "CC#N"]


def molecules_of(smiles):
    decoded = known_molecules(smiles)
    properties = np.array(
        [[properties_of(Chem.MolFromSmiles(text))[name] for name in PROPERTY_NAMES] for text in smiles], np.float32
    )
    return data.Molecules(
        decoded.elements, decoded.positions, decoded.bonds, decoded.atoms, properties, np.array(smiles)
    )


@pytest.fixture
def known(assets, monkeypatch, tmp_path):
    """A reference of six molecules beside the tiny model, and a cache of its own."""
    all_of_them = molecules_of(SMILES)
    found = reference.Reference.of(all_of_them, all_of_them, all_of_them)
    found.save(assets / WHOLE)
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    reference.load_reference.cache_clear()
    return reference.load_reference(assets / WHOLE)


def test_the_reference_comes_back_and_knows_its_molecules(known):
    assert known.novel(["CCO", "CCC", "CC#N"]).tolist() == [False, True, False]
    values = np.array([-9.0, np.median(molecules_of(SMILES).properties[:, column("logp")]), 9.0])
    assert known.rank("logp", values) == pytest.approx([0.0, 0.5, 1.0], abs=0.01)


def test_figures_of_known_molecules(known):
    arrays = checked_molecules(known_molecules(SMILES)).arrays()
    arrays["strain"] = np.array([1.0, 2.0, np.nan, 3.0, 4.0, np.nan])
    arrays["moved"] = arrays["strain"] / 10
    terms = [words_of(WHOLE).parse(prompt)[0] for prompt in ("aromatic ring", "low TPSA")]
    found = measures.measures_of(arrays, known, terms)
    assert terms[1].holds(arrays["properties"][:, column("tpsa")]).tolist()[1]  # pyridine: 12.9 below the tiny bound
    assert found["both"].value == pytest.approx(1 / 6) and found["valid"].value == 1.0
    assert found["unique"].value == pytest.approx(5 / 6) and found["novel"].value == 0.0
    assert found["strain"].value == 2.5 and "gap" not in found
    assert found["moved"].value == pytest.approx(0.25)
    low = arrays["properties"][:, column("tpsa")] < terms[1].highest
    assert found["neither"].value == pytest.approx((~low).mean())  # pyridine satisfies both
    arrays["log_density"] = np.array([[5.0, 4.0], [1.0, 1.0], [-2.0, 3.0]] * 2)
    told = measures.measures_of(arrays, known, terms)
    assert told["gap"].value == 2.0
    # Only pyridine has both; its gap of 0 ties with one of five others. Nothing satisfies the ring alone.
    assert told["level"].value == 1.0 - 1 / 10 and "apart" not in told
    ringed = measures.measures_of(arrays, known)["apart"].value
    # Names that keep the molecules: their RingInfo does not outlive them.
    parsed = [Chem.MolFromSmiles(one) for one in SMILES]
    has_ring = np.array([bool(molecule.GetRingInfo().NumRings()) for molecule in parsed])
    wins = mannwhitneyu(np.array([1.0, 0, -5] * 2)[has_ring], np.array([1.0, 0, -5] * 2)[~has_ring])
    assert ringed == pytest.approx(wins.statistic / (has_ring.sum() * (~has_ring).sum()))
    # Only pyridine has an aromatic ring, so all others' lower property is 0.
    rank = 1 - known.rank("tpsa", arrays["properties"][[1], column("tpsa")])[0]
    assert found["minimum"].value == pytest.approx(rank / 6)
    broken = checked_molecules(known_molecules(["CCO", "CCO"])).arrays()
    broken["properties"][:] = np.nan
    broken["valid"][:] = False
    broken["smiles"][:] = ""
    broken["strain"] = broken["moved"] = np.full(2, np.nan)
    nothing = measures.measures_of(broken, known, evaluate.terms_of("logp_tpsa/and"))
    assert nothing["neither"].value == 1.0
    assert nothing["both"].value == nothing["minimum"].value == nothing["unique"].value == 0.0
    assert "strain" not in nothing


def test_strain_is_the_energy_that_rdkit_gets_back():
    from rdkit.Chem import rdForceFieldHelpers

    judged = checked_molecules(known_molecules(["CCO", "CC(=O)N"]))
    found = measures.strains(judged)
    molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    conformer = Chem.Conformer(9)
    for index in range(9):
        conformer.SetAtomPosition(index, judged.positions[0][index].tolist())
    conformer_id = molecule.AddConformer(conformer)

    def energy():
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties).CalcEnergy()

    before = energy()
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    assert found["strain"][0] == pytest.approx(before - energy(), abs=0.05)
    start = np.array(judged.positions[0][:9], float)
    end = np.array(molecule.GetConformer(conformer_id).GetPositions())
    turned, _ = Rotation.align_vectors(start - start.mean(0), end - end.mean(0))
    gap = start - start.mean(0) - turned.apply(end - end.mean(0))
    assert found["moved"][0] == pytest.approx(np.sqrt(np.square(gap).sum(1).mean()), abs=0.01)


def test_area_under_the_curve_agrees_with_scipy():
    generator = np.random.default_rng(0)
    positive, negative = generator.normal(0.7, 1, 80), generator.normal(0, 1, 80)
    found = measures.area_under_curve(positive, negative)
    assert found.value == pytest.approx(mannwhitneyu(positive, negative).statistic / 6400)
    draws = [
        measures.area_under_curve(generator.choice(positive, 80), generator.choice(negative, 80)).value
        for _ in range(400)
    ]
    assert found.error == pytest.approx(np.std(draws), rel=0.25)


def test_a_chunk_has_the_molecules_and_densities_of_a_run_of_its_recipe(known):
    recipe = evaluate.recipe_of("logp_tpsa/average", 0, evaluate.Settings(steps=4, batch=3))
    drawn, run = chunks.draw(recipe, Molecules(), densities=True), Run(recipe).execute()
    assert drawn["log_density"] == pytest.approx(run.log_density.T) and np.ptp(drawn["log_density"]) > 0
    for name in ("elements", "positions", "bonds", "atoms", "valid"):
        assert np.array_equal(drawn[name], getattr(run.decoded, name))
    assert "log_density" not in chunks.draw(recipe, Molecules())  # an average needs none


def test_a_small_table_is_made_resumed_and_shown(known, tmp_path, monkeypatch):
    settings = evaluate.Settings(samples=6, steps=3, batch=4)
    rows = ["unconditional", "logp_tpsa/first", "logp_tpsa/and", "logp_tpsa/coin_flip", "density/displaced_0_1"]
    said = []
    out = tmp_path / "molecules.json"
    evaluate.EVALUATION.run(settings, rows, out, said.append, workers=1)
    table = read_table(out)
    made = {row.name for row in table.rows}
    # "high TPSA" alone belongs to two pairs, and is sampled once. Real molecules need no sampling.
    assert made == {*rows, "logp_tpsa/second", "tpsa_fsp3/first", "qm9"} and table.row("unconditional").samples == 12
    assert 0 <= table.row("unconditional").values["atom_stable"].value <= 1
    assert "gap" in table.row("logp_tpsa/and").values and "gap" not in table.row("logp_tpsa/coin_flip").values
    assert 0 <= table.row("density/displaced_0_1").values["auc"].value <= 1
    real = table.row("qm9")
    assert real.samples == 6 and real.values["valid"].value == 1.0 and real.values["novel"].value == 0.0
    before = [line for line in said if "chunks" in line]
    evaluate.EVALUATION.run(settings, rows, out, said.append, workers=1)
    assert [line for line in said if "chunks" in line] == before  # nothing was sampled again
    # Elsewhere, without the samples, the finished rows stay, as long as the weights do.
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "elsewhere")
    evaluate.EVALUATION.run(settings, ["logp_tpsa/or"], out, said.append, workers=1)
    assert {row.name for row in read_table(out).rows} == made | {"logp_tpsa/or"}
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    # A coin flip's molecules are those that either prompt alone makes.
    flipped, *sides = (evaluate.read_row(f"logp_tpsa/{kind}", settings) for kind in ("coin_flip", "first", "second"))
    for row in range(6):
        assert any(np.array_equal(flipped["positions"][row], side["positions"][row]) for side in sides)


def test_rows_of_formulas_stand_in_a_table_of_their_own_and_are_weighted_by_particles(known, tmp_path):
    settings = evaluate.Settings(samples=12, steps=3, batch=12)
    rows, out = ["not/kept", "not/corrected"], tmp_path / "molecules.json"
    assert evaluate.EVALUATION.run(settings, rows, out, lambda line: None, workers=1) == [
        tmp_path / "molecules_logic.json"
    ]
    table = read_table(tmp_path / "molecules_logic.json")
    assert [row.name for row in table.rows] == rows and table.row("not/corrected").weights
    assert [row.samples for row in table.rows] == [20, 20]  # two whole groups of ten
    arrays = evaluate.read_row("not/corrected", settings)
    weights = arrays["importance"].reshape(2, 10)
    assert weights.sum(1) == pytest.approx(1) and weights.std() > 0
    assert (arrays["atoms"].reshape(2, 10) == arrays["atoms"][::10, None]).all()  # of one size
    shares = (weights * arrays["valid"].reshape(2, 10)).sum(1)
    found = table.row("not/corrected").values
    assert found["valid"].value == pytest.approx(shares.mean())
    assert found["valid"].error == pytest.approx(abs(shares[0] - shares[1]) / 2)
    assert 1 <= found["effective"].value <= 10 and "effective" not in table.row("not/kept").values
    # "high TPSA" alone is a row of both tables, with other measures.
    same = ("not/kept", "tpsa_fsp3/first")
    assert len({evaluate.recipe_of(row, 0, evaluate.Settings()).to_json() for row in same}) == 1
    assert len({evaluate.chunk_file(row, 0, evaluate.Settings()) for row in same}) == 2
    terms = logic.terms_of("not/corrected")
    assert [term.text for term in terms] == ["high TPSA", "no aromatic ring"]


def test_shares_of_formulas_on_known_molecules(known):
    arrays = checked_molecules(known_molecules(SMILES)).arrays()
    arrays |= {"importance": np.ones(6), "ancestors": np.ones(6), "seconds": np.array(4.0)}
    terms = [words_of(WHOLE).parse(prompt)[0] for prompt in ("contains oxygen", "no aromatic ring")]
    row = logic.row_of("not/kept", arrays, known, terms, "digest", 2)
    assert row.values["both"].value == pytest.approx(3 / 6) and row.values["second"].value == pytest.approx(5 / 6)
    assert row.values["both"].error == pytest.approx(np.std([1, 0, 1, 0, 1, 0], ddof=1) / 6**0.5)
    assert row.values["distinct"].value == pytest.approx(5 / 6) and row.seconds == 2
