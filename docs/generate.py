"""Write the two reference pages that are made from the code: every command, and every key of a workspace.

`make docs` runs it before it builds the site; a test fails when the pages in git are not what it would write.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click

from olake_reconcile.cli.main import cli
from olake_reconcile.plan.effects import STREAM_EFFECTS, Effect
from olake_reconcile.spec.documents import DOCUMENTS
from olake_reconcile.spec.schema import workspace_schema

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py from the code; edit that. -->"

_EFFECTS = {
    Effect.IDENTITY: "another stream",
    Effect.IN_PLACE: "in place",
    Effect.REBUILD: "rebuild",
    Effect.REBUILD_IF_INCREMENTAL: "rebuild when incremental, else in place",
    Effect.MOVE: "dropped at the old place, built at the new one",
}


def pages() -> dict[Path, str]:
    """Return each page by where it belongs."""
    return {REFERENCE / "cli.md": commands_page(), REFERENCE / "workspace.md": workspace_page()}


# -- commands ----------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Return the reference of the command line."""
    parts = [
        NOTE,
        "# Commands",
        "Results go to stdout, progress and diagnostics to stderr. `-C DIR` picks the workspace. Exit codes: "
        "[Planning rules](../planning.md#exit-codes).",
        *(_option_table(cli.params)),
    ]
    for name, command in sorted(cli.commands.items()):
        parts += _command(name, command, level=2)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: click.Command, level: int) -> list[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join(["olake-reconcile", name, *command.collect_usage_pieces(context)])
    parts = [f"{'#' * level} {name}", f"```\n{usage}\n```", *_help(command)]
    parts += _option_table(command.params)
    if isinstance(command, click.Group):
        for sub, child in sorted(command.commands.items()):
            parts += _command(f"{name} {sub}", child, level + 1)
    return parts


def _help(command: click.Command) -> list[str]:
    """Return the help's paragraphs; examples, which click marks with a backspace, become blocks."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.removeprefix("\b").strip("\n").split("\n")
            parts += [title, "```\n" + "\n".join(line.removeprefix("  ") for line in lines) + "\n```"]
        else:
            parts.append(" ".join(paragraph.split()))
    return parts


def _option_table(parameters: list[click.Parameter]) -> list[str]:
    rows = []
    for parameter in parameters:
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.name != "help":
            record = parameter.get_help_record(click.Context(cli))
            if record:
                rows.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
    return ["\n".join(["| option | meaning |", "| --- | --- |", *rows])] if rows else []


# -- the workspace -----------------------------------------------------------------------------------------


def workspace_page() -> str:
    """Return the reference of every key of every kind of document."""
    definitions: dict[str, Any] = workspace_schema()["$defs"]
    parts = [
        NOTE,
        "# Workspace reference",
        "Every key of every kind of YAML document. Any value may hold references: `${env:NAME}`, "
        "`${env:NAME:-default}`, `${file:/path}`; secrets must. Editors get the same from "
        "`olake-reconcile schema`.",
    ]
    done: set[str] = set()
    for kind, model in DOCUMENTS.items():
        parts += _definition(definitions, model.__name__, f"kind: {kind}", 2, done)
    return "\n\n".join(parts) + "\n"


def _definition(definitions: dict[str, Any], name: str, title: str, level: int, done: set[str]) -> list[str]:
    """Return the section of a definition, followed by those that only it leads to."""
    done.add(name)
    definition = definitions[name]
    required = set(definition.get("required", ()))
    effects = name == "StreamSettings"
    head = "| key | value | meaning |" + (" a change means |" if effects else "")
    rows = [head, "| --- | --- | --- |" + (" --- |" if effects else "")]
    below: list[tuple[str, str]] = []
    for key, field in definition.get("properties", {}).items():
        meaning = _cell(field.get("description", "")) + (" **Required.**" if key in required else "")
        row = f"| `{key}` | {_cell(_value(field))} | {meaning} |"
        if effects:
            row += f" {_EFFECTS[STREAM_EFFECTS[key]] if key in STREAM_EFFECTS else 'as what it spells'} |"
        rows.append(row)
        below += [(n, key) for n in _names(field)]
    parts = [f"{'#' * level} {title}", definition.get("description", ""), "\n".join(rows)]
    parts += _configs(definitions, definition, level + 1, done)
    for child, key in below:
        if child not in done and child in definitions:
            parts += _definition(definitions, child, f"`{key}`", level + 1, done)
    return [p for p in parts if p]


def _configs(
    definitions: dict[str, Any], definition: dict[str, Any], level: int, done: set[str]
) -> list[str]:
    parts = []
    for case in definition.get("allOf", ()):
        kind = case["if"]["properties"]["type"]["const"]
        (name,) = _names(case["then"]["properties"]["config"])
        parts += _definition(definitions, name, f"`config` of type {kind}", level, done)
    return parts


def _names(field: dict[str, Any]) -> list[str]:
    """Return the definitions that a field refers to, at any depth."""
    found = [field["$ref"].rpartition("/")[2]] if "$ref" in field else []
    for inner in (*field.get("anyOf", ()), *_inner(field)):
        found += _names(inner)
    return found


def _inner(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [v for k in ("items", "additionalProperties") if isinstance(v := field.get(k), dict)]


def _value(field: dict[str, Any]) -> str:
    """Return in a few words what may stand there."""
    options = [o for o in field.get("anyOf", [field]) if o.get("type") != "null"]
    words = list(dict.fromkeys(w for o in options if (w := _word(o))))
    return " or ".join(words)


def _word(option: dict[str, Any]) -> str:
    if "pattern" in option and "env|file" in option["pattern"]:
        return "reference" if option["pattern"].startswith("^") else ""
    if "const" in option:
        return f"`{option['const']}`"
    if "enum" in option:
        return ", ".join(f"`{v}`" for v in option["enum"])
    match option.get("type"):
        case "integer":
            low, high = option.get("minimum"), option.get("maximum")
            return f"{low} to {high}" if low is not None and high is not None else "number"
        case "array":
            return "list"
        case "boolean":
            return "`true`, `false`"
        case "string":
            return f"such as `{option['examples'][0]}`" if "examples" in option else "text"
        case "object":
            return "map"
        case _:
            return "map" if "$ref" in option else "any"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
