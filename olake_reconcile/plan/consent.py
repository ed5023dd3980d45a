"""Consent (design §5): what is guarded, and what is blocked until somebody says so."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from olake_reconcile.diagnostics import Diagnostic, Severity
from olake_reconcile.model.desired import Approval
from olake_reconcile.model.fingerprint import fingerprint
from olake_reconcile.model.names import StreamId
from olake_reconcile.model.project import Safety
from olake_reconcile.model.stored import StreamPhase
from olake_reconcile.plan.actions import Action, Block, Consent, Rebuild, Remove
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.effects import Reason
from olake_reconcile.plan.options import Options
from olake_reconcile.plan.words import written

FEWEST_STREAMS = 10  # percentages of fewer mean nothing


def with_consent(context: Context, actions: Sequence[Action]) -> list[Action]:
    """Return the actions with thresholds counted, and a block on each guarded one that nobody allowed."""
    safety, options = context.desired.project.safety, context.options
    approved = frozenset((a.address, a.allow, a.change) for a in context.desired.approvals)
    # What left earlier is remembered, and is no part of what could be lost.
    total = sum(job.present for job in context.stored.jobs.values())
    rebuilds = sum(isinstance(a, Rebuild) for a in actions)
    deletes = sum(_takes_out(context, a) for a in actions)
    return [
        _guard(
            options, action, _over(action, safety, total=total, rebuilds=rebuilds, deletes=deletes), approved
        )
        for action in actions
    ]


def unused_approvals(approvals: Sequence[Approval], actions: Sequence[Action]) -> list[Diagnostic]:
    """Return a warning for each approval that fits no change: what it consented to was done, or changed again."""
    fitting = {
        (str(a.address), "rebuild" if isinstance(a, Rebuild) else "delete", transition(a))
        for a in actions
        if isinstance(a, Rebuild | Remove)
    }
    text = "approval fits no change of this plan (it expires by itself)"
    return [
        Diagnostic(Severity.WARNING, "unused-approval", f"{a.address}: {text}", a.place, "take it out")
        for a in approvals
        if (a.address, a.allow, a.change) not in fitting
    ]


def guard_clears(actions: Sequence[Rebuild], options: Options) -> list[Action]:
    """Return the actions of a clear by hand with a block on each protected one that nobody allowed."""
    command = f"olake-reconcile clear {shlex.quote(actions[0].address.name)}" if actions else ""
    return [_guard(options, action, "", frozenset(), command=command) for action in actions]


def transition(action: Rebuild | Remove) -> str:
    """Return what an approval names: this one change of this one resource, so that it expires by itself."""
    after = action.after if isinstance(action, Rebuild) else None
    reasons = [r.value for r in action.reasons]
    return fingerprint([str(action.address), action.before, after, reasons])[:8]


def approves(approvals: Sequence[Approval], action: Rebuild | Remove) -> bool:
    """Whether a committed approval fits this very change."""
    allow, change = ("rebuild" if isinstance(action, Rebuild) else "delete"), transition(action)
    names = (action.address.short, str(action.address))
    return any(a.address in names and (a.allow, a.change) == (allow, change) for a in approvals)


def approval_for(action: Rebuild | Remove) -> str:
    """Return the document to commit that lets this change through, as one line of YAML."""
    return _approval(action, "rebuild" if isinstance(action, Rebuild) else "delete", transition(action))


def _takes_out(context: Context, action: Action) -> bool:
    """Whether the action removes a stream that is there: one that left before is counted no second time."""
    if not isinstance(action, Remove) or action.address.kind != "stream":
        return False
    stream = context.stored.jobs[action.address.name].streams[StreamId.parse(action.address.stream)]
    return action.erase or stream.phase is not StreamPhase.REMOVED


def _over(action: Action, safety: Safety, *, total: int, rebuilds: int, deletes: int) -> str:
    """Return why the action is over a threshold, or an empty text."""
    match action:
        case Rebuild():
            count, limit, name, verb = (
                rebuilds,
                safety.max_rebuilds_percent,
                "max_rebuilds_percent",
                "rebuild",
            )
        case Remove() if action.address.kind == "stream":
            count, limit, name, verb = deletes, safety.max_deletes_percent, "max_deletes_percent", "remove"
        case _:
            return ""
    if total < FEWEST_STREAMS or count * 100 <= limit * total:
        return ""
    return (
        f"this plan would {verb} {count} of {total} streams, more than safety.{name} ({limit} %) lets through"
    )


def _guard(
    options: Options,
    action: Action,
    over: str,
    approved: frozenset[tuple[str, str, str]],
    *,
    command: str = "",
) -> Action:
    consent = Consent.GUARDED if over or _loses_history(action) else action.consent
    if consent is not Consent.GUARDED or not isinstance(action, Rebuild | Remove):
        return action.model_copy(update={"consent": consent})
    rebuild = isinstance(action, Rebuild)
    allow, change = ("rebuild" if rebuild else "delete"), transition(action)
    named = options.allows_rebuild(action.address) if rebuild else options.allows_delete(action.address)
    names = (action.address.short, str(action.address))
    if named or any((name, allow, change) in approved for name in names):
        return action.model_copy(update={"consent": consent})
    by_hand = bool(command)
    command = command or options.command()
    block = Block(
        code="needs-consent",
        message=over or _why_guarded(action),
        remedy=f"{command} {_flag(action)}",
        approval="" if by_hand else _approval(action, allow, change),
    )
    return action.model_copy(update={"consent": consent, "blocked": (*action.blocked, block)})


def _approval(action: Rebuild | Remove, allow: str, change: str) -> str:
    """Return the document to commit, as one line of YAML."""
    address = written(action.address.short)
    # Digits alone, or with one `e`, would be a number in YAML.
    change = json.dumps(change) if change.replace("e", "", 1).isdecimal() else change
    return f"{{kind: Approval, address: {address}, allow: {allow}, change: {change}}}"


def _flag(action: Rebuild | Remove) -> str:
    name = "--allow-rebuild" if isinstance(action, Rebuild) else "--allow-delete"
    return f"{name} {shlex.quote(action.address.short)}"


def line_to_paste(actions: Sequence[Action], asked: str = "", whole: Sequence[Block] = ()) -> str:
    """Return the command that gives all the consent that `actions` need; empty when consent is not enough.

    `asked` are the options that made the plan what it is, `whole` what blocks the plan as a whole.
    """
    blocks = [*whole, *(block for action in actions for block in action.blocked)]
    codes = {block.code for block in blocks}
    if not blocks or codes - {"needs-consent", "denied-by-policy"}:
        return ""
    flags = [
        "--allow-policy" + block.remedy.partition("--allow-policy")[2]
        for block in blocks
        if block.code != "needs-consent"
    ]
    guarded = [
        a
        for a in actions
        if a.consent is Consent.GUARDED and isinstance(a, Rebuild | Remove) and not _only_denied(a)
    ]
    # What prunes has no document of its own; with `safety.prune` the flag says nothing new.
    pruned = any(isinstance(a, Remove) and a.address.kind == "job" and a.place is None for a in actions)
    begin = ["olake-reconcile apply", *([asked] if asked else []), *(["--prune"] if pruned else [])]
    return " ".join([*begin, *map(_flag, guarded), *dict.fromkeys(flags)])


def _only_denied(action: Action) -> bool:
    return bool(action.blocked) and all(block.code == "denied-by-policy" for block in action.blocked)


def _why_guarded(action: Rebuild | Remove) -> str:
    name = action.address.short
    kind, what = ("rebuild", "rebuilds") if isinstance(action, Rebuild) else ("delete", "removal")
    after = action.after if isinstance(action, Rebuild) else {}
    if any(bool(spec.get("protect", {}).get(kind)) for spec in (action.before, after)):
        return f"{name} is protected against {what} (protect.{kind})"
    if Reason.DESTINATION_IDENTITY in action.reasons:
        return f"the destination of {name} is another catalog or warehouse than the one that holds its table"
    if Reason.SOURCE_IDENTITY in action.reasons:
        return (
            f"the source of {name} is another server or database than the one that its table was loaded from"
        )
    lost = ", ".join(loss.words for loss in action.impact.loses)
    return f"a rebuild of {name} loses what its source can no longer give back: {lost}"


def _loses_history(action: Action) -> bool:
    """A reload brings the rows back that the source has; who erases on purpose has said so."""
    return isinstance(action, Rebuild) and bool(action.impact.loses)
