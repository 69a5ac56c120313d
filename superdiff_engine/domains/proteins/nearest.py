"""How near the nearest known structure is, as a TM-score: among files of a folder, or as a search of the user's finds.

A folder is compared chain by chain, by tmtools, the TM-score by the length of the backbone in question. That is for
thousands of structures at most; for the whole PDB a user names a search, Foldseek's for instance (van Kempen et al.
2024, doi 10.1038/s41587-023-01773-0):

    foldseek easy-search {structures} /data/pdb {out} {tmp} --alignment-type 1 --format-output query,target,qtmscore

It is called once for many backbones: `{structures}` is a folder of PDB files, `{out}` a file that it writes, a line for
each hit, the first word the file that was asked about, the last the TM-score. A backbone without a hit has nothing
near, TM-score 0.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import SuperDiffError
from ...system.commands import Template
from .files import pdb
from .folding import alpha_of, is_structure
from .measures import tm_score

#: TM-score to the nearest known structure below which a backbone counts as novel.
NOVEL = 0.5


def search_command(text: str) -> Template:
    """The search that a user names; raises SuperDiffError for what is no such command."""
    return Template(text, "the structure search (--search)", ("structures", "out"), ("tmp",))


def reference_files(folder: Path) -> list[Path]:
    """The structures of a folder and of those in it, by name; raises SuperDiffError where there are none."""
    if not folder.is_dir():
        raise SuperDiffError(f"There is no folder {folder}; --references names one of PDB or mmCIF files.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_structure(path))
    if not files:
        raise SuperDiffError(f"The folder {folder} holds no PDB or mmCIF file; --references names one that does.")
    return files


@lru_cache(maxsize=1)
def _references(folder: Path) -> list[np.ndarray]:
    return [alpha_of(path) for path in reference_files(folder)]


def _nearest(folder: Path, alpha: np.ndarray) -> float:
    return max(tm_score(alpha, other) for other in _references(folder))


def nearest_in_folder(backbones: Sequence[np.ndarray], folder: Path, pool: Executor | None = None) -> list[float]:
    """The highest TM-score of each backbone [residues, 4, 3] to the structures of a folder.

    Args:
        backbones: in Angstrom.
        folder: of PDB or mmCIF files.
        pool: of processes that compare side by side; None to compare here.

    Raises:
        SuperDiffError: when the folder holds no structure, or a file of it cannot be read.
    """
    each: Callable[..., Iterator[float]] = map if pool is None else pool.map
    return list(each(_nearest, [folder] * len(backbones), [chain[:, 1] for chain in backbones]))


def nearest_by_search(backbones: Sequence[np.ndarray], command: Template) -> list[float]:
    """The highest TM-score that a search finds for each backbone [residues, 4, 3] in Angstrom; 0 without a hit.

    Raises:
        SuperDiffError: when the command fails, or writes what has no TM-scores.
    """
    if not backbones:
        return []
    with tempfile.TemporaryDirectory() as made:
        structures, out, scratch = (Path(made) / name for name in ("structures", "hits.tsv", "tmp"))
        structures.mkdir()
        scratch.mkdir()
        for number, chain in enumerate(backbones):
            (structures / f"backbone{number:04d}.pdb").write_text(pdb([chain]))
        command.run({"structures": structures, "out": out, "tmp": scratch})
        if not out.is_file():
            raise SuperDiffError(f"{command.role.capitalize()} wrote no file {{out}}; correct the command.")
        lines = [line.split() for line in out.read_text(errors="replace").splitlines() if line.strip()]
    best = [0.0] * len(backbones)
    for words in lines:
        name = Path(words[0]).name.partition(".")[0].partition("_")[0]
        try:
            number, score = int(name.removeprefix("backbone")), float(words[-1])
            best[number] = max(best[number], score)
            right = 0 <= score <= 1
        except (ValueError, IndexError):
            right = False
        if not right:
            raise SuperDiffError(
                f"{command.role.capitalize()} must write the file that was asked about first in a line and a TM-score "
                f"from 0 to 1 last; it wrote '{' '.join(words)[:80]}'."
            )
    return best


def nearest_of(
    backbones: Sequence[np.ndarray], search: Template | None, folder: Path | None, pool: Executor | None = None
) -> list[float]:
    """By the search where there is one, else in the folder; nothing for nothing."""
    if search is not None:
        return nearest_by_search(backbones, search)
    return [] if folder is None else nearest_in_folder(backbones, folder, pool)
