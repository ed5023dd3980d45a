"""Laws of plans over random workspaces and states."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from olake_reconcile.model.desired import Desired
from olake_reconcile.model.names import Address, StreamId
from olake_reconcile.model.observed import Observed
from olake_reconcile.model.stored import Stored
from olake_reconcile.plan.actions import Create, Forget, Import, Keep, Move, Rebuild, Remove, Update, is_clear
from olake_reconcile.plan.consent import line_to_paste
from olake_reconcile.plan.document import plan_document, read_plan
from olake_reconcile.plan.effects import STREAM_REASONS, Reason, stream_reason
from olake_reconcile.plan.options import Narrowing, Options
from olake_reconcile.plan.plan import Plan, build_plan
from tests.builders import stored_of
from tests.properties.strategies import PHASES, states, workspaces


def shuffled(desired: Desired, random: Any) -> Desired:
    """Return the same workspace with files, jobs, streams and maps in another order."""

    def mixed(mapping: Any) -> dict[Any, Any]:
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    jobs = {
        name: job.model_copy(update={"streams": mixed(job.streams), "labels": mixed(job.labels)})
        for name, job in desired.jobs.items()
    }
    sources = {n: s.model_copy(update={"config": mixed(s.config)}) for n, s in desired.sources.items()}
    return Desired(desired.project, mixed(sources), mixed(desired.destinations), mixed(jobs))


def shuffled_state(stored: Stored, random: Any) -> Stored:
    names = list(stored.jobs)
    random.shuffle(names)
    return stored.model_copy(update={"jobs": {name: stored.jobs[name] for name in names}})


def as_bytes(plan: Plan) -> bytes:
    return orjson.dumps(plan_document(plan), option=orjson.OPT_SORT_KEYS)


@given(desired=workspaces(), phase=PHASES.filter(lambda p: p not in ("removed", "needs_resync")))
def test_what_is_stored_as_desired_needs_no_change(desired: Desired, phase: Any) -> None:
    plan = build_plan(desired, stored_of(desired, phase), Observed(), Options(show_all=True))
    assert all(isinstance(action, Keep) for action in plan.actions)


@given(desired=workspaces(), stored=states(), random=st.randoms(use_true_random=False))
def test_plans_do_not_depend_on_order_byte_for_byte(desired: Desired, stored: Stored, random: Any) -> None:
    plan = build_plan(desired, stored, Observed())
    assert as_bytes(build_plan(desired, stored, Observed())) == as_bytes(plan)
    again = build_plan(shuffled(desired, random), shuffled_state(stored, random), Observed())
    assert as_bytes(again) == as_bytes(plan)


@given(desired=workspaces(), stored=states(), show_all=st.booleans())
def test_a_plan_is_read_back_from_its_document(desired: Desired, stored: Stored, show_all: bool) -> None:
    plan = build_plan(desired, stored, Observed(), Options(show_all=show_all))
    assert read_plan(json.loads(json.dumps(plan_document(plan)))) == plan


@given(desired=workspaces(), stored=states())
def test_every_rebuild_has_reasons_and_every_forcing_change_is_one(desired: Desired, stored: Stored) -> None:
    for action in build_plan(desired, stored, Observed()).changes:
        if not isinstance(action, Rebuild):
            assert not any(change.forces for change in action.changes)
            continue
        assert action.reasons
        assert len(set(action.reasons)) == len(action.reasons)
        forced = {c.setting.split(".")[0] for c in action.changes if c.forces}
        assert {STREAM_REASONS[setting] for setting in forced} <= set(action.reasons)
        incremental = action.after["sync_mode"] == "incremental"
        for change in action.changes:
            reason = stream_reason(change.setting.split(".")[0], incremental=incremental)
            assert change.forces == (reason is not None)


@given(desired=workspaces(), stored=states())
def test_only_what_was_loaded_is_cleared_and_never_without_more_than_safe_consent(
    desired: Desired, stored: Stored
) -> None:
    for action in build_plan(desired, stored, Observed()).changes:
        if is_clear(action):
            stream = stored.jobs[action.address.name].streams[StreamId.parse(action.address.stream)]
            assert stream.phase.has_data
            assert action.consent != "safe"


@given(desired=workspaces(), stored=states())
def test_every_resource_has_exactly_one_action(desired: Desired, stored: Stored) -> None:
    plan = build_plan(desired, stored, Observed(), Options(show_all=True))
    addresses = [action.address for action in plan.actions]
    assert len(set(addresses)) == len(addresses)
    wanted = {Address("job", name) for name in desired.jobs}
    wanted |= {Address.of_stream(j.name, i) for j in desired.jobs.values() for i in j.streams}
    assert wanted <= set(addresses)
    assert {u.job for u in plan.unmanaged} == stored.jobs.keys() - desired.jobs.keys()


@given(desired=workspaces(), stored=states())
def test_the_line_to_paste_gives_all_the_consent_that_is_missing(desired: Desired, stored: Stored) -> None:
    plan = build_plan(desired, stored, Observed())
    line = line_to_paste(plan.actions)
    if line:
        import shlex

        words = shlex.split(line)[2:]
        flags = list(zip(words[::2], words[1::2], strict=True))
        options = Options(
            allow_rebuild=tuple(a for flag, a in flags if flag == "--allow-rebuild"),
            allow_delete=tuple(a for flag, a in flags if flag == "--allow-delete"),
        )
        assert not build_plan(desired, stored, Observed(), options).is_blocked


@given(desired=workspaces(), stored=states())
def test_settings_that_were_changed_differ_and_others_are_not_listed(
    desired: Desired, stored: Stored
) -> None:
    for action in build_plan(desired, stored, Observed()).changes:
        match action:
            case Update() | Rebuild():
                assert all(c.before != c.after or c.note for c in action.changes)
                lost = Reason.REENABLED in action.reasons or Reason.NEEDS_RESYNC in action.reasons
                everyone = {Reason.SOURCE_IDENTITY, Reason.DESTINATION_IDENTITY, Reason.RUNTIME}
                assert action.changes or lost or everyone & set(action.reasons)
            case Create() | Import() | Remove() | Forget() | Move() | Keep():
                assert not action.changes


@given(desired=workspaces(), stored=states())
def test_narrowing_to_everything_is_not_narrowing(desired: Desired, stored: Stored) -> None:
    whole = build_plan(desired, stored, Observed())
    known = {
        *(f"source.{n}" for n in (*desired.sources, *stored.sources)),
        *(f"destination.{n}" for n in (*desired.destinations, *stored.destinations)),
        *desired.jobs,
        *stored.jobs,
    }
    if not known:
        return
    options = Options(narrowing=Narrowing(target=tuple(sorted(known))))
    narrowed = build_plan(desired, stored, Observed(), options)
    if not desired.project.safety.prune:
        assert _without_remedies(narrowed) == _without_remedies(whole)
        assert narrowed.narrowed is not None
        assert narrowed.narrowed.left_out == narrowed.narrowed.pulled_in == ()


def _without_remedies(plan: Plan) -> list[Any]:
    """A line to paste asks for the same narrowing again."""
    return [
        a.model_copy(update={"blocked": tuple(b.model_copy(update={"remedy": ""}) for b in a.blocked)})
        for a in plan.changes
    ]


@given(desired=workspaces(), stored=states(), data=st.data())
def test_targets_and_their_exclusion_share_out_the_plan(desired: Desired, stored: Stored, data: Any) -> None:
    """Nothing is done twice, and what both leave out is what cannot be had without the other half."""
    changes = build_plan(desired, stored, Observed()).changes
    if not changes:
        return
    address = str(data.draw(st.sampled_from(changes)).address)

    def kept(**asked: Any) -> set[str]:
        options = Options(narrowing=Narrowing(**asked))
        return {str(a.address) for a in build_plan(desired, stored, Observed(), options).changes}

    everything = {str(a.address) for a in changes}
    assert address in kept(target=(address,))
    assert address not in kept(exclude=(address,))
    assert kept(target=(address,)) <= everything
    assert kept(exclude=(address,)) <= everything
