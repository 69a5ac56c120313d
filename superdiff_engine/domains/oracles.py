r"""Oracles: classifiers that others trained to tell from a fingerprint how likely a molecule acts on a protein.

The paper's are those of Therapeutics Data Commons (TDC, Huang et al. 2021, arXiv 2102.09548), pickles of scikit-learn:
random forests for GSK3-beta and JNK3 (Li et al. 2018, doi 10.1186/s13321-018-0287-6), a support vector machine for DRD2
(Olivecrona et al. 2017, arXiv 1704.07555). `superdiff convert oracle` turns each into plain arrays once, and runs
nothing of the pickle; here they are evaluated by numpy. QED is a formula of RDKit's and needs no file.

    forest      p = mean over trees of the share of class 1 in the leaf that x falls into; x_f <= threshold goes left
    machine     q = 1 / (1 + exp(A g + B)),    g = sum_j a_j k(v_j, x) + b,    k = exp(-gamma |v - x|^2) or <v, x>
                (Platt 1999; g and q are of class 0, as libsvm has them), and p = 1 - q up to what libsvm's coupling of
                pairs leaves (Wu, Lin and Weng 2004): for two classes it would be exact, but it stops at 0.0025

Fingerprints: "ecfp4", bits of Morgan's environments up to radius 2; "fcfp6_counts", how often each environment of
pharmacophoric features up to radius 3 occurs, its number taken modulo the length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ..errors import ModelError, quoted
from ..system.inert import Inert
from .sources import JUDGES, read_json

if TYPE_CHECKING:
    from rdkit import Chem

__all__ = [
    "FINGERPRINTS", "Classifier", "Forest", "Oracle", "Property", "SupportVectors", "classifier_of", "find_oracles",
    "load_oracle", "qed",
]  # fmt: skip

#: Molecules of RDKit's -> what they are worth, from 0 to 1, float64 [n].
Property: TypeAlias = "Callable[[Sequence[Chem.Mol]], np.ndarray]"

#: What config.json of a converted oracle says it is.
(KIND,) = JUDGES
#: Numbers of a fingerprint at most, and of what a file of an oracle holds.
_LONGEST, _MOST_TREES = 2**16, 100_000
_OFFICIAL = "give the file as TDC publishes it"


@cache
def _generator(radius: int, features: bool, length: int) -> Any:
    from rdkit.Chem import rdFingerprintGenerator as made  # half a second

    invariants = made.GetMorganFeatureAtomInvGen() if features else None
    return made.GetMorganGenerator(radius=radius, fpSize=length, atomInvariantsGenerator=invariants)


def ecfp4(molecule: Chem.Mol, length: int) -> np.ndarray:
    """Bits, float64 [length]."""
    return np.asarray(_generator(2, False, length).GetFingerprintAsNumPy(molecule), float)


def fcfp6_counts(molecule: Chem.Mol, length: int) -> np.ndarray:
    """Counts, float64 [length]."""
    found = np.zeros(length)
    for number, count in _generator(3, True, length).GetSparseCountFingerprint(molecule).GetNonzeroElements().items():
        found[number % length] += count
    return found


FINGERPRINTS: Mapping[str, Callable[[Chem.Mol, int], np.ndarray]] = {"ecfp4": ecfp4, "fcfp6_counts": fcfp6_counts}


class Classifier(ABC):
    """The probability of class 1 of two.

    Attributes:
        kind: its name in config.json.
        length: numbers of a fingerprint.
    """

    kind: str
    length: int

    @abstractmethod
    def probability(self, x: np.ndarray) -> np.ndarray:
        """Of fingerprints [n, length]; float64 [n]."""

    @property
    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that decides it."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Classifier:
        """One of these arrays; raises ModelError for what cannot be one."""


@dataclass(frozen=True, eq=False)
class Forest(Classifier):
    """A random forest, its trees one after the other.

    Args:
        length: numbers of a fingerprint.
        roots: int64 [trees], where each tree begins.
        left, right: int32 [nodes], the children, counted from the first node of the first tree; -1 at a leaf.
        feature: int32 [nodes], what is looked at; of a leaf it has no meaning.
        threshold: float64 [nodes].
        share: float64 [nodes], of class 1.

    Raises:
        ModelError: where these make no trees.
    """

    length: int
    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    share: np.ndarray
    kind = "forest"

    def __post_init__(self) -> None:
        count = len(self.left)
        inner = np.flatnonzero(self.left >= 0)
        sizes = {len(part) for part in (self.right, self.feature, self.threshold, self.share)}
        right = (
            0 < self.length <= _LONGEST
            and sizes == {count}
            and 0 < len(self.roots) <= _MOST_TREES
            and bool(((self.roots >= 0) & (self.roots < count)).all())
            # Children come after their parents: every walk ends.
            and bool((self.left[inner] > inner).all() and (self.right[inner] > inner).all())
            and bool((self.left < count).all() and (self.right < count).all())
            and bool(((self.feature[inner] >= 0) & (self.feature[inner] < self.length)).all())
            and bool(((self.share >= 0) & (self.share <= 1)).all())
        )
        if not right:
            raise ModelError(f"The forest's trees cannot be walked; {_OFFICIAL}.")

    def probability(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float32)  # as scikit-learn has it
        rows = np.arange(len(x))[:, None]
        place = np.broadcast_to(self.roots, (len(x), len(self.roots))).copy()
        while (inner := self.left[place] >= 0).any():
            low = x[rows, np.where(inner, self.feature[place], 0)] <= self.threshold[place]
            place = np.where(inner, np.where(low, self.left[place], self.right[place]), place)
        total = np.zeros(len(x))
        for shares in self.share[place].T:  # one after the other, so that the last digit is scikit-learn's
            total += shares
        return total / len(self.roots)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        whole = {name: getattr(self, name) for name in ("roots", "left", "right", "feature", "threshold", "share")}
        return whole | {"length": np.array([self.length])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        length = int(arrays["length"][0])
        return cls(length, *(arrays[name] for name in ("roots", "left", "right", "feature", "threshold", "share")))

    @classmethod
    def of_pickle(cls, found: Inert) -> Forest:
        """The forest that a pickle describes; raises ModelError."""
        state = _state(found)
        trees = [_state(_state(one)["tree_"]) | {"args": _state_args(one)} for one in state["estimators_"]]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("left", "right", "feature", "threshold", "share")}
        roots, start, lengths = [], 0, set()
        for tree in trees:
            nodes, values = tree["nodes"], np.asarray(tree["values"], float)
            if values.ndim != 3 or values.shape[1:] != (1, 2) or len(values) != len(nodes):
                raise ModelError(f"The forest does not tell two classes apart; {_OFFICIAL}.")
            lengths.add(int(tree["args"][0]))
            leaf = nodes["left_child"] < 0
            parts["left"].append(np.where(leaf, -1, nodes["left_child"] + start))
            parts["right"].append(np.where(leaf, -1, nodes["right_child"] + start))
            parts["feature"].append(np.where(leaf, 0, nodes["feature"]))
            parts["threshold"].append(np.asarray(nodes["threshold"], float))
            share, whole = values[:, 0, 1], values[:, 0].sum(1)
            # Since 1.3 scikit-learn keeps shares, and does not divide them again; before it kept weighted counts.
            parts["share"].append(share if np.allclose(whole, 1, atol=1e-9) else share / np.where(whole == 0, 1, whole))
            roots.append(start)
            start += len(nodes)
        if len(lengths) != 1:
            raise ModelError(f"The forest has no trees, or trees of different fingerprints; {_OFFICIAL}.")
        left, right, feature = (np.concatenate(parts[name]).astype(np.int32) for name in ("left", "right", "feature"))
        return cls(
            lengths.pop(), np.array(roots, np.int64), left, right, feature,
            np.concatenate(parts["threshold"]), np.concatenate(parts["share"]),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SupportVectors(Classifier):
    """A support vector machine with Platt's probabilities.

    Args:
        vectors: float64 [vectors, length].
        weights: a_j, float64 [vectors].
        numbers: b, A, B and gamma, float64 [4]; gamma 0 for the linear kernel.

    Raises:
        ModelError: where these make no machine.
    """

    vectors: np.ndarray
    weights: np.ndarray
    numbers: np.ndarray
    kind = "support_vectors"

    def __post_init__(self) -> None:
        if (
            self.vectors.ndim != 2
            or not 0 < self.length <= _LONGEST
            or self.weights.shape != (len(self.vectors),)
            or self.numbers.shape != (4,)
            or not all(bool(np.isfinite(part).all()) for part in (self.vectors, self.weights, self.numbers))
        ):
            raise ModelError(f"The support vector machine lacks numbers; {_OFFICIAL}.")

    @property
    def length(self) -> int:  # type: ignore[override]
        return self.vectors.shape[1]

    def probability(self, x: np.ndarray) -> np.ndarray:
        offset, slope, shift, gamma = self.numbers
        x = np.asarray(x, float)
        kernel = x @ self.vectors.T
        if gamma:
            squares = np.square(x).sum(1)[:, None] + np.square(self.vectors).sum(1) - 2 * kernel
            kernel = np.exp(-gamma * squares)
        inside = slope * (kernel @ self.weights + offset) + shift
        # 1 / (1 + e^u), without overflow
        first = np.where(inside >= 0, np.exp(-np.abs(inside)), 1.0) / (1 + np.exp(-np.abs(inside)))
        return _coupled(np.clip(first, 1e-7, 1 - 1e-7))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {"vectors": self.vectors, "weights": self.weights, "numbers": self.numbers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SupportVectors:
        return cls(arrays["vectors"], arrays["weights"], arrays["numbers"])

    @classmethod
    def of_pickle(cls, found: Inert) -> SupportVectors:
        """The machine that a pickle describes; raises ModelError."""
        state = _state(found)
        kernel = state["kernel"]
        if kernel not in ("rbf", "linear"):
            raise ModelError(f"The support vector machine has the kernel {quoted(str(kernel))}; rbf or linear is read.")
        slopes, shifts = (np.atleast_1d(state.get(f"_prob{one}", state.get(f"prob{one}_", ()))) for one in "AB")
        if not len(slopes):
            raise ModelError(f"The support vector machine was trained without probabilities; {_OFFICIAL}.")
        weights = _dense(state["_dual_coef_"])
        offsets = np.asarray(state["_intercept_"], float)
        if len(weights) != 1 or not len(offsets) == len(slopes) == len(shifts) == 1:
            raise ModelError(f"The support vector machine does not tell two classes apart; {_OFFICIAL}.")
        gamma = float(state["_gamma"]) if kernel == "rbf" else 0.0
        numbers = np.array([offsets[0], slopes[0], shifts[0], gamma])
        return cls(_dense(state["support_vectors_"]), weights[0], numbers)


def _coupled(first: np.ndarray, tolerance: float = 0.0025, most: int = 100) -> np.ndarray:
    """The probability of the second of two classes, [n], where pairs say `first` of the first one.

    Minimises p^T Q p over p that sum to 1, Q = ((r2^2, -r1 r2), (-r1 r2, r1^2)) with r1 = `first`, r2 = 1 - r1, from
    p = 1/2 on, a class in turn, until every (Q p)_t is within `tolerance` of p^T Q p.
    """
    r = np.stack([first, 1 - first])
    q = np.stack([np.stack([r[1] ** 2, -r[0] * r[1]]), np.stack([-r[0] * r[1], r[0] ** 2])])
    p = np.full_like(r, 0.5)
    for _ in range(most):
        slopes = (q * p).sum(1)
        going = np.abs(slopes - (p * slopes).sum(0)).max(0) >= tolerance
        if not going.any():
            break
        for one in (0, 1):
            slopes = (q * p).sum(1)
            step = np.where(going, ((p * slopes).sum(0) - slopes[one]) / q[one, one], 0)
            p[one] += step
            p /= 1 + step
    return p[1]


CLASSIFIERS: Mapping[str, type[Classifier]] = {one.kind: one for one in (Forest, SupportVectors)}
_OF_PICKLES: Mapping[str, Callable[[Inert], Classifier]] = {
    "RandomForestClassifier": Forest.of_pickle,
    "ExtraTreesClassifier": Forest.of_pickle,
    "SVC": SupportVectors.of_pickle,
}


def _state(found: Any) -> dict[str, Any]:
    if not isinstance(found, Inert) or not isinstance(found.state, dict):
        raise ModelError(f"The pickle lacks a part of its classifier; {_OFFICIAL}.")
    return found.state


def _state_args(estimator: Any) -> tuple[Any, ...]:
    args = _state(estimator)["tree_"].args
    return args or (0,)


def _dense(value: Any) -> np.ndarray:
    """A matrix of a pickle, which may be one of scipy's by compressed rows; float64 [rows, columns]."""
    if not isinstance(value, Inert):
        return np.atleast_2d(np.asarray(value, float))
    state = _state(value)
    rows, columns = (int(size) for size in state["_shape" if "_shape" in state else "shape"])
    starts, places, numbers = (np.asarray(state[name]) for name in ("indptr", "indices", "data"))
    if not (0 < columns <= _LONGEST and len(starts) == rows + 1 and len(places) == len(numbers) == starts[-1]):
        raise ModelError(f"The pickle holds a matrix that is no matrix; {_OFFICIAL}.")
    found = np.zeros((rows, columns))
    found[np.repeat(np.arange(rows), np.diff(starts)), places] = numbers
    return found


