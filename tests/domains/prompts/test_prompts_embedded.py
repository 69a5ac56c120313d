"""The embedded model of emoji as it ships: small enough, read by plain diffusers, and drawing what it is asked for."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.prompts.emoji.captions import held_out_captions
from superdiff_engine.domains.prompts.emoji.concepts import PAIRS
from superdiff_engine.domains.prompts.judge.classifier import load_classifier
from superdiff_engine.domains.prompts.judge.judges import ClassifierJudge
from superdiff_engine.system.assets import assets_folder

FOLDER = assets_folder() / "emoji"


@pytest.fixture(scope="module")
def judge():
    return ClassifierJudge(load_classifier())


@pytest.fixture(scope="module")
def plain():
    """As the model card and the README say."""
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe


def ranks(judge, pictures, names):
    """How many concepts the judge finds likelier than the asked one, picture by picture."""
    scores = judge.scores(pictures)
    asked = torch.tensor([[one.name for one in judge.concepts].index(name) for name in names])
    return (scores > scores.gather(1, asked[:, None])).sum(dim=1).numpy()


def test_its_files_are_within_their_size():
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert max(sizes) <= 50e6 and sum(sizes) <= 70e6
    weights = {path.suffix for path in FOLDER.rglob("*model*") if path.is_file()} - {".json"}
    assert weights == {".safetensors"}


def test_plain_diffusers_draws_what_it_is_asked_for(plain, judge):
    """Asked with captions that no training has seen; by chance 5 pictures of 948 would do."""
    names = [name for pair in PAIRS[:8] for name in pair]
    known = {one.name: one for one in judge.concepts}
    texts = [held_out_captions(known[name])[0] for name in names]
    pictures = plain(
        texts, num_inference_steps=15, guidance_scale=4.0, output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    assert pictures.shape[1:] == (128, 128, 3)
    found = ranks(judge, (pictures * 255).round().astype(np.uint8), names)
    assert np.mean(found < 5) >= 0.8, dict(zip(names, found.tolist(), strict=True))


def test_the_studio_offers_it_first_with_words_that_it_knows():
    prompts = get_domain("prompts")
    assert prompts.models()[0].id == "emoji"
    known = set(json.loads((FOLDER / "superdiff.json").read_text())["vocabulary"])
    suggested = prompts.suggestions("emoji")
    assert len(suggested) > 100
    for recipe in prompts.examples().values():
        assert {expert.model for expert in recipe.experts} == {"emoji"} and not prompts.remarks(recipe)
    assert {"sunflower", "lemon", "otter", "duck"} <= known
