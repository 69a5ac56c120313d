"""RDKit's verdict on each SMILES of a run, the properties of its molecules, and figures about all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from ...measured import SHARE, Figure, Sampled
from ..chemistry import MEASURES
from .arrays import PROPERTIES, PROPERTY_NAMES, DecodedSmiles


def verdict_on(written: str) -> tuple[str, str]:
    """(canonical SMILES, "") of a text that is a molecule, else ("", why it is none, in a few words).

    A molecule is what RDKit parses and sanitises and has an atom, as the official code counts validity; several
    fragments, charges and radicals are allowed.
    """
    if not written:
        return "", "nothing was written"
    molecule = Chem.MolFromSmiles(written)
    if molecule is not None and molecule.GetNumAtoms():
        return Chem.MolToSmiles(molecule), ""
    parsed = Chem.MolFromSmiles(written, sanitize=False)
    if parsed is None:
        return "", "not SMILES: a ring or bracket stays open, or a letter is out of place"
    problems = Chem.DetectChemistryProblems(parsed)
    return "", problems[0].Message() if problems else "no atom"


def molecule_of(smiles: str) -> Chem.Mol:
    """The molecule of a canonical SMILES of `DecodedSmiles`; raises ValueError for what is none."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise ValueError(f"No molecule: {smiles}")
    return molecule


def checked(written: Sequence[str]) -> DecodedSmiles:
    """What the decoder wrote, with RDKit's verdict and the properties of what is a molecule."""
    verdicts = [verdict_on(text) for text in written]
    properties = np.full((len(verdicts), len(PROPERTY_NAMES)), np.nan, np.float32)
    for row, (smiles, _) in enumerate(verdicts):
        if smiles:
            molecule = molecule_of(smiles)
            properties[row] = [MEASURES[name](molecule) for name in PROPERTY_NAMES]
    return DecodedSmiles(
        written=np.array(written, np.str_),
        smiles=np.array([smiles for smiles, _ in verdicts], np.str_),
        reason=np.array([reason for _, reason in verdicts], np.str_),
        properties=properties,
    )


def first_of_their_kind(decoded: DecodedSmiles) -> np.ndarray:
    """Bool [n]: molecules that no earlier one has the canonical SMILES of."""
    first = np.zeros(len(decoded.smiles), bool)
    first[np.unique(decoded.smiles, return_index=True)[1]] = True
    return first & decoded.valid


def figures_of(decoded: DecodedSmiles, sampled: Sampled) -> list[Figure]:
    """Figures about a run's molecules; `sampled` is what they count for. Uniqueness is not weighted."""
    valid, count, alike = decoded.valid, len(decoded.smiles), Sampled(len(decoded.smiles))
    first = first_of_their_kind(decoded)
    share = sampled.share(valid)
    weighted = "" if sampled.importance is None else f" ({share[0]:.0%} by weight)"
    main: dict[str, Any] = {"unit": SHARE, "better": "higher", "main": True}
    found = [
        Figure(
            name="valid",
            title="valid molecules",
            value=share[0],
            error=share[1],
            said=f"{int(valid.sum())} of {count}{weighted}",
            meaning="How many of the written texts are molecules at all: SMILES that RDKit parses and sanitises.",
            **main,
        )
    ]
    value, error = alike.share(first, valid)
    found.append(
        Figure(
            name="unique",
            title="unique among the valid",
            value=value,
            error=error,
            said=f"{int(first.sum())} of {int(valid.sum())}",
            meaning="How many of the valid differ from all before them, by their canonical SMILES.",
            **main,
        )
    )
    for column, one in enumerate(PROPERTIES):
        value, error = sampled.mean(decoded.properties[:, column], valid)
        found.append(
            Figure(
                name=f"property/{one.name}",
                title=f"mean {one.title}",
                value=value,
                error=error,
                meaning="The mean over the valid molecules, by RDKit.",
            )
        )
    return found
