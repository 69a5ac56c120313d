"""A protein chain out of a PDB or mmCIF file, as Gemmi reads them (Wojdyr 2022), and what was left out of it.

What is read comes from strangers: bytes are bounded, coordinates that are no numbers or out of range count as missing.
This module needs Gemmi and numpy only, so that a process apart (`superdiff_engine.system.sandbox`) is quick to start.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import gemmi
import numpy as np

from ...errors import SuperDiffError
from ...system.sandbox import LARGEST_RECIPE, as_text
from .oxygen import with_oxygen

#: Remark of a PDB file that carries the recipe, in lines of 60 characters of JSON; the category of an mmCIF file.
REMARK = "REMARK 888 "
CATEGORY = "_superdiff_studio"
ATOMS = ("N", "CA", "C", "O")
#: Files larger than this are not read; residues that a chain may have.
LARGEST_FILE = 20 * 1024 * 1024
FEWEST, MOST = 25, 500
#: Angstrom from the origin at most, as PDB files can say; between N, CA and C of a residue; of a peptide bond.
FARTHEST = 1e4
_WITHIN, _PEPTIDE = (0.9, 2.1), (1.2, 1.5)
#: What programs call the O of a last residue.
_OXYGENS = ("O", "OT1", "O1", "OXT")
_BACKBONE = {*ATOMS, *_OXYGENS}
#: The first line that is no comment; the records of a PDB file that are read.
_SOMETHING = re.compile(r"^[^\S\n]*([^\s#].{0,4})", re.MULTILINE)
_RECORD = re.compile(rf"^(?:ATOM|HETATM|TER|MODEL|ENDMDL|END|{REMARK}).*", re.MULTILINE | re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,8}")
#: Blocks that an mmCIF file may have: of many, Gemmi compares the names of all with all.
_MOST_BLOCKS = 1000
#: Columns of mmCIF's table of atoms, each with those that stand in for it.
_COLUMNS = {
    "atom": ("label_atom_id", "auth_atom_id"),
    "chain": ("auth_asym_id", "label_asym_id"),
    "number": ("auth_seq_id", "label_seq_id"),
    "residue": ("label_comp_id", "auth_comp_id"),
    "x": ("Cartn_x",),
    "y": ("Cartn_y",),
    "z": ("Cartn_z",),
    "insertion": ("pdbx_PDB_ins_code",),
    "location": ("label_alt_id",),
    "occupancy": ("occupancy",),
    "group": ("group_PDB",),
    "model": ("pdbx_PDB_model_num",),
}


@dataclass(frozen=True)
class ReadProtein:
    """A chain read from a file: backbone float32 [residues, 4, 3] in Angstrom, one-letter sequence, the recipe in the
    file (or None), and what was left out, in sentences.
    """

    backbone: np.ndarray
    sequence: str
    recipe: str | None
    notes: tuple[str, ...]

    def take(self, rows: Sequence[int]) -> ReadProtein:
        """The same: a file gives one chain."""
        return self

    def plain(self) -> dict[str, Any]:
        """What JSON can hold; `from_plain` reads it back."""
        rest = {"sequence": self.sequence, "recipe": self.recipe, "notes": self.notes}
        return {"backbone": self.backbone.tolist()} | rest

    @classmethod
    def from_plain(cls, found: dict[str, Any]) -> ReadProtein:
        """A chain out of the answer of another process, which is checked; raises SuperDiffError."""
        try:
            backbone = np.array(found["backbone"], np.float32).reshape(-1, len(ATOMS), 3)
            sequence, recipe = str(found["sequence"]), found["recipe"]
            notes = tuple(as_text(note) for note in found["notes"])
            recipe = None if recipe is None else as_text(recipe, LARGEST_RECIPE)
            right = (
                FEWEST <= len(backbone) <= MOST
                and bool((np.abs(backbone) <= 2 * FARTHEST).all())
                and len(sequence) == len(backbone)
                and sequence.isascii()
                and sequence.isalpha()
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            right = False
        if not right:
            raise SuperDiffError("This file could not be read: it holds no protein chain that the models judge.")
        return cls(backbone, sequence, recipe, notes)


def read_plain(content: bytes) -> dict[str, Any]:
    """`read_protein` as JSON can hold it, for a process apart."""
    return read_protein(content).plain()


def read_protein(content: bytes) -> ReadProtein:
    """The first protein chain of the first model of a PDB or mmCIF file.

    Of alternate locations and residues the one with the highest occupancy is taken. O is placed where there is none.

    Raises:
        SuperDiffError: with one sentence: empty, too large, no such file, no backbone, too short or too long.
    """
    if not content.strip():
        raise SuperDiffError("This file is empty; give a PDB or mmCIF file of a protein.")
    if len(content) > LARGEST_FILE:
        raise SuperDiffError(f"This file is larger than {LARGEST_FILE // 1024**2} MiB; give one chain of it.")
    text = _ascii(content)
    try:
        all_chains, models, recipe = _from_cif(text) if _is_cif(text) else _from_pdb(text)
    except (ValueError, RuntimeError, IndexError) as error:
        why = " ".join(str(error).removeprefix("string:").split())[:120].rstrip(".")
        raise SuperDiffError(f"This file is neither PDB nor mmCIF, or it is damaged: {why}.") from None
    notes: list[str] = []
    if not all_chains:
        raise SuperDiffError("This file holds no atoms; give a PDB or mmCIF file of a protein.")
    if models > 1:
        notes.append(f"Only the first of its {models} models is taken.")
    chains = [chain for chain in all_chains if any(_backbone_of([residue]) for residue in chain)]
    if not chains:
        raise SuperDiffError("This file has no residue with a whole backbone (atoms N, CA and C).")
    if len(chains) > 1:
        notes.append(f"Only the first of its {len(chains)} chains is taken.")
    backbone, sequence = _unbroken(*_chain(chains[0], notes), notes)
    if not FEWEST <= len(backbone) <= MOST:
        raise SuperDiffError(
            f"This chain has {len(backbone)} residues in one piece; the models judge {FEWEST} to {MOST}. "
            f"{' '.join(notes)}".rstrip()
        )
    lacking = int(np.isnan(backbone[:, 3]).any(1).sum())
    if lacking:
        backbone = with_oxygen(backbone)
        notes.append(f"{lacking} residues have no O: it is put in the plane of the peptide bond.")
    return ReadProtein(backbone, sequence, recipe, tuple(dict.fromkeys(notes)))


def _ascii(content: bytes) -> str:
    """Text in which every character is one byte, so that the columns of a PDB file stay where they are."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
    return text if text.isascii() else re.sub(r"[^\x00-\x7f]", "?", text)


