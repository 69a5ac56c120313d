"""Checks of backbones: geometry, secondary structure, torsion angles, contacts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...measured import SHARE, Figure, Sampled
from ..asked import Asked
from .arrays import DecodedProteins

#: Angstrom between successive CA of a trans peptide, and how far off they may be.
NEIGHBOURS, TOLERANCE = 3.8, 0.2
#: CA of residues that are no neighbours stand at least this far apart, Angstrom.
CLASH = 3.6
#: CA closer than this are in contact, Angstrom.
CONTACT = 8.0
#: Letters of secondary structure: helix, strand, neither.
LETTERS = "HE-"
#: Below this level a preview has a secondary structure worth drawing: 1.5 Angstrom.
FOLDED = 0.15
#: A sample holds both kinds where each has at least this share of its residues.
BOTH = 0.1
#: Compact chains: radius of gyration, in Angstrom, at most this times residues^0.38 (2.2 is common, Skolnick et al.
#: 1997); ordered ones have at least this share of their residues in helix or strand, as for FrameDiff (arXiv
#: 2302.02277). The training chains are both.
WIDEST, ORDERED = 2.7, 0.5
#: What the chains are that a model has learned from: the least and the largest share of residues in helices and in
#: strands, by the model's name; (None, None) where any will do. Models that are not named learn from all kinds.
KINDS = {
    "proteins_alpha": {"helix": (0.4, None), "strand": (None, 0.1)},
    "proteins_beta": {"helix": (None, 0.15), "strand": (0.3, None)},
}


def secondary_structure(backbone: np.ndarray) -> str:
    """A letter of LETTERS for each residue of N, CA, C, O [residues, 4, 3] in Angstrom.

    By PyDSSP (Minami 2023), which follows DSSP's hydrogen bonds (Kabsch and Sander 1983).
    """
    import pydssp  # with einops: not before there are proteins

    if len(backbone) < 6:
        return "-" * len(backbone)
    kinds = pydssp.assign(torch.from_numpy(np.asarray(backbone, np.float32)), out_type="index")
    return "".join("-HE"[int(kind)] for kind in kinds)


def bond_share(alpha: np.ndarray) -> float:
    """The share of successive CA [residues, 3] that are 3.8 +- 0.2 Angstrom apart."""
    distances = np.linalg.norm(np.diff(alpha, axis=0), axis=1)
    return float((np.abs(distances - NEIGHBOURS) <= TOLERANCE).mean())


def clash_share(alpha: np.ndarray) -> float:
    """The share of pairs of CA, neighbours apart, that are closer than 3.6 Angstrom."""
    distances = np.linalg.norm(alpha[:, None] - alpha[None], axis=2)
    pairs = distances[np.triu_indices(len(alpha), 2)]
    return float((pairs < CLASH).mean()) if len(pairs) else 0.0


def radius_of_gyration(alpha: np.ndarray) -> float:
    """Root mean square distance of CA [residues, 3] from their mean, Angstrom."""
    return float(np.sqrt(np.square(alpha - alpha.mean(0)).sum(1).mean()))


def contact_map(alpha: np.ndarray) -> np.ndarray:
    """Distances between all CA, [residues, residues], Angstrom."""
    return np.linalg.norm(alpha[:, None] - alpha[None], axis=2)


def torsions(backbone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(phi, psi) of N, CA, C, O [residues, 4, 3] in degrees, [residues] each; NaN where the chain ends."""
    n, alpha, c = backbone[:, 0], backbone[:, 1], backbone[:, 2]
    phi, psi = np.full(len(n), np.nan), np.full(len(n), np.nan)
    phi[1:] = _dihedral(c[:-1], n[1:], alpha[1:], c[1:])
    psi[:-1] = _dihedral(n[:-1], alpha[:-1], c[:-1], n[1:])
    return phi, psi


