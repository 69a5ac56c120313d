"""Names of an author's tensors turned into ours, with one sentence on those that do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, quoted

#: Names that a message lists of a kind; it counts the rest.
LISTED = 8
#: What wrappers of training put before a name.
WRAPPER = "module."
#: What stands in a pattern for a number, and for the last word of a name.
NUMBER, WORD = "#", "*"


class Names:
    """How an author's tensors are called here, both ways.

    Args:
        pairs: (theirs, ours), patterns of whole names in which # is a number and * a word, in the same order in both.
        unused: theirs, of tensors that the author's network has and never uses: they may lack, and are left out.
        what: the model, for messages: "FrameDiff", say.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], unused: Sequence[str], what: str) -> None:
        self.what = what
        self._unused = [_pattern(theirs) for theirs in unused]
        self._ours = [(_pattern(theirs), ours) for theirs, ours in pairs]
        self._theirs = [(_pattern(ours), theirs) for theirs, ours in pairs]

    def ours(self, name: str) -> str | None:
        """Our name of an author's tensor; None where there is none."""
        return _translated(name, self._ours)

    def theirs(self, name: str) -> str:
        """The author's name of a tensor of ours; raises KeyError where there is none."""
        found = _translated(name, self._theirs)
        if found is None:
            raise KeyError(name)
        return found

    def renamed(
        self,
        state: Mapping[str, Tensor],
        build: Callable[..., nn.Module],
        settings_from: Callable[[Mapping[str, Tensor]], dict[str, Any]],
    ) -> tuple[dict[str, Tensor], list[str]]:
        """(tensors by our names, float32; the author's names that are left out), checked against the network they make.

        Args:
            state: by the author's names, with or without the wrapper's "module.".
            build: makes the network of its settings.
            settings_from: reads them off tensors by our names; KeyError of our name where one lacks.

        Raises:
            ModelError: names the tensors that are missing, surplus, or of a wrong shape.
        """
        plain = {name.removeprefix(WRAPPER): value for name, value in state.items()}
        left_out = sorted(name for name in plain if any(pattern.fullmatch(name) for pattern in self._unused))
        known = {name: self.ours(name) for name in plain if name not in left_out}
        surplus = [name for name, ours in known.items() if ours is None]
        found = {ours: plain[name] for name, ours in known.items() if ours is not None}
        wanted: dict[str, Tensor] = {}
        try:
            settings = settings_from(found)
            with torch.device("meta"):
                wanted = build(**settings).state_dict()
            missing = [self.theirs(name) for name in wanted if name not in found]
        except KeyError as error:
            missing = [self.theirs(error.args[0])]
        except (IndexError, TypeError, ValueError, ArithmeticError, RuntimeError):
            raise ModelError(
                f"The tensors are not {self.what}'s: their shapes do not make a network; give the checkpoint as its "
                "authors published it."
            ) from None
        if wanted:
            surplus += [self.theirs(name) for name in found if name not in wanted]
        shapes = [
            f"{self.theirs(name)} is {_shape(found[name])} instead of {_shape(value)}"
            for name, value in wanted.items()
            if name in found and found[name].shape != value.shape
        ]
        kinds = (("missing", missing), ("surplus", surplus), ("of a wrong shape", shapes))
        wrong = [f"{kind}: {_listed(some)}" for kind, some in kinds if some]
        if wrong:
            raise ModelError(
                f"The tensors are not {self.what}'s ({'; '.join(wrong)}); give the checkpoint as its authors published "
                "it."
            )
        return {name: found[name].detach().float().contiguous() for name in wanted}, left_out


def count_of(names: Mapping[str, Any], pattern: str) -> int:
    """How many there are of a numbered part, "blocks.#.norm.weight" say: one more than the largest number."""
    numbers = [int(found[1]) for found in map(_pattern(pattern).fullmatch, names) if found]
    return max(numbers, default=-1) + 1


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(re.escape(NUMBER), r"(\d{1,3})").replace(re.escape(WORD), r"(\w+)"))


def _translated(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, other in rules:
        found = pattern.fullmatch(name)
        if found:
            for value in found.groups():
                other = re.sub(r"[#*]", value, other, count=1)
            return other
    return None


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "a single number"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(quoted(name, 160) for name in names[:LISTED]) + rest
