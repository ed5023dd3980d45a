"""Narrowing: what `--target`, `--exclude` and `--selector` leave of a plan, with all that it needs to be whole.

The unit is the action. An action needs others when it would be wrong or impossible without them: a stream its
job's creation, a job what changes at its endpoints, a rebuild for another server the rebuilds of all that use it.
What is chosen brings along what it needs; what is left out takes along what needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from olake_reconcile.diagnostics import did_you_mean
from olake_reconcile.errors import UsageError
from olake_reconcile.model.base import Model
from olake_reconcile.model.names import Address, select
from olake_reconcile.model.table import TablePlace
from olake_reconcile.plan.actions import Action, Create, Forget, Move, Rebuild, Remove, Update, is_change
from olake_reconcile.plan.context import Context
from olake_reconcile.plan.effects import JOB_REASONS, Reason
from olake_reconcile.plan.jobs import built_place, freed_place
from olake_reconcile.plan.options import Narrowing

_ENDPOINTS = ("source", "destination")
_FOR_ALL = frozenset(JOB_REASONS.values())


class Narrowed(Model):
    """How a plan was narrowed, as typed; `pulled_in` came along because it is needed, `left_out` has changes too."""

    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    selector: tuple[str, ...] = ()
    pulled_in: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        """The options that asked for it, quoted for a shell."""
        return Narrowing(self.target, self.exclude, self.selector).flags


def narrow(context: Context, actions: Sequence[Action]) -> tuple[list[Action], Narrowed | None]:
    """Return what the options leave of `actions`, in order; None when they narrow nothing.

    Raises `UsageError` for an address or a label that fits nothing.
    """
    asked = context.options.narrowing
    if not asked:
        return list(actions), None
    check_addresses(context, [*asked.target, *asked.exclude])
    chosen = _chosen(context, asked)
    needs = Needs(context, actions)
    out = needs.with_dependents(i for i, a in enumerate(actions) if _is_named(asked.exclude, a.address))
    wanted = {i for i, a in enumerate(actions) if chosen(a.address)} - out
    kept = needs.with_needed(wanted)
    return [a for i, a in enumerate(actions) if i in kept], Narrowed(
        target=asked.target,
        exclude=asked.exclude,
        selector=asked.selector,
        pulled_in=_names(a for i, a in enumerate(actions) if i in kept - wanted),
        left_out=_names(a for i, a in enumerate(actions) if i not in kept),
    )


def check_addresses(context: Context, patterns: Iterable[str]) -> None:
    """Raise `UsageError` for the first pattern that fits nothing that is declared or stored."""
    patterns = tuple(patterns)
    if not patterns:
        return  # what is known may be 20,000 streams, read for nothing
    known = _known(context)
    for pattern in patterns:
        if select(pattern, known):
            continue
        hint = did_you_mean(pattern, (a.short for a in known))
        raise UsageError(
            f"nothing is called '{pattern}'" + (f" ({hint})" if hint else ""),
            why="An address that fits nothing is more likely a slip than a wish.",
            remedy="Write job, job/namespace.stream, source.name or a glob; `olake-reconcile plan --all` lists them.",
        )


def check_replaced(context: Context, actions: Sequence[Action]) -> None:
    """Raise `UsageError` for a `--replace` that rebuilds nothing: a typed wish never ends in an empty success."""
    patterns = context.options.replace
    check_addresses(context, patterns)
    rebuilt = [a.address for a in actions if Reason.BY_REQUEST in a.reasons]
    for pattern in patterns:
        if not any(_is_named((pattern,), address) for address in rebuilt):
            raise UsageError(
                f"nothing that '{pattern}' names can be rebuilt: no declared stream of it has ever loaded",
                remedy="A stream that never synced is loaded in full by its next run anyway.",
            )


def _known(context: Context) -> list[Address]:
    desired, stored = context.desired, context.stored
    found = set(context.moved.values())
    for kind, names in (
        ("source", desired.sources.keys() | stored.sources.keys()),
        ("destination", desired.destinations.keys() | stored.destinations.keys()),
    ):
        found |= {Address("source" if kind == "source" else "destination", name) for name in names}
    for name in desired.jobs.keys() | stored.jobs.keys():
        streams = {*(desired.jobs[name].streams if name in desired.jobs else ())}
        streams |= {*(stored.jobs[name].streams if name in stored.jobs else ())}
        found |= {Address("job", name), *(Address.of_stream(name, s) for s in streams)}
    return sorted(found)


def _chosen(context: Context, asked: Narrowing) -> Callable[[Address], bool]:
    """Return the test of what is asked for: what a target names and whose job has the labels."""
    jobs = _labelled(context, asked.selector) if asked.selector else None

    def is_chosen(address: Address) -> bool:
        if asked.target and not _is_named(asked.target, address):
            return False
        return jobs is None or (address.kind in ("job", "stream") and address.name in jobs)

    return is_chosen


def _is_named(patterns: Sequence[str], address: Address) -> bool:
    """A job's address names its streams as well."""
    around = [address, Address("job", address.name)] if address.kind == "stream" else [address]
    return any(select(pattern, around) for pattern in patterns)


def _labelled(context: Context, selectors: Sequence[str]) -> set[str]:
    labels: dict[str, Mapping[str, str]] = {
        name: job.spec.get("labels") or {} for name, job in context.stored.jobs.items()
    }
    labels |= {name: job.labels for name, job in context.desired.jobs.items()}
    found: set[str] = set()
    for selector in selectors:
        wanted = _pairs(selector)
        fits = {n for n, has in labels.items() if all(has.get(k) == v for k, v in wanted)}
        if not fits:
            raise UsageError(
                f"no job has the labels '{selector}'",
                remedy="Labels are set in a job's file: labels: {team: shop}.",
            )
        found |= fits
    return found


