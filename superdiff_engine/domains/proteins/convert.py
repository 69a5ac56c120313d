"""FrameDiff and Proteus, converted from their authors' checkpoints: networks of residue frames on one schedule.

A checkpoint is a dictionary of "model" (tensors, "module." before their names), "conf" (OmegaConf), "optimizer",
"epoch" and "step". Of "conf" only what no tensor tells is used, and that its schedules are those that we walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError, quoted
from ...system import inert
from ..conversion import Conversion, Taken, Wanted, listed, plain_configuration

#: Of both models: variance preserving for positions, in units of 10 Angstrom, and logarithmic for rotations.
SCHEDULES: dict[str, dict[str, Any]] = {
    "r3": {"min_b": 0.1, "max_b": 20.0, "coordinate_scaling": 0.1},
    "so3": {"min_sigma": 0.1, "max_sigma": 1.5, "schedule": "logarithmic"},
}


@dataclass(frozen=True)
class Parts:
    """What `se3` knows of one network: its names, the sizes that tensors and settings tell, and how it is built."""

    renamed: Callable[[Mapping[str, Tensor]], tuple[dict[str, Tensor], list[str]]]
    settings_from: Callable[[Mapping[str, Tensor]], dict[str, Any]]
    conf_settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    build: Callable[..., nn.Module]


def _framediff() -> Parts:
    from .se3 import framediff_names as names
    from .se3.framediff import FrameDiffNetwork

    return Parts(names.renamed, names.settings_from, names.conf_settings, FrameDiffNetwork)


def _proteus() -> Parts:
    from .se3 import proteus_names as names
    from .se3.proteus import ProteusNetwork

    return Parts(names.renamed, names.settings_from, names.conf_settings, ProteusNetwork)


class FrameModel(Conversion):
    """A network of residue frames out of one checkpoint.

    Args:
        name: of the model.
        title: for people.
        description: one line.
        home: address of the authors' repository.
        cite: the paper.
        usual: what the authors call the file.
        parts: imports what `se3` knows of the network.
        unused: what the tensors are that are left out.
    """

    licence = "MIT"

    def __init__(
        self,
        name: str,
        parts: Callable[[], Parts],
        *,
        title: str,
        description: str,
        home: str,
        cite: str,
        usual: str,
        unused: str,
    ) -> None:
        self.name, self.title, self.description, self.home, self.cite = name, title, description, home, cite
        self.files = (Wanted("its checkpoint", usual),)
        self._parts, self._unused = parts, unused

    def take(self, files: Sequence[Path], options: Any) -> Taken:
        parts = self._parts()
        found = inert.read(files[0])
        weights, unused = parts.renamed(inert.tensors_of(found, "model"))
        settings = _dict(plain_configuration(found.get("conf")))
        _check_schedules(settings.get("diffuser"))
        network = parts.settings_from(weights)
        try:
            told = parts.conf_settings(_dict(settings.get("model")))
            network |= {name: _number(value) for name, value in told.items()}
            with torch.device("meta"):
                parts.build(**network)
        except (AttributeError, TypeError, ValueError, RuntimeError, AssertionError):
            raise ModelError(
                f"The settings in the checkpoint ('conf') do not make {self.title}'s network; give the checkpoint as "
                "its authors publish it."
            ) from None
        return Taken(network, {"model.safetensors": weights}, left_out=self._left_out(found, unused))

    def _left_out(self, found: Mapping[str, Any], unused: Sequence[str]) -> list[str]:
        lines = [f"{len(unused)} tensors {self._unused}: {listed(unused)}"] if unused else []
        if "conf" not in found:
            lines.append(
                "nothing of its settings, which it does not bring along ('conf'): the published ones are taken"
            )
        for key, value in found.items():
            if key == "conf":
                lines.append("conf, the settings of its training, apart from those that build the network")
            elif key != "model":
                lines.append(f"{quoted(str(key))}{_words(value)}")
        return lines


def _number(value: Any) -> float:
    """A positive number out of settings, which YAML may have left as text ("1e-5"); raises ValueError."""
    number = float(value) if isinstance(value, str) else value
    if not isinstance(number, int | float) or not 0 < number < math.inf:
        raise ValueError(value)
    return number


def _words(value: Any) -> str:
    """What an entry of a checkpoint is, behind its name."""
    if isinstance(value, bool | int | float):
        return f" (it says {value:,})"
    if isinstance(value, Mapping):
        held = sum(tensor.nbytes for tensor in _tensors(value))
        return f", {held / 1e6:.1f} MB of the training's state" if held else ", of its training"
    return ", of its training"


def _tensors(value: Mapping[Any, Any]) -> list[Tensor]:
    """Of an optimizer: tensors by the number of a parameter and by name."""
    groups: list[Mapping[Any, Any]] = [part for part in value.values() if isinstance(part, Mapping)]
    groups += [row for group in groups for row in group.values() if isinstance(row, Mapping)]
    return [tensor for row in [value, *groups] for tensor in row.values() if isinstance(tensor, Tensor)]


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check_schedules(diffuser: Any) -> None:
    """Check that the settings, where there are some, are of the schedules that we walk; raises ModelError."""
    for part, entries in SCHEDULES.items():
        said = _dict(_dict(diffuser).get(part))
        for entry, expected in entries.items():
            if said.get(entry) not in (None, expected):
                raise ModelError(
                    f"The checkpoint was trained with diffuser.{part}.{entry} = {quoted(str(said[entry]))}, not "
                    f"{expected} as the published ones; give the checkpoint as its authors publish it."
                )


CONVERSIONS = {
    model.name: model
    for model in (
        FrameModel(
            "framediff",
            _framediff,
            title="FrameDiff",
            description="Backbones of proteins as residue frames, without conditions (Yim et al. 2023)",
            home="https://github.com/jasonkyuyim/se3_diffusion",
            cite="SE(3) diffusion model with application to protein backbone generation, arXiv 2302.02277",
            usual="weights/paper_weights.pth or weights/best_weights.pth",
            unused="that its authors keep for the checkpoint's sake and never use",
        ),
        FrameModel(
            "proteus",
            _proteus,
            title="Proteus",
            description="Backbones of proteins as residue frames, by triangles of a local graph (Wang et al. 2024)",
            home="https://github.com/Wangchentong/Proteus",
            cite="Proteus: exploring protein structure generation for enhanced designability and efficiency, "
            "bioRxiv 2024.02.10.579791",
            usual="weights/paper_weights.pt",
            unused="that no clean frame depends on",
        ),
    )
}
