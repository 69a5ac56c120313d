"""The one place where it is chosen where work is done."""

from __future__ import annotations

import os
from collections.abc import Callable

from .cluster import Cluster, check_address, ray_is_installed
from .here import Here
from .workplace import Workplace

#: The environment variable with the address of the Ray cluster that the studio may send grids to.
SETTING = "SUPERDIFF_RAY"
#: Opens a workplace; it is given what says whether nobody wants it any more.
Opens = Callable[[Callable[[], bool]], Workplace]


def in_this_process(stopped: Callable[[], bool]) -> Workplace:
    """The process that asks, as a workplace."""
    return Here()


def opens_at(ray: str | None, usual: Opens = in_this_process) -> Opens:
    """What opens the workplace that is asked for.

    Args:
        ray: the address of a Ray cluster, "auto" for a local one; None for the usual workplace.
        usual: opens that.

    Raises:
        SuperDiffError: where Ray is missing, or this can be no address.
    """
    if ray is None:
        return usual
    check_address(ray)
    return lambda stopped: Cluster(ray, stopped=stopped)


def offered_cluster() -> str:
    """The address in `SETTING`; "" where there is none, or no Ray."""
    return os.environ.get(SETTING, "").strip() if ray_is_installed() else ""
