r"""What is measured of a row of molecules, each measure with its standard error.

    both, neither   shares that satisfy both prompts, and none of them (those that are not valid satisfy none)
    minimum         the lower of the two normalised properties, mean over all and mean of the ten best; a property is
                    normalised to the share of QM9's training molecules that it surpasses in the prompt's direction, a
                    yes-or-no property to 1 or 0; 0 for molecules that are not valid
    valid, unique, novel     RDKit's verdict; distinct SMILES among the valid; those of them that QM9 lacks
    diversity       1 - mean Tanimoto similarity of Morgan fingerprints (radius 2) between valid molecules
    strain          median MMFF94 energy that relaxation frees, kcal/mol
    moved           median distance that it moves the atoms (RMSD after superposition), Angstrom
    gap             mean |log q_1 - log q_2| of the two prompts' log-densities as tracked on the way, nats: what AND
                    holds down, where two prompts are composed
    apart           whether log q_1 - log q_2 tells molecules that satisfy only the first prompt from those that satisfy
                    only the second (of networks: with a ring from without), ROC AUC
    level           whether a small gap tells molecules that satisfy both from all others, ROC AUC: what AND relies on

Without prompts also EDM's stability (Hoogeboom et al. 2022, arXiv 2203.17003), and the share of the valid that have
a ring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rdkit import DataStructs
from rdkit.Chem import RemoveHs, rdFingerprintGenerator

from ...tables.table import Value
from ..chemistry import relax
from .arrays import DecodedMolecules, Structures
from .atoms import PROPERTY_NAMES
from .checks import first_of_their_kind, satisfied, stability, verdicts_of
from .properties import Term
from .reference import Reference

#: Properties that have a scale; the others are counts.
_MEASURED = ("logp", "tpsa", "qed", "sa", "fsp3")


def strains(molecules: Structures) -> dict[str, np.ndarray]:
    """What MMFF94 relaxation frees, strain [n] in kcal/mol, and how far it moves the atoms, moved [n] in Angstrom (root
    mean square); NaN for molecules that are not valid, or that it does not know.
    """
    strain, moved = np.full((2, len(molecules.atoms)), np.nan)
    for row, verdict in enumerate(verdicts_of(molecules)):
        relaxed = relax(verdict.molecule) if verdict.valid else None
        if relaxed is not None:
            strain[row], moved[row] = relaxed.energy, relaxed.rmsd
    return {"strain": strain, "moved": moved}


def share(holds: np.ndarray) -> Value:
    """The share of True in bool [n], with the binomial standard error."""
    if not len(holds):
        return Value(value=0.0, error=None)
    rate = float(holds.mean())
    return Value(value=rate, error=math.sqrt(rate * (1 - rate) / len(holds)))


def normalised(term: Term, properties: np.ndarray, reference: Reference) -> np.ndarray:
    """How well each molecule satisfies a term, 0 to 1, of properties [n, properties]; 0 where they are NaN."""
    values = properties[:, PROPERTY_NAMES.index(term.property)]
    known = ~np.isnan(values)
    if term.property in _MEASURED:
        rank = reference.rank(term.property, np.where(known, values, 0.0))
        scores = rank if term.lowest is not None else 1 - rank
    else:
        scores = term.holds(values).astype(float)
    return np.where(known, scores, 0.0)


def diversity(molecules: DecodedMolecules, most: int = 500) -> float:
    """1 - mean Tanimoto similarity of Morgan fingerprints between the first `most` valid molecules."""
    rows = np.nonzero(molecules.valid)[0][:most].tolist()
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(RemoveHs(verdict.molecule)) for verdict in verdicts_of(molecules, rows)]
    similar = [
        value
        for index in range(1, len(prints))
        for value in DataStructs.BulkTanimotoSimilarity(prints[index], prints[:index])
    ]
    return 1 - float(np.mean(similar)) if similar else 0.0


def measures_of(arrays: dict[str, np.ndarray], reference: Reference, terms: Sequence[Term] = ()) -> dict[str, Value]:
    """All measures of a row's molecules.

    Args:
        arrays: of `DecodedMolecules` and `strains`, and log_density [n, 2] in nats of two experts.
        reference: facts about QM9.
        terms: what the two prompts ask for; none for molecules without a prompt.
    """
    molecules = DecodedMolecules.among(arrays)
    valid = molecules.valid
    first = first_of_their_kind(molecules)
    measures = {
        "valid": share(valid),
        "unique": share(first[valid]),
        "novel": share(reference.novel(molecules.smiles[first])),
    }
    if not terms:
        right, whole = stability(molecules)
        count = len(valid)
        # Atoms of one molecule are not independent: the error is that of as many draws as there are molecules.
        measures["atom_stable"] = Value(value=right, error=math.sqrt(right * (1 - right) / count))
        measures["molecule_stable"] = Value(value=whole, error=math.sqrt(whole * (1 - whole) / count))
        ringed = valid & (molecules.properties[:, PROPERTY_NAMES.index("rings")] > 0)
        one, other = ringed, valid & ~ringed
        measures["ringed"] = share(ringed[valid])
    else:
        one, other = (satisfied([term], molecules.properties) for term in terms)
        lower = np.min([normalised(term, molecules.properties, reference) for term in terms], axis=0)
        measures["both"] = share(one & other)
        measures["neither"] = share(~(one | other))
        measures["minimum"] = Value(value=float(lower.mean()), error=float(lower.std() / math.sqrt(len(lower))))
        draws = np.random.default_rng(0).choice(lower, (200, len(lower)))
        tops = np.sort(draws, axis=1)[:, -10:].mean(1)
        measures["minimum_top10"] = Value(value=float(np.sort(lower)[-10:].mean()), error=float(tops.std()))
    if "log_density" in arrays:
        difference = arrays["log_density"][:, 0] - arrays["log_density"][:, 1]
        gap = np.abs(difference)
        measures["gap"] = Value(value=float(gap.mean()), error=float(gap.std() / math.sqrt(len(gap))))
        for name, score, yes, no in (
            ("apart", difference, one & ~other, other & ~one),
            ("level", -gap, one & other, ~(one & other)),
        ):
            if yes.any() and no.any():
                measures[name] = area_under_curve(score[yes], score[no])
    measures["diversity"] = Value(value=diversity(molecules))
    for name in ("strain", "moved"):
        known = arrays[name][~np.isnan(arrays[name])]
        if len(known):
            draws = np.median(np.random.default_rng(0).choice(known, (200, len(known))), axis=1)
            measures[name] = Value(value=float(np.median(known)), error=float(draws.std()))
    return measures


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> Value:
    """ROC AUC, P(positive > negative), with Hanley and McNeil's standard error (Radiology 143, 1982)."""
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    area, n = float(wins), len(positive)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (len(negative) - 1) * (q2 - area**2)) / (
        n * len(negative)
    )
    return Value(value=area, error=math.sqrt(max(0.0, variance)))
