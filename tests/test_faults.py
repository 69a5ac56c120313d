"""The fault harness in small: some cases of every kind, as `python -m tests.faults` tries by the thousand."""

from faults import recipes


def failures(ledgers):
    return [failure for ledger in ledgers for failure in ledger.failures]


def test_recipes_are_recipes_or_one_sentence_and_run():
    ledgers = recipes.check(0, list(range(200)), 6, "")
    assert not failures(ledgers)
    assert ledgers[0].outcomes["a recipe"] > 10 and ledgers[0].outcomes["one sentence"] > 100
