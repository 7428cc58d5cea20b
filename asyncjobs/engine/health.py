"""
How this process is, from what it remembers: no statement is sent, however often somebody asks.

What may hang, and where it shows:

    the executor ended       executor   a restart helps
    a service fails          services   a restart helps if it is a bug of ours, and lasts
    a service hangs          services   every wait of ours has an end, so one that does not come along hangs
    the link is down         link       being made anew takes milliseconds, so it may for a moment
    claims get no answer     claims     refused (a locked table), on their way for too long, or not even sent
    beats get no answer      beats      what is ours and lost is not found
    nothing is recorded      outcomes   a row that somebody has locked is no fault of Postgres's, and only told
    bodies do not stop       slots      wrong when they hold all of them; or when slots are lost, by a bug of ours
    the loop is blocked      loop       then nobody answers either; who asks first afterwards is told
    the pool fails           pool       no enqueue, no finish; asked again meanwhile, see pool.py
    somebody migrated        schema     and these tables are not for this code

A restart does not mend Postgres, so nothing that Postgres says makes `is_alive` false: processes that are all
restarted because their database is down come back at the same moment as it does.

Everything is judged as of the last moment at which the loop is known to have turned: after a block of a minute
nobody has come along for a minute, and that is the loop's fault alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from asyncjobs.engine.lag import EVERY
from asyncjobs.engine.service import Acts, acts_for, hanging
from asyncjobs.health import Check, Health, Verdict, in_words

if TYPE_CHECKING:
    from asyncjobs.engine.connection import Connection
    from asyncjobs.engine.executor import Executor
    from asyncjobs.engine.vitals import Vitals

# Seconds, all of them.
LINK_BACK_WITHIN = 2.0
CLAIM_ANSWERED_WITHIN = 10.0  # two statements of four seconds, and some
HEARD_OF_WITHIN = 45.0  # the safety poll comes every thirty
BEAT_ANSWERED_WITHIN = 15.0  # three beats
RECORDED_WITHIN = 60.0  # two statements
ANSWERED_LATELY = 5.0
STOPS_WITHIN = 10.0  # a coroutine is cancelled again after five
LATE = 1.0
BLOCKED = 5.0
POOL_BACK_WITHIN = 5.0


def health_of(connection: Connection) -> Health:
    """Tell how a connected process is."""
    executor = connection.executor
    if executor is None:
        checks = [_only_enqueues(connection), *_around(connection, time.monotonic(), {})]
        return Health(
            tuple(checks), migration=connection.fit.migration, troubles=dict(connection.troubles)
        )
    vitals = executor.vitals
    moment = time.monotonic()
    now = min(moment, vitals.lag.woke_at + 2 * EVERY)
    checks = [
        _executor(connection, executor),
        _link(vitals, now),
        _claims(executor, vitals, now),
        _beats(vitals, now),
        _outcomes(vitals, now),
        _slots(executor, vitals, now),
        _loop(vitals),
        *_around(connection, now, vitals.acting),
    ]
    heard_of = _heard_of(vitals)
    return Health(
        tuple(checks),
        link_is_up=vitals.link.is_up,
        link_since=_ago(moment, vitals.linked.failing_since or vitals.linked.at),
        link_answered=_ago(moment, vitals.link.answered_at or None),
        claim_answered=_ago(moment, heard_of),
        loop_lag=timedelta(seconds=vitals.lag.now),
        worst_loop_lag=timedelta(seconds=vitals.lag.worst),
        manners=None if vitals.pace is None else vitals.pace.manners,
        migration=connection.fit.migration,
        slots=executor.slots,
        running=len(vitals.runs.live),
        overdue=vitals.runs.overdue(STOPS_WITHIN, now),
        unrecorded=len(vitals.outcomes),
        is_draining=executor.is_draining,
        troubles={**connection.troubles, **executor.troubles},
    )


def unconnected(*, is_open: bool) -> Health:
    """Tell how a process is that is not connected; `is_open`: it connects, or is about to leave."""
    if is_open:
        check = Check(
            "executor", Verdict.FAIL, "it is connecting, or has drained and leaves", "opens"
        )
    else:
        words = "jobs is not running in this process: lifespan=jobs.lifespan, or jobs.running()"
        check = Check("executor", Verdict.FAIL, words, "not running")
    return Health((check,))


def _around(connection: Connection, now: float, acting: Mapping[str, Acts]) -> Iterator[Check]:
    yield _services(connection, now, acting)
    yield _pool(connection, now)
    yield _schema(connection)


def _only_enqueues(connection: Connection) -> Check:
    if connection.ended:
        return _has_ended(connection)
    return Check("executor", Verdict.PASS, "none: this process only enqueues", "enqueues")


def _executor(connection: Connection, executor: Executor) -> Check:
    if connection.ended:
        return _has_ended(connection)
    if executor.is_draining:
        running = len(executor.running)
        words = (
            f"draining: {running} {'job' if running == 1 else 'jobs'} still run, none is started"
        )
        return Check("executor", Verdict.FAIL, words, "draining")
    return Check("executor", Verdict.PASS, "it runs", "running")


def _has_ended(connection: Connection) -> Check:
    names = ", ".join(connection.ended)
    words = f"{names} has ended for good, and nothing brings it back in this process"
    cause = "; ".join(connection.ended.values())
    return Check("executor", Verdict.FAIL, words, "ended", cause, restart_helps=True)


def _link(vitals: Vitals, now: float) -> Check:
    linked = vitals.linked
    if vitals.link.is_up:
        answered = max(0.0, now - vitals.link.answered_at)
        words = f"up for {_since(now, linked.at)}, answered {in_words(answered)} ago"
        return Check("link", Verdict.PASS, words, "up")
    down = linked.failing_for(now)
    verdict = Verdict.FAIL if down > LINK_BACK_WITHIN or linked.at is None else Verdict.WARN
    words = f"down for {in_words(down)}, and being made again"
    return Check("link", verdict, words, "down", linked.failure)


def _claims(executor: Executor, vitals: Vitals, now: float) -> Check:
    heard_of = _heard_of(vitals)
    silent = None if heard_of is None else max(0.0, now - heard_of)
    verdict, words, cause = next(_on_claims(executor, vitals, silent, now))
    return Check("claims", verdict, words, None if silent is None else round(silent, 3), cause)


def _on_claims(
    executor: Executor, vitals: Vitals, silent: float | None, now: float
) -> Iterator[tuple[Verdict, str, str | None]]:
    """Tell what there is to say of them, the most important first."""
    claims, linked, polls = vitals.claims, vitals.linked, vitals.polls.answers
    if executor.is_draining:
        yield Verdict.PASS, "none, as it drains", None
    if not vitals.link.is_up:
        yield Verdict.WARN, "none while the link is down", None
    if executor.is_copy:
        yield Verdict.FAIL, "none: this database is a copy, and its jobs belong to another", None
    if silent is None:
        yield Verdict.FAIL, "none was answered yet", polls.failure
    elif silent > HEARD_OF_WITHIN:
        words = f"neither a claim nor a poll was answered for {in_words(silent)}"
        yield Verdict.FAIL, words, polls.failure
    if not claims.is_open:
        closed = now - (linked.at or now)
        words = f"closed, although the link has been up for {in_words(closed)}"
        yield (Verdict.FAIL if closed > CLAIM_ANSWERED_WITHIN else Verdict.WARN), words, None
    failing = claims.answers.failing_for(now)
    if failing > CLAIM_ANSWERED_WITHIN:
        yield Verdict.FAIL, f"none was answered for {in_words(failing)}", claims.answers.failure
    acts = acts_for(claims, now)
    if acts > CLAIM_ANSWERED_WITHIN:
        yield Verdict.FAIL, f"one has been on its way for {in_words(acts)}", None
    yield Verdict.PASS, f"the last claim or poll was answered {in_words(silent or 0)} ago", None


def _beats(vitals: Vitals, now: float) -> Check:
    answers = vitals.beats.answers
    oldest = min(vitals.runs.oldest, now - (vitals.linked.at or now))
    if not vitals.link.is_up or not vitals.runs.live or oldest <= BEAT_ANSWERED_WITHIN:
        return Check("beats", Verdict.PASS, "nothing has run for so long that one would be due")
    silent = min(oldest, now - (answers.at or 0.0))
    if silent > BEAT_ANSWERED_WITHIN:
        words = f"none was answered for {in_words(silent)}, although jobs run"
        return Check("beats", Verdict.FAIL, words, round(silent, 3), answers.failure)
    return Check(
        "beats", Verdict.PASS, f"the last was answered {in_words(silent)} ago", round(silent, 3)
    )


def _outcomes(vitals: Vitals, now: float) -> Check:
    outcomes = vitals.outcomes
    waiting = len(outcomes)
    behind = 0.0 if outcomes.behind_since is None else now - outcomes.behind_since
    if not waiting:
        return Check("outcomes", Verdict.PASS, "all are recorded", 0)
    if behind <= RECORDED_WITHIN:
        return Check("outcomes", Verdict.PASS, f"{waiting} are being recorded", waiting)
    if outcomes.answers.at is not None and now - outcomes.answers.at < ANSWERED_LATELY:
        words = f"{waiting} wait for rows that somebody has locked, for {in_words(behind)}"
        return Check("outcomes", Verdict.WARN, words, waiting)
    words = f"{waiting} wait, and none could be recorded for {in_words(behind)}"
    return Check("outcomes", Verdict.FAIL, words, waiting, outcomes.answers.failure)


def _slots(executor: Executor, vitals: Vitals, now: float) -> Check:
    busy, overdue = len(vitals.runs.live), vitals.runs.overdue(STOPS_WITHIN, now)
    if vitals.runs.lost_slots >= executor.slots:
        words = f"all {executor.slots} are taken, and nothing runs in them"
        return Check("slots", Verdict.FAIL, words, busy, restart_helps=True)
    if not overdue:
        return Check("slots", Verdict.PASS, f"{busy} of {executor.slots} are taken", busy)
    if overdue < executor.slots:
        words = f"{overdue} of {executor.slots} are held by jobs that were told to stop and do not"
        return Check("slots", Verdict.WARN, words, busy)
    words = f"all {executor.slots} are held by jobs that were told to stop and do not"
    return Check("slots", Verdict.FAIL, words, busy)


def _loop(vitals: Vitals) -> Check:
    late, worst = vitals.lag.now, vitals.lag.worst
    value = round(late, 3)
    if late > BLOCKED:
        return Check("loop", Verdict.FAIL, f"it was blocked for {in_words(late)} just now", value)
    if worst > LATE:
        words = f"something blocked it for {worst:.1f} s within the last minute"
        return Check("loop", Verdict.WARN, words, value)
    return Check("loop", Verdict.PASS, f"at most {worst * 1000:.0f} ms late within a minute", value)


def _services(connection: Connection, now: float, acting: Mapping[str, Acts]) -> Check:
    executor = connection.executor
    hands = {**acting, "enqueue": connection.enqueuer, "wake": connection.waker}
    found = [*connection.troubles.found(now), *hanging(hands, now)]
    failures = sum(connection.troubles.values())
    if executor is not None:
        found += executor.troubles.found(now, may_fail=executor.extensions)
        failures += sum(executor.troubles.values())
    if not found:
        return Check("services", Verdict.PASS, "all go on", failures)
    order = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)
    return Check(
        "services",
        max((check.verdict for check in found), key=order.index),
        "; ".join(check.words for check in found),
        failures,
        "; ".join(check.cause for check in found if check.cause) or None,
        restart_helps=any(check.restart_helps for check in found),
    )


def _pool(connection: Connection, now: float) -> Check:
    answers = connection.database.answers
    failing = answers.failing_for(now)
    if answers.failing_since is None:
        return Check("pool", Verdict.PASS, "it answers")
    verdict = Verdict.FAIL if failing > POOL_BACK_WITHIN else Verdict.WARN
    words = f"no answer for {in_words(failing)}"
    return Check("pool", verdict, words, round(failing, 3), answers.failure)


def _schema(connection: Connection) -> Check:
    fit = connection.fit
    if fit.misfit is not None:
        words = "it does not fit this code any more; see `asyncjobs status`"
        return Check("schema", Verdict.FAIL, words, fit.migration, fit.misfit)
    return Check("schema", Verdict.PASS, f"it fits, at {fit.migration}", fit.migration)


def _heard_of(vitals: Vitals) -> float | None:
    moments = (vitals.claims.answers.at, vitals.polls.answers.at)
    return max((at for at in moments if at is not None), default=None)


def _since(now: float, at: float | None) -> str:
    return in_words(0.0 if at is None else now - at)


def _ago(now: float, at: float | None) -> timedelta | None:
    return None if at is None else timedelta(seconds=max(0.0, now - at))
