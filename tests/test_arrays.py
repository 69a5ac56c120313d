"""Named arrays: by name and back, and nothing that does not fit."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from superdiff_engine.arrays import Arrays, Decoded, Preview
from superdiff_engine.domains import domains


@dataclass(frozen=True, eq=False)
class Base(Arrays):
    first: np.ndarray


@dataclass(frozen=True, eq=False)
class Both(Base):
    second: np.ndarray


def test_arrays_come_back_by_their_names():
    whole = Both(np.zeros(3), np.ones((2, 2), np.float32))
    assert list(whole.arrays()) == ["first", "second"] and whole.nbytes == 24 + 16
    back = Both.of(dict(reversed(whole.arrays().items())))
    assert back.first is whole.first and back.second is whole.second
    assert replace(whole, second=whole.first).second is whole.first
    assert Base.among(whole.arrays()).first is whole.first


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="lacks second"):
        Both.of({"first": np.zeros(1)})
    with pytest.raises(ValueError, match="has no third"):
        Both.of({"first": np.zeros(1), "second": np.zeros(1), "third": np.zeros(1)})
    with pytest.raises(ValueError, match="has no second"):
        Base.of({"first": np.zeros(1), "second": np.zeros(1)})
    with pytest.raises(ValueError, match="lacks first"):
        Base.among({})


def test_every_domain_says_what_it_shows_and_decodes():
    for domain in domains().values():
        assert issubclass(domain.preview_type, Preview) and domain.preview_type.names()
        kind = domain.decoded_type
        assert kind is None or (issubclass(kind, Decoded) and kind.names())
        # In an NPZ they stand beside these, and are told apart by their names.
        assert not any(name.startswith(("samples_", "denoised_")) for name in (kind.names() if kind else ()))
