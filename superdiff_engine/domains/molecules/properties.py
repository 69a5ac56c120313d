"""Property prompts: what a user can ask of a molecule, as classes of RDKit's figures that a network was trained with.

A *prompt* is one or more terms with commas between, "high TPSA, aromatic ring"; each term is an interval of one
property. The quartiles of QM9's training molecules bound "high" and "low"; counts have bounds of their own. To the
network a prompt is one number a property: 0 where nothing is asked, else the number of the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from ...errors import RecipeError, quoted
from .atoms import PROPERTY_NAMES


@dataclass(frozen=True)
class Term:
    """An interval of a property: `lowest` <= value < `highest`; None where it is open."""

    text: str
    property: str
    lowest: float | None = None
    highest: float | None = None

    def holds(self, values: np.ndarray | float) -> np.ndarray:
        """Bool, of values of the property."""
        values = np.asarray(values)
        above = True if self.lowest is None else values >= self.lowest
        below = True if self.highest is None else values < self.highest
        return np.logical_and(above, below) & ~np.isnan(values)


#: Terms whose bounds are quartiles of the training molecules: text, property, whether the upper quarter.
_QUARTERS = (
    ("low logP", "logp", False),
    ("high logP", "logp", True),
    ("low TPSA", "tpsa", False),
    ("high TPSA", "tpsa", True),
    ("low QED", "qed", False),
    ("high QED", "qed", True),
    ("easy to synthesise", "sa", False),
    ("hard to synthesise", "sa", True),
    ("low fraction sp3", "fsp3", False),
    ("high fraction sp3", "fsp3", True),
)
_COUNTS = (
    Term("no ring", "rings", None, 1),
    Term("one ring", "rings", 1, 2),
    Term("several rings", "rings", 2, None),
    Term("no aromatic ring", "aromatic", None, 1),
    Term("aromatic ring", "aromatic", 1, None),
    Term("no hydrogen-bond donor", "donors", None, 1),
    Term("hydrogen-bond donor", "donors", 1, None),
    Term("few hydrogen-bond acceptors", "acceptors", None, 2),
    Term("many hydrogen-bond acceptors", "acceptors", 3, None),
    Term("no nitrogen", "nitrogen", None, 1),
    Term("contains nitrogen", "nitrogen", 1, None),
    Term("no oxygen", "oxygen", None, 1),
    Term("contains oxygen", "oxygen", 1, None),
    Term("no fluorine", "fluorine", None, 1),
    Term("contains fluorine", "fluorine", 1, None),
)


#: Terms of different properties that no molecule satisfies at once.
_RIVALS = ({"no ring", "aromatic ring"},)


def contradict(first: Term, second: Term) -> bool:
    """Whether no molecule can satisfy both: every property's terms exclude each other."""
    return (first.property == second.property and first != second) or {first.text, second.text} in _RIVALS


@dataclass(frozen=True)
class Vocabulary:
    """All terms that a network knows, in the order in which they are numbered within each property."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, quartiles: Mapping[str, tuple[float, float]]) -> Vocabulary:
        """From the (lower, upper) quartile of each property that has high and low terms."""
        quarters = tuple(
            Term(text, name, quartiles[name][1], None) if upper else Term(text, name, None, quartiles[name][0])
            for text, name, upper in _QUARTERS
        )
        return cls(quarters + _COUNTS)

    @classmethod
    def unmeasured(cls) -> Vocabulary:
        """The terms alone, where no training data say what is high and low."""
        return cls.of(dict.fromkeys((name for _, name, _ in _QUARTERS), (0.0, 0.0)))

    @staticmethod
    def quartiles(properties: np.ndarray) -> dict[str, tuple[float, float]]:
        """Of properties [molecules, properties]; the molecules of a lower quartile lie strictly below its bound."""
        found = {}
        for name in dict.fromkeys(name for _, name, _ in _QUARTERS):
            values = properties[:, PROPERTY_NAMES.index(name)]
            lower, upper = (float(np.quantile(values, share)) for share in (0.25, 0.75))
            found[name] = (float(np.nextafter(np.float32(lower), np.float32(np.inf))), upper)
        return found

    def of_property(self, name: str) -> list[Term]:
        """The property's terms; number k of them is class k + 1 to the network."""
        return [term for term in self.terms if term.property == name]

    @property
    def sizes(self) -> list[int]:
        """How many classes each property has for the network, "nothing asked" included; in PROPERTY_NAMES' order."""
        return [len(self.of_property(name)) + 1 for name in PROPERTY_NAMES]

    def classes(self, properties: np.ndarray) -> np.ndarray:
        """Class of each molecule's properties [molecules, properties]: uint8, 0 where no term holds."""
        found = np.zeros(properties.shape, np.uint8)
        for column, name in enumerate(PROPERTY_NAMES):
            for number, term in enumerate(self.of_property(name), start=1):
                found[term.holds(properties[:, column]), column] = number
        return found

    def parse(self, prompt: str) -> list[Term]:
        """The terms of a prompt, in its order; an empty prompt asks for nothing.

        Raises:
            RecipeError: for a term that does not exist, or two that no molecule can satisfy at once.
        """
        known = {term.text.lower(): term for term in self.terms}
        found: list[Term] = []
        for part in (piece.strip() for piece in prompt.split(",")):
            if not part:
                continue
            term = known.get(" ".join(part.lower().split()))
            if term is None:
                near = get_close_matches(part, [one.text for one in self.terms], n=4, cutoff=0.0)
                raise RecipeError(
                    f"No molecule model here was trained on '{quoted(part)}'; choose from "
                    f"{', '.join(map(repr, near))}, or another of the {len(self.terms)} terms that the form lists."
                )
            rival = next((one for one in found if contradict(one, term)), None)
            if rival is not None:
                raise RecipeError(
                    f"'{rival.text}' and '{term.text}' contradict each other: no molecule is both. Ask for one of them."
                )
            if term not in found:
                found.append(term)
        return found

    def encode(self, terms: Sequence[Term]) -> list[int]:
        """What the network is given: a class for each property."""
        asked = {term.property: self.of_property(term.property).index(term) + 1 for term in terms}
        return [asked.get(name, 0) for name in PROPERTY_NAMES]
