"""The domain: recipes, a run from recipe to proteins, what is measured of them, files out and in again."""

import io
import zipfile
from dataclasses import replace

import gemmi
import numpy as np
import pytest
import torch
from tiny_proteins import whole_helix

from superdiff_engine import estimate_log_density, karras_levels
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.proteins import checks, drawing, files
from superdiff_engine.domains.proteins.mpnn import Design
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.recipes.document import CorrectionRecipe
from superdiff_engine.runs.run import Run
from superdiff_engine.sampling import Step

pytestmark = pytest.mark.usefixtures("assets")


def recipe(*models, **fields):
    document = {
        "domain": "proteins",
        "experts": [{"model": model} for model in models or ("proteins_alpha", "proteins_beta")],
        "levels": {"steps": 4},
        "solver": "ancestral",
        "batch": 3,
        "residues": 40,
    }
    return make_recipe(document | fields)


def test_a_run_makes_chains_of_the_length_asked_for_and_weighs_components_apart_if_asked():
    result = Run(recipe(operator={"name": "and"})).execute()
    assert result.decoded.residues.tolist() == [40] * 3 and result.decoded.backbone.shape == (3, 40, 4, 3)
    assert np.isfinite(result.log_density).all() and np.isfinite(result.decoded.backbone).all()
    centre = result.samples["positions"].mean(1)
    assert np.abs(centre).max() < 1e-4
    turned = result.samples["rotations"]
    assert np.abs(turned @ turned.swapaxes(-1, -2) - np.eye(3)).max() < 1e-4
    apart = Run(recipe(operator={"name": "and"}, per_component=True)).execute()
    assert not np.allclose(apart.samples["positions"], result.samples["positions"])
    again = Run(recipe(operator={"name": "and"})).execute()
    assert np.array_equal(again.samples["rotations"], result.samples["rotations"])


def test_lengths_are_drawn_from_the_models_data_and_padding_stays_still():
    result = Run(recipe(operator={"name": "or"}, residues=None, batch=12)).execute()
    assert set(result.decoded.residues) == {40, 44}
    for row, length in enumerate(result.decoded.residues):
        assert not result.samples["positions"][row, length:].any()
        assert (result.samples["rotations"][row, length:] == np.eye(3)).all()
        assert not result.decoded.backbone[row, length:].any()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"residues": 20}, "residues"),
        ({"residues": 501}, "residues"),
        ({"atoms": 9}, "number of atoms"),
        ({"dtype": "float16"}, "bfloat16"),
        ({"experts": [{"model": "proteins_alpha", "prompt": "a helix"}]}, "none"),
        ({"operator": {"name": "coin_flip"}, "per_component": True}, "coin flip"),
    ],
)
def test_bad_recipes_are_one_sentence(fields, words):
    with pytest.raises(RecipeError, match=words) as caught:
        recipe(**fields)
    assert "\n" not in str(caught.value)


def test_weights_by_component_need_components():
    with pytest.raises(RecipeError, match="one component"):
        make_recipe({"domain": "plane", "experts": [{"model": "overlap_a"}], "per_component": True})
    with pytest.raises(RecipeError, match="number of residues"):
        make_recipe({"domain": "plane", "experts": [{"model": "overlap_a"}], "residues": 60})


@pytest.mark.parametrize(("level", "radius"), [(40.0, (11, 14)), (0.05, (0, 0.1))])
def test_the_preview_is_a_cloud_of_a_proteins_size_that_settles(level, radius):
    """A denoised mean in one point: what is seen is the noise, at first as wide as a protein, at last nothing."""
    domain = get_domain("proteins")
    prepared = domain.prepare(recipe(batch=8, residues=80), "cpu")
    noise = torch.randn(8, 80, 3, generator=torch.Generator().manual_seed(0))
    turned = torch.eye(3).expand(8, 80, 3, 3)
    samples = {"positions": level * (noise - noise.mean(1, keepdim=True)), "rotations": turned}
    denoised = {"positions": torch.zeros(8, 80, 3), "rotations": turned}
    step = Step(0, level, samples, denoised, torch.zeros(2, 8), torch.full((2, 8), 0.5), {}, {})
    shown = domain.preview(step, prepared.experts, 4)
    assert shown.backbone.shape == (4, 80, 4, 3)
    radii = [checks.radius_of_gyration(chain[:, 1]) for chain in shown.backbone]
    assert radius[0] <= min(radii) and max(radii) <= radius[1]


