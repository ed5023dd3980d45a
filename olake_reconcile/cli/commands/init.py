"""`init`: a new workspace. Asks on a terminal; without one, flags say what is not the default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from olake_reconcile.cli.session import Session, is_terminal
from olake_reconcile.errors import ReconcileError, UsageError

if TYPE_CHECKING:
    from olake_reconcile.spec.starter import Answers

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_Answer = TypeVar("_Answer", str, int)


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="The project's name (default: the folder's).")
@click.option("--source", help="What jobs call the source (default: the database's name).")
@click.option("--host", help="The PostgreSQL server (default: localhost).")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port (default: 5432).")
@click.option("--database", help="The database to read.")
@click.option("--username", help="Who reads it (default: olake).")
@click.option(
    "--password-variable",
    metavar="NAME",
    help="The environment variable that holds the password (default: SOURCE_PASSWORD). Never the password itself.",
)
@click.option("--destination", help="What jobs call the destination (default: lake).")
@click.option("--warehouse", help="Where the tables are kept (default: the folder warehouse).")
@click.pass_obj
def init(
    session: Session,
    directory: Path | None,
    name: str | None,
    source: str | None,
    host: str | None,
    port: int | None,
    database: str | None,
    username: str | None,
    password_variable: str | None,
    destination: str | None,
    warehouse: str | None,
) -> None:
    """Begin a workspace: olake.yaml, .gitignore, a schema for editors, an example job. Overwrites nothing.

    What no flag says is asked on a terminal. Secrets are written as references, and never asked for.

    \b
    Examples:
      olake-reconcile init
      olake-reconcile init analytics --database shop --host db.internal
    """
    from olake_reconcile.spec.edit import begin_workspace
    from olake_reconcile.spec.starter import Answers, safe_name
    from olake_reconcile.wiring import system_secrets

    root = (session.directory / (directory or Path())).resolve()
    _refuse_inside(root)
    if database is None and not is_terminal():
        raise UsageError(
            "there is no terminal to ask on, and no --database",
            remedy="Run: olake-reconcile init --database NAME",
        )
    name = _ask("Project", name, safe_name(root.name))
    host = _ask("PostgreSQL host", host, "localhost")
    port = _ask("Port", port, 5432)
    database = _ask("Database", database, "")
    source = _ask("Name of the source", source, safe_name(database))
    username = _ask("User", username, "olake")
    default = f"{re.sub('[^A-Z0-9_]', '_', source.upper())}_PASSWORD"
    password_variable = _ask("Environment variable of the password", password_variable, default)
    if not _VARIABLE.match(password_variable):
        # It may be the password: it is not shown.
        raise UsageError("--password-variable takes the name of a variable, such as SHOP_PASSWORD")
    destination = _ask("Name of the destination", destination, "lake")
    warehouse = _ask("Warehouse", warehouse, "warehouse")
    answers = Answers(
        name=name,
        source=source,
        host=host,
        port=port,
        database=database,
        username=username,
        password_variable=password_variable,
        destination=destination,
        warehouse=warehouse,
    )
    for file in begin_workspace(root, answers, system_secrets(root)):
        click.echo(f"wrote {file}")
    click.echo("\nNext:")
    for line in _next(answers, root):
        click.echo(f"  {line}")


def _ask(question: str, given: _Answer | None, default: _Answer) -> _Answer:
    if given is not None:
        return given
    if not is_terminal():
        return default
    answer: _Answer = click.prompt(question, default=default or None, type=type(default), err=True)
    return answer


def _refuse_inside(root: Path) -> None:
    from olake_reconcile.wiring import find_root

    try:
        outer = find_root(root)
    except ReconcileError:
        return
    raise ReconcileError(
        f"{outer} is a workspace already",
        why="A workspace inside another would share its jobs' tables and hide its files.",
        remedy=f"Go on with that one: olake-reconcile -C {outer} validate",
    )


def _next(answers: Answers, root: Path) -> list[str]:
    steps = [] if root == Path.cwd() else [f"cd {root}"]
    return [
        *steps,
        f"export {answers.password_variable}=…",
        "olake-reconcile check",
        f"olake-reconcile discover {answers.source} --write-job first",
        "olake-reconcile plan",
        "olake-reconcile apply",
    ]
