"""One module per group of commands; `COMMANDS` is what the program offers."""

from __future__ import annotations

import click

from olake_reconcile.cli.commands.apply import apply
from olake_reconcile.cli.commands.clear import clear
from olake_reconcile.cli.commands.completion import completion
from olake_reconcile.cli.commands.diff_plan import diff_plan
from olake_reconcile.cli.commands.drift import drift
from olake_reconcile.cli.commands.endpoints import check, discover
from olake_reconcile.cli.commands.explain import explain
from olake_reconcile.cli.commands.fmt import fmt
from olake_reconcile.cli.commands.history import history
from olake_reconcile.cli.commands.holds import cancel, pause, resume
from olake_reconcile.cli.commands.init import init
from olake_reconcile.cli.commands.logs import logs
from olake_reconcile.cli.commands.loop import reconcile, run
from olake_reconcile.cli.commands.maintain import maintain
from olake_reconcile.cli.commands.plan import plan, show
from olake_reconcile.cli.commands.state import force_unlock, state
from olake_reconcile.cli.commands.status import status
from olake_reconcile.cli.commands.sync import sync
from olake_reconcile.cli.commands.validate import schema, validate

COMMANDS: tuple[click.Command, ...] = (
    init,
    validate,
    fmt,
    schema,
    check,
    discover,
    plan,
    apply,
    show,
    diff_plan,
    drift,
    sync,
    cancel,
    maintain,
    clear,
    pause,
    resume,
    status,
    explain,
    history,
    logs,
    reconcile,
    run,
    state,
    force_unlock,
    completion,
)
