"""Overlays: `environments/NAME.yaml` laid over the files, document by document, by kind and name.

Maps are merged key by key, everything else is replaced, null takes a key out. An overlay changes what the files
declare and declares nothing new itself, so that a slip in a name is an error and never a second table. What applies to one
environment alone (Approval, Moved, Import, Removed) may stand in its overlay as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from olake_reconcile.diagnostics import Diagnostic, Place, did_you_mean
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.environment import FOLDER, Environment, default_state, overlay_files
from olake_reconcile.spec.files import ROOT_FILE, read_text
from olake_reconcile.spec.node import Map, Seq
from olake_reconcile.spec.reader import Documents, read_file
from olake_reconcile.spec.report import Document, Report, quoted
from olake_reconcile.spec.text import SourceText
from olake_reconcile.spec.variables import Variables

_MERGED = ("Project", "Source", "Destination", "Job")
_PER_ENVIRONMENT = ("Approval", "Moved", "Import", "Removed")
# What an environment cannot change: they say which project it is.
_FIXED = ("kind", "name", "uid")


class LayeredText(SourceText):
    """The text of a document and, behind it, that of its overlay: an offset beyond the first is in the second."""

    def __init__(self, base: SourceText, over: SourceText) -> None:
        super().__init__(base.file, f"{base.text}\n{over.text}")
        self._base = base
        self._over = over

    @property
    def shift(self) -> int:
        """How far an offset of the overlay lies behind its own."""
        return len(self._base.text) + 1

    def place(self, offset: int) -> Place:
        """Return the line and column of `offset`, in the file that it is in."""
        if offset >= self.shift:
            return self._over.place(offset - self.shift)
        return self._base.place(offset)


@dataclass(frozen=True, slots=True)
class Overlay:
    """An environment's file, read once; None of the default environment that has none."""

    environment: Environment
    text: SourceText | None


def find_overlay(root: Path, environment: Environment, report: Report) -> Overlay:
    """Return the overlay of an environment; note that there is none where one is needed."""
    found = [n for n in (f"{FOLDER}/{environment.name}{s}" for s in (".yaml", ".yml")) if (root / n).exists()]
    if not found:
        if not environment.is_default:
            _note_missing(root, environment.name, report)
        return Overlay(environment, None)
    text = read_text(root, found[0])
    if isinstance(text, Diagnostic):
        report.found.append(text)
        return Overlay(environment, None)
    return Overlay(environment, text)


def _note_missing(root: Path, name: str, report: Report) -> None:
    from olake_reconcile.diagnostics import Severity

    known = [Path(file).stem for file in overlay_files(root)]
    hint = did_you_mean(name, known) or (f"there are {', '.join(known)}" if known else "")
    message = f"there is no environment {quoted(name)}: {FOLDER}/{name}.yaml does not exist"
    report.add(Severity.ERROR, "unknown-environment", message, hint=hint)


def lay_over(documents: Documents, overlay: Overlay, secrets: Secrets, report: Report) -> None:
    """Change `documents` to what they are in the overlay's environment; complain about what cannot be meant."""
    if overlay.text is not None:
        over = Documents(variables=documents.variables, is_overlay=True)
        documents.texts[overlay.text.file] = overlay.text
        read_file(overlay.text, secrets, report, over)
        documents.complete = documents.complete and over.complete
        for kind in _MERGED:
            _merge_kind(documents, kind, over.by_kind[kind])
        for kind in _PER_ENVIRONMENT:
            documents.by_kind[kind] += over.by_kind[kind]
        for kind in over.by_kind.keys() - {*_MERGED, *_PER_ENVIRONMENT}:
            for document in over.by_kind[kind]:
                message = f"an overlay holds no {kind}"
                document.error(document.at(("kind",)), "bad-overlay", message)
    if not overlay.environment.is_default:
        _give_state(documents, overlay.environment.name)


def _merge_kind(documents: Documents, kind: str, overs: Iterable[Document]) -> None:
    known = {_name(d): i for i, d in reversed(list(enumerate(documents.by_kind[kind])))}
    seen: dict[str, Document] = {}
    for over in overs:
        name = _name(over)
        if kind != "Project" and name is None:
            over.error(over.at(("kind",)), "missing-key", "'name' is required: it says what is changed")
            continue
        if (first := seen.setdefault(str(name), over)) is not over:
            message = f"{kind.lower()} {quoted(name)} is changed twice: first at {first.text.place(first.at(('kind',)))}"
            over.error(over.at(("name",)), "duplicate-name", message)
            continue
        index = known.get(name)
        if index is None:
            if documents.complete:
                hint = did_you_mean(str(name), (str(n) for n in known))
                message = (
                    f"no file declares {kind.lower()} {quoted(name)}: an overlay changes what is declared"
                )
                over.error(over.at(("name",)), "unknown-name", message, hint)
            continue
        documents.by_kind[kind][index] = _merged_document(documents.by_kind[kind][index], over)


