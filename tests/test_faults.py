"""The fault harness in small: some cases of every kind, as `python -m tests.faults` tries by the thousand."""

import signal

import pytest

from faults import files, kills, recipes
from faults.ledger import Broken, check_sentence


def failures(ledgers):
    return [failure for ledger in ledgers for failure in ledger.failures]


def test_recipes_are_recipes_or_one_sentence_and_run():
    ledgers = recipes.check(0, list(range(200)), 4, "")
    assert not failures(ledgers)
    assert ledgers[0].outcomes["a recipe"] > 10 and ledgers[0].outcomes["one sentence"] > 100


@pytest.mark.parametrize("kind", ["sdf", "pdb", "cif", "npz", "png"])
def test_files_keep_their_promises_or_give_a_sentence(kind):
    (ledger,) = files.check(kind, 0, list(range(1, 41)), "")
    assert not ledger.failures
    assert 5 < ledger.outcomes["a sentence"] < 40


def test_the_harness_sees_what_is_wrong(tmp_path):
    """A promise that is broken is found: sentences, records of two runs, cases that hang or end the process."""
    for wrong in (
        "a\nb.",
        "Input should be a valid dictionary.",
        "No ValueError, please.",
        "x" * 400 + ".",
        "\x1b[31m.",
    ):
        with pytest.raises(Broken):
            check_sentence(wrong)
    kills.Run(kills.OLD, tmp_path, previews=False).execute()
    before = kills._contents(tmp_path)
    assert kills.check_leftovers(tmp_path, -9, signal.SIGKILL, before, "") == "nothing was touched"
    (tmp_path / "recipe.json").write_text(kills.NEW.to_json())
    with pytest.raises(Broken, match="another recipe"):
        kills.check_leftovers(tmp_path, -9, signal.SIGKILL, before, "")

    def case(number):
        if number == 1:
            signal.pause()
        if number == 2:
            signal.raise_signal(signal.SIGKILL)
        return "fine"

    ledger = recipes.walk(recipes.Ledger("odd", ""), range(4), case, limit=0.5)
    assert [number for number, _ in ledger.failures] == [1, 2] and ledger.outcomes == {"fine": 2}
