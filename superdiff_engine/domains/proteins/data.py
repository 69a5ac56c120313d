"""Chains of real proteins, backbone only, as the training of the protein models reads them.

The source is ProMod3's structure database (Studer et al. 2021, doi 10.1371/journal.pcbi.1008667; Apache-2.0), which
Debian packs as promod3-data: 21,119 chains of the PDB with the coordinates of N, CA, C and O in hundredths of an
Angstrom, the sequence, and the secondary structure by DSSP (Kabsch and Sander 1983). The file is little endian:

    at 0x4d   8 bytes: number of chains; for each: two strings (4 bytes of length each) of PDB id and chain,
              u4 offset, u2 residues, u2 first residue number, 12 bytes of shift
    then      arrays, each with 8 bytes of count: sequence (1 byte), backbone (12 uint16), dihedrals (2 int16),
              two more (uint16 each), DSSP (1 byte), and others that are not read
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import ORDERED, WIDEST, radius_of_gyration
from .frames import MOST_RESIDUES

DATABASE = Path("/usr/share/promod3/loop_data/structure_db.dat")
#: Of whole chains that are learned, and of the longest ones of which windows may be.
FEWEST_RESIDUES, LONGEST = 40, 256
#: Bytes before the number of chains; letters of a 5-mer, by which test chains are kept apart from training chains.
_HEADER, _WORD = 0x4D, 5
#: Test chains share at most this part of their 5-mers with any training chain.
MOST_SHARED = 0.1
TEST, SPLIT_SEED = 300, 0
#: DSSP's letters of helices (alpha, 3-10, pi) and of strands (in ladders, in bridges).
HELIX, STRAND = "HGI", "EB"


@dataclass(frozen=True)
class Chains:
    """Backbones of different lengths, one after another.

    Attributes:
        backbone: float32 [residues, 4, 3], N, CA, C, O in Angstrom.
        sequence: bytes "S1" [residues], one-letter amino acids.
        dssp: bytes "S1" [residues].
        first: int64 [chains], where each begins.
        residues: int64 [chains].
        names: "12AS_A" and the like: PDB id and chain.
    """

    backbone: np.ndarray
    sequence: np.ndarray
    dssp: np.ndarray
    first: np.ndarray
    residues: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, index: int) -> slice:
        """Where chain `index` stands in the arrays."""
        return slice(int(self.first[index]), int(self.first[index] + self.residues[index]))

    def take(self, chains: Sequence[int] | np.ndarray) -> Chains:
        """Some of the chains."""
        chosen = np.asarray(chains, np.int64)
        sizes = self.residues[chosen]
        spans = [np.arange(start, start + size) for start, size in zip(self.first[chosen], sizes, strict=True)]
        rows = np.concatenate([np.zeros(0, np.int64), *spans])
        return Chains(
            self.backbone[rows],
            self.sequence[rows],
            self.dssp[rows],
            np.cumsum(sizes) - sizes,
            sizes,
            tuple(self.names[one] for one in chosen),
        )

    def followed_by(self, others: Chains) -> Chains:
        """These chains, then the others."""
        return Chains(
            np.concatenate([self.backbone, others.backbone]),
            np.concatenate([self.sequence, others.sequence]),
            np.concatenate([self.dssp, others.dssp]),
            np.concatenate([self.first, len(self.backbone) + others.first]),
            np.concatenate([self.residues, others.residues]),
            self.names + others.names,
        )

    def entries(self) -> np.ndarray:
        """The PDB id of each chain, text [chains]."""
        return np.array([name.partition("_")[0] for name in self.names], str)

    def shares(self, letters: str) -> np.ndarray:
        """The share of each chain's residues with one of these DSSP letters, float64 [chains]."""
        there = np.isin(self.dssp, np.array(list(letters), "S1"))
        return np.array([there[self.rows(index)].mean() for index in range(len(self))])

    def globular(self) -> Chains:
        """The chains that fold by themselves, as far as shape and order tell: compact, and half in helix or strand. A
        third of the short chains of the PDB are not: parts of coiled coils and of larger complexes.
        """
        compact = [
            radius_of_gyration(alpha) <= WIDEST * len(alpha) ** 0.38
            for alpha in (self.backbone[self.rows(index), 1] for index in range(len(self)))
        ]
        return self.take(np.nonzero(np.array(compact, bool) & (self.shares(HELIX + STRAND) >= ORDERED))[0])

    def split(self) -> tuple[Chains, Chains]:
        """(training, test): 300 test chains of PDB entries that training does not have; those that share more than a
        tenth of their 5-mers with any training chain are left out of both.
        """
        entries = self.entries()
        unique = np.unique(entries)
        order = np.random.default_rng(SPLIT_SEED).permutation(len(unique))
        chosen: set[str] = set()
        count = 0
        for entry in unique[order]:
            if count >= TEST:
                break
            chosen.add(str(entry))
            count += int((entries == entry).sum())
        held = np.array([entry in chosen for entry in entries])
        training, test = self.take(np.nonzero(~held)[0]), self.take(np.nonzero(held)[0])
        return training, test.take(np.nonzero(shared_words(test, training) <= MOST_SHARED)[0])


