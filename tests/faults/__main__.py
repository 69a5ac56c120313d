"""`python -m tests.faults recipes | files | kills | tabs | memory | library | folders | servers | crowd`.

Tries the product, and prints what came of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from .ledger import FIGURES, report


def main() -> int:
    """Try what the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for what, count in (
        ("recipes", 10_000),
        ("files", 10_000),
        ("kills", 100),
        ("tabs", 20),
        ("memory", 1000),
        ("library", 100),
        ("folders", 1000),
        ("servers", 20),
        ("crowd", 8),
    ):
        one = commands.add_parser(what)
        one.add_argument("--runs" if what == "memory" else "--count", dest="count", type=int, default=count)
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--only", type=int, help="the number of one case, tried alone")
        one.add_argument("--keep", type=Path, nargs="?", const=FIGURES, help="a JSON file for the figures")
        if what == "memory":
            one.add_argument("--page-runs", type=int, default=1000, help="how many more are started and drawn in a tab")
        if what == "recipes":
            one.add_argument("--run", type=int, default=400, help="how many of the recipes are run, tiny")
        if what == "files":
            one.add_argument("--kind", choices=["sdf", "pdb", "cif", "npz", "png"], required=True)
    given = parser.parse_args()
    numbers = list(range(given.count)) if given.only is None else [given.only]
    command = f"python -m tests.faults {' '.join(sys.argv[1:])}".replace(" --keep", "")
    if given.what == "recipes":
        from .recipes import check

        ledgers = check(given.seed, numbers, given.run, command)
    elif given.what == "files":
        from .files import check as check_files

        ledgers = check_files(given.kind, given.seed, numbers, command)
    elif given.what == "kills":
        from .kills import check as check_kills

        ledgers = check_kills(given.seed, numbers, command)
    elif given.what == "library":
        from .library import check as check_library

        ledgers = check_library(given.seed, numbers, command)
    elif given.what == "servers":
        from .servers import check as check_servers

        ledgers = check_servers(given.seed, numbers, command)
    elif given.what == "crowd":
        from .crowd import check as check_crowd

        ledgers = check_crowd(given.seed, given.count, command)
    elif given.what == "folders":
        from .folders import check as check_folders

        ledgers = check_folders(given.seed, numbers, command)
    elif given.what == "tabs":
        from .tabs import check as check_tabs

        ledgers = check_tabs(given.seed, numbers, command)
    else:
        from .memory import check as check_memory

        ledgers = check_memory(given.seed, given.count, given.page_runs, command)
    return report(ledgers, given.seed, None if given.only is not None else given.keep)


if __name__ == "__main__":
    sys.exit(main())
