"""Options and fixtures that all tests share."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a hub

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="torch device on which the engine's tests sample")


@pytest.fixture
def device(request):
    return request.config.getoption("--device")


@pytest.fixture(autouse=True)
def seeded():
    """Whatever a test draws from the global generator, it draws the same every time."""
    torch.manual_seed(0)
