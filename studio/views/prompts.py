"""Pictures of text-to-image models: shown as pictures are."""

from __future__ import annotations

from .pictures import PicturesView


class PromptsView(PicturesView):
    """Pictures of prompts."""

    first_needs = (
        "diffusers.models.autoencoders.autoencoder_kl",
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "diffusers.models.unets.unet_2d_condition",
    )


VIEW = PromptsView()
