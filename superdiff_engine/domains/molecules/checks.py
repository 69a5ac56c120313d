"""RDKit's verdict on each of a run's molecules, their properties, and a summary of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .atoms import MOST_ATOMS, PROPERTY_NAMES, pair_indices
from .chemistry import Verdict, properties_of, valence_errors, verdict_on
from .model import Decoded
from .properties import Term


def square_bonds(bonds: np.ndarray, atoms: int) -> np.ndarray:
    """Orders [atoms, atoms], symmetric, of the pairs i < j of 29 atoms, [406]."""
    full = np.zeros((MOST_ATOMS, MOST_ATOMS), np.uint8)
    full[pair_indices()] = bonds
    return (full + full.T)[:atoms, :atoms]


def verdicts_of(arrays: dict[str, np.ndarray], rows: Sequence[int] | None = None) -> list[Verdict]:
    """RDKit's verdict on each molecule of a result's decoded arrays, or on some rows of them."""
    verdicts = []
    for row in range(len(arrays["atoms"])) if rows is None else rows:
        count = int(arrays["atoms"][row])
        bonds = square_bonds(arrays["bonds"][row], count)
        verdicts.append(verdict_on(arrays["elements"][row][:count], arrays["positions"][row][:count], bonds))
    return verdicts


def checked_molecules(decoded: Decoded) -> dict[str, np.ndarray]:
    """The arrays that a result keeps of its molecules.

    Returns:
        elements uint8 [n, 29] (H, C, N, O, F), positions float32 [n, 29, 3] in Angstrom, bonds uint8 [n, 406] of the
        pairs i < j, atoms uint8 [n], valid bool [n], smiles and reason text [n] (why a molecule is not valid),
        properties float32 [n, properties] as PROPERTY_NAMES, NaN where a molecule is not valid.
    """
    arrays = {name: getattr(decoded, name) for name in ("elements", "positions", "bonds", "atoms")}
    verdicts = verdicts_of(arrays)
    properties = np.full((len(verdicts), len(PROPERTY_NAMES)), np.nan, np.float32)
    for row, verdict in enumerate(verdicts):
        if verdict.valid:
            properties[row] = list(properties_of(verdict.molecule).values())
    return arrays | {
        "valid": np.array([verdict.valid for verdict in verdicts], bool),
        "smiles": np.array([verdict.smiles for verdict in verdicts], np.str_),
        "reason": np.array([verdict.reason for verdict in verdicts], np.str_),
        "properties": properties,
    }


def satisfied(terms: Sequence[Term], properties: np.ndarray) -> np.ndarray:
    """Bool [n]: which molecules, by properties [n, properties], satisfy all terms; none of those that are not valid."""
    holds = ~np.isnan(properties[:, 0])
    for term in terms:
        holds = holds & term.holds(properties[:, PROPERTY_NAMES.index(term.property)])
    return holds


def stability(arrays: dict[str, np.ndarray]) -> tuple[float, float]:
    """EDM's shares (arXiv 2203.17003): of atoms whose bonds sum to their valence, of molecules with only such atoms."""
    atoms = wrong = whole = 0
    for row, count in enumerate(arrays["atoms"].astype(int)):
        off = valence_errors(arrays["elements"][row][:count], square_bonds(arrays["bonds"][row], count))
        atoms, wrong, whole = atoms + count, wrong + int(off.sum()), whole + (not off.any())
    return 1 - wrong / atoms, whole / len(arrays["atoms"])


def first_of_their_kind(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Bool [n]: valid molecules that no earlier one has the SMILES of."""
    first = np.zeros(len(arrays["atoms"]), bool)
    _, rows = np.unique(arrays["smiles"], return_index=True)
    first[rows] = True
    return first & arrays["valid"]


def summary(arrays: dict[str, np.ndarray], prompts: Sequence[tuple[str, Sequence[Term]]]) -> dict[str, Any]:
    """Figures about a run's molecules by label, for people.

    Args:
        arrays: of `checked_molecules`.
        prompts: (title, terms) of each expert.
    """
    count, valid = len(arrays["atoms"]), int(arrays["valid"].sum())
    atoms, molecules = stability(arrays)
    summed: dict[str, Any] = {
        "valid molecules": f"{valid} of {count}",
        "unique among the valid": f"{int(first_of_their_kind(arrays).sum())} of {valid}",
        "atoms with the right valence": f"{100 * atoms:.1f} %",
        "molecules with only such atoms": f"{100 * molecules:.1f} %",
    }
    holds = [satisfied(terms, arrays["properties"]) for _, terms in prompts]
    prompted = [number for number, (_, terms) in enumerate(prompts) if terms]
    for number in prompted:
        summed[f"satisfy prompt {number + 1} ({prompts[number][0]})"] = f"{int(holds[number].sum())} of {count}"
    if len(prompted) > 1:
        summed["satisfy all prompts"] = f"{int(np.all(holds, 0).sum())} of {count}"
    return summed
