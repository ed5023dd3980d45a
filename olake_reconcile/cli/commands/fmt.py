"""`fmt`: workspace files in their canonical look."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, UsageError


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--check", is_flag=True, help="Write nothing; list what would change, and exit 1 if anything would."
)
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.pass_obj
def fmt(session: Session, files: tuple[str, ...], check: bool, diff: bool) -> int:
    """Put workspace files into their canonical look: the order of keys, blank lines, spaces.

    Comments, anchors and quotes stay, and what a file means never changes: a file for which that cannot be
    kept is left alone, with an error. Without FILE, all files of the workspace, as paths from its top.

    \b
    Examples:
      olake-reconcile fmt
      olake-reconcile fmt --check --diff
      olake-reconcile fmt jobs/daily_orders.yaml
    """
    from olake_reconcile.spec.edit import format_file, formattable_files
    from olake_reconcile.spec.writing import write_whole

    known = formattable_files(session.root)
    changed = failed = 0
    for name in [_in_workspace(session.root, file, known) for file in files] or known:
        outcome = format_file(session.root, name)
        if outcome.problem:
            failed += 1
            click.echo(f"{name}: not formatted: {outcome.problem}", err=True)
        elif outcome.after != outcome.before:
            changed += 1
            click.echo(_difference(name, outcome.before, outcome.after) if diff else name, nl=not diff)
            if not (check or diff):
                write_whole(session.root / name, outcome.after, replace=True)
    return ExitCode.ERROR if failed or (check and changed) else ExitCode.OK


def _in_workspace(root: Path, file: str, known: list[str]) -> str:
    for name in (file, Path(file).resolve().relative_to(root).as_posix() if _below(file, root) else file):
        if name in known:
            return name
    raise UsageError(
        f"'{file}' is no file of the workspace", remedy="Name one as `olake-reconcile fmt` lists it."
    )


def _below(file: str, root: Path) -> bool:
    return Path(file).resolve().is_relative_to(root)


def _difference(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