def classifier_of(found: Any) -> Classifier:
    """The classifier that a pickle of scikit-learn's describes, as `system.inert.read` leaves it.

    Raises:
        ModelError: in one sentence, for what is none, or none of these kinds.
    """
    if not isinstance(found, Inert) or found.name not in _OF_PICKLES:
        what = f"an object of the class {quoted(found.name)}" if isinstance(found, Inert) else "something else"
        raise ModelError(
            f"The file holds no forest and no support vector machine of scikit-learn, but {what}; {_OFFICIAL}."
        )
    try:
        return _OF_PICKLES[found.name](found)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise ModelError(f"The pickle lacks a part of its {quoted(found.name)}; {_OFFICIAL}.") from None


class OracleSettings(BaseModel):
    """What config.json of a converted oracle says under "network"."""

    model_config = ConfigDict(extra="forbid")

    property: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    classifier: str
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Oracle:
    """A converted oracle: the name of its property, its classifier, and the fingerprint that this reads."""

    property: str
    classifier: Classifier
    fingerprint: Callable[[Chem.Mol, int], np.ndarray]

    def __call__(self, molecules: Sequence[Chem.Mol]) -> np.ndarray:
        """The probability that each molecule is active; float64 [n]."""
        if not molecules:
            return np.zeros(0)
        rows = np.stack([self.fingerprint(molecule, self.classifier.length) for molecule in molecules])
        return self.classifier.probability(rows)


