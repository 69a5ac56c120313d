"""What the domain hands to its view, its files and its figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Decoded, Preview
from ..properties import Property

#: What RDKit measures of each molecule (`chemistry.MEASURES`).
PROPERTIES = (
    Property("weight", "molecular weight (g/mol)", unit="g/mol"),
    Property("logp", "logP (Crippen; log10 of the partition coefficient)"),
    Property("qed", "QED (drug-likeness, 0 to 1)"),
    Property("tpsa", "TPSA (polar surface, square Angstrom)", unit="Å²"),
    Property("donors", "hydrogen-bond donors (count)", True),
    Property("acceptors", "hydrogen-bond acceptors (count)", True),
    Property("rotatable", "rotatable bonds (count)", True),
    Property("rings", "rings (count)", True),
    Property("aromatic", "aromatic rings (count)", True),
    Property("fsp3", "fraction of sp3 carbons (0 to 1)"),
    Property("sa", "SA score (1 easy to 10 hard to synthesise)"),
    Property("heavy", "heavy atoms (count)", True),
)
PROPERTY_NAMES = tuple(one.name for one in PROPERTIES)


@dataclass(frozen=True, eq=False)
class LatentPreview(Preview):
    """Latents on their way: of the denoised means, what the run would decode from here.

    Attributes:
        latents: uint8 [n, tokens, channels]: 128 is 0, and 127 more or less is `latents.REACH` more or less.
    """

    latents: np.ndarray


@dataclass(frozen=True, eq=False)
class DecodedSmiles(Decoded):
    """Finished molecules as text, with RDKit's verdict.

    Attributes:
        written: text [n], what the decoder wrote.
        smiles: text [n], canonical and with its stereochemistry; empty where it is no molecule.
        reason: text [n], why it is none; empty where it is one.
        properties: float32 [n, properties] as PROPERTY_NAMES, NaN where it is no molecule.
    """

    written: np.ndarray
    smiles: np.ndarray
    reason: np.ndarray
    properties: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Bool [n]: what RDKit reads as a molecule."""
        return np.asarray(self.smiles != "")
