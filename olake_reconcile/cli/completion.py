"""Completion in shells: names of jobs, streams and sources as the files last read have them.

What the cache remembers of a file is used while the file says the same; others are looked through as text. Nothing is
resolved, connected to or complained about: whoever presses Tab gets what is there, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_NAME = re.compile(r"(?m)^name:[ \t]*[\"']?([\w-]+)")
_KIND = re.compile(r"(?m)^kind:[ \t]*[\"']?(\w+)")
_STREAM = re.compile(r"(?m)^  [\"']?([^\s#\"':][^\"':\n]*\.[^\"':\n]+)[\"']?:")
_KINDS = {"Job": "job", "Source": "source", "Destination": "destination"}

# Parameters that take names, and the kinds of resource that they take; a job may be followed by `/stream`.
JOBS = ("job",)
ADDRESSES = ("job", "source", "destination")
_TAKES = {
    "job": JOBS,
    "jobs": JOBS,
    "address": JOBS,
    "addresses": ("source", "destination"),
    "target": ADDRESSES,
    "exclude": ADDRESSES,
    "replace": JOBS,
    "allow_rebuild": JOBS,
    "allow_delete": JOBS,
    "sources": ("source",),
    "source": ("source",),
}


class Name(click.types.StringParamType):
    """Text that names something in the workspace."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin as typed; streams once a `/` is typed."""
        bare = self._kinds == ("source",)
        try:
            names = sorted(set(_names(_workspace(ctx), self._kinds, bare=bare, streams="/" in incomplete)))
        except Exception:  # noqa: BLE001  # a traceback between somebody's keystrokes helps nobody
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def completing(command: click.Command) -> click.Command:
    """Let the parameters of a command, or of those of a group, complete the names that they take."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            completing(inner)
        return command
    for parameter in command.params:
        kinds = _TAKES.get(parameter.name or "")
        if kinds and type(parameter.type) is click.types.StringParamType and command.name != "init":
            parameter.type = Name(kinds)
    return command


def _workspace(context: click.Context) -> Path:
    from olake_reconcile.wiring import find_root

    return find_root(context.find_root().params.get("directory") or Path())


def _names(root: Path, kinds: tuple[str, ...], *, bare: bool, streams: bool) -> Iterator[str]:
    from olake_reconcile.spec.cache import recall
    from olake_reconcile.spec.files import read_text, workspace_files
    from olake_reconcile.spec.text import SourceText

    remembered = recall(root / ".olake/cache")
    for file in workspace_files(root)[0]:
        text = read_text(root, file)
        if not isinstance(text, SourceText):
            continue
        if known := remembered.of(text):
            for job in known.jobs:
                yield from _of_job(job.name, [f"{i}" for i, _, _ in job.written_tables()], kinds, streams)
            continue
        for document in re.split(r"(?m)^---", text.text):
            yield from _in_text(document, kinds, bare=bare, streams=streams)


def _in_text(document: str, kinds: tuple[str, ...], *, bare: bool, streams: bool) -> Iterator[str]:
    name, kind = _NAME.search(document), _KIND.search(document)
    if name is None or kind is None:
        return
    match _KINDS.get(kind.group(1)):
        case "job":
            below = document.partition("\nstreams:")[2]
            yield from _of_job(name.group(1), _STREAM.findall(below), kinds, streams)
        case str() as other if other in kinds:
            yield name.group(1) if bare else f"{other}.{name.group(1)}"
        case _:
            pass


def _of_job(name: str, below: list[str], kinds: tuple[str, ...], streams: bool) -> Iterator[str]:
    if "job" in kinds:
        yield name
        if streams:
            yield from (f"{name}/{stream}" for stream in below)
