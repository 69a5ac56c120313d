"""The trainer: it learns a known score, resumes where it stopped, and says when the loss explodes."""

import pytest
import torch
from torch import nn

from superdiff_engine import DiscreteVP, NetworkScore
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.training import TrainingFacts, TrainingPlan, denoising_loss, learning_rate_factor, train


class PlaneTask:
    """v-prediction of a Gaussian by a small perceptron."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 2))
        self.truth = GaussianMixture([[0.6, -0.4]], [0.2])
        self.data = self.truth.sample(4096).float()
        self.schedule = DiscreteVP.linear()

    def predict(self, x, time):
        level = self.schedule.level(time.double()).to(x)[:, None].log() / 4
        return self.network(torch.cat([x, level], 1))

    def loss(self, generator):
        chosen = torch.randint(len(self.data), (512,), generator=generator)
        return denoising_loss(self.predict, self.data[chosen], self.schedule, generator)


def test_training_recovers_a_known_score(tmp_path):
    task = PlaneTask()
    plan = TrainingPlan(minutes=0.12, learning_rate=1e-2, ema_decay=0.99, warmup_steps=10)
    network, progress = train(task, plan, tmp_path / "task.ckpt")
    assert progress.step > 50 and network is task.network
    expert = NetworkScore(task.predict, task.schedule, "v_prediction", (2,))
    y = task.truth.sample(512, level=0.5).float()
    with torch.no_grad():
        error = (expert.score(y, 0.5) - task.truth.score(y, 0.5)).square().mean()
    assert error < 0.15 * task.truth.score(y, 0.5).square().mean()


def test_resuming_continues_the_count_and_the_weights(tmp_path):
    checkpoint = tmp_path / "task.ckpt"
    _, first = train(PlaneTask(), TrainingPlan(minutes=0.02), checkpoint)
    kept = torch.load(checkpoint, weights_only=True)["ema"]
    network, again = train(PlaneTask(), TrainingPlan(minutes=0.02), checkpoint)  # the budget is spent: nothing moves
    assert again.step == first.step
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    _, longer = train(PlaneTask(), TrainingPlan(minutes=0.04), checkpoint)
    assert longer.step > first.step


def test_refining_goes_on_from_the_count_and_warms_up_anew(tmp_path):
    facts = TrainingFacts(minutes=5, steps=7000, batch=512, loss=0.5, hardware="2 cores")
    task = PlaneTask()
    installed = {name: value.clone() for name, value in task.network.state_dict().items()}
    plan = TrainingPlan(minutes=5, warmup_steps=10**9)
    network, same = train(task, plan, tmp_path / "spent.ckpt", begin=facts.progress())  # the budget is spent
    assert same.step == 7000 and all(
        torch.equal(value, installed[name]) for name, value in network.state_dict().items()
    )
    plan = TrainingPlan(minutes=5.02, warmup_steps=10**9)
    checkpoint = tmp_path / "task.ckpt"
    network, more = train(task, plan, checkpoint, begin=facts.progress())
    assert more.step > 7000 and more.minutes == pytest.approx(5.02, abs=0.02)
    # Warm-up counts from where the weights were taken up: a billion steps of it leave them nearly where they were.
    for name, value in network.state_dict().items():
        assert torch.allclose(value, installed[name], atol=1e-4)
    _, again = train(PlaneTask(), plan, checkpoint, begin=facts.progress())  # a checkpoint comes first
    assert again.step == more.step


def test_a_loss_that_explodes_stops_with_a_sentence(tmp_path):
    task = PlaneTask()
    task.data = task.data * float("nan")
    with pytest.raises(RuntimeError, match="lower the learning rate"):
        train(task, TrainingPlan(minutes=1), tmp_path / "task.ckpt")


def test_learning_rate_warms_up_stays_and_decays_to_zero():
    plan = TrainingPlan(minutes=10, warmup_steps=100, decay_fraction=0.5)
    assert learning_rate_factor(49, 0, plan) == pytest.approx(0.5)
    assert learning_rate_factor(1000, 4, plan) == 1
    assert learning_rate_factor(1000, 7.5, plan) == pytest.approx(0.5)
    assert learning_rate_factor(1000, 10, plan) == 0