def test_log_densities_of_turned_and_shifted_chains_are_the_same():
    """The same noise, turned with the chain, gives the same estimate: what is left is rounding."""
    domain = get_domain("proteins")
    chain = torch.from_numpy(whole_helix(40))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn)
    values = []
    for points in (chain, chain @ turn.T + 5):
        given = files.ReadProtein(points.numpy(), "G" * 40, None, ())
        experts, state, lowest = domain.place(recipe(), given, "cpu")
        levels = domain.component_levels(karras_levels(20, domain.level_range(experts)[1], lowest), experts)
        values.append(estimate_log_density(experts, state, levels, paths=16, seed=0))
    difference = [value.mean[0, 0] - value.mean[1, 0] for value in values]
    error = max(float((value.paths[:, 0, 0] - value.paths[:, 1, 0]).std() / 4) for value in values)
    assert abs(float(difference[0] - difference[1])) < 4 * error
    assert abs(float(difference[0])) > 0


def test_a_helix_is_seen_as_one_and_measured():
    chain = whole_helix(30)
    assert checks.secondary_structure(chain).count("H") >= 26
    phi, psi = checks.torsions(chain)
    assert np.nanmedian(phi) == pytest.approx(-60, abs=8) and np.nanmedian(psi) == pytest.approx(-47, abs=8)
    assert np.isnan(phi[0]) and np.isnan(psi[-1]) and np.isfinite(phi[1:]).all()
    alpha = chain[:, 1]
    assert checks.bond_share(alpha) == 1 and checks.clash_share(alpha) == 0
    squeezed = alpha * 0.5
    assert checks.bond_share(squeezed) == 0 and checks.clash_share(squeezed) > 0.05
    rod = np.stack([np.zeros(50), np.zeros(50), np.linspace(0, 12, 50)], 1)
    assert checks.radius_of_gyration(rod) == pytest.approx(12 / np.sqrt(12), rel=0.03)
    assert np.array_equal(checks.contact_map(rod), checks.contact_map(rod).T)


def test_a_mirror_image_is_never_drawn():
    chain = whole_helix(30)[:, 1]
    seen = drawing.project(chain)
    a, b, c = (np.diff(seen, axis=0)[k : 27 + k] for k in range(3))
    assert (np.einsum("ij,ij->i", np.cross(a, b), c) > 0).all()  # right-handed, as the helix is
    picture = np.asarray(drawing.depict(whole_helix(30), "H" * 30))
    assert picture.shape == (220, 220, 4) and 0.02 < (picture[..., 3] > 0).mean() < 0.6


def result_of_a_run():
    """A run's result with helices in the place of what random weights draw, which is full of gaps."""
    result = Run(recipe(operator={"name": "or"})).execute()
    chains = torch.from_numpy(np.stack([whole_helix(40) + 3 * row for row in range(3)]))
    return replace(result, decoded=checks.checked_proteins(chains, [40] * 3))


def test_files_hold_what_was_made_and_the_recipe():
    result = result_of_a_run()
    named = {export.name: export for export in get_domain("proteins").exports(result)}
    assert set(named) == {"proteins.pdb", "proteins.csv", "proteins.fasta", "proteins.zip"}
    structure = gemmi.read_pdb_string(named["proteins.pdb"].make().decode())
    assert len(structure) == 3 and len(structure[0]["A"]) == 40
    with zipfile.ZipFile(io.BytesIO(named["proteins.zip"].make())) as archive:
        for kind in ("pdb", "cif"):
            back = files.read_protein(archive.read(f"protein_00001.{kind}"))
            assert np.abs(back.backbone - result.decoded.backbone[1]).max() < 2e-3
            assert back.sequence == "G" * 40 and parse_recipe(back.recipe) == result.recipe
        assert parse_recipe(archive.read("recipe.json")) == result.recipe
    rows = named["proteins.csv"].make().decode().splitlines()
    assert len(rows) == 4 and rows[0].startswith("sample_from_0,residues,helix,strand")
    # Samples and experts count from 0, in models, names, heads of files and of columns.
    assert [model.num for model in structure] == [0, 1, 2]
    assert rows[0].endswith("weight_of_expert_0,weight_of_expert_1,level") and [
        row.split(",")[0] for row in rows[1:]
    ] == list("012")
    moving = gemmi.read_pdb_string(files.trajectory_pdb(result, 2))
    assert len(moving) == len(result.trace.frames) >= 2


def pdb_of(chain, name="GLY", letter="A"):
    text = files.pdb([chain])
    return text.replace("GLY A", f"{name} {letter}")


