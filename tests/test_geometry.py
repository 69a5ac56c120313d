"""Projection, retraction, priors and inner products of each space; IGSO(3) against its other series and integrals."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from superdiff_engine import SO3, Centred, Euclidean
from superdiff_engine.geometry import divided, whole
from superdiff_engine.rotations import exponential, igso3_log_density, igso3_score, logarithm, uniform


def generator():
    return torch.Generator().manual_seed(1)


def test_euclidean_prior_density_matches_scipy():
    space = Euclidean((3,))
    y = space.prior(5, 2.0, generator(), torch.float64, "cpu")
    expected = multivariate_normal(torch.zeros(3), 4.0).logpdf(y)
    assert torch.allclose(space.log_prior(y, 2.0), torch.as_tensor(expected))


def test_masked_dimensions_stay_zero_and_do_not_count():
    mask = torch.tensor([True, False, True])
    space, small = Euclidean((3,), mask), Euclidean((2,))
    y = space.prior(4, 1.5, generator(), torch.float64, "cpu")
    assert (y[:, 1] == 0).all()
    assert torch.allclose(space.log_prior(y, 1.5), small.log_prior(y[:, [0, 2]], 1.5))


@pytest.mark.parametrize("mask", [None, torch.tensor([[True] * 5, [True, True, True, False, False]])])
def test_centred_noise_has_zero_centre_and_the_right_variance(mask):
    space = Centred((5, 3), mask)
    noise = torch.cat([space.noise(2, generator().manual_seed(k), torch.float64, "cpu")[None] for k in range(4000)])
    assert noise.sum(2).abs().max() < 1e-12
    assert torch.allclose(space.project(noise), noise)
    # A standard normal of 3 (n - 1) dimensions has that mean square norm.
    expected = space.dimensions(2)
    assert expected.tolist() == ([12, 12] if mask is None else [12, 6])
    assert torch.allclose(noise.square().sum((2, 3)).mean(0), expected, rtol=0.05)


def test_centred_density_is_that_of_an_orthonormal_basis():
    """log_prior counts 3 (n - 1) dimensions: compare with coordinates in an explicit basis of the subspace."""
    space = Centred((4, 3))
    y = space.prior(3, 2.0, generator(), torch.float64, "cpu")
    centre = torch.eye(4, dtype=torch.float64) - 0.25
    basis = torch.linalg.eigh(centre).eigenvectors[:, 1:]  # eigenvalue 1
    coordinates = torch.einsum("pk,bpd->bkd", basis, y).flatten(1)
    expected = multivariate_normal(torch.zeros(9), 4.0).logpdf(coordinates)
    assert torch.allclose(space.log_prior(y, 2.0), torch.as_tensor(expected))


def test_rotation_vectors_agree_with_scipy():
    vectors = torch.randn(200, 3, dtype=torch.float64)
    vectors = vectors / vectors.norm(dim=1, keepdim=True) * torch.linspace(0, math.pi - 1e-6, 200)[:, None].double()
    matrices = exponential(vectors)
    assert torch.allclose(matrices, torch.as_tensor(Rotation.from_rotvec(vectors).as_matrix()), atol=1e-12)
    assert torch.allclose(logarithm(matrices), vectors, atol=1e-8)


def test_so3_moves_stay_rotations_and_masked_ones_stay_put():
    mask = torch.tensor([True, True, False])
    space = SO3((3,), mask)
    y = space.prior(6, 3.0, generator(), torch.float64, "cpu")
    for k in range(50):
        y = space.move(y, space.noise(6, generator().manual_seed(k), torch.float64, "cpu"))
    assert torch.allclose(y @ y.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand_as(y), atol=1e-12)
    assert torch.allclose(y[:, 2], torch.eye(3, dtype=torch.float64).expand(6, 3, 3))


@pytest.mark.parametrize("variance", [0.01, 0.3, 1.9999, 2.0001, 4.0, 12.0])
def test_igso3_integrates_to_one(variance):
    """Against the uniform distribution of the angle, (1 - cos w) / pi on 0..pi."""
    angle = torch.linspace(0, math.pi, 200_001, dtype=torch.float64)
    density = igso3_log_density(angle, variance).exp() * (1 - angle.cos()) / math.pi
    assert torch.trapezoid(density, angle).item() == pytest.approx(1, abs=1e-6)


def test_the_two_series_of_igso3_agree():
    """Both sides of the change-over, by the textbook sum over characters."""
    angle = torch.linspace(0.05, 3.1, 40, dtype=torch.float64)
    for variance in (0.5, 1.5, 3.0):
        order = torch.arange(60, dtype=torch.float64)[:, None]
        terms = (2 * order + 1) * torch.exp(-order * (order + 1) * variance / 2)
        characters = torch.sin((order + 0.5) * angle) / torch.sin(angle / 2)
        expected = (terms * characters).sum(0)
        assert torch.allclose(igso3_log_density(angle, variance).exp(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("variance", [0.02, 0.5, 5.0])
def test_igso3_score_is_the_derivative_of_its_log_density(variance):
    vectors = torch.randn(20, 3, dtype=torch.float64) * min(1.0, variance**0.5)
    rotation, step = exponential(vectors), 1e-5
    score = igso3_score(rotation, variance)
    for axis in range(3):
        tangent = torch.zeros(3, dtype=torch.float64)
        tangent[axis] = step
        up, down = (
            igso3_log_density(logarithm(rotation @ exponential(sign * tangent)).norm(dim=-1), variance)
            for sign in (1, -1)
        )
        assert torch.allclose((up - down) / (2 * step), score[:, axis], rtol=1e-4, atol=1e-5)


def test_uniform_rotations_have_no_mean():
    assert uniform((20_000,), generator()).mean(0).abs().max() < 0.03


def test_igso3_refuses_a_variance_of_zero():
    with pytest.raises(ValueError, match="positive"):
        igso3_log_density(torch.tensor([1.0]), 0.0)


def test_a_state_is_whole_or_divided():
    y, parts = torch.zeros(2, 3), {"positions": torch.zeros(2, 3)}
    assert whole(y) is y and divided(parts) is parts
    with pytest.raises(TypeError, match="positions"):
        whole(parts)
    with pytest.raises(TypeError, match="without components"):
        divided(y)
