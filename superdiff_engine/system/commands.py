"""Programs of the user's own, named by a template such as "esmfold {fasta} {out}", and run without a shell."""

from __future__ import annotations

import shlex
import string
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SuperDiffError

__all__ = ["Template"]

#: Characters of what a program complained of that are told on.
_TOLD = 300


@dataclass(frozen=True)
class Template:
    """A command line with places for paths, split as a shell would split it and never given to one.

    Args:
        text: as typed; `{name}` stands for a path, and `{{` for a brace.
        role: what the program is for, as in "the structure predictor".
        places: names that must all occur.
        offered: names that may occur.

    Raises:
        SuperDiffError: where it is empty, ends in the middle of a quotation, or has other names in it or too few.
    """

    text: str
    role: str
    places: Sequence[str]
    offered: Sequence[str] = ()

    def __post_init__(self) -> None:
        wanted = " and ".join(f"{{{name}}}" for name in self.places)
        try:
            words = shlex.split(self.text)
            named = [name for word in words for _, name, _, _ in string.Formatter().parse(word) if name is not None]
        except ValueError:
            raise SuperDiffError(f"The command of {self.role} cannot be read; write it with {wanted}.") from None
        for name in named:
            if name not in (*self.places, *self.offered):
                known = ", ".join(f"{{{one}}}" for one in (*self.places, *self.offered))
                raise SuperDiffError(f"The command of {self.role} has {{{name}}} in it; it may have {known}.")
        missing = [f"{{{name}}}" for name in self.places if name not in named]
        if missing:
            raise SuperDiffError(f"The command of {self.role} must have {wanted} in it; {missing[0]} is missing.")

    def arguments(self, paths: Mapping[str, Path]) -> list[str]:
        """The words of the command, each path whole within its word."""
        named = {name: str(path) for name, path in paths.items()}
        return [word.format_map(named) for word in shlex.split(self.text)]

    def run(self, paths: Mapping[str, Path]) -> None:
        """Run it to its end.

        Raises:
            SuperDiffError: when there is no such program, or it fails; with the last line that it complained of.
        """
        words = self.arguments(paths)
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            why = error.strerror or error
            raise SuperDiffError(f"The program '{words[0]}' of {self.role} cannot be started: {why}.") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            last = f": {lines[-1][:_TOLD].rstrip('.')}" if lines else ""
            raise SuperDiffError(f"The program '{words[0]}' of {self.role} failed with code {done.returncode}{last}.")
