"""Oracles, converted: classifiers of molecules by scikit-learn, from pickles that are not run, to plain arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...errors import ModelError, quoted
from ...system import inert
from ...system.options import option
from ..conversion import Conversion, Taken, Wanted
from ..oracles import FINGERPRINTS, KIND, classifier_of

#: What an oracle's own name says about the fingerprint that it reads; all others read "ecfp4".
_FINGERPRINTS = {"drd2": "fcfp6_counts"}


@dataclass(frozen=True)
class OracleOptions:
    """What a pickle does not say.

    Attributes:
        property: what the oracle tells; None for what the file is called.
        fingerprint: what it reads; None for that of TDC's oracle of this property.
    """

    property: str | None = field(
        default=None, metadata=option("what it tells, such as gsk3b (left out: what the file is called)")
    )
    fingerprint: str | None = field(
        default=None, metadata=option("ecfp4 or fcfp6_counts (left out: ecfp4, for drd2 fcfp6_counts)")
    )


class OracleConversion(Conversion):
    """A forest or support vector machine out of one pickle."""

    name = KIND
    title = "Oracle"
    description = "A classifier of molecules by their fingerprints, for tables: no expert"
    licence = "MIT (TDC)"
    home = "https://github.com/mims-harvard/TDC"
    cite = "Therapeutics Data Commons, arXiv 2102.09548"
    files = (Wanted("the oracle's pickle", "gsk3b_current.pkl, jnk3_current.pkl or drd2_current.pkl"),)
    options: ClassVar[type[Any]] = OracleOptions

    def take(self, files: Sequence[Path], options: Any) -> Taken:
        name = options.property or files[0].stem.lower().removesuffix("_current")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
            raise ModelError(f"'{quoted(name)}' is no name of a property; give one, such as --property gsk3b.")
        fingerprint = options.fingerprint or _FINGERPRINTS.get(name, "ecfp4")
        if fingerprint not in FINGERPRINTS:
            raise ModelError(f"There is no fingerprint '{quoted(fingerprint)}'; there are {', '.join(FINGERPRINTS)}.")
        classifier = classifier_of(inert.read(files[0]))
        weights = {name: torch.from_numpy(array.copy()) for name, array in classifier.arrays.items()}
        return Taken(
            {"property": name, "classifier": classifier.kind, "fingerprint": fingerprint},
            {"model.safetensors": weights},
            left_out=["all of the pickle that no prediction depends on"],
            exact=True,
        )

    def use(self, folder: Path) -> str:
        return f"superdiff evaluate smiles finds it by --oracles {folder.parent}"


CONVERSIONS = {KIND: OracleConversion()}
