"""Source and Destination documents as models; their configs stay as written, references unresolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from olake_reconcile.diagnostics import did_you_mean
from olake_reconcile.model.config import DESTINATION_CONFIGS, SOURCE_CONFIGS, secret_paths
from olake_reconcile.model.endpoint import Destination, DestinationType, Source, SourceType
from olake_reconcile.model.reference import BadReference, is_only_references, references
from olake_reconcile.secrets import Secrets, UnsetReference, resolve_all
from olake_reconcile.spec import supported
from olake_reconcile.spec.documents import DestinationDocument, SourceDocument
from olake_reconcile.spec.node import Map, Seq, value_at
from olake_reconcile.spec.references import scalars
from olake_reconcile.spec.report import Document, Path, described, listed, quoted
from olake_reconcile.spec.shape import check_shape
from olake_reconcile.spec.urls import password_in_url


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source, where it stands, and its database's name if that is known here."""

    document: Document
    model: Source | None
    database: str | None = None
    database_reference: str = ""  # what is unset, when the name is not known


@dataclass(frozen=True, slots=True)
class DestinationEntry:
    """A destination, where it stands, and what tells it from others: its catalog and warehouse."""

    document: Document
    model: Destination | None
    identity: tuple[str, ...] = ()


def read_source(document: Document, secrets: Secrets) -> SourceEntry:
    """Return the source that a document declares; `model` is None when it is wrong."""
    checked = check_shape(document, SourceDocument)
    root = checked.root
    if "type" not in root or "name" not in root:
        return SourceEntry(document, None)
    kind = SourceType(root["type"])
    config = root.get("config") or Map(root.offset)
    model = SOURCE_CONFIGS.get(kind)
    if model is None:
        names = listed(k.value for k in SOURCE_CONFIGS)
        message = f"{kind.value} sources are not supported yet: use {names}"
        document.error(document.at(("type",)), "unsupported-source-type", message)
    else:
        _check_config(document, config, kind.value, model, secrets)
    source = Source(
        name=root["name"],
        type=kind,
        config=_plain(config),
        identity=root.get("identity"),
        owner=root.get("owner") or "",
        description=root.get("description") or "",
    )
    database, unset = _known_text(config.get("database"), secrets)
    return SourceEntry(document, source, database, unset)


def read_destination(document: Document, secrets: Secrets) -> DestinationEntry:
    """Return the destination that a document declares; `model` is None when it is wrong."""
    root = check_shape(document, DestinationDocument).root
    if "type" not in root or "name" not in root:
        return DestinationEntry(document, None)
    kind = DestinationType(root["type"])
    config = root.get("config") or Map(root.offset)
    model = DESTINATION_CONFIGS.get(kind)
    if model is None:
        names = listed(k.value for k in DESTINATION_CONFIGS)
        message = f"{kind.value} destinations are not supported yet: use {names}"
        document.error(document.at(("type",)), "unsupported-destination-type", message)
    elif not _refuse_catalog(document, config, secrets):
        _check_config(document, config, kind.value, model, secrets)
    destination = Destination(
        name=root["name"],
        type=kind,
        config=_plain(config),
        owner=root.get("owner") or "",
        description=root.get("description") or "",
    )
    return DestinationEntry(document, destination, _identity(kind, config, secrets))


def _identity(kind: DestinationType, config: Map, secrets: Secrets) -> tuple[str, ...]:
    """Return what two declarations of the same lakehouse have in common, as far as files can tell."""
    fields = ("catalog_name", "jdbc_url", "iceberg_s3_path")
    values = [_known_text(config.get(f), secrets)[0] or str(config.get(f, "")) for f in fields]
    return (kind.value, *(v.rstrip("/").removeprefix("./") for v in values))


def _known_text(value: Any, secrets: Secrets) -> tuple[str | None, str]:
    """Return a config text with its references resolved; else None and the reference that is unset."""
    if not isinstance(value, str):
        return None, ""
    try:
        return resolve_all(value, secrets, sensitive=False), ""
    except UnsetReference as error:
        return None, str(error.reference)
    except BadReference:
        return None, ""


def _plain(node: Any) -> Any:
    """Return parsed YAML as plain JSON types."""
    match node:
        case Map():
            return {key: _plain(value) for key, value in node.items()}
        case Seq():
            return [_plain(value) for value in node]
        case _:
            return node


