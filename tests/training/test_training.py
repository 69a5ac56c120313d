"""The trainer: it learns a known score, resumes where it stopped, and says when the loss explodes."""

import pytest
import torch
from torch import nn
from training_device import same_draws, step_on_meta

from superdiff_engine import DiscreteVP, NetworkScore
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.errors import SuperDiffError, TrainingError
from superdiff_engine.training import steps
from superdiff_engine.training.losses import denoising_loss, noisy_draws
from superdiff_engine.training.task import TrainingFacts, TrainingPlan, TrainingTask
from superdiff_engine.training.trainer import learning_rate_factor, train


class PlaneTask(TrainingTask):
    """v-prediction of a Gaussian by a small perceptron."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 2))
        self.truth = GaussianMixture([[0.6, -0.4]], [0.2])
        self.data = self.truth.sample(4096).float()
        self.schedule, self.batch = DiscreteVP.linear(), 512

    def predict(self, x, time):
        return self.network(torch.cat([x, time[:, None] / 500 - 1], 1))

    def draw(self, generator):
        chosen = torch.randint(len(self.data), (self.batch,), generator=generator)
        return {"rows": chosen, **noisy_draws((self.batch, 2), self.schedule, generator)}

    def loss(self, drawn):
        return denoising_loss(self.predict, self.data[drawn["rows"]], drawn)


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
    with pytest.raises(
        TrainingError, match=r"training of 'task' stopped.*nan by step \d+\..*lower the learning rate"
    ) as caught:
        train(task, TrainingPlan(minutes=0.005), tmp_path / "task.ckpt")
    assert isinstance(caught.value, SuperDiffError) and caught.value.step > 0 and "\n" not in str(caught.value)


def test_a_step_stays_on_its_device_and_draws_the_same_everywhere():
    task = PlaneTask()
    assert same_draws(task)
    assert len(step_on_meta(task, task.draw(torch.Generator().manual_seed(0)))) == 4


def test_what_reads_back_or_stays_behind_is_seen_without_a_gpu():
    """The check itself: a number that is read, and a constant that is made on the CPU."""

    class Reading(PlaneTask):
        def loss(self, drawn):
            return super().loss(drawn) / max(1.0, float(drawn["alpha"].max()))

    class Staying(PlaneTask):
        def loss(self, drawn):
            return super().loss(drawn) + torch.ones(())

    for kind, error in ((Reading, RuntimeError), (Staying, AssertionError)):
        task = kind()
        with pytest.raises(error):
            step_on_meta(task, task.draw(torch.Generator().manual_seed(0)))


def test_training_keeps_the_device_that_it_was_given(tmp_path, monkeypatch):
    """The task, its data and what is drawn go to the device that the trainer was asked for, and come back."""
    seen = []

    class Watched(PlaneTask):
        def to(self, device):
            seen.append(device)
            super().to("cpu")

    train(Watched(), TrainingPlan(minutes=1e-4), tmp_path / "task.ckpt", device="cpu")
    assert seen == ["cpu", "cpu"]
    task = PlaneTask()
    task.to("meta")
    assert task.data.device.type == "meta" and next(task.network.parameters()).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graph_of_steps_learns_what_single_steps_learn(tmp_path):
    """The same draws on a GPU, replayed, and on the CPU: the same losses to rounding, and checkpoints that move."""
    reports = {}
    for device in ("cpu", "cuda"):
        losses, task = [], PlaneTask()
        stepper = steps.make_stepper(task, TrainingPlan(float16=False), device)
        generator = torch.Generator().manual_seed(0)
        for _ in range(12):
            stepper.step(task.draw(generator), 1.0)
            losses.append(stepper.mean_loss())
        reports[device] = losses
    assert reports["cpu"] == pytest.approx(reports["cuda"], rel=2e-2)
    assert reports["cpu"][0] == pytest.approx(reports["cuda"][0], rel=1e-3)


def test_progress_says_samples_a_second_and_the_mean_loss(tmp_path):
    told = []
    _, progress = train(PlaneTask(), TrainingPlan(minutes=0.01), tmp_path / "task.ckpt", told.append)
    assert told and progress.pace == pytest.approx(progress.step * 512 / (progress.minutes * 60), rel=0.2)
    assert 0 < progress.loss < 5


def test_a_checkpoint_is_not_written_over_by_a_loss_that_exploded(tmp_path):
    checkpoint = tmp_path / "task.ckpt"
    train(PlaneTask(), TrainingPlan(minutes=0.005), checkpoint)
    kept = checkpoint.read_bytes()
    task = PlaneTask()
    task.data = task.data * float("nan")
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train(task, TrainingPlan(minutes=0.02), checkpoint)
    assert checkpoint.read_bytes() == kept


def test_learning_rate_warms_up_stays_and_decays_to_zero():
    plan = TrainingPlan(minutes=10, warmup_steps=100, decay_fraction=0.5)
    assert learning_rate_factor(49, 0, plan) == pytest.approx(0.5)
    assert learning_rate_factor(1000, 4, plan) == 1
    assert learning_rate_factor(1000, 7.5, plan) == pytest.approx(0.5)
    assert learning_rate_factor(1000, 10, plan) == 0
