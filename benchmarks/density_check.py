"""How far the log-densities of each domain's first example are from fresh estimates of the same samples.

Prints a table of docs/log_density.md. Run it as `python -m benchmarks.density_check [DOMAIN ...]`; all five take about
half an hour of one core.
"""

from __future__ import annotations

import sys
from typing import Any

from superdiff_engine import check_densities
from superdiff_engine.domains import domains
from superdiff_engine.recipes.document import Levels
from superdiff_engine.runs.density_check import Fit
from superdiff_engine.runs.run import Run

#: What is asked beside the example: more samples than the studio begins with, and networks without rounding.
ASKED: dict[str, dict[str, Any]] = {
    "pictures": {"batch": 64, "dtype": "float32"},
    "prompts": {"batch": 8},
    "molecules": {"batch": 16},
    "proteins": {"levels": Levels(steps=200), "dtype": "float32"},
}


def line(name: str, samples: int, fit: Fit) -> str:
    """A row of the table."""
    which = "log q" + " − log q".join(str(expert + 1) for expert in fit.experts)
    values = f"{fit.bias:.2f} ± {fit.bias_error:.2f} | {fit.spread:.2f} | {fit.noise:.2f} | {fit.rank_correlation:.2f}"
    return f"| {name} | {which} | {values} | {samples} |"


if __name__ == "__main__":
    print("| example | | bias, nats | spread, nats | fresh noise, nats | rank correlation | samples |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, domain in domains().items():
        if domain.absent or (len(sys.argv) > 1 and name not in sys.argv[1:]):
            continue
        example = next(iter(domain.examples().values())).model_copy(update=ASKED.get(name, {}))
        result = Run(example, previews=False).execute()
        if result is not None:
            check = check_densities(result)
            for fit in [*check.experts, *check.differences]:
                print(line(name, check.samples, fit), flush=True)
