"""A few of the kills that `python -m tests.faults library` tries by the hundred: nothing is lost, and all agree."""

import pytest

from faults import folders, library
from faults.ledger import Broken


def test_a_server_that_is_killed_loses_nothing():
    (found,) = library.check(0, [0], "")
    assert not found.failures and sum(found.outcomes.values()) == 1


def test_damaged_folders_are_listed_and_stay():
    (found,) = folders.check(7, list(range(8)), "")
    assert not found.failures and sum(found.outcomes.values()) == 8


def test_the_reading_sees_what_is_wrong(tmp_path):
    """What is done without its samples, half of a file, a run in two places, a name that was kept and is not there."""
    library.furnished.cache_clear()
    kept = library.furnished()
    run = next(path for path in sorted(kept.iterdir()) if (path / "samples.npz").is_file())
    journal = [{"labelling": run.name, "name": "a"}, {"labelled": run.name, "name": "a"}]
    assert library.check_library(kept, [], {run.name})
    for wrong, words in (
        (lambda: library.check_library(kept, journal, set()), "was called"),
        (lambda: library.check_library(kept, [{"done": "another"}], set()), "lost"),
        (lambda: (run / "samples.npz").rename(tmp_path / "samples.npz") and library.reading(kept), "has only"),
        (lambda: (run / "samples.npz").write_bytes(b"PK") and library.reading(kept), "not whole"),
    ):
        with pytest.raises(Broken, match=words):
            wrong()
    (tmp_path / "samples.npz").rename(run / "samples.npz")
    (kept / "bin").mkdir()
    (kept / "bin" / run.name).mkdir()
    with pytest.raises(Broken, match="in its bin"):
        library.reading(kept)
    library.furnished.cache_clear()
