"""Freed memory is kept for the next tensors, in a process of its own."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from superdiff_engine.system.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
weight = torch.randn(64, 64)
def call():
    x = torch.ones(40_000, 64)
    for _ in range(5):
        x = torch.nn.functional.silu(x @ weight) + x
for _ in range(5):
    call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    call()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode):
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True, timeout=100)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_tensors_of_megabytes_are_not_asked_of_the_kernel_each_time():
    # 10 MB are 2,500 pages; without it, 15,000 to 25,000 faults.
    assert faults("keep") < 5000
