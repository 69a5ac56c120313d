"""Tiny random pipelines, saved as diffusers saves them, below a folder that SUPERDIFF_MODELS names."""

import pytest
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler
from tiny_pipelines import tiny_unet


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def save(models_folder):
    """A function that saves a tiny pipeline and returns its folder."""

    def make(name="tiny", prediction="epsilon", kind="DDPM", channels=1, **changes):
        pipeline, scheduler = {"DDPM": (DDPMPipeline, DDPMScheduler), "DDIM": (DDIMPipeline, DDIMScheduler)}[kind]
        made = pipeline(tiny_unet(channels, **changes), scheduler(prediction_type=prediction, clip_sample=False))
        made.save_pretrained(models_folder / name)
        return models_folder / name

    return make
