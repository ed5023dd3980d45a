"""The base of every model: frozen, closed to unknown fields, silent about its input when it is wrong."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen value. Errors never show the input, which may hold a secret."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, strict=False, use_enum_values=False
    )
