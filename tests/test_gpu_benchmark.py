"""The benchmark for machines with a card, as it runs on one: without assets, and without what such a machine lacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from superdiff_engine.system.devices import fast_dtype

ROOT = Path(__file__).parent.parent
#: Runs it twice where neither these packages nor any embedded model are there, the second time without time.
BARE = """
import sys
from pathlib import Path
for package in ("rdkit", "scipy", "matplotlib", "streamlit", "playwright"):
    sys.modules[package] = None  # imports of it fail
from benchmarks import gpu, stand_ins
stand_ins.assets_folder = lambda: Path("/nowhere")
gpu.main(["--tiny", "--device", "cpu", "--out", "whole"])
gpu.main(["--tiny", "--device", "cpu", "--out", "short", "--minutes", "0"])
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BARE]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert (folder / "short").is_dir(), ended.stderr
    return ended, folder


def test_every_row_comes_out_on_a_bare_machine(done):
    _, folder = done
    found, page = json.loads((folder / "whole/gpu.json").read_text()), (folder / "whole/gpu.md").read_text()

    def loops(title):
        modes = ["", ", random numbers drawn on the device"]  # CUDA graphs are for CUDA
        return [f"{what}, {title}{mode}" for mode in modes for what in ("loop over its calls", "loop over calls alone")]

    prompts = [f"prompts (a tiny pipeline, float32), batch {batch}" for batch in (1, 4)]
    wanted = [
        *(row for title in prompts for row in [*loops(title), f"one call over a call each, {title}"]),
        *loops(f"pictures, batch 2, {fast_dtype()}"),  # as its first example has it on this machine
        *loops("molecules, batch 2, float32"),
        *loops(f"proteins, batch 2, residues 30, {fast_dtype()}"),
        f"Hutchinson over Ito, time, {prompts[0]}",
    ]
    assert [row["what"] for row in found["rows"]] == wanted
    assert not found["missing"]
    assert all(ratio > 0 for row in found["rows"] for ratio in row["rounds"])
    # A loop takes no less time than the calls within it.
    assert all(row["ratio"] >= 1 for row in found["rows"] if row["what"].startswith("loop over its calls"))
    assert "torch" in found["device"] and found["device"] in page and "random weights" in page


def test_it_stops_by_the_clock_with_what_it_has(done):
    ended, folder = done
    found, page = json.loads((folder / "short/gpu.json").read_text()), (folder / "short/gpu.md").read_text()
    assert ended.returncode == 1
    assert [len(row["rounds"]) for row in found["rows"]] == [1]
    assert "0 minutes were over after 1 rows" in page