def test_files_of_others_are_read_and_what_is_left_out_is_said():
    chain = whole_helix(40)
    plain = pdb_of(chain, "ALA")
    assert files.read_protein(plain.encode()).sequence == "A" * 40
    two = plain.replace("END", "") + pdb_of(chain + 50, "ALA", "B")
    assert "first of its 2 chains" in " ".join(files.read_protein(two.encode()).notes)
    models = files.pdb([chain, chain + 1])
    read = files.read_protein(models.encode())
    assert "first of its 2 models" in " ".join(read.notes) and np.abs(read.backbone - chain).max() < 2e-3
    odd = files.read_protein(pdb_of(chain, "MSE").encode())
    assert "standard twenty" in " ".join(odd.notes) and len(odd.backbone) == 40
    gap = chain.copy()
    gap[8:] += 6
    read = files.read_protein(pdb_of(gap).encode())
    assert len(read.backbone) == 32 and "gaps" in " ".join(read.notes)
    lines = plain.splitlines()
    first = next(line for line in lines if line.startswith("ATOM") and " CA " in line)
    twice = [first[:16] + "A" + first[17:], first[:16] + "B" + first[17:]]
    alternate = "\n".join(line for line in lines if line != first).replace(lines[1], "\n".join([lines[1], *twice]), 1)
    assert "alternate locations" in " ".join(files.read_protein(alternate.encode()).notes)
    lacking = "\n".join(line for line in lines if not (line[22:26].strip() == "40" and line[12:16].strip() == "CA"))
    read = files.read_protein(lacking.encode())
    assert len(read.backbone) == 39 and "1 residues without" in " ".join(read.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b"hello, this is no protein\n", "no atoms|no residue"),
        (b"data_x\nloop_\n_atom_site.id\n", "neither|no atoms"),
        (b"x" * (files.LARGEST_FILE + 1), "larger than"),
        (b"\x00\xff\xfe" * 50, "no atoms|no residue"),
        (files.pdb([whole_helix(12)]).encode(), "12 residues"),
        (files.pdb([whole_helix(40)[:, 1:2].repeat(4, 1)]).replace(" N  ", " X  ").encode(), "whole backbone"),
    ],
)
def test_files_that_are_no_proteins_are_one_sentence(content, words):
    with pytest.raises(SuperDiffError, match=words) as caught:
        files.read_protein(content)
    assert "\n" not in str(caught.value)


def test_a_protein_says_which_sample_it_is():
    """In both formats, as gemmi reads them: the number counts from 0, and the head says so."""
    result = result_of_a_run()
    chain = result.decoded.backbone[2, :40]
    text = files.pdb([chain], result.recipe, [2])
    assert "REMARK   6 SAMPLE 2; SAMPLES AND EXPERTS COUNT FROM 0" in text
    assert parse_recipe(files.read_protein(text.encode()).recipe) == result.recipe
    block = gemmi.cif.read_string(files.mmcif(chain, result.recipe, 2)).sole_block()
    assert block.find_value("_superdiff_studio.sample") == "2"
    assert "from 0" in block.find_value("_superdiff_studio.counting")
    assert [model.num for model in gemmi.make_structure_from_block(block)] == [2]


def test_files_of_a_corrected_run_say_what_each_protein_counts_for():
    result = result_of_a_run()
    recipe = result.recipe.model_copy(update={"correction": CorrectionRecipe()})
    corrected = replace(result, recipe=recipe, importance=np.array([0.25, 0.75, 0.0]))
    named = {export.name: export.make().decode() for export in get_domain("proteins").exports(corrected)[:2]}
    remarks = [line for line in gemmi.read_pdb_string(named["proteins.pdb"]).raw_remarks if "SHARE" in line]
    assert [line.split("IMPORTANCE ")[1].strip() for line in remarks] == ["0.25", "0.75", "0"]
    assert max(map(len, remarks)) <= 80
    chain, _ = corrected.decoded.chain(1)
    block = gemmi.cif.read_string(files.mmcif(chain, recipe, 1, corrected)).sole_block()
    assert block.find_value(f"{files.CATEGORY}.share_of_group") == "0.75"
    assert "share" not in files.mmcif(chain, recipe, 1, result) and files.pdb([chain]) == files.pdb(
        [chain], result=result
    )
    plain = files.table_csv(result).splitlines()
    assert [row.rsplit(",", 3)[0] for row in named["proteins.csv"].splitlines()] == plain
    helix = float(np.array([0.25, 0.75, 0]) @ result.decoded.helix)
    assert get_domain("proteins").describe(corrected)["residues in helices"] == f"{helix:.0%}"
    assert files.read_protein(named["proteins.pdb"].encode()).recipe


def test_a_fasta_holds_designs_and_says_where_there_is_none():
    designs = {4: [Design("AC" * 40, 1.25), Design("GG" * 40, 2.0)]}
    text = files.fasta({3: 64, 4: 80}, designs)
    entries = [entry.split("\n", 1) for entry in text.split(">")[1:]]
    names = ["protein_00003", "protein_00004_design_0", "protein_00004_design_1"]
    assert [head.split()[0] for head, _ in entries] == names
    assert [letters.replace("\n", "") for _, letters in entries] == ["X" * 64, "AC" * 40, "GG" * 40]
    assert "not a design" in entries[0][0] and "score 1.250 nats" in entries[1][0]
    assert gemmi.read_pir_or_fasta(text)[0].seq == "X" * 64
