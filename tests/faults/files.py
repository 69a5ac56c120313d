"""Mutated files of every kind that the studio reads: each gives samples or a recipe that keep their promises, or one
sentence, within bounds of seconds and memory.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import gemmi
import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

from studio.form.upload import recipe_from_file
from studio.views.molecules import OWN as MOLECULES
from studio.views.proteins import OWN as PROTEINS
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.molecules.files import sdf
from superdiff_engine.domains.proteins.files import mmcif, pdb, structure_of
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.runs.formats import samples_npz
from superdiff_engine.runs.run import Run
from superdiff_engine.system.sandbox import read_apart

from .ledger import Broken, Ledger, check_sentence, walk
from .mutate import generator, mutate_bytes, mutate_document, mutate_lines

#: Of so many cases one is read in a process of its own, as the studio does; the others in the harness's.
APART = 200
#: Letters of what is said about a file: several records may each have their reason.
LONGEST = 600
_SMILES = ["CCO", "c1ccccc1", "C1CC1N", "CC(=O)O", "C#N", "O=CC(F)(F)F", "c1cnc[nH]1", "CN(C)C=O", "[NH4+]", "CCCCCC"]
_PARTS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def _result(domain: str, **changes: Any) -> Result:
    document = next(iter(get_domain(domain).examples().values())).model_dump(mode="json")
    run = Run(make_recipe(document | {"batch": 2, "levels": {"steps": 3}} | changes), previews=domain == "plane")
    result = run.execute()
    assert result is not None
    return result


@cache
def molecules() -> list[bytes]:
    """SDF of RDKit's, with hydrogens and without, flat and in three dimensions, V2000 and V3000; and of our own."""
    found = [sdf(_result("molecules", batch=4))]
    for place in range(0, len(_SMILES), 3):
        records = []
        for number, smiles in enumerate(_SMILES[place : place + 5]):
            molecule = Chem.MolFromSmiles(smiles)
            if number != 3:
                molecule = Chem.AddHs(molecule)
            if number == 4:
                AllChem.Compute2DCoords(molecule)
            else:
                AllChem.EmbedMolecule(molecule, randomSeed=1)
            block = Chem.MolToMolBlock(molecule, forceV3000=number == 2)
            records.append(f"{block}>  <name>\n{smiles}\n\n>  <logP>\n1.5\n\n$$$$\n")
        found.append("".join(records))
    return [text.encode() for text in found]


def helix(residues: int, phi: float, psi: float) -> np.ndarray:
    """A backbone [residues, 4, 3] in Angstrom of ideal bonds and two angles, in degrees."""
    # Of N, CA, C: the length of the bond to the atom before, the angle there, the turn about the bond before that.
    bonds = [(1.33, 116.6, psi), (1.46, 121.7, 180.0), (1.52, 111.0, phi)]
    atoms = [np.array([0.0, 1.4, 0.0]), np.zeros(3), np.array([1.52, 0.0, 0.0])]
    while len(atoms) < 3 * residues + 1:
        length, angle, turn = bonds[len(atoms) % 3]
        angle, turn = np.radians(180 - angle), np.radians(turn)
        along = (atoms[-1] - atoms[-2]) / np.linalg.norm(atoms[-1] - atoms[-2])
        normal = np.cross(atoms[-2] - atoms[-3], along)
        normal /= np.linalg.norm(normal)
        across = np.cross(normal, along)
        towards = np.cos(angle) * along + np.sin(angle) * (np.cos(turn) * across + np.sin(turn) * normal)
        atoms.append(atoms[-1] + length * towards)
    chain = np.stack(atoms[: 3 * residues]).reshape(residues, 3, 3)
    following = np.stack(atoms[3 : 3 * residues + 1 : 3])
    middle = (chain[:, 1] + following) / 2 - chain[:, 2]
    oxygen = chain[:, 2] - 1.23 * middle / np.linalg.norm(middle, axis=1, keepdims=True)
    return np.concatenate([chain, oxygen[:, None]], axis=1).astype(np.float32)


@cache
def proteins() -> list[gemmi.Structure]:
    """Structures of Gemmi's: chains of two kinds, several chains and models, water, other residues and locations."""
    alpha, beta = helix(60, -57, -47), helix(45, -120, 130)
    plain = structure_of([alpha])
    several = structure_of([beta, beta + 5])
    other = gemmi.Chain("B")
    for residue in structure_of([alpha + 40])[0][0]:
        residue.name = gemmi.expand_one_letter("ACDEFGHIKLMNPQRSTVWY"[residue.seqid.num % 20], gemmi.ResidueKind.AA)
        other.add_residue(residue)
    water = gemmi.Residue()
    water.name, water.seqid, water.het_flag = "HOH", gemmi.SeqId(301, " "), "H"
    atom = gemmi.Atom()
    atom.name, atom.element = "O", gemmi.Element("O")
    water.add_atom(atom)
    other.add_residue(water)
    several[0].add_chain(other)
    odd = structure_of([alpha])
    for place, residue in enumerate(odd[0][0]):
        if place % 20 == 3:
            residue.name = "MSE"
        if place % 10 == 0:
            for atom in residue:
                atom.altloc, atom.occ = "A", 0.4
        if place > 50:
            residue.remove_atom("O", "\0", gemmi.Element("O"))
    return [plain, several, odd]


