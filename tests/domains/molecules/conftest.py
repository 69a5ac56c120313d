"""The domain with tiny models in place of the embedded ones."""

import pytest
from tiny_molecules import save_tiny

from superdiff_engine.domains import embedded
from superdiff_engine.domains.molecules import domain


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """The folder of three tiny models, which the domain takes for the embedded ones."""
    for seed, name in enumerate(domain.NAMES):
        save_tiny(tmp_path / "assets" / name, f"tiny {name}", seed)
    monkeypatch.setattr(embedded, "assets_folder", lambda: tmp_path / "assets")
    return tmp_path / "assets"
