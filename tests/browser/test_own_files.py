"""Files of the user's own in the page: hostile ones end in a sentence, reading can be cancelled, the page goes on."""

import re

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from superdiff_engine.domains.checked import make_recipe

pytestmark = pytest.mark.browser
RECIPE = make_recipe({"domain": "molecules", "experts": [{"model": "molecules"}], "levels": {"steps": 2}, "batch": 1})


def ethanol(extended=False):
    molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=7)
    return Chem.MolToMolBlock(molecule, forceV3000=extended) + "$$$$\n"


def tangle():
    """29 atoms, each bound to each by an aromatic bond: RDKit takes most of a second."""
    pairs = [(first, second) for first in range(1, 30) for second in range(first + 1, 30)]
    lines = ["", "", "", f"{29:3d}{len(pairs):3d}  0  0  0  0  0  0  0  0999 V2000"]
    lines += [f"{k % 5:10.4f}{k // 5:10.4f}{k % 3:10.4f} C   0  0" for k in range(29)]
    return "\n".join([*lines, *(f"{first:3d}{second:3d}  4  0" for first, second in pairs), "M  END", "$$$$", ""])


def give(page, name, content):
    content = content if isinstance(content, bytes) else content.encode("latin-1")
    files = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("input[type=file]").last.set_input_files(files)


def test_hostile_files_leave_the_page_alive(page, studio):
    page.goto(f"{studio}/?recipe={RECIPE.to_link()}")
    page.get_by_text("Molecules of your own").click()
    page.get_by_text("Add missing hydrogens").wait_for()
    give(page, "far.sdf", re.sub(r"(V30 1 C )\S+", r"\g<1>1e308", ethanol(extended=True)))
    page.get_by_text("no places of a molecule").wait_for()
    odd = "\n".join(
        line[:42] + "\xe9\xff 999999" + line[51:] if len(line) > 60 else line for line in ethanol().splitlines()
    )
    give(page, "odd.sdf", odd + "\n> <Na\xefve>\nM\xfcller\n\n$$$$\n" + ethanol().replace(" O ", " Au"))
    page.get_by_text("Molecule 2 is left out").wait_for()
    page.locator("canvas").first.wait_for()
    # Minutes of RDKit: the page says that it reads, stays alive, and reading can be cancelled.
    give(page, "slow.sdf", tangle() * 250)
    page.get_by_text("Reading the file").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("The file was not read: it was cancelled.").wait_for()
    page.get_by_text("Molecule 2 is left out").wait_for()
    for words in ("encountered an error", "Traceback", "Something unexpected"):
        assert not page.get_by_text(words).count()
