"""The documents of a workspace, sorted by kind, after everything that is wrong with the files as YAML was noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olake_reconcile.diagnostics import Diagnostic, did_you_mean
from olake_reconcile.secrets import Secrets
from olake_reconcile.spec.documents import DOCUMENTS
from olake_reconcile.spec.files import ROOT_FILE, read_text, workspace_files
from olake_reconcile.spec.node import Map
from olake_reconcile.spec.parse import Mistake, parse
from olake_reconcile.spec.references import resolve_document
from olake_reconcile.spec.report import Document, Report, described, listed, quoted
from olake_reconcile.spec.text import SourceText
from olake_reconcile.spec.variables import Variables

# Where references stay as written: they may be secrets, and are resolved when somebody connects.
_UNRESOLVED = {
    "Project": frozenset({"state", "variables", "alerts", "metrics"}),
    "Source": frozenset({"config"}),
    "Destination": frozenset({"config"}),
    # A dollar ends a pattern there.
    "Policy": frozenset({"when", "message"}),
}


@dataclass(slots=True)
class Documents:
    """All documents by kind, in the order of files. `complete` is false when part of a file could not be read.

    `unread` are files of which enough is remembered: none of their documents is in `by_kind`.
    """

    texts: dict[str, SourceText] = field(default_factory=dict)
    by_kind: dict[str, list[Document]] = field(default_factory=lambda: {kind: [] for kind in DOCUMENTS})
    complete: bool = True
    unread: list[SourceText] = field(default_factory=list)
    # Put into every file that is read; whoever remembers what was read must remember with which.
    variables: Variables = field(default_factory=Variables)
    is_overlay: bool = False  # laid over other documents: a Project may be among them


def read_documents(
    root: Path,
    secrets: Secrets,
    report: Report,
    is_known: Callable[[SourceText], bool] = lambda _: False,
    variables: Variables | None = None,
) -> Documents:
    """Read all files of the workspace at `root`; of those that `is_known` names, only the text."""
    documents = Documents(variables=variables or Variables())
    names, refused = workspace_files(root)
    report.found += refused
    documents.complete = not refused
    for name in names:
        text = read_text(root, name)
        if isinstance(text, Diagnostic):
            report.found.append(text)
            documents.complete = False
        else:
            documents.texts[name] = text
            if is_known(text):
                documents.unread.append(text)
            else:
                read_file(text, secrets, report, documents)
    return documents


def read_file(text: SourceText, secrets: Secrets, report: Report, documents: Documents) -> None:
    """Add the documents of one file to `documents`, and its mistakes to `report`."""
    parsed = parse(text.text)
    whole = Document("", Map(0), text, report)
    for mistake in parsed.mistakes:
        _note(whole, mistake)
    documents.complete = documents.complete and parsed.complete
    for root, offset in parsed.documents:
        if root is not None:
            _sort(root, offset, whole, secrets, documents)


def _note(whole: Document, mistake: Mistake) -> None:
    message = mistake.message
    if mistake.code == "duplicate-key" and mistake.other is not None:
        first, here = whole.text.place(mistake.other).line, whole.text.place(mistake.offset).line
        message = f"{quoted(message)} is given twice: on line {first} and on line {here}"
    whole.error(mistake.offset, mistake.code, message)


def _sort(root: Any, offset: int, whole: Document, secrets: Secrets, documents: Documents) -> None:
    if not isinstance(root, Map):
        message = f"a document is a mapping that begins with 'kind:', not {described(root)}"
        return whole.error(offset, "wrong-type", message)
    document = Document("", root, whole.text, whole.report)
    kind = root.get("kind")
    if kind is None:
        message = "'kind' is required: it says what the document is"
        return document.error(offset, "missing-key", message, f"one of {listed(DOCUMENTS)}")
    if not isinstance(kind, str) or kind not in DOCUMENTS:
        message = (
            f"unknown kind {quoted(kind)}"
            if isinstance(kind, str)
            else f"'kind' is text, not {described(kind)}"
        )
        hint = did_you_mean(str(kind), DOCUMENTS) or f"one of {listed(DOCUMENTS)}"
        return document.error(document.at(("kind",)), "unknown-kind", message, hint)
    document = Document(kind, root, whole.text, whole.report)
    leave = _UNRESOLVED.get(kind, frozenset())
    document = resolve_document(document, secrets, leave=leave, variables=documents.variables)
    if kind == "Project" and not documents.is_overlay and whole.text.file != ROOT_FILE:
        message = f"the Project belongs in {ROOT_FILE}"
        document.error(document.at(("kind",)), "misplaced-project", message)
    documents.by_kind[kind].append(document)
    return None