def _is_cif(text: str) -> bool:
    if "\n_atom_site." in text:
        return True
    first = _SOMETHING.search(text)
    return first is not None and first[1].lower() == "data_"


def _from_cif(text: str) -> tuple[list[list[gemmi.Residue]], int, str | None]:
    """(residues of each chain of the first model, how many models there are, the recipe) of the first block with atoms.

    Only the atoms of a backbone are taken, by the authors' chains and numbers where there are any.
    """
    if text.lower().count("\ndata_") > _MOST_BLOCKS:
        raise SuperDiffError(f"This mmCIF file has more than {_MOST_BLOCKS} data blocks; give that of one structure.")
    document = gemmi.cif.read_string(text)
    block = next((block for block in document if len(block.find_values("_atom_site.Cartn_x"))), document[0])
    found = block.find_value(f"{CATEGORY}.recipe")
    recipe = gemmi.cif.as_string(found).replace("\n", "")[:LARGEST_RECIPE] if found else None
    columns: dict[str, list[str]] = {}
    for name, choices in _COLUMNS.items():
        values = next((values for tag in choices if len(values := block.find_values(f"_atom_site.{tag}"))), None)
        if values is not None:
            columns[name] = [gemmi.cif.as_string(value) for value in values]
    if not {"atom", "chain", "number", "x", "y", "z"} <= set(columns):
        return [], 0, recipe
    count = len(columns["x"])
    blank = [""] * count
    models = columns.get("model", blank)
    chains: dict[str, list[gemmi.Residue]] = {}
    place: tuple[str, ...] = ()
    here: dict[str, gemmi.Residue] = {}
    for row in zip(*(columns.get(name, blank) for name in _COLUMNS), strict=True):
        atom, chain, number, residue, x, y, z, insertion, location, occupancy, group, model = row
        if model != models[0]:
            continue
        residues = chains.setdefault(chain, [])
        if place != (chain, number, insertion):
            place, here = (chain, number, insertion), {}
        if residue not in here:
            made = gemmi.Residue()
            made.name, made.het_flag = residue, "H" if group.upper().startswith("H") else "A"
            if _INTEGER.fullmatch(number):
                made.seqid = gemmi.SeqId(f"{int(number)}{insertion[:1]}")
            here[residue] = made
            residues.append(made)
        if atom.upper() in _BACKBONE:
            one = gemmi.Atom()
            one.name, one.altloc, one.occ = atom, location[:1] or "\0", _number(occupancy, 1.0)
            one.pos = gemmi.Position(*(_number(value) for value in (x, y, z)))
            here[residue].add_atom(one)
    return list(chains.values()), len(set(models)), recipe


