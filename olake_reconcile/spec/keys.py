"""Every key that workspace files may have, from the models that declare them."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from olake_reconcile.model.config import DESTINATION_CONFIGS, SOURCE_CONFIGS
from olake_reconcile.spec.documents import DOCUMENTS


@cache
def known_keys() -> frozenset[str]:
    """Return the keys of all documents and of all configs that this release knows."""
    models: list[type[BaseModel]] = [
        *DOCUMENTS.values(),
        *SOURCE_CONFIGS.values(),
        *DESTINATION_CONFIGS.values(),
    ]
    return frozenset(key for model in models for key in _keys_of(model))


def _keys_of(model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for inner in _models_in(field.annotation):
            found |= _keys_of(inner)
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
