"""Molecules out of an SDF: every record is read, or named with its number and the reason.

What is read comes from strangers: size, records, atoms and time are bounded. This module needs RDKit and numpy only, so
that a process apart (`superdiff_engine.system.sandbox`) is quick to start.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rdkit import Chem, RDLogger, rdBase

from ...errors import SuperDiffError, quoted
from ...system.sandbox import LARGEST_RECIPE, as_text
from .atoms import ELEMENTS, FEWEST_ATOMS, MOST_ATOMS, PAIRS, pair_indices
from .chemistry import BOND_TYPES, verdict_on
from .records import FARTHEST, Record, Refused, mol_block, records, size_sentence

LARGEST_SDF = 8 * 1024 * 1024
MOST_READ = 256
#: Seconds after which no further record is begun.
SECONDS = 15.0
#: Angstrom: atoms closer than this stand in one place; drawings are flat to within the second.
_TOGETHER, _FLAT = 0.1, 1e-3
#: Lengths of bonds in Angstrom, to hydrogen, single and multiple ones between others: drawings have one length for all.
_TO_HYDROGEN, _SINGLE, _MULTIPLE = (0.7, 1.2), (1.08, 1.8), (1.08, 1.46)
_ORDERS = {bond_type: order for order, bond_type in BOND_TYPES.items()}


@dataclass(frozen=True)
class ReadMolecules:
    """Molecules of an SDF as arrays, one row a molecule that was read.

    Attributes:
        elements: indices into ELEMENTS, uint8 [molecules, 29].
        positions: Angstrom, centred, float32 [molecules, 29, 3].
        bonds: orders of the pairs i < j, uint8 [molecules, 406].
        atoms: of each, uint8 [molecules].
        recipe: the first one in the file, JSON; None without one.
        numbers: of the records in the file, counted from 1.
        unplaced: why a molecule has no geometry to be judged by, in a few words; "" where it has one.
        lacking: how many hydrogens each molecule lacks.
        notes: what was left out, is missing or was added, in sentences.
    """

    elements: np.ndarray
    positions: np.ndarray
    bonds: np.ndarray
    atoms: np.ndarray
    recipe: str | None
    numbers: tuple[int, ...] = ()
    unplaced: tuple[str, ...] = ()
    lacking: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def take(self, rows: Sequence[int]) -> ReadMolecules:
        """Some of the molecules, with all notes."""
        chosen: dict[str, Any] = {
            name: getattr(self, name)[list(rows)] for name in ("elements", "positions", "bonds", "atoms")
        }
        for name in ("numbers", "unplaced", "lacking"):
            chosen[name] = tuple(getattr(self, name)[row] for row in rows)
        return replace(self, **chosen)

    def plain(self) -> dict[str, Any]:
        """What JSON can hold; `from_plain` reads it back."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        }

    @classmethod
    def from_plain(cls, found: dict[str, Any]) -> ReadMolecules:
        """Molecules out of the answer of another process, which is checked; raises SuperDiffError."""
        try:
            atoms = np.array(found["atoms"], np.uint8)
            count = len(atoms)
            arrays: dict[str, Any] = {
                "atoms": atoms,
                "elements": np.array(found["elements"], np.uint8).reshape(count, MOST_ATOMS),
                "positions": np.array(found["positions"], np.float32).reshape(count, MOST_ATOMS, 3),
                "bonds": np.array(found["bonds"], np.uint8).reshape(count, PAIRS),
            }
            numbers = tuple(int(number) for number in found["numbers"])
            lacking = tuple(int(number) for number in found["lacking"])
            unplaced, notes = (tuple(as_text(text) for text in found[name]) for name in ("unplaced", "notes"))
            recipe = None if found["recipe"] is None else as_text(found["recipe"], LARGEST_RECIPE)
            right = (
                0 < count <= MOST_READ
                and FEWEST_ATOMS <= atoms.min() <= atoms.max() <= MOST_ATOMS
                and arrays["elements"].max() < len(ELEMENTS)
                and arrays["bonds"].max() <= max(BOND_TYPES)
                and np.abs(arrays["positions"]).max() <= 2 * FARTHEST
                and {len(numbers), len(lacking), len(unplaced)} == {count}
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            right = False
        if not right:
            raise SuperDiffError("This file could not be read: it is no SDF of molecules that the models know.")
        return cls(**arrays, recipe=recipe, numbers=numbers, unplaced=unplaced, lacking=lacking, notes=notes)


def read_sdf(content: bytes, add_hydrogens: bool = False, seconds: float = SECONDS) -> ReadMolecules:
    """Molecules of an SDF. Records that cannot be read are left out and named in the notes.

    Args:
        content: of the file; its records may be V2000 or V3000.
        add_hydrogens: to molecules that lack some and have 3D coordinates, where RDKit puts them.
        seconds: after which records are named instead of read.

    Raises:
        SuperDiffError: with one sentence: empty, too large, too many molecules, or none that can be read and why.
    """
    if len(content) > LARGEST_SDF:
        raise SuperDiffError(f"This SDF is larger than {LARGEST_SDF // 2**20} MB; split it.")
    if not content.strip():
        raise SuperDiffError("This SDF is empty.")
    until = time.monotonic() + seconds
    found: list[_Molecule] = []
    refused: dict[str, list[int]] = {}
    recipe = None
    for record in records(content):
        if record.number > MOST_READ:
            raise SuperDiffError(
                f"This SDF holds more than {MOST_READ} molecules, which is all that is read at a time."
            )
        recipe = record.recipe if recipe is None else recipe
        try:
            if time.monotonic() > until:
                raise Refused(f"was not reached within {seconds:g} seconds; give a file with fewer molecules")
            found.append(_molecule(record, add_hydrogens))
        except Refused as reason:
            refused.setdefault(str(reason), []).append(record.number)
    if not found:
        if not refused:
            raise SuperDiffError("This file holds no molecule in the SDF format.")
        reasons = [_left_out(numbers, reason) for reason, numbers in refused.items()]
        if [len(numbers) for numbers in refused.values()] == [1]:
            reasons = [f"{_who(numbers)} {reason}." for reason, numbers in refused.items()]
        raise SuperDiffError(" ".join(reasons[:3] + ["And more of the kind."] * (len(reasons) > 3)))
    columns = {name: np.stack([getattr(one, name) for one in found]) for name in ("elements", "positions", "bonds")}
    return ReadMolecules(
        **columns,
        atoms=np.array([one.atoms for one in found], np.uint8),
        recipe=recipe,
        numbers=tuple(one.number for one in found),
        unplaced=tuple(one.unplaced for one in found),
        lacking=tuple(one.lacking for one in found),
        notes=tuple(_notes(found, refused)),
    )


def read_plain(content: bytes, add_hydrogens: bool = False, seconds: float = SECONDS) -> dict[str, Any]:
    """`read_sdf` with RDKit's verdicts on what was read, as JSON can hold it, for a process apart.

    Returns:
        the fields of ReadMolecules, and for each molecule valid, smiles and reason as `checks.checked_molecules` has.
    """
    until = time.monotonic() + seconds
    read = read_sdf(content, add_hydrogens, seconds)
    verdicts: list[tuple[bool, str, str]] = []
    for row, count in enumerate(read.atoms):
        if time.monotonic() > until:
            verdicts.append((False, "", f"not judged within {seconds:g} seconds"))
        else:
            square = np.zeros((MOST_ATOMS, MOST_ATOMS), np.uint8)
            square[pair_indices()] = read.bonds[row]
            bonds = (square + square.T)[:count, :count]
            verdict = verdict_on(read.elements[row][:count], read.positions[row][:count], bonds)
            verdicts.append((verdict.valid, verdict.smiles, verdict.reason))
    valid, smiles, reasons = (list(column) for column in zip(*verdicts, strict=True))
    return read.plain() | {"valid": valid, "smiles": smiles, "reason": reasons}


@dataclass(frozen=True)
class _Molecule:
    number: int
    elements: np.ndarray
    positions: np.ndarray
    bonds: np.ndarray
    atoms: int
    unplaced: str
    lacking: int
    added: int
    not_added: str


def _molecule(record: Record, add_hydrogens: bool) -> _Molecule:
    block, code = mol_block(record)
    molecule = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if molecule is None:
        raise Refused(f"is damaged: {_complaint(block)}")
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    if not set(symbols) <= set(ELEMENTS) or any(atom.GetFormalCharge() for atom in molecule.GetAtoms()):
        raise Refused(f"has atoms that the models do not know; they know uncharged {', '.join(ELEMENTS)}")
    try:
        molecule.UpdatePropertyCache(strict=False)
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        right = all(bond.GetBondType() in _ORDERS for bond in molecule.GetBonds())
    except (ValueError, RuntimeError):
        right = False
    if not right:
        raise Refused("has bonds that are not single, double or triple")
    unplaced = _unplaced(molecule, code)
    lacking = sum(atom.GetNumImplicitHs() for atom in molecule.GetAtoms())
    added, not_added = 0, ""
    if lacking and add_hydrogens:
        molecule, not_added = _with_hydrogens(molecule, unplaced)
        added = molecule.GetNumAtoms() - len(symbols)
        lacking -= added
    count = molecule.GetNumAtoms()
    if not FEWEST_ATOMS <= count <= MOST_ATOMS:
        missing = f", and lacks {_hydrogens(lacking)}, which can be added" if lacking and not unplaced else ""
        raise Refused(size_sentence(count) + missing)
    elements, positions = np.zeros(MOST_ATOMS, np.uint8), np.zeros((MOST_ATOMS, 3), np.float32)
    elements[:count] = [ELEMENTS.index(atom.GetSymbol()) for atom in molecule.GetAtoms()]
    places = molecule.GetConformer().GetPositions()
    positions[:count] = places - places.mean(0)
    orders = np.zeros((MOST_ATOMS, MOST_ATOMS), np.uint8)
    for bond in molecule.GetBonds():
        first, second = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        orders[first, second] = _ORDERS[bond.GetBondType()]
    bonds = orders[pair_indices()]
    return _Molecule(record.number, elements, positions, bonds, count, unplaced, lacking, added, not_added)


def _with_hydrogens(molecule: Chem.Mol, unplaced: str) -> tuple[Chem.Mol, str]:
    """(the molecule with all its hydrogens, "") or (the same, why it stays as it is)."""
    if unplaced:
        return molecule, f"there are no 3D coordinates to add them to ({unplaced})"
    whole = Chem.Mol(molecule)
    try:
        Chem.SanitizeMol(whole)
        whole = Chem.AddHs(whole, addCoords=True)
        Chem.Kekulize(whole, clearAromaticFlags=True)
    except (ValueError, RuntimeError):
        return molecule, "RDKit does not understand the bonds"
    if whole.GetNumAtoms() > MOST_ATOMS:
        return molecule, f"with them there would be more than {MOST_ATOMS} atoms"
    if not np.isfinite(whole.GetConformer().GetPositions()).all():
        return molecule, "RDKit finds no places for them"
    return whole, ""


def _unplaced(molecule: Chem.Mol, code: str) -> str:
    """Why a molecule's coordinates are no geometry in three dimensions, in a few words; "" where they are one.

    Args:
        molecule: with one conformer.
        code: "2D" or "3D" as its file says, or "".
    """
    places = molecule.GetConformer().GetPositions()
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    if len(places) > 1 and distances.max() < _TOGETHER:
        return "all atoms are in one place"
    if (distances[np.triu_indices(len(places), 1)] < _TOGETHER).any():
        return "two atoms are in one place"
    crowded = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetDegree() >= 4]
    for index in crowded:
        # Four bonds in a plane: no carbon has them, and drawings of any orientation do.
        around = places[[other.GetIdx() for other in molecule.GetAtomWithIdx(index).GetNeighbors()]] - places[index]
        if np.linalg.svd(around, compute_uv=False)[-1] < _FLAT:
            return "it is a flat drawing"
    if np.ptp(places[:, 2]) > _FLAT:
        return ""
    # Flat molecules exist; their bonds have the lengths of bonds, and hydrogens are nearer than others.
    hydrogens = any(atom.GetAtomicNum() == 1 for atom in molecule.GetAtoms())
    likely = all(
        low <= distances[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] <= high
        for bond in molecule.GetBonds()
        for low, high in [_lengths_of(bond)]
    )
    return "" if likely and (hydrogens or code == "3D") else "it is a flat drawing"