def _number(text: str, otherwise: float = math.nan) -> float:
    """A number of an mmCIF file, which may have its uncertainty behind it, as in 1.25(3)."""
    try:
        return float(text.partition("(")[0])
    except ValueError:
        return otherwise


def _from_pdb(text: str) -> tuple[list[list[gemmi.Residue]], int, str | None]:
    """Likewise of a PDB file, of whose records only atoms of the first model are given to Gemmi: it refuses a file for
    any odd one, and reads what is no number as zero.
    """
    lines, recipe, models, over = [], [], 0, False
    for found in _RECORD.finditer(text):
        line = found[0]
        kind = line[:6].upper().rstrip()
        if kind in ("ATOM", "HETATM"):
            if not over:
                lines.append(_with_numbers(kind.ljust(6) + line[6:].rstrip()))
        elif kind == "TER" and not over:
            lines.append("TER")
        elif kind[:5] == "MODEL":
            models += 1
            over = over or bool(lines)
        elif kind in ("ENDMDL", "END"):
            over = over or bool(lines)
        elif line.startswith(REMARK):
            recipe.append(line[len(REMARK) :])
    structure = gemmi.read_pdb_string("\n".join([*lines, "END", ""]))
    chains = [list(chain) for chain in structure[0]] if len(structure) else []
    return chains, models, "".join(recipe)[:LARGEST_RECIPE] or None


def _with_numbers(line: str) -> str:
    """A line of an atom up to its element, with "nan" for coordinates that are no numbers."""
    line = line[:78]
    try:
        right = all(math.isfinite(float(line[start : start + 8])) for start in (30, 38, 46))
    except ValueError:
        right = False
    return line.ljust(54) if right else f"{line[:30].ljust(30)}{'nan':>8}{'nan':>8}{'nan':>8}{line[54:]}"


