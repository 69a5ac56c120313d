import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from superdiff_engine import ModelError
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.picture_files import CAPTION, RECIPE_CHUNK, picture_grid, to_uint8
from superdiff_engine.domains.pictures import Pictures
from superdiff_engine.recipes.document import CorrectionRecipe
from superdiff_engine.runs.run import Run


@pytest.fixture
def finished(save):
    """A run of two tiny experts, and its result."""
    save("first")
    save("second", "v_prediction", "DDIM")
    document = {
        "domain": "pictures",
        "experts": [{"model": "local/first"}, {"model": "local/second"}],
        "levels": {"steps": 4},
        "batch": 3,
    }
    run = Run(make_recipe(document))
    return run, run.execute()


def test_previews_are_the_denoised_pictures(finished):
    run, result = finished
    preview = run.trace.latest.preview.pictures
    assert preview.shape == (3, 8, 8)
    assert preview.dtype == np.uint8
    assert np.array_equal(preview, to_uint8(torch.from_numpy(result.denoised["x"])))
    assert result.log_density.shape == (2, 3)


def test_pngs_carry_the_recipe_that_made_them(finished):
    _, result = finished
    domain = Pictures()
    for content in (domain.preview_png(result), domain.picture_png(result, 1)):
        image = Image.open(io.BytesIO(content))
        assert parse_recipe(image.text[RECIPE_CHUNK]) == result.recipe
    assert np.array_equal(np.array(image), to_uint8(torch.from_numpy(result.denoised["x"]))[1])


def test_exports_are_what_their_names_say(finished):
    _, result = finished
    exports = {export.name: export.make() for export in Pictures().exports(result)}
    assert Image.open(io.BytesIO(exports["pictures.png"])).format == "PNG"
    with zipfile.ZipFile(io.BytesIO(exports["pictures.zip"])) as archive:
        assert archive.namelist() == [*(f"picture_{i:05d}.png" for i in range(3)), "README.txt", "recipe.json"]
        assert parse_recipe(archive.read("recipe.json")) == result.recipe
        single = Image.open(io.BytesIO(archive.read("picture_00002.png")))
        assert parse_recipe(single.text[RECIPE_CHUNK]) == result.recipe
    assert Pictures().describe(result) == {}  # no garments


def test_experts_of_different_shapes_are_refused(save):
    save("grey")
    save("colour", channels=3)
    domain = Pictures()
    recipe = make_recipe({"domain": "pictures", "experts": [{"model": "local/grey"}, {"model": "local/colour"}]})
    experts = [domain.load(expert, "cpu", "float32") for expert in recipe.experts]
    with pytest.raises(ModelError, match="grey makes 8 x 8 grey, colour makes 8 x 8 RGB"):
        domain.space(experts)


def test_levels_stay_within_what_the_models_know(save):
    save("first")
    expert = Pictures().load(
        make_recipe({"domain": "pictures", "experts": [{"model": "local/first"}]}).experts[0], "cpu", "float32"
    )
    lowest, highest = Pictures().level_range([expert])
    assert expert.schedule.lowest <= lowest < highest <= expert.schedule.highest


def test_uint8_clips_rounds_and_survives_nan():
    pictures = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0, float("nan")]).view(1, 1, 2, 3)
    assert to_uint8(pictures).ravel().tolist() == [0, 0, 128, 255, 255, 128]
    assert to_uint8(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)


@pytest.mark.parametrize("count", [1, 5, 64])
def test_a_grid_shows_every_picture(count):
    pictures = np.random.default_rng(0).integers(1, 256, (count, 28, 28), dtype=np.uint8)
    grid = picture_grid(pictures)
    columns = int(np.ceil(np.sqrt(count)))
    for index in range(count):
        row, column = divmod(index, columns)
        cell = grid[row * 113 : row * 113 + 112, column * 113 : column * 113 + 112]
        assert np.array_equal(cell[::4, ::4], pictures[index])


def test_examples_are_recipes_of_this_domain():
    examples = Pictures().examples()
    assert next(iter(examples)).startswith("OR")
    for recipe in examples.values():
        assert parse_recipe(recipe.to_json()) == recipe


def test_files_of_a_corrected_run_say_what_each_picture_counts_for(finished):
    result = finished[1]
    recipe = result.recipe.model_copy(update={"correction": CorrectionRecipe()})
    corrected = replace(result, recipe=recipe, importance=np.array([0.25, 0.75, 0.0]))
    exports = {export.name: export.make() for export in Pictures().exports(corrected)}
    with zipfile.ZipFile(io.BytesIO(exports["pictures.zip"])) as archive:
        assert archive.namelist()[:3] == [
            "picture_00000_share_0.250.png",
            "picture_00001_share_0.750.png",
            "picture_00002_share_0.000.png",
        ]
        assert "1,0,0.75,0.75" in archive.read("README.txt").decode().splitlines()
    plain, captioned = (Image.open(io.BytesIO(Pictures().preview_png(one))) for one in (result, corrected))
    # Two rows, each with a strip below that holds the numbers.
    assert captioned.width == plain.width and captioned.height == plain.height + 2 * CAPTION
