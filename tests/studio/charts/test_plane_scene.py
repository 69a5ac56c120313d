"""What the plane's script is sent: the engine's own numbers, and little of them."""

import base64
import json

import numpy as np
import pytest
import torch

from studio.charts.plane import plane_moment, plane_shared
from superdiff_engine.domains.plane.contours import DEPTHS
from superdiff_engine.domains.plane.domain import DOMAIN, to_view
from superdiff_engine.domains.plane.field import Field
from superdiff_engine.trace import Frame
from superdiff_engine.walk import walk

KINDS = {"f4": np.float32, "i2": np.int16, "i1": np.int8}


def unpacked(sent):
    if "unit" in sent:
        return sent["unit"] * unpacked(sent["values"])
    return np.frombuffer(base64.b64decode(sent["content"]), KINDS[sent["kind"]]).reshape(sent["shape"])


@pytest.fixture(scope="module")
def run():
    asked = DOMAIN.examples()["Ring AND grid: where they cross"].model_copy(update={"batch": 512})
    asked = asked.model_copy(update={"levels": asked.levels.model_copy(update={"steps": 10})})
    prepared = DOMAIN.prepare(asked, "cpu")
    steps = list(walk(asked, DOMAIN, prepared))
    return asked, [Frame(step.index, step.level, DOMAIN.preview(step, prepared.experts, 512)) for step in steps]


def test_a_moment_comes_back_as_the_engine_has_it(run):
    asked, frames = run
    field, frame = Field(asked, 4.0), frames[6]
    sent, truth = plane_moment(field, frame), field.moment(frame.preview, frame.index, frame.level)
    np.testing.assert_array_equal(unpacked(sent["places"]), frame.preview.positions)
    for name, values in (
        ("pulls", truth.samples.experts),
        ("mix", truth.samples.mix),
        ("noise", truth.noise),
        ("lattice", truth.lattice.experts),
    ):
        np.testing.assert_allclose(unpacked(sent[name]), values, atol=0.51 * sent[name]["unit"])
    assert sent["latticeMix"] is None and sent["target"] is None
    assert plane_moment(field, frames[-1])["noise"] is None
    json.dumps(sent)


def test_the_ends_of_lines_lie_where_the_density_is_so_much_below_its_top(run):
    asked, frames = run
    field, frame = Field(asked, 4.0, cells=129), frames[4]
    sent = plane_moment(field, frame)
    for expert, lines in zip(field.experts, sent["lines"], strict=True):
        places = torch.from_numpy(unpacked(lines).reshape(-1, 2) / 32000 * 4.0)
        heights = expert.log_density(places / to_view(frame.level), frame.level).numpy()
        top = float(field.densities(frame.level)[0][field.experts.index(expert)].max())
        assert np.abs(top - heights[:, None] - np.array(DEPTHS)).min(1).max() < 0.05


def test_sixty_moments_of_the_most_crowded_example_fit_into_what_the_player_sends(run):
    asked, frames = run
    sizes = [len(json.dumps(plane_moment(Field(asked, 4.0), frame))) for frame in frames]
    assert 60 * np.mean(sizes) < 4_000_000


def test_the_usual_length_of_arrows_goes_with_the_steps(run):
    asked, _ = run
    few, many = (
        plane_shared(
            Field(asked.model_copy(update={"levels": asked.levels.model_copy(update={"steps": steps})}), 4), ""
        )
        for steps in (10, 400)
    )
    assert few["enlarged"] < many["enlarged"]
