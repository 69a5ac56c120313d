"""superdiff models."""

from __future__ import annotations

from rich.table import Column, Table

from .console import console


def models() -> None:
    """List the models that recipes can name."""
    from ..domains import domains, model_notices

    # An id that is cut short could not be copied into a recipe.
    table = Table(Column("id", no_wrap=True), "domain", "title", "description", "source")
    for domain in domains().values():
        for info in domain.models():
            table.add_row(info.id, domain.name, info.title, info.description, info.source)
    console.print(table)
    for domain in domains().values():
        if domain.absent:
            console.print(f"{domain.title}: {domain.getting_models}", soft_wrap=True)
    for notice in model_notices():
        console.print(notice, style="yellow", soft_wrap=True)
    console.print(
        "Your own diffusers folders, and models of others that superdiff convert wrote: set SUPERDIFF_MODELS to the "
        "folder that holds them, they appear as local/NAME. "
        "Hub models: hub/OWNER/NAME.",
    )