def _refuse_catalog(document: Document, config: Map, secrets: Secrets) -> bool:
    """Complain about a catalog that is OLake's and not yet ours; then its other keys cannot be judged."""
    kind = config.get("catalog_type")
    if kind in supported.CATALOG_TYPES:
        message = f"catalog_type {kind} is not supported yet: {supported.CATALOGS_SUPPORTED}"
        document.error(document.at(("config", "catalog_type")), supported.CODE, message)
        _check_secrets(document, config, frozenset(), frozenset(config))
        return True
    url, _ = _known_text(config.get("jdbc_url"), secrets)
    if url is not None and url.startswith("jdbc:") and not url.startswith(supported.SQLITE_URL):
        message = f"a jdbc catalog on another database than SQLite is not supported yet: {supported.CATALOGS_SUPPORTED}"
        document.error(document.at(("config", "jdbc_url")), supported.CODE, message)
    return False


def _check_config(
    document: Document, config: Map, kind: str, model: type[BaseModel], secrets: Secrets
) -> None:
    secret = secret_paths(model)
    later = supported.CONFIG_KEYS.get(kind, frozenset()) & config.keys()
    for key in sorted(later):
        message = f"{quoted(key)} is not supported yet: leave it out"
        document.error(document.at(("config", key), of_key=True), supported.CODE, message)
    _check_secrets(document, config, secret, later)
    known, unknown = _resolved(document, config, secret, secrets)
    try:
        model.model_validate({k: v for k, v in known.items() if k not in later})
    except ValidationError as errors:
        for error in errors.errors(include_input=False, include_url=False):
            path = tuple(error["loc"])
            if not any(path[: len(p)] == p or p[: len(path)] == path for p in unknown):
                _complain(document, config, model, error, path)


def _check_secrets(
    document: Document, config: Map, secret: frozenset[tuple[str, ...]], later: frozenset[str]
) -> None:
    """Complain about plaintext where a secret stands, whatever else is wrong with it."""
    for path, text in scalars(config):
        offset = document.at(("config", *path))
        name = quoted(path[-1] if isinstance(path[-1], str) else path[0])
        if path in secret and not is_only_references(text) and text:
            message = f"{name} holds a secret in plain text or a default for one"
            hint = "write a reference, such as ${env:NAME}, and take the secret out of git's history"
            document.error(offset, "plaintext-secret", message, hint)
        elif path[0] not in later and password_in_url(text):
            message = f"{name} holds a password in plain text"
            document.error(
                offset, "plaintext-secret", message, "write a reference in its place, such as ${env:NAME}"
            )


def _resolved(
    document: Document, config: Map, secret: frozenset[tuple[str, ...]], secrets: Secrets
) -> tuple[dict[str, Any], list[Path]]:
    """Return the config with what can be resolved here, and the paths whose values stay unknown."""
    known: dict[str, Any] = _plain(config)
    unknown: list[Path] = []
    for path, text in scalars(config):
        if "$" not in text:
            continue
        try:
            refers = bool(references(text))
        except BadReference:
            unknown.append(path)
            if path not in secret:
                message = "a '$' here is no reference: write ${env:NAME}, ${file:/path}, or $$ for a dollar"
                document.error(document.at(("config", *path)), "bad-reference", message)
            continue
        value, _ = (None, "") if refers and path in secret else _known_text(text, secrets)
        if value is None:
            unknown.append(path)
        else:
            _put(known, path, value)
    return known, unknown


def _put(target: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value


_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def _complain(
    document: Document, config: Map, model: type[BaseModel], error: ErrorDetails, path: Path
) -> None:
    """Note a mistake in a config, without its value: a secret may stand in the wrong place."""
    full: Path = ("config", *path)
    name = quoted(path[-1])
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(path[-1]), _fields(model, path[:-1]))
            document.error(document.at(full, of_key=True), "unknown-key", f"unknown key {name}", hint)
        case "missing":
            holder = full[:-1] if value_at(document.root, full[:-1]) is not None else ("type",)
            message = f"{name} is required in {quoted(holder[-1] if holder != ('type',) else 'config')}"
            document.error(document.at(holder, of_key=True), "missing-key", message)
        case "literal_error":
            choices = str(context.get("expected", "")).replace("'", "")
            hint = did_you_mean(str(value_at(config, path)), choices.replace(" or ", ", ").split(", "))
            document.error(document.at(full), "bad-value", f"{name} is {choices}", hint)
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            document.error(document.at(full), "out-of-range", f"{name} is {bound}")
        case kind:
            wanted = _WANTED.get(kind) or ("a list" if kind in ("list_type", "tuple_type") else "a mapping")
            message = f"{name} is {wanted}, not {described(value_at(config, path))}"
            document.error(document.at(full), "wrong-type", message)


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    for step in path:
        field = model.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
