"""Checks a document against its written model: keys, types, closed sets and ranges, each complaint with its place.

pydantic finds the mistakes; the sentences are ours, because its own would show values.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from olake_reconcile.diagnostics import did_you_mean
from olake_reconcile.spec.documents import Written
from olake_reconcile.spec.node import Map, Seq, value_at
from olake_reconcile.spec.report import Document, Path, described, listed, quoted
from olake_reconcile.spec.scalar import plain_value

_WANTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_RETYPED = {"bool_type": bool, "int_type": int}
_DURATIONS = frozenset({"timeout", "jitter", "backoff", "keep_cleared", "catalog_max_age"})
_TRUTHS = {
    **dict.fromkeys(("yes", "on", "y"), "write true"),
    **dict.fromkeys(("no", "off", "n"), "write false"),
    **dict.fromkeys(("true", "false"), "without quotes"),
}
_BLOCKS = frozenset({"job_defaults", "stream_defaults"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A document's mapping without its misshapen settings; `broken` are the paths of those."""

    root: Map
    broken: frozenset[Path] = frozenset()

    def broken_keys(self, *prefix: str) -> frozenset[str]:
        """Return the keys directly below `prefix` that were given, or meant, but are wrong."""
        depth = len(prefix)
        return frozenset(
            str(path[depth]) for path in self.broken if len(path) > depth and path[:depth] == prefix
        )


def check_shape(document: Document, model: type[Written]) -> Checked:
    """Return what is well-shaped in `document`, and complain about the rest."""
    root = document.root
    errors = _errors(root, model)
    if errors and document.resolved:
        root = _with_typed_references(document, errors)
        errors = _errors(root, model)
    if not errors and not document.unresolved:
        return Checked(root)
    broken = {_setting(path) for path in document.unresolved}
    for error in errors:
        path = _path(error)
        if path not in document.unresolved:
            broken |= {_setting(path)} | _complain(document, model, error, path)
    return Checked(_pruned(root, broken), frozenset(broken))


def _with_typed_references(document: Document, errors: list[ErrorDetails]) -> Map:
    """Return the mapping with truth values and numbers in place of the texts that references gave."""
    root = document.root
    for error in errors:
        path = _path(error)
        if (converted := _retyped(document, error, path)) is not None:
            root = _replaced(root, path, converted)
    return root


def _errors(root: Map, model: type[Written]) -> list[ErrorDetails]:
    try:
        model.__pydantic_validator__.validate_python(root)
    except ValidationError as error:
        return error.errors(include_input=False, include_url=False)
    return []


def _path(error: ErrorDetails) -> Path:
    return tuple(step for step in error["loc"] if step != "[key]")


def _setting(path: Path) -> Path:
    """Return the path of the setting that `path` is in: a wrong part spoils the whole setting."""
    depth = 0
    while depth < len(path) and path[depth] in _BLOCKS:
        depth += 1
    if depth < len(path) and path[depth] == "streams":
        depth += 2
    return path[: depth + 1]


def _retyped(document: Document, error: ErrorDetails, path: Path) -> bool | int | None:
    """Return the truth value or number that a reference stands for, where one is wanted."""
    value = value_at(document.root, path)
    wanted = _RETYPED.get(error["type"])
    if wanted is None or not isinstance(value, str) or document.at(path) not in document.resolved:
        return None
    plain = plain_value(value)
    return plain if isinstance(plain, int) and type(plain) is wanted else None


def _complain(document: Document, model: type[Written], error: ErrorDetails, path: Path) -> set[Path]:
    """Note the mistake; return the settings that were probably meant, so that nobody calls them missing."""
    *parents, last = path
    name = quoted(last) if isinstance(last, str) else f"item {last + 1} of {quoted(parents[-1])}"
    value = value_at(document.root, path)
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = _fields_at(model, tuple(parents))
            hint = did_you_mean(str(last), known)
            document.error(document.at(path, of_key=True), "unknown-key", f"unknown key {name}", hint)
            return {_setting((*parents, hint.split("'")[1]))} if hint else set()
        case "missing":
            whole = document.at(tuple(parents), of_key=True)
            document.error(whole, "missing-key", f"{name} is required{_inside(document, parents)}")
        case "literal_error":
            choices = _choices(model, path)
            hint = did_you_mean(str(value), choices)
            message = f"{name} is {listed(choices)}, not {_shown(value)}"
            document.error(document.at(path), "bad-value", message, hint)
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            document.error(document.at(path), "out-of-range", f"{name} is {bound}")
        case kind:
            message = f"{name} is {_WANTED.get(kind, 'something else')}, not {described(value)}"
            document.error(document.at(path), "wrong-type", message, _type_hint(kind, value, last))
    return set()


def _inside(document: Document, parents: list[str | int]) -> str:
    where = next((p for p in reversed(parents) if isinstance(p, str)), None)
    return f" in {quoted(where)}" if where else f" in kind: {document.kind}"


def _shown(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else described(value)


def _type_hint(kind: str, value: Any, key: str | int) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "write a duration, such as 30s or 7d" if key in _DURATIONS else "put it in quotes"
    if kind == "bool_type" and isinstance(value, str):
        return _TRUTHS.get(value.lower(), "")
    if kind == "list_type" and isinstance(value, str):
        return "write it between [ and ]"
    if kind in ("dict_type", "model_type") and isinstance(value, Seq):
        return "write 'name:' in place of '- name'"
    return ""


def _pruned(root: Map, broken: set[Path]) -> Map:
    """Return `root` without the settings at the paths `broken`; only what changes is copied."""
    here = {str(path[0]) for path in broken if len(path) == 1}
    below: dict[str, set[Path]] = {}
    for path in broken:
        if len(path) > 1:
            below.setdefault(str(path[0]), set()).add(path[1:])
    copy = root.without(here)
    for key, paths in below.items():
        if isinstance(inner := copy.get(key), Map):
            copy[key] = _pruned(inner, paths)
    return copy


def _replaced(node: Any, path: Path, value: Any) -> Any:
    """Return `node` with another value at `path`; only what changes is copied."""
    if not path:
        return value
    copy: Any = Map(node.offset) if isinstance(node, Map) else Seq(node.offset)
    copy.offsets = node.offsets
    copy.update(node) if isinstance(node, Map) else copy.extend(node)
    copy[path[0]] = _replaced(node[path[0]], path[1:], value)
    return copy


def _fields_at(model: type[Written], path: Path) -> list[str]:
    found = _annotation_at(model, path)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return [field.alias or name for name, field in found.model_fields.items()]
    return []


def _choices(model: type[Written], path: Path) -> list[str]:
    found = _annotation_at(model, path)
    return [str(a) for a in get_args(found)] if get_origin(found) is Literal else []


def _annotation_at(annotation: Any, path: Path) -> Any:
    """Return the type that a model declares at `path`, without Optional and Annotated."""
    annotation = _bare(annotation)
    if not path:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields: Mapping[str, Any] = {f.alias or n: f.annotation for n, f in annotation.model_fields.items()}
        return _annotation_at(fields[str(path[0])], path[1:]) if path[0] in fields else None
    arguments = get_args(annotation)
    return _annotation_at(arguments[-1], path[1:]) if arguments else None


def _bare(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        options = [a for a in get_args(annotation) if a is not type(None)]
        return _bare(options[0]) if len(options) == 1 else annotation
    return annotation
