"""The product under faults: mutated recipes and files, kills, tabs, a thousand runs. `python -m tests.faults -h`."""
