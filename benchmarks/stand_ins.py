"""Random weights in the place of embedded models that are not installed: they take the same time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from superdiff_engine.domains import embedded
from superdiff_engine.system.assets import assets_folder

#: What is not known of the stand-ins' training.
NO_TRAINING: dict[str, Any] = {"minutes": 0.0, "steps": 0, "batch": 0, "loss": 0.0, "hardware": "none"}


def ensure_models(*domains: str) -> str:
    """Put random weights where embedded models of these domains are missing; says what the figures are of."""
    makers = {"pictures": _pictures, "prompts": _prompts, "molecules": _molecules, "proteins": _proteins}
    folder: Path | None = None
    missing = []
    for domain in domains:
        names, make = makers[domain]()
        if all((assets_folder() / name).is_dir() for name in names):
            continue
        if folder is None:
            folder = Path(tempfile.mkdtemp())
            for model in assets_folder().glob("*/"):
                (folder / model.name).symlink_to(model.resolve(), target_is_directory=True)
        torch.manual_seed(0)
        for name in names:
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
        missing.append(domain)
    if folder is None:
        return "the embedded models"
    made = folder
    embedded.assets_folder = lambda: made  # type: ignore[attr-defined]
    return f"random weights of the embedded models' size for {', '.join(missing)}"


def _pictures() -> tuple[tuple[str, ...], Any]:
    def make(folder: Path) -> None:
        from superdiff_engine.domains.pictures.saving import save_expert
        from superdiff_engine.domains.pictures.train import garment_unet
        from superdiff_engine.training.task import TrainingFacts

        save_expert(folder.name, garment_unet(), TrainingFacts(**NO_TRAINING), folder)

    return ("garments_a", "garments_b"), make


def _prompts() -> tuple[tuple[str, ...], Any]:
    def make(folder: Path) -> None:
        from superdiff_engine.domains.prompts.emoji import denoiser, networks, saving
        from superdiff_engine.domains.prompts.emoji.captions import load_tokenizer, save_tokenizer

        words = Path(tempfile.mkdtemp())
        save_tokenizer(["a sunflower", "a lemon"], words)
        tokenizer = load_tokenizer(words)
        pipe = saving.build_pipeline(denoiser.new_network(tokenizer), networks.autoencoder(), tokenizer)
        pipe.save_pretrained(folder, safe_serialization=True)
        (folder / "superdiff.json").write_text("{}")
        shutil.rmtree(words)

    return ("emoji",), make


def _molecules() -> tuple[tuple[str, ...], Any]:
    from superdiff_engine.domains.molecules.domain import NAMES

    def make(folder: Path) -> None:
        from superdiff_engine.domains.molecules.model import MoleculeSettings, save_model
        from superdiff_engine.domains.molecules.network import MoleculeNetwork
        from superdiff_engine.domains.molecules.properties import Vocabulary

        quartiles = dict.fromkeys(("logp", "tpsa", "qed", "sa", "fsp3"), (0.25, 0.75))
        network = MoleculeNetwork(Vocabulary.of(quartiles).sizes)
        settings = MoleculeSettings(
            title=folder.name, description="", network=network.settings, quartiles=quartiles, sizes={18: 1}
        )
        save_model(folder, network, settings)

    return NAMES, make


def _proteins() -> tuple[tuple[str, ...], Any]:
    from superdiff_engine.domains.proteins.model import NAMES

    def make(folder: Path) -> None:
        from superdiff_engine.domains.proteins.model import ProteinSettings, save_model
        from superdiff_engine.domains.proteins.network import ProteinNetwork

        network = ProteinNetwork()
        save_model(
            folder,
            network,
            ProteinSettings(title=folder.name, description="", network=network.settings, lengths={100: 1}),
        )

    return NAMES, make
