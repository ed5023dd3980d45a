"""The JSON Schema that editors use for workspace files, generated from the written models."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from olake_reconcile.model.config import DESTINATION_CONFIGS, SOURCE_CONFIGS, secret_paths
from olake_reconcile.spec.documents import DOCUMENTS
from olake_reconcile.spec.scalar import plain_value

Schema = dict[str, Any]

# A reference may stand where a number, a truth value or a word of a closed set is wanted.
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{(env|file|var):"}
_SECRET = r"^(\$\{(env|file):[^}]+\})*$"
# Keys that say what a document is: no references there.
_LITERAL = frozenset({"kind", "type"})
# Descriptions end with the default that the model will fill in.
_DEFAULT = re.compile(r"Default: ([\w/:.-]+)[.]\Z")


def schema_text() -> str:
    """Return the schema as the file in `schemas/` holds it."""
    return json.dumps(workspace_schema(), indent=2, ensure_ascii=False) + "\n"


def workspace_schema() -> Schema:
    """Return the schema of one document of a workspace file: one of the kinds."""
    models = [(model, "validation") for model in DOCUMENTS.values()]
    _, schema = models_json_schema(models, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    definitions: Schema = schema["$defs"]
    for definition in definitions.values():
        _allow_references(definition)
    _describe_configs(definitions)
    for model in DOCUMENTS.values():
        # A YAML `kind:` chooses the branch; editors complete it only when it is required.
        required = definitions[model.__name__].setdefault("required", [])
        if "kind" not in required:
            required.insert(0, "kind")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "olake-reconcile workspace document",
        "description": "One YAML document of olake.yaml or of a file below jobs/.",
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in DOCUMENTS.values()],
        "$defs": dict(sorted(definitions.items())),
    }


def _allow_references(definition: Schema) -> None:
    for name, field in definition.get("properties", {}).items():
        field.pop("title", None)
        if field.get("default", ...) is None:
            del field["default"]
        if default := _DEFAULT.search(field.get("description", "")):
            field["default"] = plain_value(default.group(1))
        if name not in _LITERAL:
            _widen(field)


def _widen(field: Schema) -> None:
    """Let a field that is no free text be a reference too."""
    options: list[Schema] = field.get("anyOf", [])
    if not options and _needs_widening(field):
        typed = {k: field.pop(k) for k in list(field) if k not in ("description", "examples")}
        field["anyOf"] = [typed, _REFERENCE]
    elif any(_needs_widening(option) for option in options):
        options.append(_REFERENCE)


def _needs_widening(field: Schema) -> bool:
    if field.get("pattern") == _SECRET:
        return False
    return field.get("type") in ("boolean", "integer") or "enum" in field or "pattern" in field


def _describe_configs(definitions: Schema) -> None:
    """Tie `config` to the fields of the chosen type."""
    for document, configs in (
        ("SourceDocument", SOURCE_CONFIGS),
        ("DestinationDocument", DESTINATION_CONFIGS),
    ):
        cases: list[Schema] = []
        for kind, model in configs.items():
            schema = TypeAdapter(model).json_schema(ref_template="#/$defs/{model}")
            definitions.update(schema.pop("$defs", {}))
            definitions[model.__name__] = schema
            config = {"properties": {"config": {"$ref": f"#/$defs/{model.__name__}"}}}
            cases.append({"if": {"properties": {"type": {"const": kind.value}}}, "then": config})
            _demand_references(definitions, schema, [list(path) for path in secret_paths(model)])
            for inner in [
                schema,
                *(definitions[name] for name in ("Ssl", "UpdateMethod") if name in definitions),
            ]:
                _allow_references(inner)
        definitions[document]["allOf"] = cases


def _demand_references(definitions: Schema, schema: Schema, paths: list[list[str]]) -> None:
    """Let secret fields be references only, so that an editor marks plaintext at once."""
    for first, *rest in paths:
        field = schema["properties"][first]
        if rest:
            inner = definitions[field["$ref"].rpartition("/")[2]]
            _demand_references(definitions, inner, [rest])
        else:
            schema["properties"][first] = {
                "type": "string",
                "pattern": _SECRET,
                "description": "A secret: a reference, such as ${env:NAME}.",
            }