def shared_words(chains: Chains, others: Chains) -> np.ndarray:
    """The largest share of a chain's 5-mers that one of the others has too, float64 [chains]."""
    holders = _holders(others)
    most = np.zeros(len(chains))
    for index in range(len(chains)):
        counts: dict[int, int] = defaultdict(int)
        words = _words(chains, index)
        for word in words:
            for other in holders.get(word, ()):
                counts[other] += 1
        most[index] = max(counts.values(), default=0) / max(1, len(words))
    return most


def given_words(chains: Chains, others: Chains) -> np.ndarray:
    """The largest share of any of the others' 5-mers that a chain has, float64 [chains]: what it gives of them away."""
    holders = _holders(others)
    sizes = np.array([len(_words(others, index)) for index in range(len(others))])
    most = np.zeros(len(chains))
    for index in range(len(chains)):
        held = [other for word in _words(chains, index) for other in holders.get(word, ())]
        if held:
            most[index] = (np.bincount(held, minlength=len(others)) / np.maximum(1, sizes)).max()
    return most


def _holders(chains: Chains) -> dict[bytes, set[int]]:
    """Which chains have each 5-mer."""
    holders: dict[bytes, set[int]] = defaultdict(set)
    for index in range(len(chains)):
        for word in _words(chains, index):
            holders[word].add(index)
    return holders


def _words(chains: Chains, index: int) -> set[bytes]:
    text = chains.sequence[chains.rows(index)].tobytes()
    return {text[start : start + _WORD] for start in range(len(text) - _WORD + 1)}


def load_chains(path: Path | None = None, fewest: int = FEWEST_RESIDUES, most: int = MOST_RESIDUES) -> Chains:
    """All chains of `fewest` to `most` residues without gaps.

    Args:
        path: of structure_db.dat; None for where Debian puts it.
        fewest: residues.
        most: residues.

    Raises:
        FileNotFoundError: when the file is not there; the message says how to get it.
        ValueError: when it is not such a file.
    """
    path = DATABASE if path is None else path
    if not path.is_file():
        raise FileNotFoundError(
            f"The protein structures {path} are not there; install Debian's package with 'apt-get install "
            "promod3-data', or name structure_db.dat with --data."
        )
    everything = _read(path)
    fitting = (everything.residues >= fewest) & (everything.residues <= most)
    chosen = everything.take(np.nonzero(fitting)[0])
    return chosen.take([index for index in range(len(chosen)) if is_whole(chosen.backbone[chosen.rows(index)])])


def load_training_chains(path: Path | None = None, most: int = MOST_RESIDUES) -> Chains:
    """Globular chains to learn from: the training chains of `split`, then the longer ones, up to `most` residues, that
    are of other entries than its test chains and have at most a tenth of the 5-mers of any of them.

    Args:
        path: of structure_db.dat; None for where Debian puts it.
        most: residues.

    Raises:
        FileNotFoundError: when the file is not there; the message says how to get it.
        ValueError: when it is not such a file.
    """
    everything = load_chains(path, most=most).globular()
    short = everything.take(np.nonzero(everything.residues <= MOST_RESIDUES)[0])
    longer = everything.take(np.nonzero(everything.residues > MOST_RESIDUES)[0])
    training, test = short.split()
    held = np.setdiff1d(short.entries(), training.entries())
    apart = ~np.isin(longer.entries(), held) & (given_words(longer, test) <= MOST_SHARED)
    return training.followed_by(longer.take(np.nonzero(apart)[0]))


def is_whole(backbone: np.ndarray) -> bool:
    """Whether a backbone [residues, 4, 3] has no gap: each peptide bond C-N is 1.2 to 1.5 Angstrom long."""
    bonds = np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=1)
    return bool(((bonds > 1.2) & (bonds < 1.5)).all())


def _read(path: Path) -> Chains:
    raw = np.memmap(path, mode="r")
    position = _HEADER

    def number(form: str) -> int:
        nonlocal position
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, raw[position : position + size].tobytes())
        position += size
        return int(value)

    def text() -> str:
        nonlocal position
        length = number("<I")
        position += length
        return raw[position - length : position].tobytes().decode("ascii")

    def array(size: int) -> np.ndarray:
        nonlocal position
        count = number("<Q")
        position += count * size
        if position > len(raw):
            raise ValueError(f"{path} is not ProMod3's structure database, or is cut off.")
        return raw[position - count * size : position]

    try:
        names, first, residues = [], [], []
        for _ in range(number("<Q")):
            names.append(f"{text()}_{text()}")
            first.append(number("<I"))
            residues.append(number("<H"))
            position += 14
        sequence = array(1)
        backbone = array(24)
        for size in (4, 2, 2):
            array(size)
        dssp = array(1)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not ProMod3's structure database, or is cut off.") from error
    return Chains(
        np.asarray(backbone).view("<u2").reshape(-1, 4, 3).astype(np.float32) / 100,
        np.asarray(sequence).view("S1"),
        np.asarray(dssp).view("S1"),
        np.array(first, np.int64),
        np.array(residues, np.int64),
        tuple(names),
    )
