"""Runs of molecules and proteins: python -m benchmarks.embedded molecules. Writes docs/benchmarks_DOMAIN.md.

The engine's overhead is a ratio within one run: all of the loop over the time inside its network calls. Seconds are
given beside it for this machine. Where the embedded models are not installed, random weights of their size stand in,
which take the same time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from superdiff_engine.domains import embedded
from superdiff_engine.recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from superdiff_engine.recipes.operators import AndRecipe, OperatorRecipe, OrRecipe
from superdiff_engine.runs.run import Run

ROUNDS = 3
console = Console(width=110)


def recipe_of(domain: str, steps: int | None = None, **fields: Any) -> Recipe:
    """64 molecules in 100 steps of AND, or 8 proteins of 100 residues in 200 steps of OR."""
    if domain == "molecules":
        experts = [Expert(model="molecules", prompt=prompt) for prompt in ("high logP", "high TPSA")]
        operator: OperatorRecipe = AndRecipe()
        fields = {"batch": 64, "solver": "euler", "guidance": GuidanceRecipe(weight=2.0)} | fields
    else:
        experts = [Expert(model=model) for model in ("proteins_alpha", "proteins_beta")]
        operator = OrRecipe()
        fields = {"batch": 8, "residues": 100, "solver": "ancestral"} | fields
    levels = Levels(steps=steps or (100 if domain == "molecules" else 200))
    return Recipe(domain=domain, experts=experts, operator=operator, levels=levels, **fields)


def ensure_models(domain: str) -> str:
    """What the figures are of; random weights are put in the place of models that are not installed."""
    if domain == "molecules":
        from superdiff_engine.domains.molecules import domain as rooms
        from superdiff_engine.domains.molecules.model import MoleculeSettings as Settings
        from superdiff_engine.domains.molecules.model import save_model
        from superdiff_engine.domains.molecules.network import MoleculeNetwork
        from superdiff_engine.domains.molecules.properties import Vocabulary

        quartiles = dict.fromkeys(("logp", "tpsa", "qed", "sa", "fsp3"), (0.25, 0.75))
        network: Any = MoleculeNetwork(Vocabulary.of(quartiles).sizes)
        known: dict[str, Any] = {"quartiles": quartiles, "sizes": {18: 1}}
    else:
        from superdiff_engine.domains.proteins import model as rooms  # type: ignore[no-redef]
        from superdiff_engine.domains.proteins.model import ProteinSettings as Settings  # type: ignore[assignment]
        from superdiff_engine.domains.proteins.model import save_model  # type: ignore[assignment]
        from superdiff_engine.domains.proteins.network import ProteinNetwork

        network, known = ProteinNetwork(), {"lengths": {100: 1}}
    if (embedded.assets_folder() / rooms.NAMES[0] / "config.json").is_file():
        return "the embedded models"
    folder = Path(tempfile.mkdtemp())
    for name in rooms.NAMES:
        save_model(folder / name, network, Settings(title=name, description="", network=network.settings, **known))
    embedded.assets_folder = lambda: folder  # type: ignore[attr-defined]
    return "random weights of the embedded models' size"


def timed(recipe: Recipe) -> tuple[float, float, float]:
    """(seconds, seconds over those inside network calls, seconds until the first live frame) of a run."""
    clock = {"spent": 0.0}
    plain = torch.nn.Module.__call__
    depth = threading.local()

    def clocked(module: Any, *arguments: Any, **named: Any) -> Any:
        if getattr(depth, "inside", False):
            return plain(module, *arguments, **named)
        depth.inside, start = True, time.perf_counter()
        try:
            return plain(module, *arguments, **named)
        finally:
            depth.inside = False
            clock["spent"] += time.perf_counter() - start

    run = Run(recipe)
    begun, first = time.perf_counter(), []

    def look(step: Any) -> None:
        if not first and run.trace.latest is not None:
            first.append(time.perf_counter() - begun)

    torch.nn.Module.__call__ = clocked  # type: ignore[method-assign]
    try:
        run.execute(look)
    finally:
        torch.nn.Module.__call__ = plain  # type: ignore[method-assign]
    return run.seconds, run.seconds / clock["spent"], first[0]


def peak_of(residues: int) -> int:
    """MiB of memory that a run of one protein of this length takes beyond what was held before."""
    before = _highest()
    Run(recipe_of("proteins", steps=2, batch=1, residues=residues)).execute()
    return _highest() - before


def _highest() -> int:
    """The most memory that this process has held, MiB; not by getrusage, which counts the parent's before it began."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def main() -> None:
    domain = sys.argv[1] if len(sys.argv) > 1 else ""
    if domain not in ("molecules", "proteins"):
        raise SystemExit("Say which: python -m benchmarks.embedded molecules, or proteins.")
    title = ensure_models(domain)
    if len(sys.argv) > 2:  # a process of its own, for its memory
        Run(recipe_of(domain, steps=1, batch=1, residues=40)).execute()
        print(peak_of(int(sys.argv[2])))
        return
    timed(recipe_of(domain, steps=2))
    seconds, _, first = timed(recipe_of(domain))
    shares = [timed(recipe_of(domain, steps=20))[1] for _ in range(ROUNDS)]
    bar = 60 if domain == "molecules" else 120
    what = "64 molecules, 100 steps, AND, guidance 2" if domain == "molecules" else "8 proteins, 200 steps, OR"
    lines = [
        f"# Benchmarks of {domain}",
        "",
        f"`python -m benchmarks.embedded {domain}`, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {title}, float32, CPU.",
        "",
        "| what | figure | bar |",
        "| --- | --- | --- |",
        f"| loop over its network calls ({', '.join(f'{share:.3f}' for share in shares)}) | "
        f"{statistics.median(shares):.3f} | 1.05 |",
        f"| {what} | {seconds:.0f} s | {bar} s |",
        f"| first live frame after the start, model loading included | {first:.1f} s | 3 s |",
    ]
    if domain == "proteins":
        for residues in (128, 256):
            command = [sys.executable, "-m", "benchmarks.embedded", domain, str(residues)]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
            lines.append(f"| memory of a run of one protein of {residues} residues, two experts | {found} MiB | |")
    text = "\n".join(lines) + "\n"
    Path(f"docs/benchmarks_{domain}.md").write_text(text)
    console.print(text, markup=False)


if __name__ == "__main__":
    main()
