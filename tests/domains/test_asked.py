"""What was asked of samples and what they have, in words, against the conditions themselves."""

import numpy as np
import pytest

from superdiff_engine.domains.asked import Asked, groups_of
from superdiff_engine.domains.molecules.atoms import PROPERTY_NAMES
from superdiff_engine.domains.molecules.checks import asked_of as asked_of_molecules
from superdiff_engine.domains.molecules.properties import Vocabulary
from superdiff_engine.domains.proteins.arrays import DecodedProteins
from superdiff_engine.domains.proteins.checks import asked_of as asked_of_proteins


def one(**fields):
    values = np.array([0.0])
    return Asked("x", values, values > 0, **fields)


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"lowest": 46.5512, "unit": "Å²"}, "≥ 46.6 Å²"),
        ({"highest": 46.5512}, "< 46.6"),
        ({"highest": 10.0, "closed": True, "unit": "%"}, "≤ 10 %"),
        ({"highest": 1, "count": True}, "= 0"),
        ({"highest": 2, "count": True}, "≤ 1"),
        ({"lowest": 1, "highest": 2, "count": True}, "= 1"),
        ({"lowest": 3, "count": True}, "≥ 3"),
        ({"lowest": 1, "highest": 4, "count": True}, "1 to 3"),
    ],
)
def test_a_bound_in_words(fields, bound):
    assert one(**fields).bound(0) == bound


def test_a_value_shows_on_which_side_of_its_bound_it_stands():
    values = np.array([52.1234, 46.5996, 46.6004, 46.6, np.nan])
    asked = Asked("TPSA", values, values >= 46.6, lowest=46.6, unit="Å²")
    assert [asked.value(row) for row in range(5)] == ["52.1 Å²", "46.5996 Å²", "46.6004 Å²", "46.6 Å²", "not known"]
    assert asked.say(0) == "TPSA 52.1 Å², asked ≥ 46.6 Å²: satisfied"
    assert asked.say(1).endswith("not satisfied")


def test_what_prompts_ask_of_molecules_is_what_the_terms_hold():
    quartiles = dict.fromkeys(("logp", "tpsa", "qed", "sa", "fsp3"), (0.4, 1.5))
    words = Vocabulary.of(quartiles)
    prompts = [("first", words.parse("high TPSA, no ring")), ("none", []), ("last", words.parse("low logP"))]
    rng = np.random.default_rng(0)
    properties = rng.normal(1, 1, (50, len(PROPERTY_NAMES))).astype(np.float32)
    properties[:, PROPERTY_NAMES.index("rings")] = rng.integers(0, 3, 50)
    properties[7] = np.nan
    tpsa, rings, logp = asked_of_molecules(prompts, properties)
    assert [(each.name, each.expert) for each in (tpsa, rings, logp)] == [("TPSA", 0), ("rings", 0), ("logP", 2)]
    column = PROPERTY_NAMES.index
    assert (tpsa.holds == (properties[:, column("tpsa")] >= 1.5)).all()
    assert (rings.holds == (properties[:, column("rings")] == 0)).all() and rings.bound(0) == "= 0"
    assert (logp.holds == (properties[:, column("logp")] < 0.4)).all()
    assert not (tpsa.holds | rings.holds | logp.holds)[7] and tpsa.value(7) == "not known"


def test_what_is_asked_of_proteins():
    shares = {"helix": np.array([0.5, 0.05]), "strand": np.array([0.1, 0.4])}
    residues = np.array([40, 60])
    proteins = DecodedProteins(
        bonds_ok=np.array([1.0, 57 / 59]), clashes=np.array([2 / (39 * 38 / 2), 0.0]), **shares,
        radius=np.array([10.0, 2.7 * 60**0.38 + 0.01]), backbone=np.zeros((2, 60, 4, 3)), residues=residues,
        structure=np.zeros((2, 60), "S1"),
    )  # fmt: skip
    found = asked_of_proteins(["proteins_alpha", "proteins_beta", "proteins"], proteins)
    said = {(each.expert, each.name, each.bound(0)): each for each in found}
    assert {key: each.holds.tolist() for key, each in said.items()} == {
        (0, "helix", "≥ 40 %"): [True, False],
        (0, "strand", "≤ 10 %"): [True, False],
        (1, "helix", "≤ 15 %"): [False, True],
        (1, "strand", "≥ 30 %"): [False, True],
        (None, "helix or strand", "≥ 50 %"): [True, False],
        (None, "CA–CA off 3.8 ± 0.2 Å", "= 0"): [True, False],
        (None, "CA pairs < 3.6 Å", "= 0"): [False, True],
        (None, "radius of gyration", f"≤ {2.7 * 40**0.38:.3g} Å"): [True, False],
    }
    off, close = (next(each for each in found if each.name.startswith(name)) for name in ("CA–CA", "CA pairs"))
    assert [off.value(1), close.value(0)] == ["2", "2"]


def test_groups_hold_every_sample_once_by_whom_it_satisfies():
    rng = np.random.default_rng(1)
    asked = [Asked("x", np.zeros(60), rng.random(60) < 0.6, lowest=0.0, expert=expert) for expert in (0, 0, 1, 3, None)]
    wishes = [asked[0].holds & asked[1].holds, asked[2].holds, asked[3].holds]
    found = groups_of(asked, 60)
    assert np.sum([members for _, _, members in found], 0).tolist() == [1] * 60
    named = {name: members for name, _, members in found}
    assert (named["satisfy all"] == np.all(wishes, 0)).all()
    assert (named["only expert 4"] == wishes[2] & ~wishes[0] & ~wishes[1]).all()
    assert (named["several, not all"] == (np.sum(wishes, 0) == 2)).all()
    assert [expert for _, expert, _ in groups_of(asked[:1], 60)] == [0, None]
    assert groups_of(asked[-1:], 3)[0][2].tolist() == [True] * 3
