import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from superdiff_engine import ModelError
from superdiff_engine.domains.pictures import classifier
from superdiff_engine.domains.pictures.classifier import (
    GarmentClassifier,
    Reference,
    classify,
    load_classifier,
    save_classifier,
)
from superdiff_engine.domains.pictures.data import Pictures
from superdiff_engine.domains.pictures.metrics import (
    bootstrap,
    class_share,
    fashion_fid,
    fashion_is,
    frechet_distance,
    measure,
)
from superdiff_engine.training.task import TrainingFacts


def random_covariance(size, seed, rank=None):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, rank or size, generator=generator, dtype=torch.float64)
    return root @ root.T / size


def test_frechet_distance_against_scipy():
    first, second = random_covariance(12, 0), random_covariance(12, 1)
    mean, other = torch.randn(12, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    root = sqrtm((first @ second).numpy()).real
    expected = float((mean - other).square().sum()) + float(np.trace(first + second - 2 * root))
    assert frechet_distance(mean, first, other, second) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_diagonal_gaussians():
    """Commuting covariances: the sum of squared differences of means and of standard deviations."""
    first, second = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 0.25]).double()
    mean = torch.tensor([1.0, 0.0, -2.0]).double()
    expected = 5 + float((first.sqrt() - second.sqrt()).square().sum())
    assert frechet_distance(mean, first.diag(), torch.zeros(3).double(), second.diag()) == pytest.approx(expected)


def test_frechet_distance_is_zero_on_itself_even_when_singular():
    covariance, mean = random_covariance(10, 2, rank=3), torch.ones(10, dtype=torch.float64)
    assert frechet_distance(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-6)


def test_fashion_fid_uses_the_features_moments():
    features = torch.randn(500, 6, dtype=torch.float64)
    reference = Reference(torch.zeros(6).double(), torch.eye(6).double())
    moments = features.mean(0), torch.from_numpy(np.cov(features.numpy().T))
    expected = frechet_distance(*moments, reference.mean, reference.covariance)
    assert fashion_fid(features, reference) == pytest.approx(expected, rel=1e-9)


def test_fashion_is_of_known_distributions():
    certain = torch.eye(10, dtype=torch.float64).repeat(7, 1)
    assert fashion_is(certain) == pytest.approx(10)
    assert fashion_is(certain[:1].repeat(5, 1)) == pytest.approx(1)  # one class only
    assert fashion_is(torch.full((20, 10), 0.1).double()) == pytest.approx(1)  # no idea
    two = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).double()
    assert fashion_is(two) == pytest.approx(math.exp(0.9 * math.log(1.8) + 0.1 * math.log(0.2)))


def test_class_share():
    probabilities = torch.eye(10).double()[[0, 4, 5, 9, 2]]
    assert class_share(probabilities) == pytest.approx(0.6)


def test_bootstrap_error_of_a_mean():
    values = torch.randn(400, dtype=torch.float64)
    measured = bootstrap(lambda chosen: float(values[chosen].mean()), 400, resamples=400)
    assert measured.value == pytest.approx(float(values.mean()))
    assert measured.error == pytest.approx(float(values.std()) / 20, rel=0.15)


def test_the_classifier_travels_with_its_accuracy_and_reference(tmp_path, monkeypatch):
    network = GarmentClassifier().eval()
    test = Pictures(torch.rand(300, 1, 28, 28) * 2 - 1, torch.arange(300) % 10)
    real = {"all": {"fashion_fid": 0.2, "fashion_is": 6.8}}
    facts = TrainingFacts(minutes=0.1, steps=10, batch=256, loss=0.5, hardware="2 cores")
    measured = save_classifier(network, facts, test, tmp_path / "garment_classifier", real)
    monkeypatch.setattr(classifier, "assets_folder", lambda: tmp_path)
    load_classifier.cache_clear()
    try:
        assert classifier.classifier_accuracy() == pytest.approx(measured, abs=1e-4)
        features, probabilities = classify(load_classifier(), test.pictures)
        assert features.shape == (300, 128)
        assert torch.allclose(probabilities.sum(1), torch.ones(300).double())
        # The test pictures are their own reference.
        assert fashion_fid(features, classifier.load_reference()) == pytest.approx(0, abs=1e-4)
        assert set(measure(test.pictures, network, classifier.load_reference())) == {
            "fashion_fid",
            "fashion_is",
            "class_share",
        }
        load_classifier.cache_clear()
        path = tmp_path / "garment_classifier" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(ModelError, match="damaged or was cut off"):
            load_classifier()
        path.unlink()
        with pytest.raises(ModelError, match="superdiff train garment_classifier"):
            load_classifier()
    finally:
        load_classifier.cache_clear()


def test_the_embedded_classifier_is_as_good_as_required():
    assert classifier.classifier_accuracy() >= 0.92
    reference = classifier.load_reference()
    assert reference.covariance.shape == (128, 128)
    assert float(torch.linalg.eigvalsh(reference.covariance).min()) > -1e-6
