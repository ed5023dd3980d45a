"""Asking for consent on a terminal; without one, saying what to run instead."""

from __future__ import annotations

import shlex
import sys

import click

from olake_reconcile.cli.session import is_terminal
from olake_reconcile.errors import ReconcileError


def confirm() -> None:
    """Ask, and go on only after a typed `yes`. Raises `ReconcileError` otherwise."""
    if not is_terminal():
        line = shlex.join(["olake-reconcile", *sys.argv[1:], "--auto-approve"])
        raise ReconcileError(
            "there is no terminal to ask on",
            why="Nothing was applied.",
            remedy=f"Read the plan, then run: {line}",
        )
    answer = click.prompt("\nDo this? Only 'yes' is accepted", default="", show_default=False, err=True)
    if answer != "yes":
        raise ReconcileError("not applied: the answer was not 'yes'")
