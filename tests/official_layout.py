"""Checkpoints as the authors of FrameDiff, Proteus and LDMol publish them, with weights that are drawn.

Every tensor has its author's name, and numbers that follow from that name alone: a recipe that the authors' own code
can repeat (tests/recordings).
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from superdiff_engine.domains.proteins.se3 import framediff_names, proteus_names
from superdiff_engine.domains.proteins.se3.framediff import FrameDiffNetwork
from superdiff_engine.domains.proteins.se3.proteus import ProteusNetwork
from superdiff_engine.domains.smiles import names as ldmol_names
from superdiff_engine.domains.smiles.autoencoder import SmilesDecoder
from superdiff_engine.domains.smiles.network import LatentTransformer

#: A FrameDiff that costs nothing.
TINY_FRAMEDIFF = {"width": 16, "pair": 8, "waves": 4, "bins": 6, "blocks": 2, "heads": 2, "channels": 8, "skip": 8}
#: A Proteus that costs nothing.
TINY_PROTEUS = {
    "width": 16,
    "pair": 8,
    "waves": 4,
    "reach": 5,
    "blocks": 3,
    "heads": 2,
    "channels": 8,
    "skip": 8,
    "radial": 6,
    "narrow": 2,
    "triangle": 4,
    "local_heads": 2,
    "local_channels": 4,
    "seen": 8,
    "seen_triangle": 4,
    "seen_transition": 16,
    "residue_read": 16,
    "pair_read": 4,
}
#: "conf" of the checkpoints of both models of frames, as far as anybody reads it.
DIFFUSER = {
    "r3": {"min_b": 0.1, "max_b": 20.0, "coordinate_scaling": 0.1},
    "so3": {"min_sigma": 0.1, "max_sigma": 1.5, "schedule": "logarithmic"},
}


#: Of a layer for distances in each block's attention, which is never used.
_DISTANCES = {"weight": (1, 20), "bias": (1,)}


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers of a tensor: 0.05 N(0, 1), by the author's name of it without "module."; scales of norms are 1 + that."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    noise = 0.05 * torch.randn(shape, generator=generator)
    return 1 + noise if is_scale(name, shape) else noise


def is_scale(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is the scale of a layer's norm: the only "weight" of one axis."""
    return name.endswith(".weight") and len(shape) == 1


def framediff_state(settings: dict[str, Any] | None = None) -> dict[str, Tensor]:
    """Tensors by their author's names, those included that the network never uses."""
    with torch.device("meta"):
        network = FrameDiffNetwork(**(settings or {}))
    shapes = {framediff_names.NAMES.theirs(name): tuple(value.shape) for name, value in network.state_dict().items()}
    width = shapes["score_model.torsion_pred.linear_1.weight"]
    shapes |= {
        "score_model.torsion_pred.linear_3.weight": width,
        "score_model.torsion_pred.linear_3.bias": width[:1],
    }
    for block in range(len(network.blocks)):
        shapes |= {f"score_model.trunk.ipa_{block}.linear_rbf.{part}": size for part, size in _DISTANCES.items()}
    return {name: drawn(name, shape) for name, shape in shapes.items()}


def framediff_checkpoint(path: Path, tiny: bool = True, **changed: Any) -> dict[str, Tensor]:
    """Write a checkpoint of FrameDiff's, and return its tensors.

    Args:
        path: of the file.
        tiny: whether the network is a small one.
        changed: entries of the checkpoint in the place of the usual ones.
    """
    state = framediff_state(TINY_FRAMEDIFF if tiny else None)
    model = {"embed": {"min_bin": 1e-5, "max_bin": 20.0}, "ipa": {"seq_tfmr_num_heads": 4}}
    _save(path, state, {"model": model, "diffuser": DIFFUSER}, changed)
    return state