def _texts(kind: str) -> list[bytes]:
    recipe = make_recipe({"domain": "proteins", "experts": [{"model": "proteins"}], "seed": 5})
    if kind == "pdb":
        return [pdb([helix(40, -57, -47)], recipe).encode(), *(one.make_pdb_string().encode() for one in proteins())]
    found = [mmcif(helix(40, -57, -47), recipe)]
    return [text.encode() for text in found + [one.make_mmcif_document().as_string() for one in proteins()]]


@cache
def results() -> list[Result]:
    """Finished runs of the plane and of pictures."""
    return [_result("plane"), _result("plane", seed=3, operator={"name": "or", "bias": [0, 1]}), _result("pictures")]


@cache
def bases(kind: str) -> list[bytes]:
    """Files that are right."""
    if kind == "sdf":
        return molecules()
    if kind in ("pdb", "cif"):
        return _texts(kind)
    if kind == "npz":
        return [samples_npz(result) for result in results()]
    return [png for one in results() if (png := get_domain(one.recipe.domain).preview_png(one)) is not None]


def content_of(kind: str, seed: int, number: int) -> bytes:
    """The mutated file of a case."""
    rng = generator(seed, number)
    content = rng.choice(bases(kind))
    odd = rng.randrange(100)
    if odd == 0:
        return rng.choice([b"", b" \n" * 9, b"\0" * 1000, rng.randbytes(3000), b"$$$$\n" * 999, b"data_a\n" * 9999])
    if odd == 1:
        return rng.choice(bases(rng.choice(["sdf", "pdb", "cif", "npz", "png"])))
    if kind in ("npz", "png"):
        if odd < 40:
            return mutate_bytes(rng, content)
        return (_npz if kind == "npz" else _png)(rng, content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        content = mutate_lines(rng, content) if rng.random() < 0.85 else mutate_bytes(rng, content)
    return content


def _npz(rng: random.Random, content: bytes) -> bytes:
    """Members changed, renamed, doubled, packed in another way, or unpacking to far more than they should."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place = rng.choice([index for index, (name, _) in enumerate(members) if name == "recipe.npy" or rng.random() < 0.2])
    name, body = members[place]
    kind = rng.randrange(7)
    if kind == 0:
        body = mutate_bytes(rng, body)
    elif kind == 1:
        name = rng.choice(["recipe.npy", "../recipe.npy", "recipe", "x" * 3000, "recipe.npy\0"])
    elif kind == 2:
        body = body[:10] + rng.choice([b"\0", b" ", b"\xff", b"["]) * rng.choice([1, 500, 10**4, 2 * 10**7])
    elif kind == 3:
        header = b"{'descr': '<U9', 'fortran_order': False, 'shape': (), }\n"
        changed = rng.choice([header, header.replace(b"()", b"(10**9,)"), header.replace(b"<U9", b"|O"), b"(" * 900])
        body = b"\x93NUMPY\x01\0" + struct.pack("<H", rng.choice([len(changed), 65_535, 0])) + changed + body[128:]
    elif kind == 4:
        text = json.dumps(mutate_document(rng, json.loads(results()[0].recipe.to_json()), [1.0]))
        body = body[:128] + text.encode("utf-32-le", "surrogatepass")
    if kind == 5:
        members.insert(rng.randrange(len(members) + 1), (name, mutate_bytes(rng, body)))
    members[place] = (name, body)
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", rng.choice(_PARTS)) as archive:
        warnings.simplefilter("ignore")  # doubled names
        for name, body in members:
            archive.writestr(name, body)
    return mutate_bytes(rng, packed.getvalue()) if kind == 6 else packed.getvalue()


def _png(rng: random.Random, content: bytes) -> bytes:
    """Chunks changed, left out, doubled, moved, of another kind, or unpacking to far more than they should."""
    chunks, position = [], 8
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunks.append((kind, content[position + 8 : position + 8 + length]))
        position += 12 + length
    texts = [index for index, (kind, _) in enumerate(chunks) if kind in (b"tEXt", b"zTXt", b"iTXt")]
    place = rng.choice(texts) if rng.random() < 0.8 else rng.randrange(len(chunks))
    kind, body = chunks[place]
    keyword, _, text = body.partition(b"\0")
    packed = zlib.compress(rng.choice([text, text, b" " * 10**7, mutate_bytes(rng, text)]))
    choices = [
        (kind, mutate_bytes(rng, body)),
        (b"zTXt", keyword + b"\0\0" + packed),
        (b"zTXt", keyword + b"\0\0" + mutate_bytes(rng, packed)),
        (b"iTXt", keyword + b"\0\1\0en\0\0" + packed),
        (b"iTXt", keyword + b"\0\0\0" + mutate_bytes(rng, b"en\0\0" + text)),
        (rng.choice([b"tEXt", b"zTXt", b"iTXt", b"IDAT", rng.randbytes(4)]), body),
    ]
    chunks[place] = rng.choice(choices)
    if rng.random() < 0.2:
        rng.shuffle(chunks)
    if rng.random() < 0.2:
        chunks.insert(0, rng.choice(choices))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    if rng.random() < 0.2:
        forged = rng.randrange(len(parts))
        parts[forged] = struct.pack(">I", rng.choice([0, 1, 2**31 - 1, 2**32 - 1])) + parts[forged][4:]
    return content[:8] + b"".join(parts)


def check_molecules(given: Any, content: bytes) -> str:
    """Every record is read or named, and every number of a molecule is finite."""
    read = list(given.numbers)
    named = sum(_named(note) for note in given.notes if " left out: " in note)
    least, most = count_records(content)
    if not least <= len(read) + named <= most:
        raise Broken(f"{len(read)} records read and {named} named, of {least} to {most}")
    if not np.isfinite(given.positions).all() or len(set(read)) != len(read):
        raise Broken("coordinates that are not finite, or records that are counted twice")
    return "all read" if not named else "some records read, the others named"


def _named(note: str) -> int:
    """How many molecules a note names: "Molecules 3, 5 and 40 more are left out: ..."."""
    names = note.split(" left out: ")[0]
    more = re.search(r"(\d+) more", names)
    return len(re.findall(r"\d+", names)) + (int(more[1]) - 1 if more else 0)


def count_records(content: bytes) -> tuple[int, int]:
    """How many records an SDF has: at least what ends in $$$$, and what is left after the last one if it is not blank;
    at most one more for every line of counts, since ends may be missing.
    """
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = content.decode("utf-16" if wide else "latin-1", "replace").replace("\r\n", "\n").replace("\r", "\n")
    *ended, rest = re.split(r"(?m)^\$\$\$\$.*$", text.removeprefix("ï»¿"))
    least = len(ended) + bool(rest.strip("\n\t \x1a\0\x0b\x0c"))
    return least, least + len(re.findall(r"(?mi)V[23]000\s*$", text))


def check_protein(given: Any, content: bytes) -> str:
    """A chain of finite coordinates, with a letter for each residue and bonds of a length."""
    if not np.isfinite(given.backbone).all() or given.backbone.shape != (len(given.sequence), 4, 3):
        raise Broken("coordinates that are not finite, or not one residue a letter")
    gaps = np.linalg.norm(given.backbone[1:, 0] - given.backbone[:-1, 2], axis=1)
    if ((gaps < 1.1) | (gaps > 1.6)).any():
        raise Broken("a chain with gaps")
    return "a whole chain" if not given.notes else "a chain, and what was left out"


CHECKS: dict[str, tuple[Any, Callable[[Any, bytes], str]]] = {
    "sdf": (MOLECULES, check_molecules),
    "pdb": (PROTEINS, check_protein),
    "cif": (PROTEINS, check_protein),
}


def check_file(kind: str, seed: int, number: int) -> str:
    """What comes of the file of a case, in a few words."""
    content = content_of(kind, seed, number)
    try:
        if kind not in CHECKS:
            return _check_recipe(recipe_from_file(content))
        own, promises = CHECKS[kind]
        if number % APART == 0:
            answer = read_apart(own.reader, content)
        else:
            module, _, function = own.reader.partition(":")
            answer = json.loads(json.dumps(getattr(import_module(module), function)(content), allow_nan=False))
        given, found = own.take(answer)
        for name, values in found.arrays().items():
            if values.dtype.kind == "f" and not np.isfinite(values).all() and name != "properties":
                raise Broken(f"{name} is not finite")
        for note in given.notes:
            check_sentence(note, LONGEST)
        return promises(given, content)
    except SuperDiffError as error:
        check_sentence(str(error), LONGEST)
        return "a sentence"


def _check_recipe(recipe: Recipe) -> str:
    if parse_recipe(recipe.to_json()) != recipe:
        raise Broken("the recipe comes back changed")
    return "a recipe"


def check(kind: str, seed: int, numbers: list[int], command: str) -> list[Ledger]:
    """All cases of one kind."""
    bases(kind), bases("npz"), bases("sdf"), bases("pdb")  # before processes are forked
    ledger = Ledger(f"files, {kind}", command)
    return [walk(ledger, numbers, lambda number: check_file(kind, seed, number), limit=40, memory=512)]