def _chain(chain: list[gemmi.Residue], notes: list[str]) -> tuple[np.ndarray, str, list[str]]:
    """Atoms, sequence and numbers of a chain's residues that have a backbone; O is NaN where it has none."""
    points, letters, numbers, left = [], [], [], 0
    for _, group in groupby(chain, lambda residue: str(residue.seqid)):
        residues = list(group)
        found = _backbone_of(residues)
        if found is None:
            # Ligands and water have none, and are no part of the chain.
            left += any(
                residue.het_flag != "H" or {"N", "CA", "C"} <= {atom.name.upper() for atom in residue}
                for residue in residues
            )
            continue
        residue, places, alternate = found
        if alternate:
            notes.append("Of alternate locations the one with the highest occupancy is taken.")
        known = gemmi.find_tabulated_residue(residue.name.upper())
        letter = known.one_letter_code.upper() if known is not None and known.is_amino_acid() else "X"
        if known is None or not known.is_standard():
            notes.append("Residues that are not of the standard twenty are taken by their backbone.")
        points.append(places)
        letters.append(letter if letter.isalpha() else "X")
        numbers.append(str(residue.seqid))
    if left:
        notes.append(f"{left} residues without a whole backbone are left out.")
    return np.array(points, np.float32), "".join(letters), numbers


def _backbone_of(residues: list[gemmi.Residue]) -> tuple[gemmi.Residue, list[list[float]], bool] | None:
    """(residue, N, CA, C and O in Angstrom, whether there was a choice) of residues that share one place in the chain;
    None where none of them has a backbone.
    """
    best: tuple[gemmi.Residue, list[list[float]], bool] | None = None
    most, choices = -1.0, 0
    for residue in residues:
        atoms: dict[str, list[gemmi.Atom]] = {}
        for atom in residue:
            if all(abs(place) < FARTHEST for place in atom.pos.tolist()):
                atoms.setdefault(atom.name.upper(), []).append(atom)
        if not all(name in atoms for name in ATOMS[:3]):
            continue
        for label in dict.fromkeys(atom.altloc for name in ATOMS[:3] for atom in atoms[name]):
            # What this location does not have it shares with the others.
            taken = [_at(atoms[name], label) for name in ATOMS[:3]]
            occupancy = sum(atom.occ for atom in taken if atom.altloc == label)
            occupancy /= sum(atom.altloc == label for atom in taken)
            places = [atom.pos.tolist() for atom in taken]
            if not _bonded(np.array(places)):
                continue
            choices += 1
            if occupancy > most:
                oxygen = next(
                    (_at(atoms[name], label).pos.tolist() for name in _OXYGENS if name in atoms), [math.nan] * 3
                )
                best, most = (residue, [*places, oxygen], False), occupancy
    return None if best is None else (best[0], best[1], choices > 1)


def _at(atoms: list[gemmi.Atom], label: str) -> gemmi.Atom:
    """Of the alternatives of one atom the one with this label, else the one with the highest occupancy."""
    return next((atom for atom in atoms if atom.altloc == label), None) or max(atoms, key=lambda atom: atom.occ)


def _bonded(places: np.ndarray) -> bool:
    """Whether N, CA, C [3, 3] are as far apart as bonded atoms, and not in one line, so that they make a frame."""
    towards, away = places[0] - places[1], places[2] - places[1]
    lengths = np.linalg.norm([towards, away], axis=1)
    if not all(_WITHIN[0] < length < _WITHIN[1] for length in lengths):
        return False
    return bool(abs(towards.dot(away)) < 0.97 * lengths.prod())


def _unbroken(backbone: np.ndarray, sequence: str, numbers: list[str], notes: list[str]) -> tuple[np.ndarray, str]:
    """The longest stretch without a gap: each peptide bond C-N is 1.2 to 1.5 Angstrom long."""
    bonds = np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=1)
    ends = [0, *(np.nonzero((bonds <= _PEPTIDE[0]) | (bonds >= _PEPTIDE[1]))[0] + 1), len(backbone)]
    start, stop = max(pairwise(ends), key=lambda span: span[1] - span[0])
    if stop - start < len(backbone):
        span = f"residues {numbers[start]} to {numbers[stop - 1]}"
        notes.append(f"The chain has gaps; its longest unbroken stretch, {span}, is taken.")
    return backbone[start:stop], sequence[start:stop]
