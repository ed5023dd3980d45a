"""The command group, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from olake_reconcile import __version__
from olake_reconcile.cli import log
from olake_reconcile.cli.commands import COMMANDS
from olake_reconcile.cli.completion import completing
from olake_reconcile.cli.options import of_an_environment
from olake_reconcile.cli.session import Session
from olake_reconcile.errors import ExitCode, InvalidWorkspace, ReconcileError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="The workspace, or a folder in it (default: here).",
)
@click.version_option(__version__, prog_name="olake-reconcile")
@log.options
@click.pass_context
def cli(context: click.Context, directory: Path, log_format: str, verbose: int) -> None:
    """Replication jobs as YAML in git: plan what changes, apply it safely, run the syncs.

    \b
    Typical use:
      olake-reconcile validate
      olake-reconcile plan
      olake-reconcile apply
      olake-reconcile sync daily_orders
    """
    session = context.obj = context.with_resource(Session(directory))
    log.configure(log_format, verbose, session.redact)
    if name := os.environ.get("OLAKE_ENV"):
        session.choose(name, ())


for command in COMMANDS:
    cli.add_command(completing(of_an_environment(command)))


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with the code that design §5 gives the outcome."""
    # As Ctrl-C does: on the way out temporary files are removed, which the system's way of ending leaves behind.
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code. Errors of users are told in words, never as tracebacks."""
    try:
        code = cli.main(args=arguments, prog_name="olake-reconcile", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return ExitCode.INTERRUPTED
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.ERROR
    except ReconcileError as error:
        _show(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR


def _show(error: ReconcileError) -> None:
    if log.log_error(error):
        return
    if isinstance(error, InvalidWorkspace):
        for diagnostic in error.diagnostics:
            click.echo(diagnostic.render(), err=True)
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.summary}", err=True)
    for part in (error.why, error.remedy):
        if part:
            click.echo("  " + part.replace("\n", "\n  "), err=True)
