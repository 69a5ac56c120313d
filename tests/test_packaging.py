"""A wheel built from the repository works elsewhere and finds its embedded models."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # what an earlier build left there would go into this one
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_installs_elsewhere_and_finds_its_models(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import superdiff_engine, studio\n"
        "from superdiff_engine.domains import domains\n"
        "from superdiff_engine.recipe import Expert\n"
        "pictures = domains()['pictures']\n"
        "expert = pictures.load(Expert(model='garments_a'), 'cpu', 'float32')\n"
        "print(superdiff_engine.__file__, studio.__file__, expert.title)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(str(tmp_path / "site")) == 2  # the wheel's own files, not the checkout's


def test_the_wheel_holds_the_studio_and_the_weights(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "superdiff_engine/domains/plane/formula_samples.npz" in names
    assert "studio/app.py" in names and "studio/.streamlit/config.toml" in names
    assert "superdiff_engine/assets/garments_a/unet/diffusion_pytorch_model.safetensors" in names
    assert not any("assets/unfinished" in name for name in names)


def test_the_wheel_holds_every_package(wheel):
    """The packages are listed by hand in pyproject.toml: a new one must not be forgotten."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("superdiff_engine", "studio"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.relative_to(ROOT).as_posix() in names, path


def test_no_weights_file_is_a_pickle_or_too_large():
    for path in (ROOT / "assets").rglob("*"):
        assert path.suffix not in {".pt", ".pth", ".ckpt", ".pkl", ".bin"}, path
        assert not path.is_file() or path.stat().st_size <= 40 * 2**20, path
