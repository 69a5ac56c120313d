"""What went wrong, in a sentence: the user's own errors as they stand, and what to do when the memory runs out."""

from __future__ import annotations

from ..domains import get_domain
from ..errors import SuperDiffError
from ..recipes.document import Recipe
from ..system.memory import is_out_of_memory


def explain(error: BaseException, recipe: Recipe | None = None, log: str = "") -> str:
    """One sentence for whatever was raised.

    Args:
        error: what was raised.
        recipe: what was being run, for its sizes.
        log: where the details are; empty where they are kept nowhere.
    """
    if isinstance(error, SuperDiffError):
        return str(error)
    if is_out_of_memory(error):
        return out_of_memory(recipe)
    if isinstance(error, KeyboardInterrupt):
        return "The run was interrupted."
    first = (str(error).splitlines() or [""])[0]
    details = f"; {log} holds the details" if log else ""
    return f"The run stopped on an unexpected error ({type(error).__name__}: {first}){details}."


def out_of_memory(recipe: Recipe | None) -> str:
    """What did not fit into the memory, and what to choose instead."""
    if recipe is None:
        return "The memory ran out; close other programs, or choose fewer samples."
    size = get_domain(recipe.domain).size
    what, choose = f"a batch of {recipe.batch:,} samples", ["a smaller batch"]
    length = None if size is None else getattr(recipe, size.field)
    if size is not None and length is not None:
        what += f" of {length} {size.field}"
        choose.append(f"fewer {size.field}")
    if recipe.pipeline is not None and recipe.pipeline.height is not None:
        what += f" of {recipe.pipeline.width} x {recipe.pipeline.height} pixels"
        choose.append("smaller pictures")
    if recipe.batch == 1:
        what, choose = what.replace("1 samples", "1 sample"), [*choose[1:], "a machine with more memory"]
    if recipe.device != "cpu" and recipe.dtype == "float32" and len(get_domain(recipe.domain).dtypes) > 1:
        choose.append("float16 or bfloat16 on a GPU")
    return f"The memory ran out with {what}; choose {' or '.join(choose)}."