def _pairs(selector: str) -> list[tuple[str, str]]:
    found = []
    for part in selector.split(","):
        label, equals, value = part.partition("=")
        if not (label.strip() and equals):
            raise UsageError(
                f"'{selector}' is no selector",
                remedy="Write label=value, or several with commas: team=shop,tier=1.",
            )
        found.append((label.strip(), value.strip()))
    return found


def _names(actions: Iterable[Action]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(a.address.short for a in actions if is_change(a)))


class Needs:
    """Which actions of a plan need which others, by their number in the list."""

    def __init__(self, context: Context, actions: Sequence[Action]) -> None:
        self._context = context
        self._actions = actions
        self._at: dict[Address, list[int]] = {}
        self._of_job: dict[str, list[int]] = {}
        for i, action in enumerate(actions):
            self._at.setdefault(action.address, []).append(i)
            if action.address.kind not in _ENDPOINTS:
                self._of_job.setdefault(action.address.name, []).append(i)
        self._freed = {
            (self._destination(action.address.name), place): i
            for i, action in enumerate(actions)
            if (place := freed_place(action)) is not None
        }
        self._given_up: dict[TablePlace | None, list[int]] = {}
        for (_, place), i in self._freed.items():
            self._given_up.setdefault(place, []).append(i)
        self._needed = [sorted(set(self._of(i, a)) - {i}) for i, a in enumerate(actions)]

    def with_needed(self, numbers: Iterable[int]) -> set[int]:
        """Return the numbers, and those of all that they need."""
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            if (i := waiting.pop()) not in found:
                found.add(i)
                waiting += self._needed[i]
        return found

    def with_dependents(self, numbers: Iterable[int]) -> set[int]:
        """Return the numbers, and those of all that needs them."""
        users: dict[int, list[int]] = {}
        for i, needed in enumerate(self._needed):
            for other in needed:
                users.setdefault(other, []).append(i)
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            if (i := waiting.pop()) not in found:
                found.add(i)
                waiting += users.get(i, ())
        return found

    def _of(self, number: int, action: Action) -> Iterator[int]:
        if isinstance(action, Move):
            yield from self._of_move(action)
        match action.address.kind:
            case "source" | "destination":
                yield from self._of_endpoint(action)
            case "job" | "stream":
                yield from self._of_part(action)
        # An edit under a new name needs the name.
        yield from (i for i in self._at[action.address] if isinstance(self._actions[i], Move))

    def _of_move(self, move: Move) -> Iterator[int]:
        """A name must be free before it is taken, and a stream moves within jobs that have theirs already."""
        for i, other in enumerate(self._actions):
            if isinstance(other, Move) and (
                other.origin == move.address
                or (
                    other.address.kind == "job"
                    and other.address.name in (move.address.name, move.origin.name)
                )
            ):
                yield i

    def _of_part(self, action: Action) -> Iterator[int]:
        job = Address("job", action.address.name)
        own = [(i, self._actions[i]) for i in self._at.get(job, ())]
        for i, other in own:
            if isinstance(other, Create | Move) or (
                isinstance(other, Update) and self._activates(other, action)
            ):
                yield i
        if _FOR_ALL & set(action.reasons) or any(self._is_for_all(other) for _, other in own):
            yield from self._of_job[job.name]
        place = built_place(action) if action.address.kind == "stream" else None
        if (
            place is not None
            and (freeing := self._freed.get((self._destination(job.name), place))) is not None
        ):
            yield freeing
        yield from (i for i in self._given_up.get(place, ()) if self._shares_destination(i, job.name))
        yield from self._endpoints_of(job.name)

    def _shares_destination(self, number: int, job: str) -> bool:
        """Whether another job, which gives up a table, does so where `job` writes."""
        jobs = self._context.desired.jobs
        stored = self._context.stored.jobs.get(self._actions[number].address.name)
        return job in jobs and stored is not None and stored.spec.get("destination") == jobs[job].destination

    @staticmethod
    def _activates(job: Update, action: Action) -> bool:
        """A clear needs an active job, and the same apply may activate it."""
        return isinstance(action, Rebuild | Remove) and any(c.setting == "active" for c in job.changes)

    @staticmethod
    def _is_for_all(job: Action) -> bool:
        match job:
            case Remove() | Forget():
                return True
            case Update():
                return any(c.setting in JOB_REASONS for c in job.changes)
            case _:
                return False

    def _destination(self, job: str) -> str:
        declared, stored = self._context.desired.jobs.get(job), self._context.stored.jobs.get(job)
        return declared.destination if declared else str(stored.spec.get("destination")) if stored else ""

    def _endpoints_of(self, job: str) -> Iterator[int]:
        declared = self._context.desired.jobs.get(job)
        if declared is None:
            return
        for address in (Address("source", declared.source), Address("destination", declared.destination)):
            yield from self._at.get(address, ())

    def _of_endpoint(self, action: Action) -> Iterator[int]:
        kind, name = action.address.kind, action.address.name
        for job, numbers in self._of_job.items():
            declared, stored = self._context.desired.jobs.get(job), self._context.stored.jobs.get(job)
            if isinstance(action, Remove):
                # It may go when nothing uses it any longer.
                if stored is not None and stored.spec.get(kind) == name:
                    yield from numbers
            elif declared is not None and getattr(declared, kind) == name:
                reason = JOB_REASONS[kind]
                if any(reason in self._actions[i].reasons for i in numbers):
                    yield from numbers
