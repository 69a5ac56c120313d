"""A tiny LDMol with drawn weights in its authors' layout, and a MolT5 of a few words."""

import json
import struct
import zlib
from pathlib import Path

import torch
from transformers import T5Config, T5EncoderModel

from superdiff_engine.domains.smiles.autoencoder import SmilesDecoder
from superdiff_engine.domains.smiles.convert import CONVERSIONS, LDMolOptions
from superdiff_engine.domains.smiles.names import DECODER_NAMES, TRANSFORMER_NAMES
from superdiff_engine.domains.smiles.network import LatentTransformer

#: Widths as the converter reads heads off them: 48 channels each in the denoiser, 64 in the decoder.
TRANSFORMER = {"width": 48, "depth": 2, "heads": 1, "hidden": 64, "text_width": 16, "read_width": 48, "frequencies": 32}
DECODER = {"read_width": 32, "width": 64, "depth": 1, "heads": 1, "hidden": 64, "positions": 200}
WORDS = ("this", "molecule", "contains", "an", "amino", "group", "aromatic", "ring", "is", "a", "carboxylic", "acid")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Pieces that any order of makes a molecule, so that a decoder with drawn weights writes valid ones too.
SIMPLE = ("C", "CC", "O", "N", "CO", "CN", "C=C", "CCO")


def drawn(name, shape):
    """Numbers that follow from a tensor's name."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    return 1 + 0.05 * noise if name.endswith(".weight") and len(shape) == 1 else 0.3 * noise


def tensors(build, names, settings):
    """Of a network, by its authors' names."""
    with torch.device("meta"):
        shapes = {names.theirs(name): value.shape for name, value in build(**settings).state_dict().items()}
    return {name: drawn(name, shape) for name, shape in shapes.items()}


def checkpoints(folder):
    """(denoiser, autoencoder, vocabulary) as their authors' files, with what is left out of them."""
    state = tensors(LatentTransformer, TRANSFORMER_NAMES, TRANSFORMER)
    state["y_embedder.embedding_table.weight"] = torch.zeros(2, 4)
    torch.save({"ema": state, "opt": {"lr": 1e-4}, "epoch": 3}, folder / "checkpoint_ldmol.pt")
    decoder = tensors(SmilesDecoder, DECODER_NAMES, DECODER)
    # Nothing but the pieces of SIMPLE, and the end, is ever the likeliest.
    bias = torch.full((300,), -50.0)
    bias[[3, *range(4, 4 + len(SIMPLE))]] = torch.tensor([1.5, *[0.0] * len(SIMPLE)])
    decoder["text_encoder.cls.predictions.bias"] = bias
    decoder |= {"text_encoder2.embeddings.weight": torch.zeros(3), "encode_prefix.weight": torch.zeros(3)}
    torch.save({"state_dict": decoder, "epoch": 1}, folder / "checkpoint_autoencoder.ckpt")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"##{one}" for one in SIMPLE)]
    pieces += [f"##X{number}" for number in range(300 - len(pieces))]
    (folder / "vocab_bpe_300_sc.txt").write_text("\n".join(pieces) + "\n")
    return [folder / name for name in ("checkpoint_ldmol.pt", "checkpoint_autoencoder.ckpt", "vocab_bpe_300_sc.txt")]


def field(number, kind, content):
    """A field of a Protocol Buffer."""
    return bytes([number << 3 | kind]) + content


def message(number, content):
    """One whose value is text or another message, of up to 127 bytes."""
    return field(number, 2, bytes([len(content)]) + content)


def spiece():
    """A SentencePiece model of WORDS and LETTERS, written by hand."""
    pieces = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2), ("▁", -3.0, 1)]
    pieces += [(f"▁{word}", -2.0, 1) for word in WORDS] + [(letter, -9.0, 1) for letter in [*LETTERS, "."]]
    return b"".join(
        message(1, message(1, text.encode()) + field(2, 5, struct.pack("<f", score)) + field(3, 0, bytes([kind])))
        for text, score, kind in pieces
    )


def molt5(folder):
    """A MolT5 as its authors publish it: a pickle, a configuration and a SentencePiece model."""
    folder.mkdir()
    (folder / "spiece.model").write_bytes(spiece())
    torch.manual_seed(5)
    config = T5Config(vocab_size=256, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    encoder = T5EncoderModel(config)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    state["decoder.final_layer_norm.weight"] = torch.ones(16)
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"model_type": "t5"}))
    return folder


def converted(place: Path, name: str = "ldmol") -> Path:
    """A converted folder, in a folder that SUPERDIFF_MODELS may name."""
    files = place / "files"
    files.mkdir(parents=True)
    denoiser, autoencoder, vocabulary = checkpoints(files)
    options = LDMolOptions(vocabulary, molt5(files / "molt5"))
    CONVERSIONS["ldmol"].convert([denoiser, autoencoder], place / "models" / name, options)
    return place / "models" / name
