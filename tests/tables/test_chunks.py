"""Samples of tables, put together again as they were made."""

import numpy as np

from superdiff_engine.tables import chunks


def test_chunks_come_back_in_their_order(tmp_path):
    parts = [{"a": np.arange(3) + start, "seconds": np.array(2.0)} for start in (0, 3)]
    files = [tmp_path / f"{index}.npz" for index in range(2)]
    assert chunks.join(files, 5) is None
    for file, part in zip(files, parts, strict=True):
        chunks.keep(file, part)
    joined = chunks.join(files, 5)
    assert joined["a"].tolist() == [0, 1, 2, 3, 4] and joined["seconds"] == 4.0
