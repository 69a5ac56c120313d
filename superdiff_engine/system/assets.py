"""Where the embedded models are: beside the package in a wheel, beside its folder in the repository."""

from __future__ import annotations

from pathlib import Path


def assets_folder() -> Path:
    """The folder that holds one folder for each embedded model (it may not exist in a broken installation)."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"
