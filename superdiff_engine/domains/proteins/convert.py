"""FrameDiff and Proteus, converted from their authors' checkpoints: networks of residue frames on one schedule.

A checkpoint is a dictionary of "model" (tensors, "module." before their names), "conf" (OmegaConf), "optimizer",
"epoch" and "step". Of "conf" only what no tensor tells is used, and that its schedules are those that we walk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import ModelError, quoted
from ...system import inert
from ..conversion import Conversion, Taken, Wanted, listed, plain_configuration

#: Of both models: variance preserving for positions, in units of 10 Angstrom, and logarithmic for rotations.
SCHEDULES = {
    "r3": {"min_b": 0.1, "max_b": 20.0, "coordinate_scaling": 0.1},
    "so3": {"min_sigma": 0.1, "max_sigma": 1.5, "schedule": "logarithmic"},
}


class FrameModel(Conversion):
    """A network of residue frames out of one checkpoint.

    Args:
        name: of the model.
        title: for people.
        description: one line.
        home: address of the authors' repository.
        cite: the paper.
        usual: what the authors call the file.
        module: of `se3`, with `renamed`, `settings_from` and `conf_settings`.
        unused: what the tensors are that are left out.
    """

    licence = "MIT"

    def __init__(
        self, name: str, *, title: str, description: str, home: str, cite: str, usual: str, module: str, unused: str
    ) -> None:
        self.name, self.title, self.description, self.home, self.cite = name, title, description, home, cite
        self.files = (Wanted("its checkpoint", usual),)
        self._module, self._unused = module, unused

    def take(self, files: Sequence[Path], options: Any) -> Taken:
        names = import_module(f"{__package__}.se3.{self._module}")
        found = inert.read(files[0])
        weights, unused = names.renamed(inert.tensors_of(found, "model"))
        settings = plain_configuration(found.get("conf"))
        settings = settings if isinstance(settings, Mapping) else {}
        _check_schedules(settings.get("diffuser"))
        network = {**names.settings_from(weights), **names.conf_settings(_dict(settings.get("model")))}
        return Taken(network, {"model.safetensors": weights}, left_out=self._left_out(found, unused))

    def _left_out(self, found: Mapping[str, Any], unused: Sequence[str]) -> list[str]:
        lines = [f"{len(unused)} tensors {self._unused}: {listed(unused)}"] if unused else []
        for key, value in found.items():
            if key == "conf":
                lines.append("conf, the settings of its training, apart from those that build the network")
            elif key != "model":
                lines.append(f"{quoted(str(key))}{_words(value)}")
        return lines


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
    groups = [part for part in value.values() if isinstance(part, Mapping)]
    rows = [row for group in groups for row in group.values() if isinstance(row, Mapping)]
    return [tensor for row in [value, *groups, *rows] for tensor in row.values() if isinstance(tensor, Tensor)]


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
            title="FrameDiff",
            description="Backbones of proteins as residue frames, without conditions (Yim et al. 2023)",
            home="https://github.com/jasonkyuyim/se3_diffusion",
            cite="SE(3) diffusion model with application to protein backbone generation, arXiv 2302.02277",
            usual="weights/paper_weights.pth or weights/best_weights.pth",
            module="framediff_names",
            unused="that its authors keep for the checkpoint's sake and never use",
        ),
        FrameModel(
            "proteus",
            title="Proteus",
            description="Backbones of proteins as residue frames, by triangles of a local graph (Wang et al. 2024)",
            home="https://github.com/Wangchentong/Proteus",
            cite="Proteus: exploring protein structure generation for enhanced designability and efficiency, "
            "bioRxiv 2024.02.10.579791",
            usual="weights/paper_weights.pt",
            module="proteus_names",
            unused="that no clean frame depends on",
        ),
    )
}
