"""What an apply or a clear does, a line per step, on stderr."""

from __future__ import annotations

import click

from olake_reconcile.model.journal import JournalStep, StepKind, StepStatus

_WORDS = {
    StepKind.RESOURCE_MOVED: "renaming",
    StepKind.ENDPOINT_STORED: "storing",
    StepKind.SCHEDULE_STOPPED: "stopping its schedule",
    StepKind.RUN_CANCELLED: "cancelling the running sync",
    StepKind.STREAM_CLEARED: "clearing the destination",
    StepKind.TABLE_ADOPTED: "adopting its table",
    StepKind.SETTINGS_STORED: "storing the new settings",
    StepKind.SCHEDULE_RESTORED: "setting its schedule",
    StepKind.MADE_DUE: "due now",
    StepKind.JOB_REMOVED: "removing",
    StepKind.ENDPOINT_REMOVED: "removing",
}


def show_step(step: JournalStep) -> None:
    """Tell on stderr what is being done."""
    if step.status is StepStatus.STARTED:
        click.echo(f"{step.subject}: {_WORDS[step.kind]}", err=True)
