"""RDKit's verdict on each of a run's molecules, their properties, and a summary of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .arrays import DecodedMolecules, Structures
from .atoms import MOST_ATOMS, PROPERTY_NAMES, pair_indices
from .chemistry import Verdict, properties_of, valence_errors, verdict_on
from .properties import Term


def square_bonds(bonds: np.ndarray, atoms: int) -> np.ndarray:
    """Orders [atoms, atoms], symmetric, of the pairs i < j of 29 atoms, [406]."""
    full = np.zeros((MOST_ATOMS, MOST_ATOMS), np.uint8)
    full[pair_indices()] = bonds
    return (full + full.T)[:atoms, :atoms]


def verdicts_of(molecules: Structures, rows: Sequence[int] | None = None) -> list[Verdict]:
    """RDKit's verdict on each molecule, or on some rows."""
    verdicts = []
    for row in range(len(molecules.atoms)) if rows is None else rows:
        count = int(molecules.atoms[row])
        bonds = square_bonds(molecules.bonds[row], count)
        verdicts.append(verdict_on(molecules.elements[row][:count], molecules.positions[row][:count], bonds))
    return verdicts


def checked_molecules(molecules: Structures) -> DecodedMolecules:
    """The molecules with RDKit's verdict and their properties."""
    verdicts = verdicts_of(molecules)
    properties = np.full((len(verdicts), len(PROPERTY_NAMES)), np.nan, np.float32)
    for row, verdict in enumerate(verdicts):
        if verdict.valid:
            properties[row] = list(properties_of(verdict.molecule).values())
    return DecodedMolecules(
        molecules.elements,
        molecules.positions,
        molecules.bonds,
        molecules.atoms,
        valid=np.array([verdict.valid for verdict in verdicts], bool),
        smiles=np.array([verdict.smiles for verdict in verdicts], np.str_),
        reason=np.array([verdict.reason for verdict in verdicts], np.str_),
        properties=properties,
    )


def satisfied(terms: Sequence[Term], properties: np.ndarray) -> np.ndarray:
    """Bool [n]: which molecules, by properties [n, properties], satisfy all terms; none of those that are not valid."""
    holds = ~np.isnan(properties[:, 0])
    for term in terms:
        holds = holds & term.holds(properties[:, PROPERTY_NAMES.index(term.property)])
    return holds


def stability(molecules: Structures) -> tuple[float, float]:
    """EDM's shares (arXiv 2203.17003): of atoms whose bonds sum to their valence, of molecules with only such atoms."""
    atoms = wrong = whole = 0
    for row, count in enumerate(molecules.atoms.astype(int)):
        off = valence_errors(molecules.elements[row][:count], square_bonds(molecules.bonds[row], count))
        atoms, wrong, whole = atoms + count, wrong + int(off.sum()), whole + (not off.any())
    return 1 - wrong / atoms, whole / len(molecules.atoms)


def first_of_their_kind(molecules: DecodedMolecules) -> np.ndarray:
    """Bool [n]: valid molecules that no earlier one has the SMILES of."""
    first = np.zeros(len(molecules.atoms), bool)
    _, rows = np.unique(molecules.smiles, return_index=True)
    first[rows] = True
    return first & molecules.valid


def summary(
    molecules: DecodedMolecules,
    prompts: Sequence[tuple[str, Sequence[Term]]],
    weighted: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, str | float]:
    """Figures about a run's molecules by label, for people.

    Args:
        molecules: of one run.
        prompts: (title, terms) of each expert.
        weighted: the mean of values [n] by what the molecules count for; None where all count the same.
    """

    def counted(those: np.ndarray, of: int) -> str:
        share = "" if weighted is None else f" ({weighted(those.astype(float)):.0%} by weight)"
        return f"{int(those.sum())} of {of}{share}"

    count, valid = len(molecules.atoms), int(molecules.valid.sum())
    right, whole = stability(molecules)
    summed: dict[str, str | float] = {
        "valid molecules": counted(molecules.valid, count),
        "unique among the valid": f"{int(first_of_their_kind(molecules).sum())} of {valid}",
        "atoms with the right valence": f"{100 * right:.1f} %",
        "molecules with only such atoms": f"{100 * whole:.1f} %",
    }
    holds = [satisfied(terms, molecules.properties) for _, terms in prompts]
    prompted = [number for number, (_, terms) in enumerate(prompts) if terms]
    for number in prompted:
        summed[f"satisfy prompt {number + 1} ({prompts[number][0]})"] = counted(holds[number], count)
    if len(prompted) > 1:
        summed["satisfy all prompts"] = counted(np.all(holds, 0), count)
    if weighted is not None:
        summed["not weighted"] = "uniqueness and valences"
    return summed
