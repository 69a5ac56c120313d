"""The fault harness in small: some cases of every kind, as `python -m tests.faults` tries by the thousand."""

import json
import signal

import pytest

from faults import files, kills, ledger, recipes


def failures(ledgers):
    return [failure for ledger in ledgers for failure in ledger.failures]


def test_the_page_says_what_was_measured():
    text = ledger.PAGE.read_text()
    assert ledger.page_with(text, json.loads(ledger.FIGURES.read_text())) == text


def test_recipes_are_recipes_or_one_sentence_and_run():
    ledgers = recipes.check(0, list(range(200)), 4, "")
    assert not failures(ledgers)
    assert ledgers[0].outcomes["a recipe"] > 10 and ledgers[0].outcomes["one sentence"] > 100


@pytest.mark.parametrize("kind", ["sdf", "pdb", "cif", "npz", "png"])
def test_files_keep_their_promises_or_give_a_sentence(kind):
    (found,) = files.check(kind, 0, list(range(1, 41)), "")
    assert not found.failures
    assert 5 < found.outcomes["a sentence"] < 40


def test_the_harness_sees_what_is_wrong(tmp_path):
    """A promise that is broken is found: sentences, records of two runs, cases that hang or end the process."""
    for wrong in (
        "a\nb.",
        "Input should be a valid dictionary.",
        "No ValueError, please.",
        "x" * 400 + ".",
        "\x1b[31m.",
    ):
        with pytest.raises(ledger.Broken):
            ledger.check_sentence(wrong)
    kills.Run(kills.OLD, tmp_path, previews=False).execute()
    before = kills._contents(tmp_path)
    assert kills.check_leftovers(tmp_path, -9, signal.SIGKILL, before, "") == "nothing was touched"
    (tmp_path / "recipe.json").write_text(kills.NEW.to_json())
    with pytest.raises(ledger.Broken, match="another recipe"):
        kills.check_leftovers(tmp_path, -9, signal.SIGKILL, before, "")

    def case(number):
        if number == 1:
            signal.pause()
        if number == 2:
            signal.raise_signal(signal.SIGKILL)
        return "fine"

    found = ledger.walk(ledger.Ledger("odd", ""), range(4), case, limit=0.5)
    assert [number for number, _ in found.failures] == [1, 2] and found.outcomes == {"fine": 2}
