"""The domain "plane": ready mixtures, the user's own, and a live view against the exact densities."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...arrays import Decoded
from ...domain import ALL, Domain, Export, FormulaPage, ModelInfo, MomentPictures, Shown, SlidePicture
from ...geometry import whole
from ...measured import SHARE, Figure, expert_keys
from ...recipes.document import DRAWN, CorrectionRecipe, Expert, Levels, Mixture, Recipe
from ...recipes.operators import AndRecipe, FormulaRecipe, OperatorRecipe, OrRecipe
from ...result import Result, importance_fields
from ...sampling import Step
from ...score import ScoreModel
from ...trace import Frame
from ..experts import of_kind
from ..picture_files import png
from .arrays import PlanePreview
from .distance import distance, log_target, target_of
from .drawing import BELOW, LEFT, LETTERS, TOP, draw_plane
from .formula_pages import FORMULA_PAGES
from .mixture import GaussianMixture
from .play import PlanePlaying

#: Height of the letters on a slide, in pixels.
_SLIDE_LETTERS = 22
#: Cells of the grid on which densities are drawn, each way.
GRID = 64
#: Half the width of the view, in the variance-preserving view of `to_view`: the first that holds the samples.
HALF_WIDTHS = (4.0, 6.0, 8.0, 12.0, 16.0)
#: The share of the samples that may lie outside.
OUTSIDE = 0.02
#: Steps a second of somebody's first run, and the most seconds for it: at full speed it is over before it is seen.
PACE, WATCHED = 25, 10.0
#: Standard deviations from its middle up to which a sample counts to a mode: 86 % of a mode's own.
WITHIN = 2


def _ring(modes: int, radius: float) -> list[list[float]]:
    turns = [2 * math.pi * k / modes for k in range(modes)]
    return [[round(radius * math.cos(a), 4), round(radius * math.sin(a), 4)] for a in turns]


def _mixture(means: list[list[float]], variance: float) -> Mixture:
    return Mixture(means=means, variances=[variance] * len(means))


def _backed(means: list[list[float]], variance: float) -> Mixture:
    """Modes on a broad, faint background: without it their log-density falls without end, and "not" runs after it."""
    count = len(means)
    return Mixture(means=[*means, [0.0, 0.0]], variances=[*([variance] * count), 2.5], masses=[*([1.0] * count), 0.1])


_ALONG = (-1.6, -0.8, 0.0, 0.8, 1.6)
_GRID_LINES = (-2.4, -1.2, 0.0, 1.2, 2.4)
_PETAL = "one of three broad modes around the origin"
#: id -> (title, description, mixture)
MIXTURES: dict[str, tuple[str, str, Mixture]] = {
    "rows_upper": ("Upper row", "three modes in a row above the axis", _mixture([[x, 1.0] for x in (-2, 0, 2)], 0.09)),
    "rows_lower": ("Lower row", "three modes in a row below the axis", _mixture([[x, -1.0] for x in (-2, 0, 2)], 0.09)),
    "overlap_a": ("Upper pair", "shares its left mode with 'Left pair'", _mixture([[-1.5, 1.5], [1.5, 1.5]], 0.16)),
    "overlap_b": ("Left pair", "shares its upper mode with 'Upper pair'", _mixture([[-1.5, -1.5], [-1.5, 1.5]], 0.16)),
    "ring": ("Ring", "24 modes on a circle of radius 2", _mixture(_ring(24, 2.0), 0.04)),
    "grid": ("Grid", "25 modes on a square", _mixture([[x, y] for x in _GRID_LINES for y in _GRID_LINES], 0.04)),
    "petal_a": ("Petal 1", _PETAL, _mixture([[0.0, 1.0], [0.0, 2.2]], 0.5)),
    "petal_b": ("Petal 2", _PETAL, _mixture([[-0.87, -0.5], [-1.9, -1.1]], 0.5)),
    "petal_c": ("Petal 3", _PETAL, _mixture([[0.87, -0.5], [1.9, -1.1]], 0.5)),
    "bar_lying": ("Lying bar", "a bar across, on a faint background", _backed([[x, 0.0] for x in _ALONG], 0.12)),
    "bar_standing": ("Standing bar", "a bar upwards, on a faint background", _backed([[0.0, y] for y in _ALONG], 0.12)),
    "hoop": ("Hoop", "a ring of radius 1.4, on a faint background", _backed(_ring(16, 1.4), 0.1)),
    "uneven": (
        "Uneven three",
        "three modes with 1, 2 and 4 parts of the mass",
        Mixture(means=[[-1.8, 0.0], [0.0, 1.2], [1.8, 0.0]], variances=[0.25] * 3, masses=[1.0, 2.0, 4.0]),
    ),
}
_WITHIN = f"How many samples lie in the expert's high places: no further than {WITHIN} standard deviations from a mode."


class Plane(Domain[PlanePreview, Decoded]):
    """Exact experts in two dimensions."""

    name = "plane"
    order = 0
    preview_type = PlanePreview
    title = "Plane"
    level_unit = "plane units"
    levels = (0.02, 20.0)
    # The plane has no networks: it computes in float64.
    dtypes = ("float32",)
    # Its tensors are small: more threads would only wait for each other, and starve the page that shows the run.
    threads = 1
    exact = True

    def __init__(self) -> None:
        self.playing = PlanePlaying(self, {name: (title, mixture) for name, (title, _, mixture) in MIXTURES.items()})

    def listing(self) -> Iterator[ModelInfo]:
        for name, (title, text, _) in MIXTURES.items():
            yield ModelInfo(name, title, text, "exact")
        yield ModelInfo(DRAWN, "Your own mixture", "modes that you place yourself", "exact", drawn=True)

    def examples(self) -> dict[str, Recipe]:
        def recipe(
            models: Sequence[str], operator: OperatorRecipe, steps: int = 100, corrected: bool = False
        ) -> Recipe:
            return Recipe(
                domain="plane",
                experts=[Expert(model=model) for model in models],
                operator=operator,
                levels=Levels(steps=steps),
                batch=1024,
                correction=CorrectionRecipe() if corrected else None,
            )

        def exact(models: Sequence[str], text: str) -> Recipe:
            return recipe(models, FormulaRecipe(text=text), 200, corrected=True)

        return {
            "Overlapping modes: AND finds the shared one": recipe(["overlap_a", "overlap_b"], AndRecipe(), 200),
            "Two rows of modes: OR samples both": recipe(["rows_upper", "rows_lower"], OrRecipe(), 200),
            "Ring AND grid: where they cross": recipe(["ring", "grid"], AndRecipe(), 200),
            "Three experts: OR": recipe(["petal_a", "petal_b", "petal_c"], OrRecipe(), 200),
            "Three experts: AND meets in the middle": recipe(["petal_a", "petal_b", "petal_c"], AndRecipe(), 200),
            "Ring but not petal: its far side, exactly": exact(["ring", "petal_a"], "1 but not 2"),
            "Either pair, not both: XOR, exactly": exact(["overlap_a", "overlap_b"], "1 xor[0.25] 2"),
            "Ring and grid: the soft AND, exactly": exact(["ring", "grid"], "1 and 2"),
        }

    def formula_pages(self) -> Sequence[FormulaPage]:
        return FORMULA_PAGES

    def check(self, recipe: Recipe) -> None:
        """Nothing beyond what every recipe is checked for."""

    def dimensions(self, size: int | None) -> float:
        return 2

    def first_pace(self, recipe: Recipe) -> float:
        """Slow enough for the eye, and never longer than `WATCHED` seconds in all."""
        return max(float(PACE), recipe.levels.steps / WATCHED)

    def load(self, expert: Expert, device: str, dtype: str) -> GaussianMixture:
        title, _, mixture = ("Your mixture", "", expert.mixture) if expert.mixture else MIXTURES[expert.model]
        # MPS has no float64; everywhere else the plane is exact to rounding.
        kind = torch.float32 if device == "mps" else torch.float64
        return GaussianMixture(mixture.means, mixture.variances, mixture.masses, title, kind)

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> PlanePreview:
        samples = whole(step.samples)
        mixtures = of_kind(experts, GaussianMixture)
        shown = samples[:most].cpu()
        positions = (shown * to_view(step.level)).numpy().astype(np.float32)
        half_width = view_half_width(positions)
        axis = torch.linspace(-half_width, half_width, GRID, dtype=torch.float64)
        grid = torch.cartesian_prod(axis, axis).flip(1) / to_view(step.level)
        contours = torch.stack([expert.log_density(grid, step.level).view(GRID, GRID) for expert in mixtures])
        exact = torch.stack([expert.log_density(shown, step.level) for expert in mixtures])
        noise = torch.zeros(0, 2) if step.noise is None else whole(step.noise)[:most].cpu() * to_view(step.level)
        return PlanePreview(
            positions=positions,
            log_density=step.log_density[:, :most].cpu().numpy(),
            exact=exact.double().numpy(),
            weights=step.weights[:, :most].cpu().numpy(),
            noise=noise.numpy().astype(np.float32),
            contours=contours.numpy().astype(np.float32),
            extent=np.array([-half_width, half_width, -half_width, half_width]),
        )

    def preview_png(self, result: Result) -> bytes:
        """The samples as the page shows them: over every expert's contour lines, with axes."""
        view, contours, extent, shares = self._drawn(result)
        return png(draw_plane(view, result.weights, contours, extent, result.titles, shares), result.recipe)

    def slide_picture(self, result: Result, width: int, height: int, dark: bool = False) -> SlidePicture:
        """The same at the size of a slide, with the exact target's contour lines where there is one, and no legend."""
        view, contours, extent, shares = self._drawn(result)
        target, count = target_of(result.recipe), len(contours)
        # A target of one expert is that expert.
        lines = None if target is None or count == 1 else log_target(target, contours)
        aside, above = (round(pixels * _SLIDE_LETTERS / LETTERS) for pixels in (LEFT + TOP, TOP + BELOW))
        side = min(width - aside, height - above)
        theme = "dark" if dark else "light"
        image = draw_plane(
            view, result.weights, contours, extent, [], shares, lines, max(side, 1), _SLIDE_LETTERS, theme
        )
        notes = ["Lines: the experts' densities"]
        notes += [] if lines is None else ["broad purple: the exact target"]
        notes += [] if shares is None else ["area of a dot: what it counts for"]
        return SlidePicture(image, "; ".join(notes))

    def moment_pictures(
        self,
        frames: Sequence[Frame[PlanePreview]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result | None = None,
    ) -> MomentPictures:
        """Samples over the densities of their level, in one window for all moments, with the target's lines."""
        reach = max((frame.preview.extent for frame in frames), key=lambda extent: float(extent[1]))
        target = target_of(recipe) if len(recipe.experts) > 1 else None
        letters = round(min(max(min(width, height) / 40, 11), _SLIDE_LETTERS))
        aside, above = (round(pixels * letters / LETTERS) for pixels in (LEFT + TOP, TOP + BELOW))
        side = max(min(width - aside, height - above), 1)
        theme = "dark" if dark else "light"

        def draw(moment: int) -> Image.Image:
            shown = frames[moment].preview
            lines = None if target is None else log_target(target, shown.contours)
            names: list[str] = []
            return draw_plane(
                shown.positions,
                shown.weights,
                shown.contours,
                shown.extent,
                names,
                target=lines,
                side=side,
                letters=letters,
                theme=theme,
                reach=reach,
            )

        notes = ["Lines: the experts' densities at this level"]
        notes += [] if target is None else ["broad purple: their composition"]
        return MomentPictures(draw, "; ".join(notes))

    def _drawn(self, result: Result) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """(samples in the view, the experts' log-densities on its grid, its extent, what the samples count for)."""
        view = result.samples["x"] * to_view(result.level)
        half_width = view_half_width(view)
        axis = torch.linspace(-half_width, half_width, GRID, dtype=torch.float64)
        grid = torch.cartesian_prod(axis, axis).flip(1) / to_view(result.level)
        experts = [self.load(expert, "cpu", "float32") for expert in result.recipe.experts]
        contours = torch.stack([expert.log_density(grid, result.level).view(GRID, GRID) for expert in experts])
        extent = np.array([-half_width, half_width, -half_width, half_width])
        shares = None if result.shares is None else result.shares * result.recipe.group
        return view, contours.numpy(), extent, shares

    def exports(self, result: Result, shown: Shown = ALL) -> list[Export]:
        return [
            Export("samples.png", "Scatter (PNG)", "image/png", lambda: self.preview_png(result)),
            Export("samples.csv", "Samples (CSV)", "text/csv", lambda: _samples_csv(result)),
        ]

    def exact_log_density(self, result: Result) -> np.ndarray:
        y = torch.from_numpy(result.samples["x"]).double()
        experts = of_kind(self.prepare(result.recipe, "cpu").experts, GaussianMixture)
        return torch.stack([expert.log_density(y, result.level) for expert in experts]).numpy()

    def measured(self, result: Result) -> list[Figure]:
        """Against the exact densities; shares of the samples within the experts' modes."""
        experts = of_kind(self.prepare(result.recipe, "cpu").experts, GaussianMixture)
        y, sampled = torch.from_numpy(result.samples["x"]).double(), result.sampled
        found: list[Figure] = []
        keys, titles = expert_keys(result.recipe.names), expert_keys(result.titles)
        inside = [within_modes(expert, y, result.level) for expert in experts]
        held = np.array([near.any(1) for near in inside])
        among = f"within {WITHIN} σ of modes of"
        for key, title, holds in zip(keys, titles, held, strict=True):
            share, error = sampled.share(holds)
            name, title = f"within/{key}", f"{among} {title}"
            found.append(
                Figure(name=name, title=title, value=share, error=error, unit=SHARE, main=True, meaning=_WITHIN)
            )
        if len(experts) > 1:
            share, error = sampled.share(np.logical_and.reduce(held))
            title = f"{among} every expert"
            meaning = f"{_WITHIN} Here of every expert at once: samples on which all agree."
            found.append(
                Figure(name="within_all", title=title, value=share, error=error, unit=SHARE, main=True, meaning=meaning)
            )
        for key, title, near in zip(keys, titles, inside, strict=True):
            name, title = f"modes/{key}", f"modes of {title} that have samples"
            meaning = (
                f"How much of the expert's variety is there: its modes with a sample within {WITHIN} σ, of all modes."
            )
            found.append(Figure(name=name, title=title, value=float(near.any(0).mean()), unit=SHARE, meaning=meaning))
        if len(experts) > 1:
            found += _gaps(result, torch.stack([expert.log_density(y, result.level) for expert in experts]).numpy())
        target = target_of(result.recipe)
        if target is not None:
            far = distance(target, experts, y.numpy(), result.level, to_view(result.level), result.importance)
            found += [
                Figure(
                    name="total_variation",
                    title="total variation from the exact target (0 to 1)",
                    value=far.samples,
                    better="lower",
                    main=True,
                    said=far.samples,
                    meaning="How far the samples are from the density that the operator promises: ½ Σ |share − "
                    "probability| over the cells of a grid; 0 is the same, 1 nothing in common.",
                ),
                Figure(
                    name="total_variation_floor",
                    title="total variation of as many exact samples, on average (0 to 1)",
                    value=far.floor,
                    label=f"the same of {len(y)} exact samples, on average",
                    said=far.floor,
                    meaning="What chance alone leaves: no sampler can be expected to come nearer with so many samples.",
                ),
            ]
        return found


def within_modes(expert: GaussianMixture, y: Tensor, level: float) -> np.ndarray:
    """Bool [n, modes]: whether a sample lies within `WITHIN` standard deviations of a mode, noise included.

    Args:
        expert: a mixture.
        y: samples in canonical coordinates, [n, 2].
        level: the noise level s at which they stand.
    """
    squares = (y[:, None] - expert.means.double()).square().sum(-1)
    return (squares <= WITHIN**2 * (expert.variances.double() + level**2)).numpy()


def _gaps(result: Result, exact: np.ndarray) -> list[Figure]:
    """The first two experts' true gap, and how far the estimated one is off; `exact`: log q [experts, n], nats."""
    gap, mean = exact[0] - exact[1], "mean" if result.importance is None else "weighted mean"
    off = (result.log_density[0] - result.log_density[1]) - gap
    found = []
    for name, title, values, meaning in (
        (
            "true_gap",
            "true gap |log q_1 - log q_2|",
            np.abs(gap),
            "How far apart the first two experts truly are about a sample, by their exact densities.",
        ),
        (
            "gap_error",
            "error of the estimated log q_1 - log q_2",
            np.abs(off),
            "How wrong the run was about who is likelier: |(log q₁ − log q₂) followed − exact|; weights rest on it.",
        ),
    ):
        value, error = result.sampled.mean(values)
        found.append(
            Figure(
                name=f"{name}@{result.level:.3g}",
                title=title,
                value=value,
                error=error,
                unit="nats",
                better="lower" if name == "gap_error" else "",
                label=f"{title}, {mean} (nats)",
                said=value,
                meaning=meaning,
            )
        )
    return found


def to_view(level: float) -> float:
    """The factor from canonical coordinates to the variance-preserving view, 1 / sqrt(1 + s^2).

    In it the samples stay in one window at all levels; at the data end it is the plane itself.
    """
    return 1 / math.sqrt(1 + level * level)


def view_half_width(positions: np.ndarray) -> float:
    """Half the width of the view that holds the samples, plane units: of `HALF_WIDTHS`, the widest if none does.

    Args:
        positions: in the view, [n, 2].
    """
    farthest = np.abs(positions).max(1)
    for half_width in HALF_WIDTHS:
        if np.mean(farthest > half_width) <= OUTSIDE:
            return half_width
    return HALF_WIDTHS[-1]


def _samples_csv(result: Result) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    count = len(result.log_density)
    writer.writerow(
        ["sample_from_0", "x", "y"]
        + [f"log_density_of_expert_{k}_nats" for k in range(count)]
        + [f"weight_of_expert_{k}" for k in range(count)]
        + ["level", *importance_fields(result, 0)]
    )
    for number, row in enumerate(np.column_stack([result.samples["x"], result.log_density.T, result.weights.T])):
        counts = importance_fields(result, number).values()
        writer.writerow([number, *(f"{value:.9g}" for value in row), f"{result.level:.9g}", *counts])
    return text.getvalue().encode()


#: What the registry of domains finds.
DOMAIN = Plane()
