"""The base of every part of a recipe: unknown fields, infinities and changes afterwards are refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a document, with no more than its fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