def proteus_state(settings: dict[str, Any] | None = None) -> dict[str, Tensor]:
    """Tensors by their author's names, those included that no clean frame depends on."""
    with torch.device("meta"):
        network = ProteusNetwork(**(settings or {}))
    shapes = {proteus_names.NAMES.theirs(name): tuple(value.shape) for name, value in network.state_dict().items()}
    previous = network.previous
    width, pair, seen = network.hotspot.out_features, network.contact.out_features, previous.pair.out_features
    template = "embedding_layer.template_embedder."
    row, column = (f"{template}{name}" for name in (proteus_names.ROW, proteus_names.COLUMN))
    residue_read, pair_read = len(previous.residue_value.weight), len(previous.pair_value.weight)
    unused = {
        **_linear(f"{template}self_condition_s", width, width),
        **_linear(f"{template}self_condition_z", seen, pair),
        f"{row}linear_q.weight": (residue_read, width),
        f"{row}linear_k.weight": (residue_read, width),
        f"{column}linear_q.weight": (pair_read, pair),
        f"{column}linear_k.weight": (pair_read, seen),
        **_linear("score_model.torsion_pred.linear_1", width, width),
        **_linear("score_model.torsion_pred.linear_2", width, width),
        **_linear("score_model.torsion_pred.linear_3", width, width),
        **_linear("score_model.torsion_pred.linear_final", 14, width),
    }
    for head, bins in (("dist", 37), ("omega", 37), ("theta", 37), ("phi", 19)):
        unused |= _linear(f"auxiliary_heads.{head}_head.linear", bins, pair)
    for block in range(len(network.blocks)):
        unused |= {f"score_model.trunk.ipa_{block}.linear_rbf.{part}": size for part, size in _DISTANCES.items()}
    for edge in range(len(network.edges)):
        transition = f"score_model.trunk.edge_transition_{edge}.pair_transition."
        unused |= {f"{transition}layer_norm.weight": (pair,), f"{transition}layer_norm.bias": (pair,)}
        unused |= _linear(f"{transition}linear_1", 2 * pair, pair) | _linear(f"{transition}linear_2", pair, 2 * pair)
    return {name: drawn(name, shape) for name, shape in (shapes | unused).items()}


def _linear(name: str, out: int, features: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, features), f"{name}.bias": (out,)}


def proteus_checkpoint(path: Path, tiny: bool = False, **changed: Any) -> dict[str, Tensor]:
    """Write a checkpoint of Proteus', and return its tensors.

    Args:
        path: of the file.
        tiny: whether the network is a small one.
        changed: entries of the checkpoint in the place of the usual ones.
    """
    state = proteus_state(TINY_PROTEUS if tiny else None)
    local = {"enable": True, "k_neighbour": 4 if tiny else 32, "k_linear": 0}
    model = {"mode": "monomer", "ipa": {"seq_tfmr_num_heads": 4, "local_triangle_attention_new": local}}
    _save(path, state, {"model": model, "diffuser": DIFFUSER}, changed)
    return state


def _save(path: Path, state: dict[str, Tensor], conf: dict[str, Any], changed: dict[str, Any]) -> None:
    moments = {number: {"step": torch.tensor(3.0), "exp_avg": value} for number, value in enumerate(state.values())}
    with omegaconf() as node:
        found = {
            "model": {f"module.{name}": value for name, value in state.items()},
            "conf": node(conf),
            "optimizer": {"state": moments, "param_groups": [{"lr": 1e-4, "params": list(moments)}]},
            "epoch": 26,
            "step": 5_000,
        }
        torch.save(found | changed, path)


