"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from olake_reconcile.plan.options import Narrowing

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

no_refresh: Decorator = click.option(
    "--no-refresh", is_flag=True, help="Connect to nothing: use cached catalogues, cost is unknown."
)

prune: Decorator = click.option(
    "--prune",
    is_flag=True,
    help="Delete the jobs that no file declares; their tables stay, but for `on_remove: clear`.",
)

lock_timeout: Decorator = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long for a lock that somebody else holds (default: do not wait).",
)


def of_an_environment(command: click.Command) -> click.Command:
    """Add `--env` and `--var` to a command, or to those of a group, wherever a person may think of them."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            of_an_environment(inner)
        return command
    taken = {option for parameter in command.params for option in parameter.opts}
    if "--env" not in taken:
        command.params += [
            click.Option(
                ["--env"],
                metavar="NAME",
                expose_value=False,
                callback=lambda context, _, name: context.obj.choose(name, ()),
                help="The environment: its overlay, state and marks (default: $OLAKE_ENV, or none).",
            ),
            click.Option(
                ["--var"],
                multiple=True,
                metavar="NAME=VALUE",
                expose_value=False,
                callback=lambda context, _, given: context.obj.choose(None, given),
                help="Set a variable that olake.yaml declares. Repeatable.",
            ),
        ]
    return command


def narrowing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that narrow a plan, as one argument `narrowing`, and `replace`."""

    @functools.wraps(command)
    def narrowed(
        *args: Any, target: tuple[str, ...], exclude: tuple[str, ...], selector: tuple[str, ...], **given: Any
    ) -> Any:
        return command(*args, narrowing=Narrowing(target, exclude, selector), **given)

    for name, metavar, text in (
        (
            "--replace",
            "ADDRESS",
            "Rebuild this stream (or job, or glob) though nothing asks for it. Repeatable.",
        ),
        ("--selector", "LABEL=VALUE[,…]", "Only jobs with these labels. Repeatable: any of them."),
        (
            "--exclude",
            "ADDRESS",
            "Leave this job, stream or endpoint (or glob) out, and what needs it. Repeatable.",
        ),
        (
            "--target",
            "ADDRESS",
            "Only this job, stream or endpoint (or glob), and what it needs. Repeatable.",
        ),
    ):
        narrowed = click.option(name, multiple=True, metavar=metavar, help=text)(narrowed)
    return narrowed


def consent(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that let guarded actions through."""
    command = click.option(
        "--allow-policy", multiple=True, metavar="NAME", help="Go on though this policy denies. Repeatable."
    )(command)
    for name, what in (("delete", "erased"), ("rebuild", "rebuilt")):
        command = click.option(
            f"--allow-{name}",
            multiple=True,
            metavar="ADDRESS",
            help=f"Let this protected stream (or job, or glob) be {what}. Repeatable.",
        )(command)
    return command
