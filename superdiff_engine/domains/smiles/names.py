"""The tensors of LDMol's published checkpoints, their names here, and the sizes that they tell.

Two files: `checkpoint_ldmol.pt`, whose "ema" holds the denoiser (206 tensors), and `checkpoint_autoencoder.ckpt`, a
Lightning checkpoint whose "state_dict" holds the autoencoder. The text's encoder is a file of MolT5's.

Numbers of heads stand in no tensor: the published denoiser's heads have 48 channels and its decoder's 64, as BERT's
have, and so other networks of that kind are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...errors import ModelError
from ..naming import Names, count_of
from .autoencoder import SmilesDecoder
from .network import LatentTransformer

#: Where the official files keep what is read.
TRANSFORMER_KEY, AUTOENCODER_KEY = "ema", "state_dict"
#: Channels of a head of the published networks.
TRANSFORMER_HEAD, DECODER_HEAD = 48, 64

TRANSFORMER_NAMES = Names(
    [
        ("x_embedder.*", "read_in.*"),
        ("pos_embed", "places"),
        ("t_embedder.mlp.#.*", "clock.#.*"),
        ("y_linear.*", "text.*"),
        ("blocks.#.adaLN_modulation.1.*", "blocks.#.modulation.*"),
        ("blocks.#.attn.qkv.*", "blocks.#.attention.queries_keys_values.*"),
        ("blocks.#.attn.proj.*", "blocks.#.attention.out.*"),
        ("blocks.#.cross_attn.q.*", "blocks.#.reading.queries.*"),
        ("blocks.#.cross_attn.kv.*", "blocks.#.reading.keys_values.*"),
        ("blocks.#.cross_attn.proj.*", "blocks.#.reading.out.*"),
        ("blocks.#.mlp.fc1.*", "blocks.#.mlp.0.*"),
        ("blocks.#.mlp.fc2.*", "blocks.#.mlp.2.*"),
        ("final_layer.adaLN_modulation.1.*", "last_modulation.*"),
        ("final_layer.linear.*", "out.*"),
    ],
    # Of DiT's labels, which LDMol has no use for.
    ["y_embedder.embedding_table.weight"],
    "LDMol's denoiser",
)

_BERT = "text_encoder.bert."
_LAYER = "text_encoder.bert.encoder.layer.#."
_HEAD = "text_encoder.cls.predictions."
DECODER_NAMES = Names(
    [
        ("decode_prefix.*", "widen.*"),
        (_BERT + "embeddings.word_embeddings.weight", "words.weight"),
        (_BERT + "embeddings.position_embeddings.weight", "positions.weight"),
        (_BERT + "embeddings.token_type_embeddings.weight", "segments.weight"),
        (_BERT + "embeddings.LayerNorm.*", "norm.*"),
        *(
            (f"{_LAYER}{theirs}.{part}.*", f"layers.#.{ours}.{called}.*")
            for theirs, ours in (("attention", "attention"), ("crossattention", "reading"))
            for part, called in (
                ("self.query", "queries"),
                ("self.key", "keys"),
                ("self.value", "values"),
                ("output.dense", "out"),
                ("output.LayerNorm", "norm"),
            )
        ),
        (_LAYER + "intermediate.dense.*", "layers.#.mlp.0.*"),
        (_LAYER + "output.dense.*", "layers.#.mlp.2.*"),
        (_LAYER + "output.LayerNorm.*", "layers.#.norm.*"),
        (_HEAD + "transform.dense.*", "last.0.*"),
        (_HEAD + "transform.LayerNorm.*", "last.2.*"),
        (_HEAD + "decoder.weight", "out.weight"),
        (_HEAD + "bias", "out.bias"),
    ],
    # The same bias once more, and the numbers 0, 1, 2, ...
    [_HEAD + "decoder.bias", _BERT + "embeddings.position_ids"],
    "LDMol's autoencoder",
)
#: What the autoencoder's encoder, which is left out whole, is called.
ENCODER = ("text_encoder2.", "encode_prefix.")


def transformer_renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors by our names, float32; the official names that are left out) of `checkpoint_ldmol.pt`'s "ema".

    Raises:
        ModelError: names the tensors that are missing, surplus, or of a wrong shape.
    """
    return TRANSFORMER_NAMES.renamed(state, LatentTransformer, transformer_settings)


def decoder_renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors by our names, float32; the official names left out) of `checkpoint_autoencoder.ckpt`'s "state_dict".

    Raises:
        ModelError: names the tensors that are missing, surplus, or of a wrong shape.
    """
    encoder = [name for name in state if name.startswith(ENCODER)]
    decoder = {name: value for name, value in state.items() if not name.startswith(ENCODER)}
    found, left_out = DECODER_NAMES.renamed(decoder, SmilesDecoder, decoder_settings)
    return found, sorted([*encoder, *left_out])


def text_renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """(the encoder's tensors by transformers' names, float32; those left out) of the whole MolT5's.

    MolT5 is published with the decoder that it was trained with, often as a pickle; its encoder is all that LDMol asks.

    Raises:
        ModelError: if there is no encoder.
    """
    found = {name: value for name, value in state.items() if name == "shared.weight" or name.startswith("encoder.")}
    # The encoder's own entry of the shared embedding is the same tensor once more.
    found.pop("encoder.embed_tokens.weight", None)
    if "shared.weight" not in found or not any(name.startswith("encoder.block.0.") for name in found):
        raise ModelError(
            "The text encoder's tensors are not a T5's (no 'shared.weight', or no 'encoder.block.0.'); give the folder "
            "of MolT5 as its authors published it."
        )
    left_out = sorted(name for name in state if name not in found)
    return {name: value.detach().float().contiguous() for name, value in found.items()}, left_out


def transformer_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The denoiser's settings that tensors, by our names, tell; raises KeyError of the name that lacks."""
    width, channels = state["read_in.weight"].shape
    return {
        "tokens": state["places"].shape[1],
        "channels": channels,
        "width": width,
        "depth": count_of(state, "blocks.#.modulation.weight"),
        "heads": width // TRANSFORMER_HEAD,
        "hidden": len(state["blocks.0.mlp.0.weight"]),
        "text_width": state["text.weight"].shape[1],
        "read_width": len(state["text.weight"]),
        "frequencies": state["clock.0.weight"].shape[1],
    }


def decoder_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The decoder's settings that tensors, by our names, tell; raises KeyError of the name that lacks."""
    pieces, width = state["words.weight"].shape
    read_width, channels = state["widen.weight"].shape
    return {
        "channels": channels,
        "read_width": read_width,
        "width": width,
        "depth": count_of(state, "layers.#.norm.weight"),
        "heads": width // DECODER_HEAD,
        "hidden": len(state["layers.0.mlp.0.weight"]),
        "pieces": pieces,
        "positions": len(state["positions.weight"]),
        "segments": len(state["segments.weight"]),
    }