@contextlib.contextmanager
def omegaconf():
    """Gives a function that makes OmegaConf's nodes of plain values: classes of its names that hold the same."""
    modules = {name: types.ModuleType(name) for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.nodes")}
    kinds = {
        name: type(name, (), {"__module__": module})
        for name, module in (("DictConfig", "omegaconf.dictconfig"), ("AnyNode", "omegaconf.nodes"))
    }
    for kind in kinds.values():
        setattr(modules[kind.__module__], kind.__name__, kind)

    def node(value: Any, parent: Any = None) -> Any:
        made = kinds["DictConfig" if isinstance(value, dict) else "AnyNode"]()
        made._parent = parent
        if isinstance(value, dict):
            made._content = {name: node(part, made) for name, part in value.items()}
        else:
            made._val = value
        return made

    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield node
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


#: An LDMol that costs nothing; heads of the published widths, which no tensor tells.
TINY_LDMOL = {"width": 48, "depth": 2, "heads": 1, "hidden": 64, "text_width": 16, "read_width": 24, "frequencies": 32}
TINY_DECODER = {"read_width": 32, "width": 64, "depth": 1, "heads": 1, "hidden": 64, "positions": 160}
#: Pieces of SMILES in a file like LDMol's: its special ones, "#", and texts that tell their number.
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "###", *(f"##<{number}>" for number in range(5, 300)))
_PREDICTIONS = "text_encoder.cls.predictions."
#: The number of a block or a layer.
_DEEP = re.compile(r"(blocks|layer)\.(\d+)\.")


def ldmol_state(settings: dict[str, Any] | None = None) -> dict[str, Tensor]:
    """Tensors of LDMol's denoiser by their authors' names, with the table of labels that it never uses."""
    with torch.device("meta"):
        network = LatentTransformer(**(settings or {}))
    rename = ldmol_names.TRANSFORMER_NAMES.theirs
    shapes = {rename(name): tuple(value.shape) for name, value in network.state_dict().items()}
    shapes["y_embedder.embedding_table.weight"] = (1001, network.out.in_features)
    return _repeated(shapes)


def _repeated(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors drawn by name, of blocks the first two alone: the third is the first again, and so on, to be fast."""
    seeds = {name: _DEEP.sub(lambda found: f"{found[1]}.{int(found[2]) % 2}.", name) for name in shapes}
    made = {seed: drawn(seed, shapes[name]) for name, seed in seeds.items() if seed == name}
    return {name: made[seed] for name, seed in seeds.items()}


def ldmol_autoencoder_state(settings: dict[str, Any] | None = None) -> dict[str, Tensor]:
    """Tensors of LDMol's autoencoder by their authors' names, with a few of its encoder, which nobody reads.

    The embedding of pieces is what chooses the next one too, and the bias has two names for one tensor.
    """
    with torch.device("meta"):
        network = SmilesDecoder(**(settings or {}))
    shapes = {
        ldmol_names.DECODER_NAMES.theirs(name): tuple(value.shape) for name, value in network.state_dict().items()
    }
    shapes[_PREDICTIONS + "decoder.bias"] = (network.out.out_features,)
    shapes["text_encoder2.embeddings.word_embeddings.weight"] = (300, 8)
    shapes["encode_prefix.weight"] = (64, 8)
    found = _repeated(shapes)
    found["text_encoder.bert.embeddings.word_embeddings.weight"] = found[_PREDICTIONS + "decoder.weight"]
    found[_PREDICTIONS + "bias"] = found[_PREDICTIONS + "decoder.bias"]
    found["text_encoder.bert.embeddings.position_ids"] = torch.arange(network.positions.num_embeddings).unsqueeze(0)
    return found


def ldmol_checkpoints(folder: Path, tiny: bool = True) -> tuple[Path, Path, Path]:
    """Write LDMol's checkpoints, as its training saves them, and a vocabulary.

    Returns:
        the files of the denoiser, the autoencoder and the pieces.
    """
    denoiser, autoencoder = folder / "checkpoint_ldmol.pt", folder / "checkpoint_autoencoder.ckpt"
    vocabulary = folder / "vocab_bpe_300_sc.txt"
    state = ldmol_state(TINY_LDMOL if tiny else None)
    torch.save({"model": state, "ema": state, "opt": {"state": {}}, "args": argparse.Namespace(epochs=1400)}, denoiser)
    lightning = {
        "epoch": 4,
        "global_step": 390_625,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": ldmol_autoencoder_state(TINY_DECODER if tiny else None),
        "optimizer_states": [{"state": {}}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"config": {"embed_dim": 256}, "use_linear": True},
    }
    torch.save(lightning, autoencoder)
    vocabulary.write_bytes("".join(f"{piece}\r\n" for piece in PIECES).encode())
    return denoiser, autoencoder, vocabulary
