"""Freed memory is kept for the next tensors of a run, and given back after it; in a process of its own."""

import json
import subprocess
import sys

import pytest

CALLS = """
import json, resource, torch
from superdiff_engine.system.allocation import freed_memory_kept
weight = torch.randn(64, 64)
def held():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) // 4 for line in file if line.startswith("Rss"))
def call():
    x = torch.ones(40_000, 64)
    for _ in range(5):
        x = torch.nn.functional.silu(x @ weight) + x
call()
with freed_memory_kept():
    for _ in range(5):
        call()
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        call()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun
    # Small blocks on top of a freed large one, as a run leaves them.
    large = [torch.ones(1_000_000) for _ in range(20)]
    small = torch.ones(10)
    del large
    during = held()
print(json.dumps({"faults": faults, "given_back": during - held()}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own")
def test_tensors_of_megabytes_are_not_asked_of_the_kernel_each_time_and_none_stay_behind():
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=True, timeout=100)
    found = json.loads(done.stdout)
    # Each of the 75 tensors has 2,500 pages.
    assert found["faults"] < 5_000
    # The twenty tensors at the end have 19,500.
    assert found["given_back"] > 15_000