def qed(molecules: Sequence[Chem.Mol]) -> np.ndarray:
    """Drug-likeness from 0 to 1 (Bickerton et al. 2012, doi 10.1038/nchem.1243), by RDKit; float64 [n]."""
    from rdkit.Chem import QED

    return np.array([QED.qed(molecule) for molecule in molecules], float)


def load_oracle(folder: Path) -> Oracle:
    """A converted oracle; raises ModelError in one sentence when the folder holds none."""
    config = read_json(folder / "config.json")
    try:
        settings = OracleSettings.model_validate(config.get("network"))
        if config.get("kind") != KIND:
            raise KeyError(KIND)
        kind, fingerprint = CLASSIFIERS[settings.classifier], FINGERPRINTS[settings.fingerprint]
        return Oracle(settings.property, kind.from_arrays(load_file(folder / "model.safetensors")), fingerprint)
    except (OSError, SafetensorError, ValidationError, KeyError, IndexError, ValueError):
        raise ModelError(
            f"{folder} holds no oracle as 'superdiff convert oracle' writes them; convert it again."
        ) from None


def find_oracles(folder: Path) -> dict[str, Oracle]:
    """The converted oracles that the folders in `folder` are, or it is itself, by their properties.

    Raises:
        ModelError: when it is no folder, or one of its oracles is damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}; name the one that holds the converted oracles.")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    configs = [place for place in places if (place / "config.json").is_file()]
    found = [load_oracle(place) for place in configs if read_json(place / "config.json").get("kind") == KIND]
    return {one.property: one for one in found}
