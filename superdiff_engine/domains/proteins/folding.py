"""Self-consistency: does a sequence that is designed for a backbone fold into that backbone?

For every backbone ProteinMPNN designs sequences, a structure predictor of the user's folds each, and the fold is laid
onto the backbone:

    scRMSD   root-mean-square distance of matched CA after the best superposition, Angstrom
    scTM     TM-score of the fold and the backbone (Zhang and Skolnick 2004)

The best sequence counts. A backbone is designable where scRMSD < 2 Angstrom (Trippe et al. 2022, arXiv 2206.04119;
FrameDiff, arXiv 2302.02277).

The predictor is a command with places for a FASTA file and a folder, `esm-fold -i {fasta} -o {out}` for instance. It is
called once for many sequences, since most of its time goes into loading its network, and writes a file for each, called
as the sequence is, perhaps with more behind it, as `colabfold_batch` does. Sequences and folds are kept: a call that is
stopped is made again for those that lack one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import gemmi
import numpy as np

from ...errors import SuperDiffError
from ...system.commands import Template
from ...system.files import write_whole
from ..superposition import superposed_distance
from . import mpnn
from .measures import tm_score

#: Angstrom of scRMSD below which a backbone counts as designable.
DESIGNABLE = 2.0
#: Endings of files that hold a structure.
STRUCTURES = (".pdb", ".cif", ".ent", ".pdb.gz", ".cif.gz", ".ent.gz")


@dataclass(frozen=True)
class Consistency:
    """Of one backbone: scRMSD in Angstrom and scTM of its best sequence, each the best of all its sequences."""

    rmsd: float
    tm: float

    @property
    def designable(self) -> bool:
        """Whether scRMSD is below 2 Angstrom."""
        return self.rmsd < DESIGNABLE


def folding_command(text: str) -> Template:
    """The structure predictor that a user names.

    Raises:
        SuperDiffError: for what is no such command, and without ProteinMPNN, whose sequences it would fold.
    """
    command = Template(text, "the structure predictor (--folding)", ("fasta", "out"))
    if not mpnn.is_installed():
        raise SuperDiffError(mpnn.MISSING)
    return command


def alpha_of(path: Path) -> np.ndarray:
    """CA of the first protein chain of the first model of a PDB or mmCIF file, float64 [residues, 3] in Angstrom.

    Raises:
        SuperDiffError: when it holds none, or cannot be read.
    """
    try:
        structure = gemmi.read_structure(str(path))
    except (OSError, ValueError, RuntimeError, IndexError):
        raise SuperDiffError(f"{path} is no PDB or mmCIF file that can be read.") from None
    for chain in structure[0] if len(structure) else []:
        # Not calcium, which is called CA as well; of alternate locations the first.
        atoms = [[atom for atom in residue if atom.name == "CA" and atom.element.name == "C"] for residue in chain]
        places = [found[0].pos.tolist() for found in atoms if found]
        if places:
            return np.array(places)
    raise SuperDiffError(f"{path} holds no protein chain (no atoms CA).")


def is_structure(path: Path) -> bool:
    """Whether a file is called as PDB and mmCIF files are."""
    return path.name.lower().endswith(STRUCTURES)


def self_consistency(
    backbones: Sequence[np.ndarray], command: Template, folder: Path, sequences: int = 8, seed: int = 0
) -> list[Consistency]:
    """How well each backbone agrees with the folds of its sequences.

    Args:
        backbones: each [residues, 4, 3] in Angstrom.
        command: with places {fasta} and {out}.
        folder: where sequences and folds are kept, of these backbones and this command only.
        sequences: for each backbone.
        seed: of the sequences.

    Raises:
        SuperDiffError: without ProteinMPNN; where the command fails, or writes no fold for a sequence, or one of
            another length.
    """
    designs = _designs(backbones, folder / "designs.json", sequences, seed)
    folds = folder / "folds"
    folds.mkdir(parents=True, exist_ok=True)
    lengths = {name: len(sequence) for name, sequence in designs.items()}
    # What a stopped call wrote last may be cut off: it is of another length then, and asked for again.
    missing = [name for name, alpha in _folds(folds, lengths).items() if alpha is None or len(alpha) != lengths[name]]
    if missing:
        fasta = folder / "missing.fasta"
        write_whole(fasta, "".join(f">{name}\n{designs[name]}\n" for name in missing).encode())
        command.run({"fasta": fasta, "out": folds})
    found = _folds(folds, lengths)
    lacking = [name for name, alpha in found.items() if alpha is None]
    if lacking:
        raise SuperDiffError(
            f"{command.role.capitalize()} wrote no structure for {len(lacking)} of {len(found)} sequences "
            f"(no file that is called {lacking[0]}.pdb, or begins so, in the folder given as {{out}})."
        )
    agreements = []
    for number, backbone in enumerate(backbones):
        alpha, rmsd, tm = backbone[:, 1].astype(float), [], []
        for name in _names(number, sequences):
            fold = found[name]
            if fold is None or len(fold) != len(alpha):
                have = 0 if fold is None else len(fold)
                raise SuperDiffError(f"{command.role.capitalize()} gave {have} residues for {len(alpha)} ({name}).")
            rmsd.append(superposed_distance(alpha, fold))
            tm.append(tm_score(alpha, fold))
        agreements.append(Consistency(min(rmsd), max(tm)))
    return agreements


def kept_consistency(
    backbones: Sequence[np.ndarray], command: Template, folder: Path, sequences: int = 8, seed: int = 0
) -> list[Consistency]:
    """`self_consistency`, whose result is kept in `folder` and read from there."""
    path = folder / "agreement.json"
    if path.is_file():
        return [Consistency(**one) for one in json.loads(path.read_text())]
    found = self_consistency(backbones, command, folder, sequences, seed)
    write_whole(path, json.dumps([asdict(one) for one in found]).encode())
    return found


def _names(number: int, sequences: int) -> list[str]:
    # Of one width, so that no name is the beginning of another.
    return [f"backbone{number:04d}_design{place:03d}" for place in range(sequences)]


def _designs(backbones: Sequence[np.ndarray], path: Path, sequences: int, seed: int) -> dict[str, str]:
    """Sequences by name; those that are kept are read."""
    if path.is_file():
        kept: dict[str, str] = json.loads(path.read_text())
        return kept
    found = {
        name: one.sequence
        for number, backbone in enumerate(backbones)
        for name, one in zip(
            _names(number, sequences), mpnn.design(backbone, sequences, seed=seed + number), strict=True
        )
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found).encode())
    return found


def _folds(folder: Path, lengths: dict[str, int]) -> dict[str, np.ndarray | None]:
    """CA of the fold of each sequence; None where there is none that can be read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_structure(path))
    found: dict[str, np.ndarray | None] = {}
    for name in lengths:
        # The first of several: relaxed before unrelaxed, rank 1 before the others.
        mine = [path for path in files if path.name.startswith((f"{name}.", f"{name}_"))]
        try:
            found[name] = alpha_of(mine[0]) if mine else None
        except SuperDiffError:
            found[name] = None
    return found
