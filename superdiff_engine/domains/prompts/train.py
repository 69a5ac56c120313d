"""Training of the embedded text-to-image model of emoji, in two stages that each can be resumed.

1. "emoji_vae": an autoencoder of 128 x 128 pictures. Afterwards the mean m_c and the deviation s_c of every latent
   channel c are measured and folded into its 1 x 1 convolutions, exactly:

       z'_c = (z_c - m_c) / s_c    (quant_conv)          z_c = s_c z'_c + m_c    (post_quant_conv)

   so latents have mean 0 and variance 1 in each channel, as the noise schedule assumes, with scaling_factor = 1.
   (Stable Diffusion's pipelines know one factor, and no shift.) To refine it is to train the decoder alone: the encoder
   and with it the latents stay, so that the model that was trained in them stays right.

2. "emoji": first the text encoder alone learns, for some minutes, what the pictures of a caption look like on average,
   and which captions speak of the same concept and style (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748). Then it
   stays as it is, as CLIP does in Stable Diffusion, and the U-Net learns v-prediction in latents of augmented pictures
   that are encoded once. Trained along with the U-Net the embeddings of 948 concepts fell together: the dimensions that
   they fill (the exponential of the entropy of their principal variances) went from 52 to 6 within 3,000 steps, and
   prompts changed colours but no outlines.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) needs the empty prompt: a tenth of the captions.

The budgets are those of one GPU (an H100: 1,200 pictures a second through the autoencoder, 12,000 latents through the
U-Net); two CPU cores are some two hundred times slower, and are for refining, and for small models.
"""

from __future__ import annotations

from typing import Any

from ...training.training import Training
from .emoji.autoencoder import VaeTraining
from .emoji.denoiser import EmojiTraining
from .judge.train import ConceptTraining

TRAININGS: dict[str, Training[Any, Any]] = {
    one.name: one for one in (VaeTraining(), EmojiTraining(), ConceptTraining())
}