def _dihedral(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    first, axis, last = a - b, c - b, d - c
    axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    v = first - (first * axis).sum(1, keepdims=True) * axis
    w = last - (last * axis).sum(1, keepdims=True) * axis
    return np.degrees(np.arctan2((np.cross(axis, v) * w).sum(1), (v * w).sum(1)))


def checked_proteins(backbones: Tensor, residues: Sequence[int]) -> DecodedProteins:
    """Finished backbones, measured.

    Args:
        backbones: N, CA, C, O [batch, longest, 4, 3] in Angstrom.
        residues: of each.
    """
    atoms = backbones.detach().cpu().numpy().astype(np.float32)
    count, longest = atoms.shape[:2]
    structure = np.zeros((count, longest), "S1")
    measured: dict[str, np.ndarray] = {
        name: np.zeros(count) for name in ("bonds_ok", "clashes", "helix", "strand", "radius")
    }
    for row, length in enumerate(residues):
        atoms[row, length:] = 0
        chain = atoms[row, :length]
        letters = secondary_structure(chain)
        structure[row, :length] = list(letters)
        measured["bonds_ok"][row] = bond_share(chain[:, 1])
        measured["clashes"][row] = clash_share(chain[:, 1])
        measured["radius"][row] = radius_of_gyration(chain[:, 1])
        measured["helix"][row] = letters.count("H") / length
        measured["strand"][row] = letters.count("E") / length
    return DecodedProteins(**measured, backbone=atoms, residues=np.array(residues, np.int64), structure=structure)


def asked_of(models: Sequence[str], proteins: DecodedProteins) -> list[Asked]:
    """What is asked of each protein: of its kind by every expert, and of its geometry as of all training chains.

    Args:
        models: of the experts.
        proteins: of a run.
    """
    found = []
    shares = {"helix": proteins.helix, "strand": proteins.strand}
    for expert, model in enumerate(models):
        for name, (least, most) in KINDS.get(model, {}).items():
            found.append(_share(name, shares[name], least, most, expert))
    found.append(_share("helix or strand", proteins.helix + proteins.strand, ORDERED, None))
    sizes = proteins.residues.astype(float)
    neighbours = np.maximum(sizes - 1, 1)
    off = np.round((1 - proteins.bonds_ok) * neighbours)
    title = f"CA–CA off {NEIGHBOURS:g} ± {TOLERANCE:g} Å"
    found.append(Asked(title, off, off == 0, highest=0, closed=True, count=True))
    close = np.round(proteins.clashes * neighbours * (sizes - 2) / 2)
    found.append(Asked(f"CA pairs < {CLASH:g} Å", close, close == 0, highest=0, closed=True, count=True))
    widest = WIDEST * sizes**0.38
    found.append(Asked("radius of gyration", proteins.radius, proteins.radius <= widest, None, widest, True, "Å"))
    return found


def _share(name: str, values: np.ndarray, least: float | None, most: float | None, expert: int | None = None) -> Asked:
    holds = np.ones(len(values), bool)
    if least is not None:
        holds &= values >= least
    if most is not None:
        holds &= values <= most
    lowest, highest = (None if bound is None else 100 * bound for bound in (least, most))
    return Asked(name, 100 * values, holds, lowest, highest, closed=True, unit="%", expert=expert)


def figures_of(proteins: DecodedProteins, sampled: Sampled) -> list[Figure]:
    """Figures about a run's proteins: means over them of what is measured of each.

    Args:
        proteins: of one run.
        sampled: what the proteins count for.
    """
    found = []
    both = (proteins.helix >= BOTH) & (proteins.strand >= BOTH)
    by_bonds = "by the hydrogen bonds of the backbone (DSSP)."
    for name, title, values, better, digits, meaning in (
        ("helix", "residues in helices", proteins.helix, "", 0, f"How much of a chain winds into helices, {by_bonds}"),
        ("strand", "residues in strands", proteins.strand, "", 0, f"How much of a chain lies in strands, {by_bonds}"),
        (
            "both_kinds",
            "proteins with both kinds",
            both,
            "",
            0,
            f"How many chains have both: at least {BOTH:.0%} of their residues in helices and as many in strands.",
        ),
        (
            "bonds_ok",
            "CA-CA of 3.8 +- 0.2 Angstrom",
            proteins.bonds_ok,
            "higher",
            1,
            "How many neighbours along the chain are as far apart as in real proteins, |CA − CA|.",
        ),
        (
            "clashes",
            "CA pairs closer than 3.6 Angstrom",
            proteins.clashes,
            "lower",
            2,
            "How many residues that are no neighbours lie where another one is already.",
        ),
    ):
        value, error = sampled.share(values) if values.dtype == bool else sampled.mean(values)
        found.append(
            Figure(
                name=name,
                title=title,
                value=value,
                error=error,
                unit=SHARE,
                better=better,
                main=True,
                said=f"{value:.{digits}%}",
                meaning=meaning,
            )
        )
    radius, error = sampled.mean(proteins.radius)
    said, name = f"{radius:.1f} Angstrom", "radius"
    title = "radius of gyration"
    meaning = "How compact a chain is: the root mean square distance of its CA from their centre, (Σ |r − r̄|² / n)^½."
    found.append(
        Figure(
            name=name, title=title, value=radius, error=error, unit="Angstrom", main=True, said=said, meaning=meaning
        )
    )
    return found