def _name(document: Document) -> str | None:
    # There is one Project, whatever an overlay calls it.
    name = document.root.get("name") if document.kind != "Project" else ROOT_FILE
    return name if isinstance(name, str) else None


def _merged_document(base: Document, over: Document) -> Document:
    for key in _FIXED:
        if key in over.root and key in base.root and over.root[key] != base.root[key]:
            message = f"{quoted(key)} is the same in all environments"
            over.error(over.at((key,)), "bad-overlay", message)
    _check_streams(base, over)
    text = LayeredText(base.text, over.text)
    root = merged(base.root, _shifted(over.root, text.shift))
    kept = frozenset(
        p for p in base.unresolved if not any(p[: i + 1] in over.unresolved for i in range(len(p)))
    )
    return replace(
        base,
        root=root,
        text=text,
        resolved=base.resolved | {offset + text.shift for offset in over.resolved},
        unresolved=kept | over.unresolved,
    )


def _check_streams(base: Document, over: Document) -> None:
    streams, declared = over.root.get("streams"), base.root.get("streams")
    if base.kind != "Job" or not isinstance(streams, Map):
        return
    known = declared if isinstance(declared, Map) else {}
    for stream in streams.keys() - known.keys():
        message = f"the job has no stream {quoted(stream)}: an overlay changes what is declared"
        hint = did_you_mean(stream, known)
        over.error(over.at(("streams", stream), of_key=True), "unknown-name", message, hint)


def merged(base: Map, over: Map) -> Map:
    """Return `over` laid over `base`: maps key by key, null takes out, everything else replaces."""
    result = Map(base.offset)
    for key, value, key_offset, value_offset in base.entries():
        if key not in over:
            result.add(key, value, key_offset, value_offset)
        elif isinstance(value, Map) and isinstance(over[key], Map):
            result.add(key, merged(value, over[key]), key_offset, value_offset)
        elif over[key] is not None:
            result.add(key, _without_nulls(over[key]), over.key_offset(key), over.value_offset(key))
    for key, value, key_offset, value_offset in over.entries():
        if key not in base and value is not None:
            result.add(key, _without_nulls(value), key_offset, value_offset)
    return result


def _without_nulls(node: Any) -> Any:
    """A map that lies over nothing takes nothing out."""
    return merged(Map(node.offset), node) if isinstance(node, Map) else node


def _shifted(node: Any, by: int) -> Any:
    match node:
        case Map():
            copy = Map(node.offset + by)
            for key, value, key_offset, value_offset in node.entries():
                copy.add(key, _shifted(value, by), key_offset + by, value_offset + by)
            return copy
        case Seq():
            items = Seq(node.offset + by)
            items += [_shifted(item, by) for item in node]
            items.offsets = [offset + by for offset in node.offsets]
            return items
        case _:
            return node


def _give_state(documents: Documents, environment: str) -> None:
    """Keep the environment's state apart: two that share one would take each other's jobs for their own."""
    for index, document in enumerate(documents.by_kind["Project"]):
        own = default_state(environment)
        text = document.text
        if "state" in document.root:
            at = document.root.key_offset("state")
            if (isinstance(text, LayeredText) and at >= text.shift) or _is_overlaid(document):
                continue
            url = document.root["state"]
            url = url.get("url") if isinstance(url, Map) else url
            if url != "sqlite:///.olake/state.db":
                message = f"this is the state of the default environment, and {environment} needs its own"
                hint = f"say 'state:' in the Project of {FOLDER}/{environment}.yaml, such as {own}"
                document.error(at, "shared-state", message, hint)
                continue
        root = document.root.without({"state"})
        root.add("state", own, document.root.offset, document.root.offset)
        documents.by_kind["Project"][index] = replace(document, root=root)


def _is_overlaid(document: Document) -> bool:
    """Whether the overlay changes part of a state that is a mapping: its URL, say."""
    state, text = document.root["state"], document.text
    return (
        isinstance(state, Map)
        and isinstance(text, LayeredText)
        and "url" in state
        and state.value_offset("url") >= text.shift
    )


def read_variables(
    root_text: SourceText | None, overlay: Overlay, secrets: Secrets, report: Report
) -> Variables:
    """Return the declared variables with their values: command line, OLAKE_VAR_…, overlay, default; the first wins."""
    declared = _declared(root_text)
    over = _declared(overlay.text)
    return Variables.read(declared, over, overlay.environment, secrets, report)


def _declared(text: SourceText | None) -> Mapping[str, tuple[Any, SourceText, int]]:
    from olake_reconcile.spec.parse import parse

    if text is None:
        return {}
    for root, _ in parse(text.text).documents:
        if isinstance(root, Map) and root.get("kind") == "Project":
            block = root.get("variables")
            if isinstance(block, Map):
                return {key: (value, text, at) for key, value, at, _ in block.entries()}
    return {}
