"""Applies in words: who did what, by whose consent, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from olake_reconcile.cli.output import printable
from olake_reconcile.model.journal import ApplyRecord, ApplyStatus
from olake_reconcile.plan.document import read_plan
from olake_reconcile.plan.plan import summarise

_STATUS = {ApplyStatus.PARTLY: "partly applied", ApplyStatus.ABANDONED: "abandoned"}


def apply_rows(records: Sequence[ApplyRecord]) -> list[list[str]]:
    """Return a row per apply for a table: id, when, who, commit, what, how it ended."""
    return [
        [
            record.id,
            f"{record.started:%Y-%m-%d %H:%M:%S}",
            record.who,
            _commit(record),
            str(record.detail.get("environment", "default")),
            _done(record),
            _STATUS.get(record.status, record.status.value),
        ]
        for record in records
    ]


HEADINGS = ["APPLY", "STARTED (UTC)", "WHO", "COMMIT", "ENVIRONMENT", "DID", "STATUS"]


def apply_document(record: ApplyRecord, *, whole: bool) -> dict[str, Any]:
    """Return an apply as JSON, with its plan when it is shown by itself."""
    document = record.model_dump(mode="json", exclude={"holder", "plan", "version"})
    document["summary"] = record.plan.get("summary")
    if whole:
        document["plan"] = {k: v for k, v in record.plan.items() if k not in ("sync", "scope")}
    return document


def apply_lines(record: ApplyRecord) -> Iterator[str]:
    """Yield what is known of an apply; its plan is printed after it."""
    detail = record.detail
    yield f"Apply {record.id}: {_STATUS.get(record.status, record.status.value)}"
    ended = f", ended {record.ended:%H:%M:%S}" if record.ended else ""
    yield f"  when         {record.started:%Y-%m-%d %H:%M:%S} UTC{ended}"
    yield f"  who          {printable(record.who)}, {record.holder}"
    yield f"  environment  {detail.get('environment', 'default')}"
    if git := detail.get("git"):
        branch = f" on {git['branch']}" if git.get("branch") else ""
        yield f"  git          {git['commit'][:12]}{printable(branch)}{', with edits that are not committed' if git.get('dirty') else ''}"
    yield f"  plan         {record.plan_hash}"
    if flags := detail.get("narrowed"):
        yield f"  narrowed     {printable(' '.join(flags))}"
    if by := detail.get("by"):
        yield f"  agreed by    {printable(by)}"
    yield from _listed(
        "consent", [f"{c['address']} ({c['class']}): {c['by']}" for c in detail.get("consent", ())]
    )
    yield from _listed("overridden", detail.get("overridden", ()))
    yield from _listed("left out", [f"{name}: blocked" for name in detail.get("blocked", ())])
    yield from _listed("waited", [f"{w['job']}: {w['reason']}" for w in detail.get("waiting", ())])
    yield from _listed("failed", [f"{name}: {why}" for name, why in detail.get("failed", {}).items()])
    if record.error:
        yield f"  error        {printable(record.error)}"


def _listed(label: str, texts: Sequence[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield f"  {(label if index == 0 else '').ljust(11)}  {printable(text)}"


def _commit(record: ApplyRecord) -> str:
    git = record.detail.get("git")
    return f"{git['commit'][:9]}{'+' if git.get('dirty') else ''}" if git else "-"


def _done(record: ApplyRecord) -> str:
    if record.plan.get("scope") == "job":
        return "clear"
    s = summarise(read_plan(record.plan).actions)
    counts = {
        "added": s.add, "changed": s.change, "rebuilt": s.rebuild, "removed": s.remove, "destroyed": s.destroy,
        "moved": s.move, "imported": s.import_, "forgotten": s.forget,
    }  # fmt: skip
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing"
