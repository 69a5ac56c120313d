"""LDMol, converted from its authors' checkpoints, with the pieces of SMILES and MolT5's encoder that it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...errors import ModelError
from ...system import inert
from ...system.options import option
from ..conversion import Conversion, Taken, Wanted, listed
from ..sources import read_json
from ..weights import UNREADABLE, check_weights, first_line
from .model import DECODER, TRANSFORMER, VOCABULARY
from .names import (
    AUTOENCODER_KEY,
    TRANSFORMER_KEY,
    decoder_renamed,
    decoder_settings,
    text_renamed,
    transformer_renamed,
    transformer_settings,
)
from .pieces import read_pieces
from .text import ENCODER, TOKENIZER
from .vocabulary import FILE, Vocabulary

__all__ = ["CONVERSIONS"]

#: Of MolT5's configuration, what builds its encoder; the rest says how it was trained and what else was done with it.
_T5 = (
    *("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets"),
    *("relative_attention_max_distance", "layer_norm_epsilon", "feed_forward_proj", "pad_token_id", "eos_token_id"),
)
#: Tokens of T5's that stand for gaps in a text.
_SENTINELS = 100
_PICKLE, _WEIGHTS = "pytorch_model.bin", "model.safetensors"


@dataclass(frozen=True)
class LDMolOptions:
    """What LDMol needs besides its checkpoints."""

    vocabulary: Path | None = field(
        default=None, metadata=option(f"the pieces of SMILES, {FILE} of the authors' repository")
    )
    text_encoder: Path | None = field(
        default=None, metadata=option("the folder of molt5-large-caption2smiles, as its authors publish it")
    )


class LDMol(Conversion):
    """LDMol's denoiser, its autoencoder's decoder, and MolT5's encoder."""

    name = "ldmol"
    title = "LDMol"
    description = "Molecules from text, in the latent space of an autoencoder of SMILES (Chang and Ye 2024)"
    licence = "Apache-2.0 (LDMol); MolT5 has its own authors' licence, BSD-3-Clause"
    home = "https://github.com/jinhojsk515/LDMol"
    cite = "LDMol: text-to-molecule diffusion model with structurally informative latent space, arXiv 2405.17829"
    files = (
        Wanted("its denoiser", "checkpoint_ldmol.pt"),
        Wanted("its autoencoder", "checkpoint_autoencoder.ckpt"),
    )
    options = LDMolOptions

    def take(self, files: Sequence[Path], options: LDMolOptions) -> Taken:
        vocabulary = _given(options.vocabulary, "--vocabulary", f"{FILE} of LDMol's repository")
        texts = _given(options.text_encoder, "--text-encoder", "the folder of molt5-large-caption2smiles")
        denoiser, unused = transformer_renamed(inert.tensors_of(inert.read(files[0]), TRANSFORMER_KEY))
        decoder, encoder = decoder_renamed(inert.tensors_of(inert.read(files[1]), AUTOENCODER_KEY))
        network = {"transformer": transformer_settings(denoiser), "decoder": decoder_settings(decoder)}
        Vocabulary.read(vocabulary, network["decoder"]["pieces"])
        reader, other = text_renamed(_text_weights(texts))
        config = _text_config(texts)
        if config["d_model"] != network["transformer"]["text_width"]:
            raise ModelError(
                f"The text encoder in {texts} gives {config['d_model']} numbers a token and the denoiser reads "
                f"{network['transformer']['text_width']}; give the folder of molt5-large-caption2smiles."
            )
        return Taken(
            network,
            {
                f"{TRANSFORMER}/{_WEIGHTS}": denoiser,
                f"{DECODER}/{_WEIGHTS}": decoder,
                f"{ENCODER}/{_WEIGHTS}": reader,
            },
            texts={
                f"{ENCODER}/config.json": _json(config),
                **{f"{TOKENIZER}/{name}": content for name, content in _tokenizer(texts).items()},
            },
            copies={VOCABULARY: vocabulary},
            left_out=[
                *_said("of the denoiser's file", unused, "that the network has no use for"),
                *_said("of the autoencoder", encoder, "of its encoder and of the training"),
                *_said("of the text model", other, "of its decoder, which reads no text"),
            ],
        )


def _given(path: Path | None, flag: str, what: str) -> Path:
    if path is None:
        raise ModelError(f"LDMol needs {what} too: name it with {flag}.")
    if not path.exists():
        raise ModelError(f"There is no {path}; {flag} names {what}.")
    return path


def _said(where: str, names: Sequence[str], what: str) -> list[str]:
    return [f"{len(names)} tensors {where}, {what}: {listed(names)}"] if names else []


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _text_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of MolT5, from safetensors or the pickle that its authors publish."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder; --text-encoder names that of molt5-large-caption2smiles.")
    if not any(folder.glob("*.safetensors")) and (folder / _PICKLE).is_file():
        return inert.tensors_of(inert.read(folder / _PICKLE))
    try:
        files = check_weights(folder, "T5EncoderModel").names
        return {name: value for file in files for name, value in load_file(folder / file).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights in {folder} cannot be read: {first_line(error)}") from None


def _text_config(folder: Path) -> dict[str, Any]:
    """What builds MolT5's encoder again."""
    said = read_json(folder / "config.json")
    if said.get("model_type") != "t5" or not isinstance(said.get("d_model"), int):
        raise ModelError(f"{folder / 'config.json'} is no T5's; give the folder of molt5-large-caption2smiles.")
    kept = {name: said[name] for name in _T5 if name in said}
    return {"model_type": "t5", "architectures": ["T5EncoderModel"], "is_encoder_decoder": False, **kept}


def _tokenizer(folder: Path) -> dict[str, bytes]:
    """The files of MolT5's tokenizer; of SentencePiece's model, the same pieces as tokenizer.json."""
    from transformers import T5TokenizerFast  # type: ignore[attr-defined]

    try:
        if (folder / "tokenizer.json").is_file():
            found = T5TokenizerFast.from_pretrained(folder, local_files_only=True)
        elif (folder / "spiece.model").is_file():
            pieces = read_pieces(folder / "spiece.model")
            # T5's sentinels follow the pieces, the last of them first.
            sentinels = [(f"<extra_id_{number}>", 0.0) for number in reversed(range(_SENTINELS))]
            found = T5TokenizerFast(
                vocab=[*pieces.scores, *sentinels], _spm_precompiled_charsmap=pieces.letters or None
            )
        else:
            raise ModelError(
                f"{folder} has no tokenizer (spiece.model or tokenizer.json); give the whole folder of "
                "molt5-large-caption2smiles."
            )
        with TemporaryDirectory() as made:
            found.save_pretrained(made)
            return {path.name: path.read_bytes() for path in sorted(Path(made).iterdir()) if path.suffix == ".json"}
    except UNREADABLE as error:
        raise ModelError(f"The tokenizer in {folder} cannot be read: {first_line(error)}") from None


CONVERSIONS = {LDMol.name: LDMol()}
