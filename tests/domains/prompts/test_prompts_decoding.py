"""Latents that a VAE cannot decode in half precision, or at all: what is shown instead, and what is said."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.prompts import pipeline as pipeline_module
from superdiff_engine.domains.prompts.loading import PipelineOptions
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.errors import ModelError
from superdiff_engine.runs.run import Run

WEIGHTS = "vae/diffusion_pytorch_model.safetensors"


def scale(folder, factor, key="decoder.conv_in"):
    path = folder / WEIGHTS
    state = {name: value * factor if name.startswith(key) else value for name, value in load_file(path).items()}
    save_file(state, path, {"format": "pt"})


@pytest.fixture
def folder(pipelines, tmp_path, monkeypatch):
    """A pipeline whose VAE computes in whatever it is asked to."""
    made = shutil.copytree(pipelines("sd"), tmp_path / "models" / "sd")
    config = made / "vae/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"force_upcast": False}))
    monkeypatch.setenv("SUPERDIFF_MODELS", str(made.parent))
    return made


def latents(count):
    return torch.randn((count, 4, 8, 8), generator=torch.Generator().manual_seed(1))


def exact(folder, given):
    """Pictures by diffusers' own VAE in float32."""
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    with torch.no_grad():
        found = vae.decode(given / vae.config.scaling_factor).sample
    return ((found.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()


def run_of(dtype="float16", **more):
    document = {"domain": "prompts", "experts": [{"model": "local/sd", "prompt": "a cat"}], "levels": {"steps": 2}}
    return Run(make_recipe(document | {"solver": "ancestral", "batch": 2, "dtype": dtype, **more}))


@pytest.mark.parametrize("factor", [1e5, 1e9])  # activations beyond 65504; weights beyond it too
@pytest.mark.parametrize("options", [{}, {"vae_slicing": True}, {"vae_tiling": True}])
def test_an_overflow_is_decoded_again_in_float32(folder, factor, options):
    scale(folder, factor)
    model = load_text_to_image(folder, dtype="float16", options=PipelineOptions(**options)).for_a_run()
    pictures = model.decode(latents(3))
    assert np.abs(pictures - exact(folder, latents(3))).max() <= 1
    assert model.notes == ["The VAE of sd overflows in float16; decoded again in float32: 3 of 3 pictures."]
    # The pipeline is shared with later runs, which do not hear of this one.
    assert model.pipe.vae.dtype == torch.float16 and model.pipe.unet.dtype == torch.float16
    again = load_text_to_image(folder, dtype="float16", options=PipelineOptions(**options)).for_a_run()
    assert again.pipe is model.pipe and again.notes == []


def test_only_the_pictures_that_overflow_are_decoded_again(folder, monkeypatch):
    model = load_text_to_image(folder, dtype="float16").for_a_run()
    given = latents(5)
    given[[1, 4]] *= 3e4
    plain = model.decode(given[[0, 2, 3]])
    assert model.notes == []
    rows = []
    decode = AutoencoderKL.decode

    def counted(self, codes, *args, **more):
        rows.append((len(codes), codes.dtype))
        return decode(self, codes, *args, **more)

    monkeypatch.setattr(AutoencoderKL, "decode", counted)
    pictures = model.decode(given)
    assert rows == [(4, torch.float16), (1, torch.float16), (2, torch.float32)]
    assert np.array_equal(pictures[[0, 2, 3]], plain)
    assert np.abs(pictures[[1, 4]] - exact(folder, given[[1, 4]])).max() <= 1
    assert model.notes == ["The VAE of sd overflows in float16; decoded again in float32: 2 of 5 pictures."]


def test_a_run_in_half_precision_ends_with_pictures(folder):
    """The pictures are those of the run's own latents, and not grey."""
    scale(folder, 1e5)
    run = run_of()
    result = run.execute()
    assert run.state == "done" and len(np.unique(result.decoded.pictures)) > 50
    assert np.abs(result.decoded.pictures - exact(folder, torch.from_numpy(result.denoised["x"]))).max() <= 1
    assert run.notes == ["The VAE of sd overflows in float16; decoded again in float32: 2 of 2 pictures."]
    plain = run_of("float32")
    plain.execute()
    assert plain.notes == []


def test_bfloat16_does_not_overflow(folder):
    scale(folder, 1e5)
    model = load_text_to_image(folder, dtype="bfloat16").for_a_run()
    assert np.abs(model.decode(latents(2)) - exact(folder, latents(2))).mean() < 8
    assert model.notes == []


def test_a_vae_that_says_that_it_overflows_is_read_in_float32(folder):
    """As that of Stable Diffusion XL; its weights are those of the file, not rounded to float16 on the way."""
    config = folder / "vae/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"force_upcast": True}))
    scale(folder, 1e9)
    model = load_text_to_image(folder, dtype="float16").for_a_run()
    assert np.abs(model.decode(latents(2)) - exact(folder, latents(2))).max() <= 1 and model.notes == []


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_is_not_finite_in_float32_either_is_said(folder, dtype, tmp_path, monkeypatch):
    """The samples stay, and there are no pictures that could be taken for some."""
    # So small a network runs in bfloat16 on any processor.
    monkeypatch.setattr("superdiff_engine.runs.run.check_dtype", lambda dtype, device: None)
    scale(folder, float("inf"), "decoder.conv_in.bias")
    run = run_of(dtype)
    run.folder = tmp_path / "run"
    result = run.execute()
    assert run.state == "done" and result.decoded is None
    (note,) = run.notes
    assert "The samples could not be decoded: The VAE of sd gives no finite numbers for them, in float32 either" in note
    with np.load(tmp_path / "run" / "samples.npz") as stored:
        assert np.isfinite(stored["samples_x"]).all() and "pictures" not in stored.files
    assert not (tmp_path / "run" / "preview.png").exists()


def test_one_picture_that_cannot_be_decoded_is_black_and_named(folder):
    model = load_text_to_image(folder, dtype="float16").for_a_run()
    given = latents(4)
    given[1], given[2], given[3] = 3e38, torch.nan, 3e4 * given[3]
    pictures = model.decode(given)
    assert (pictures[1:3] == 0).all()
    assert np.abs(pictures[[0, 3]] - exact(folder, given[[0, 3]])).max() <= 1
    again, lost = model.notes
    assert again.endswith("decoded again in float32: 1 of 4 pictures.")
    assert "2 of 4 pictures could not be decoded and are black (1, 2, counted from 0); their samples are kept." in lost


def test_too_little_memory_for_float32_costs_only_the_pictures_that_need_it(folder, monkeypatch):
    model = load_text_to_image(folder, dtype="float16").for_a_run()
    decode = AutoencoderKL.decode

    def short(self, codes, *args, **more):
        if codes.dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(self, codes, *args, **more)

    monkeypatch.setattr(AutoencoderKL, "decode", short)
    given = latents(2)
    given[1] *= 3e4
    pictures = model.decode(given)
    assert len(np.unique(pictures[0])) > 20 and (pictures[1] == 0).all()
    assert "1 of 2 pictures could not be decoded" in model.notes[0] and "needs more memory" in model.notes[0]
    assert model.pipe.vae.dtype == torch.float16


def test_previews_by_the_vae_are_pictures_too(folder):
    """For a model without a linear map; notes are of the samples alone."""
    scale(folder, 1e5)
    model = load_text_to_image(folder, dtype="float16").for_a_run()
    model._latent_rgb = None
    shown = model.preview(latents(6))
    assert np.abs(shown - exact(folder, latents(6)[: pipeline_module.DECODED_AT_ONCE])).max() <= 1
    assert model.notes == []
    given = latents(1) * torch.nan
    assert (model.preview(given) == 0).all()
    with pytest.raises(ModelError, match="no finite numbers"):
        model.decode(given)
