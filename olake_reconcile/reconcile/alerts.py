"""Alerts: somebody is told of an incident once, and once when it is over, whichever loop sees it and however often.

One process at a time tells, under a lease, and every write of what was told is fenced by it. A message is sent before that
is written down: whoever dies between the two has it told once more, and never keeps it to themselves.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from olake_reconcile.alerts.base import Sender
from olake_reconcile.errors import Locked, ReconcileError
from olake_reconcile.model.alert import Alert, AlertKind
from olake_reconcile.model.event import Level
from olake_reconcile.model.incident import Incident, Incidents, Sending
from olake_reconcile.reconcile.alert_text import body, title
from olake_reconcile.reconcile.incidents import Troubles, troubles
from olake_reconcile.reconcile.notice import Notice, OnNotice
from olake_reconcile.reconcile.services import Services
from olake_reconcile.secrets import resolve_all
from olake_reconcile.state.base import ALERTS_LOCK, Lease

LOOK_SECONDS = 30.0
#: How often a channel is tried; the waits between double, from the first to the longest: five hours in all.
MOST_TRIES = 12
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0


class Alerts:
    """Looks for incidents, and tells those who want to know."""

    def __init__(
        self,
        services: Services,
        sender: Sender,
        rules: Callable[[], Sequence[Alert]],
        apply_trouble: Callable[[], str | None],
        tell: OnNotice,
        project: str,
    ) -> None:
        """Take what it needs; `rules` and `apply_trouble` are asked anew at each look."""
        self._services = services
        self._store = services.store
        self._sender = sender
        self._rules = rules
        self._apply_trouble = apply_trouble
        self._tell = tell
        named = services.environment != "default"
        self._project = f"{project}/{services.environment}" if named else project
        self._lease: Lease | None = None
        self._next = -math.inf
        self._complaint = ""

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._services.clock.monotonic() >= self._next

    def turn(self) -> None:
        """Look, and tell what is to be told. What goes wrong is said, once, and raised never."""
        self._next = self._services.clock.monotonic() + LOOK_SECONDS
        channels = _channels(self._rules())
        try:
            if channels:
                self._hold()
                self._look(channels)
            self._complaint = ""
        except Locked:
            self._lease = None  # it slept, and another process tells now
        except ReconcileError as error:
            self._complain(self._services.secrets.redact(error.summary))

    def leave(self) -> None:
        """Let another process tell."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None

    def _hold(self) -> None:
        """Take the lease or keep it. Raises `Locked`."""
        services = self._services
        now = services.clock.now()
        if self._lease is None:
            self._lease = self._store.acquire(ALERTS_LOCK, services.holder, "alerts", now)
        else:
            self._lease = self._store.renew(self._lease, now)

    def _look(self, channels: dict[str, list[Alert]]) -> None:
        before = self._store.incidents()
        seen = troubles(self._services, self._apply_trouble())
        now = self._services.clock.now()
        known = before.model_copy(update={"incidents": _merged(before, seen, now)})
        for name, rules in channels.items():
            known = self._told(known, seen, name, rules)
        known = _tidied(known, channels)
        if known != before:
            self._save(known)

    def _told(self, known: Incidents, seen: Troubles, name: str, rules: list[Alert]) -> Incidents:
        """Tell a channel what it does not know yet; return what is known then."""
        audible = [i for i in known.incidents if i.job not in seen.quiet]
        open_ = [i for i in audible if i.over is None and name not in i.told and _is_wanted(i, rules)]
        over = [i for i in audible if i.over and name in i.told and name not in i.told_over]
        wanted = [i for i in over if _is_wanted(i, rules, AlertKind.RECOVERED)]
        failed = known.sendings.get(name)
        now = self._services.clock.now()
        if failed and now < failed.again:
            return known
        why = ""
        if open_ or wanted:
            self._hold()  # renewed before each message: a hanging channel is not to cost us the lease
            why = self._send(rules[0].url, open_, wanted)
        sendings = {n: s for n, s in known.sendings.items() if n != name}
        if why:
            tries = failed.tries + 1 if failed else 1
            if tries < MOST_TRIES:
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tries - 1))
                again = Sending(tries=tries, again=now + timedelta(seconds=wait))
                self._complain(f"alerts to {rules[0].url} cannot be sent: {why}; tried again")
                return known.model_copy(update={"sendings": sendings | {name: again}})
            self._complain(f"{len(open_) + len(wanted)} alerts to {rules[0].url} are given up: {why}")
        told = known.model_copy(
            update={
                "sendings": sendings,
                "incidents": _marked(known.incidents, name, open_, over),
            }
        )
        if open_ or wanted:
            self._save(told)
        return told

    def _send(self, url: str, open_: list[Incident], over: list[Incident]) -> str:
        try:
            target = str(resolve_all(url, self._services.secrets))
        except ReconcileError as error:
            return error.summary
        return self._sender.send(target, title(self._project, open_, over), body(open_, over))

    def _save(self, known: Incidents) -> None:
        assert self._lease is not None
        self._store.save_incidents(known, self._lease)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            self._tell(Notice(Level.WARNING, "alerts_failed", text))


def _channels(rules: Sequence[Alert]) -> dict[str, list[Alert]]:
    """Return the rules by the channel that they are about: one URL, as it is written, is one channel."""
    found: dict[str, list[Alert]] = {}
    for rule in rules:
        found.setdefault(blake2b(rule.url.encode(), digest_size=6).hexdigest(), []).append(rule)
    return found


def _merged(before: Incidents, seen: Troubles, now: datetime) -> tuple[Incident, ...]:
    """Return the incidents: those that go on, those that are over, new ones. One that comes back before anybody
    was told that it is over goes on."""
    merged: list[Incident] = []
    for incident in before.incidents:
        again = seen.found.get(incident.key)
        if again is not None and not incident.told_over:
            merged.append(again.model_copy(update={"since": incident.since, "told": incident.told}))
        elif again is not None:
            merged.append(again)
        elif incident.over or incident.job in seen.quiet or incident.kind in seen.unknown:
            merged.append(incident)
        else:
            merged.append(incident.model_copy(update={"over": now}))
    known = {incident.key for incident in before.incidents}
    new = seen.found.keys() - known - seen.waiting
    return (*merged, *(seen.found[key] for key in sorted(new)))


def _is_wanted(incident: Incident, rules: Sequence[Alert], also: AlertKind | None = None) -> bool:
    return any(
        incident.kind in rule.on
        and (also is None or also in rule.on)
        and (not rule.jobs or any(fnmatch.fnmatchcase(incident.job, glob) for glob in rule.jobs))
        and rule.labels.items() <= incident.labels.items()
        for rule in rules
    )


def _marked(
    incidents: Sequence[Incident], channel: str, open_: Sequence[Incident], over: Sequence[Incident]
) -> tuple[Incident, ...]:
    opened, ended = {i.key for i in open_}, {i.key for i in over}

    def mark(incident: Incident) -> Incident:
        if incident.key in opened:
            return incident.model_copy(update={"told": (*incident.told, channel)})
        if incident.key in ended:
            return incident.model_copy(update={"told_over": (*incident.told_over, channel)})
        return incident

    return tuple(mark(incident) for incident in incidents)


def _tidied(known: Incidents, channels: dict[str, list[Alert]]) -> Incidents:
    """Forget what is over and known to be so by all who knew of it, and channels that are gone."""
    kept = [i for i in known.incidents if not i.over or (set(i.told) & channels.keys()) - set(i.told_over)]
    sendings = {name: s for name, s in known.sendings.items() if name in channels}
    return Incidents(incidents=tuple(kept), sendings=sendings)
