"""A folder of tiny protein models in the place of the embedded ones."""

import pytest
from tiny_proteins import save_tiny

from superdiff_engine.domains import embedded
from superdiff_engine.domains.proteins import model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("proteins")
    for seed, name in enumerate(model.NAMES):
        save_tiny(found / name, f"Tiny {name}", seed)
    return found


@pytest.fixture
def assets(folder, monkeypatch):
    monkeypatch.setattr(embedded, "assets_folder", lambda: folder)
    model.load_model.cache_clear()
    model.load_settings.cache_clear()
    yield folder
    model.load_model.cache_clear()
    model.load_settings.cache_clear()