def _lengths_of(bond: Chem.Bond) -> tuple[float, float]:
    if 1 in (bond.GetBeginAtom().GetAtomicNum(), bond.GetEndAtom().GetAtomicNum()):
        return _TO_HYDROGEN
    return _SINGLE if bond.GetBondType() == Chem.BondType.SINGLE else _MULTIPLE


def _complaint(block: str) -> str:
    """What RDKit says of a record that it refuses."""
    said = io.StringIO()
    rdBase.LogToPythonStderr()
    RDLogger.EnableLog("rdApp.error")  # type: ignore[attr-defined]
    try:
        with contextlib.redirect_stderr(said):
            Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    finally:
        rdBase.LogToCppStreams()
        RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    lines = [re.sub(r"^\[[\d:]+\]\s*", "", line).strip() for line in said.getvalue().splitlines()]
    first = next((line for line in lines if line and set(line) != {"*"}), "RDKit cannot read it")
    # The lines that RDKit counts are not those of the file.
    return quoted(re.sub(r"to int on line \d+", "to a whole number", first), 120).rstrip(".")


def _notes(found: Sequence[_Molecule], refused: dict[str, list[int]]) -> list[str]:
    notes = [_left_out(numbers, reason) for reason, numbers in refused.items()]
    flat: dict[str, list[int]] = {}
    kept: dict[str, list[int]] = {}
    for one in found:
        if one.unplaced:
            flat.setdefault(one.unplaced, []).append(one.number)
        if one.not_added:
            kept.setdefault(one.not_added, []).append(one.number)
    notes += [
        f"{_who(numbers)} {_be(numbers)} not scored, for want of 3D coordinates: {why}."
        for why, numbers in flat.items()
    ]
    added = [one for one in found if one.added]
    if added:
        many = _hydrogens(sum(one.added for one in added))
        notes.append(f"{_who([one.number for one in added])}: RDKit added {many}, which the file lacks.")
    notes += [f"{_who(numbers)} {_be(numbers)} left without hydrogens: {why}." for why, numbers in kept.items()]
    lacking = [one for one in found if one.lacking and not one.not_added]
    if lacking:
        many = _hydrogens(sum(one.lacking for one in lacking))
        notes.append(
            f"{_who([one.number for one in lacking])}: {many} missing. The models know molecules with all their "
            "hydrogens; RDKit can add them where there are 3D coordinates."
        )
    return notes


def _left_out(numbers: Sequence[int], reason: str) -> str:
    return f"{_who(numbers)} {_be(numbers)} left out: {'it' if len(numbers) == 1 else 'each'} {reason}."


def _be(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _hydrogens(count: int) -> str:
    return f"{count} hydrogen{'' if count == 1 else 's'}"


def _who(numbers: Sequence[int]) -> str:
    """Such as: Molecule 3; Molecules 3 and 5; Molecules 3, 5, 6 and 40 more."""
    names = [str(number) for number in numbers[:20]]
    more = len(numbers) - len(names)
    last = f"{more} more" if more else names.pop()
    return f"Molecule {last}" if not names else f"Molecules {', '.join(names)} and {last}"
