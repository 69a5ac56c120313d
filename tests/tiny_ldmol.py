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
#: What is read of the latents, which drawn networks make large.
READ = 0.0002
LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Pieces of which most orders make a molecule.
SIMPLE = ("CC", "c1ccccc1", "CN", "C(=O)", "C(", "CO", "C", "CF", "C(O)")


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
    _talkative(decoder)
    decoder |= {"text_encoder2.embeddings.weight": torch.zeros(3), "encode_prefix.weight": torch.zeros(3)}
    torch.save({"state_dict": decoder, "epoch": 1}, folder / "checkpoint_autoencoder.ckpt")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"##{one}" for one in SIMPLE)]
    pieces += [f"##X{number}" for number in range(300 - len(pieces))]
    (folder / "vocab_bpe_300_sc.txt").write_text("\n".join(pieces) + "\n")
    return [folder / name for name in ("checkpoint_ldmol.pt", "checkpoint_autoencoder.ckpt", "vocab_bpe_300_sc.txt")]


def _talkative(decoder):
    """Let a decoder write pieces of SIMPLE that go with its latents, and end after eight or so."""
    head = "text_encoder.cls.predictions."
    layer, half = "text_encoder.bert.encoder.layer.0.", DECODER["width"] // 2
    embeddings = "text_encoder.bert.embeddings."
    for name in (embeddings + "word_embeddings.weight", embeddings + "token_type_embeddings.weight"):
        decoder[name].zero_()
    # One half of the numbers says the place, the other what is read of the latents (of which those here are large).
    positions = decoder[embeddings + "position_embeddings.weight"]
    positions[:, :half] = 0
    positions[8:, half:] += 5 * drawn("the end", (half,))
    for part in ("attention.output.dense.", "output.dense."):
        decoder[layer + part + "weight"].zero_()
    read = decoder[layer + "crossattention.output.dense.weight"]
    read[half:] = 0
    read[:half] *= READ
    bias = torch.full((300,), -1000.0)
    bias[3 : 4 + len(SIMPLE)] = 0
    decoder[head + "bias"] = bias
    network, heard = SmilesDecoder(**DECODER), []
    network.load_state_dict({DECODER_NAMES.ours(name): value for name, value in decoder.items()})
    network.last.register_forward_hook(lambda module, given, found: heard.append(found))
    with torch.no_grad():
        network(1000 * drawn("latents", (16, 1, 64)).expand(16, 127, 64), torch.full((16, 12), 5))
    (hidden,) = heard
    away = hidden[:, 8:].mean((0, 1)) - hidden[:, :6].mean((0, 1))
    middle = (hidden[:, 8:].mean((0, 1)) + hidden[:, :6].mean((0, 1))) / 2
    decoder[head + "decoder.weight"][3] = 20 * away
    decoder[head + "bias"][3] = -20 * away @ middle


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
