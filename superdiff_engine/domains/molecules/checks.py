"""RDKit's verdict on each of a run's molecules, their properties, and figures about all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...measured import SHARE, Figure, Sampled, expert_keys, wilson
from ..asked import Asked
from .arrays import DecodedMolecules, Structures
from .atoms import MOST_ATOMS, PROPERTIES, PROPERTY_NAMES, pair_indices
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


def asked_of(prompts: Sequence[tuple[str, Sequence[Term]]], properties: np.ndarray) -> list[Asked]:
    """Every term of the experts' prompts, with what each molecule has.

    Args:
        prompts: (title, terms) of each expert.
        properties: [n, properties] as PROPERTY_NAMES, NaN where a molecule is not valid.
    """
    found = []
    for expert, (_, terms) in enumerate(prompts):
        for term in terms:
            column = PROPERTY_NAMES.index(term.property)
            one = PROPERTIES[column]
            values = properties[:, column].astype(float)
            found.append(
                Asked(
                    name=one.short,
                    values=values,
                    holds=term.holds(properties[:, column]),
                    lowest=term.lowest,
                    highest=term.highest,
                    unit=one.unit,
                    count=one.count,
                    expert=expert,
                )
            )
    return found


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


def figures_of(
    molecules: DecodedMolecules, prompts: Sequence[tuple[str, Sequence[Term]]], sampled: Sampled
) -> list[Figure]:
    """Figures about a run's molecules.

    Args:
        molecules: of one run.
        prompts: (title, terms) of each expert.
        sampled: what the molecules count for. Uniqueness and valences are not weighted.
    """
    count, alike = len(molecules.atoms), Sampled(len(molecules.atoms))
    found: list[Figure] = []

    def add(name: str, title: str, measured: tuple[float, float | None], said: str, meaning: str, **rest: Any) -> None:
        value, error = measured
        more: dict[str, Any] = {"better": "higher", "main": True, "meaning": meaning} | rest
        found.append(Figure(name=name, title=title, value=value, error=error, unit=SHARE, said=said, **more))

    def add_share(name: str, title: str, holds: np.ndarray, meaning: str, label: str = "") -> None:
        share = sampled.share(holds)
        by_weight = "" if sampled.importance is None else f" ({share[0]:.0%} by weight)"
        add(name, title, share, f"{int(holds.sum())} of {count}{by_weight}", meaning, label=label)

    valid = "How many are molecules at all: one connected piece whose valences RDKit accepts."
    add_share("valid", "valid molecules", molecules.valid, valid)
    first = first_of_their_kind(molecules)
    unique = f"{int(first.sum())} of {int(molecules.valid.sum())}"
    add(
        "unique",
        "unique among the valid",
        alike.share(first, molecules.valid),
        unique,
        "How many of the valid differ from all before them, by their SMILES.",
    )
    right, whole = stability(molecules)
    # Atoms of one molecule are not independent: the error is that of as many draws as there are molecules.
    atoms = "How many atoms have bonds that sum to their element's valence (EDM's atom stability)."
    add(
        "right_valence",
        "atoms with the right valence",
        (right, wilson(right, count)),
        _percent(right),
        atoms,
        main=False,
    )
    only = {"label": "molecules with only such atoms", "main": False}
    all_atoms = "How many molecules have only atoms whose bonds sum to their valence (EDM's molecule stability)."
    add(
        "stable", "molecules whose atoms all have it", (whole, wilson(whole, count)), _percent(whole), all_atoms, **only
    )
    holds = [satisfied(terms, molecules.properties) for _, terms in prompts]
    prompted = [number for number, (_, terms) in enumerate(prompts) if terms]
    for key, number in zip(expert_keys([prompts[number][0] for number in prompted]), prompted, strict=True):
        said = prompts[number][0]
        meaning = "How many do what the prompt asks for, by properties that RDKit computes of the finished molecule."
        label = f"satisfy prompt {number + 1} ({said})"
        add_share(f"satisfies/{key}", f"satisfy '{said}'", holds[number], meaning, label)
    if len(prompted) > 1:
        meaning = "How many do what every prompt asks for, at once: what AND is for."
        add_share("satisfies_all", "satisfy all prompts", np.all(holds, 0), meaning)
    for column, one in enumerate(PROPERTIES):
        value, error = sampled.mean(molecules.properties[:, column], molecules.valid)
        name, title, meaning = (
            f"property/{one.name}",
            f"mean {one.title}",
            "The mean over the valid molecules, by RDKit.",
        )
        found.append(Figure(name=name, title=title, value=value, error=error, meaning=meaning))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
