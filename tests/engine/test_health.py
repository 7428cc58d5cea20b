"""What a process says of itself, while somebody does it harm: the truth, with reasons, and from memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import asyncpg
import httpx2
import pytest

from asyncjobs import Health, Jobs, JobState
from asyncjobs.engine import health as judging
from asyncjobs.engine import pool as pool_module
from asyncjobs.engine import service
from asyncjobs.errors import Unavailable
from asyncjobs.health import Check, Verdict, wrong
from asyncjobs.postgres.failures import NotNow
from tests.engine.harm import Count, cut, inside, until_at_rest
from tests.faults.proxy import proxied
from tests.moments import Gate, until, until_state, until_true
from tests.postgres import Administrator

NAMES = {
    "executor", "link", "claims", "beats", "outcomes", "slots", "loop", "services", "pool", "schema",
}  # fmt: skip


def check(health: Health, name: str) -> Check:
    [found] = [each for each in health.checks if each.name == name]
    return found


def verdicts(health: Health) -> dict[str, Verdict]:
    """What is not as it should be."""
    return {each.name: each.verdict for each in health.checks if each.verdict is not Verdict.PASS}


async def until_wrong(jobs: Jobs, name: str) -> Health:
    """Wait until this check fails, and see what else is said at that moment."""
    seen: list[Health] = []

    def fails() -> bool:
        seen[:] = [jobs.health()]
        return check(seen[0], name).verdict is Verdict.FAIL

    await until_true(fails)
    assert not seen[0].is_ready
    return seen[0]


async def until_ready(jobs: Jobs) -> None:
    """Wait until nothing is wrong; a process is not ready before its first claim or poll is answered."""
    await until_true(lambda: jobs.health().is_ready)


@pytest.fixture
async def ask(jobs: Jobs) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who asks over HTTP."""
    transport = httpx2.ASGITransport(jobs.probes())
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_process_that_works_says_so(jobs: Jobs) -> None:
    async with jobs.running():
        await until_ready(jobs)
        health = jobs.health()

    assert {each.name for each in health.checks} == NAMES
    assert (health.is_alive, health.is_ready, verdicts(health)) == (True, True, {})
    assert (health.link_is_up, health.slots, health.running, health.unrecorded) == (True, 10, 0, 0)
    assert health.migration == check(health, "schema").value
    assert health.last_error is None


async def test_a_process_that_only_enqueues_is_ready_for_that(jobs: Jobs) -> None:
    async with jobs.connected():
        health = jobs.health()

    assert (health.is_alive, health.is_ready) == (True, True)
    assert (health.link_is_up, health.claim_answered) == (None, None)
    assert check(health, "executor").value == "enqueues"


async def test_a_process_with_a_lease_is_judged_likewise(database: str) -> None:
    jobs = Jobs(database, presence="lease")

    async with jobs.running():
        await until_ready(jobs)

        assert verdicts(jobs.health()) == {}


async def test_a_copy_of_a_database_runs_nothing_and_says_so(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with jobs.running():
        pass  # a first executor was here, and noted where
    await eyes.execute("select asyncjobs.enqueue('anything')")
    await eyes.execute("update asyncjobs.home set system_identifier = 1")

    async with jobs.running():
        health = await until_wrong(jobs, "claims")

    assert health.is_alive
    assert "this database is a copy" in check(health, "claims").words


async def test_jobs_that_nobody_runs_are_not_ready_and_a_restart_would_not_help(jobs: Jobs) -> None:
    before = jobs.health()
    async with jobs.running():
        pass
    after = jobs.health()

    for health in (before, after):
        assert (health.is_alive, health.is_ready) == (True, False)
        assert "lifespan=jobs.lifespan" in check(health, "executor").words


async def test_a_process_that_is_connecting_says_so(database: str) -> None:
    async with proxied(database) as proxy:
        proxy.refuse()
        jobs = Jobs(proxy.dsn)
        entering = asyncio.ensure_future(jobs.running().__aenter__())
        await asyncio.sleep(0)

        health = jobs.health()

        assert (health.is_alive, health.is_ready) == (True, False)
        assert check(health, "executor").value == "opens"
        with pytest.raises(Unavailable):
            await entering


async def test_a_link_that_cannot_be_made_is_not_ready_and_no_reason_to_restart(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "LINK_BACK_WITHIN", 0.1)
    monkeypatch.setattr(pool_module, "AGAIN_AFTER", 0.05)
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.running():
            proxy.refuse()
            proxy.hang_up()

            health = await until_wrong(jobs, "link")
            assert health.is_alive
            assert health.link_is_up is False
            assert "being made again" in check(health, "link").words
            assert check(health, "claims").verdict is Verdict.WARN
            assert health.last_error

            proxy.refuse(on=False)
            await until_ready(jobs)
            assert jobs.health().link_is_up


async def test_a_link_that_is_cut_and_made_anew_at_once_is_no_outage(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        await until_at_rest(jobs)
        link = inside(jobs).link
        generation = link.generation
        unready: list[str] = []

        def is_anew() -> bool:
            unready.extend(wrong(jobs.health().checks))
            return link.generation > generation and bool(link.is_up)

        await cut(eyes, "asyncjobs link")
        await until_true(is_anew)

    assert unready == []


async def test_claims_that_a_lock_holds_up_are_not_ready(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "CLAIM_ANSWERED_WITHIN", 0.5)

    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        await until_ready(jobs)
        async with eyes.transaction():
            await eyes.execute("lock table asyncjobs.job in access exclusive mode")
            inside(jobs).ready(["default"])
            health = await until_wrong(jobs, "claims")
            assert health.is_alive

        assert await (await work.enqueue()).result(20) == 1
        await until_ready(jobs)


async def test_a_poll_that_gets_no_answer_is_not_ready_though_nothing_is_to_be_claimed(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "HEARD_OF_WITHIN", 0.5)
    async with jobs.running():
        await until_ready(jobs)
        executor = inside(jobs)
        answers = executor._ledger.poll
        executor._ledger.poll = refused
        executor._poller.poll_now()

        health = await until_wrong(jobs, "claims")
        assert "neither a claim nor a poll" in check(health, "claims").words
        await until_true(lambda: "not now" in (jobs.health().last_error or ""))

        executor._ledger.poll = answers
        executor._poller.poll_now()
        await until_ready(jobs)


async def test_a_claim_that_hangs_is_not_ready(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "CLAIM_ANSWERED_WITHIN", 0.2)
    async with jobs.running():
        await until_ready(jobs)
        executor = inside(jobs)
        monkeypatch.setattr(executor._ledger, "claim", never_answered)
        executor.ready(["default"])

        health = await until_wrong(jobs, "claims")

    assert "on its way" in check(health, "claims").words
    assert health.is_alive


async def test_claims_that_stay_closed_are_not_ready(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "CLAIM_ANSWERED_WITHIN", 0.2)
    async with jobs.running():
        await until_ready(jobs)
        inside(jobs)._claimer.close()

        assert "closed" in check(await until_wrong(jobs, "claims"), "claims").words


async def test_beats_without_an_answer_are_not_ready(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BEAT_ANSWERED_WITHIN", 0.2)
    gate = Gate()
    jobs.task(name="wait")(gate.pass_through)
    async with jobs.running():
        await until_ready(jobs)
        executor = inside(jobs)
        monkeypatch.setattr(executor._ledger, "beat", refused)
        await jobs.tasks["wait"].enqueue()

        health = await until_wrong(jobs, "beats")

        assert (health.is_alive, health.running) == (True, 1)
        assert "although jobs run" in check(health, "beats").words
        monkeypatch.undo()
        gate.open()
        await until_ready(jobs)


async def test_outcomes_that_cannot_be_recorded_are_not_ready(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "RECORDED_WITHIN", 0.5)
    monkeypatch.setattr(judging, "ANSWERED_LATELY", 0.1)

    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        await until_ready(jobs)
        async with eyes.transaction():
            await eyes.execute("lock table asyncjobs.archive in access exclusive mode")
            job = await work.enqueue()
            health = await until_wrong(jobs, "outcomes")
            assert (health.is_alive, health.unrecorded) == (True, 1)

        await until_state(job, JobState.SUCCEEDED)
        await until_ready(jobs)
        assert jobs.health().unrecorded == 0


async def test_a_row_that_somebody_has_locked_is_told_and_keeps_nobody_from_being_ready(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "RECORDED_WITHIN", 0.3)
    gate = Gate()
    jobs.task(name="wait")(gate.pass_through)
    async with jobs.running():
        job = await jobs.tasks["wait"].enqueue()
        await until_true(lambda: gate.inside)
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.job where id = $1 for update", job.id)
            gate.open()
            await until_true(lambda: check(jobs.health(), "outcomes").verdict is Verdict.WARN)
            health = jobs.health()

        assert health.is_ready
        assert "somebody has locked" in check(health, "outcomes").words
        await until_state(job, JobState.SUCCEEDED)


async def test_slots_that_are_all_held_by_what_does_not_stop_are_not_ready(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "STOPS_WITHIN", 0.1)
    jobs, let_go = Jobs(database, slots=1), threading.Event()

    @jobs.task
    def stubborn() -> None:
        let_go.wait(30)

    async with jobs.running():
        job = await stubborn.enqueue()
        await until_true(lambda: jobs.health().running == 1)
        assert jobs.health().is_ready
        await jobs.cancel(job.id)

        health = await until_wrong(jobs, "slots")
        assert (health.is_alive, health.overdue) == (True, 1)

        let_go.set()
        await until_ready(jobs)


async def test_slots_that_are_lost_are_not_alive(database: str) -> None:
    jobs = Jobs(database, slots=2)
    async with jobs.running():
        await until_ready(jobs)
        slots = inside(jobs).runs.slots
        slots.enter("default", reserved=True)
        assert jobs.health().is_ready
        slots.enter("default", reserved=True)

        health = jobs.health()

    assert not health.is_alive
    assert "nothing runs in them" in check(health, "slots").words


async def test_a_loop_that_was_blocked_is_told_to_whoever_asks_first_and_blames_nobody_else(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BLOCKED", 0.5)
    monkeypatch.setattr(judging, "LATE", 0.4)
    async with jobs.running():
        await until_ready(jobs)
        time.sleep(2)

        health = jobs.health()

        assert verdicts(health) == {"loop": Verdict.FAIL}
        assert (health.is_alive, health.is_ready) == (True, False)
        assert health.loop_lag.total_seconds() > 0.5
        await until_ready(jobs)
        assert verdicts(jobs.health()) == {"loop": Verdict.WARN}


async def test_a_bug_in_a_service_is_not_ready_and_when_it_lasts_a_restart_helps(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with jobs.running():
        await until_ready(jobs)
        rescuer = inside(jobs)._rescuer
        monkeypatch.setattr(rescuer._ledger, "look", broken)
        rescuer.look_for_a_while()

        first = await until_wrong(jobs, "services")
        monkeypatch.setattr(service, "FAILS_FOR_GOOD_AFTER", 0.0)
        lasting = jobs.health()
        monkeypatch.undo()
        monkeypatch.setattr(service, "CALM_AFTER", 0.5)
        await until_ready(jobs)

    assert first.is_alive
    assert "rescue fails again and again" in check(first, "services").words
    assert "KeyError" in check(first, "services").words
    assert not lasting.is_alive
    assert first.troubles["rescue"] >= service.FAILS_AGAIN


async def test_what_postgres_refuses_is_never_a_reason_to_restart(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FAILS_FOR_GOOD_AFTER", 0.0)
    async with jobs.running():
        await until_ready(jobs)
        await eyes.execute("alter table asyncjobs.job rename to elsewhere")
        inside(jobs).ready(["default"])

        health = await until_wrong(jobs, "services")

        assert health.is_alive
        await eyes.execute("alter table asyncjobs.elsewhere rename to job")
        monkeypatch.setattr(service, "CALM_AFTER", 0.5)
        await until_ready(jobs)


async def test_a_service_that_hangs_is_not_ready_and_after_long_a_restart_helps(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HANGS_AFTER", 0.2)
    async with jobs.running():
        await until_ready(jobs)
        rescuer = inside(jobs)._rescuer
        monkeypatch.setattr(rescuer._ledger, "look", never_answered)
        rescuer.look_for_a_while()

        first = await until_wrong(jobs, "services")
        monkeypatch.setattr(service, "HANGS_FOR_GOOD_AFTER", 0.2)
        lasting = jobs.health()

    assert first.is_alive
    assert "rescue hangs" in check(first, "services").words
    assert not lasting.is_alive


async def test_an_extension_that_fails_is_told_and_no_reason_for_anything(database: str) -> None:
    class Clumsy:
        async def serve(self) -> None:
            raise KeyError("clumsy")

    jobs = Jobs(database, extensions=[Clumsy()])
    async with jobs.running():
        await until_true(lambda: sum(jobs.health().troubles.values()) > service.FAILS_AGAIN)

        health = jobs.health()

    assert health.is_ready
    assert verdicts(health) == {"services": Verdict.WARN}
    assert "Clumsy (extension 1) has failed" in check(health, "services").words


async def test_an_executor_that_ended_for_good_is_not_alive(
    jobs: Jobs, eyes: asyncpg.Connection, ask: httpx2.AsyncClient
) -> None:
    links = """
    select count(*) from pg_stat_activity
    where application_name = 'asyncjobs link' and datname = current_database()
    """
    async with jobs.running():
        [executor] = [
            task for task in asyncio.all_tasks() if task.get_name() == "asyncjobs executor"
        ]
        executor.cancel()
        await until_true(lambda: not jobs.health().is_alive)

        health = jobs.health()
        answers = [(await ask.get(path)).status_code for path in ("/live", "/ready")]

        async def no_link() -> bool:
            return not await eyes.fetchval(links)

        await until(no_link)

    assert "executor has ended for good" in check(health, "executor").words
    assert answers == [503, 503]


async def test_a_way_in_that_ended_for_good_is_not_alive(jobs: Jobs) -> None:
    async with jobs.connected():
        [way_in] = [task for task in asyncio.all_tasks() if task.get_name() == "asyncjobs enqueue"]
        way_in.cancel()
        await until_true(lambda: not jobs.health().is_alive)

        assert "enqueue has ended" in check(jobs.health(), "executor").words


async def test_a_process_that_drains_is_alive_and_not_ready(jobs: Jobs) -> None:
    gate = Gate()
    jobs.task(name="wait")(gate.pass_through)
    async with jobs.running():
        await jobs.tasks["wait"].enqueue()
        await until_true(lambda: gate.inside)
        inside(jobs).begin_draining()

        health = jobs.health()

        assert (health.is_alive, health.is_ready, health.is_draining) == (True, False, True)
        assert "draining: 1 job still run" in check(health, "executor").words
        assert list(verdicts(health)) == ["executor"]
        gate.open()


@pytest.fixture
def limited(
    administrator: Administrator, database: str
) -> Iterator[tuple[str, Callable[[int], None]]]:
    """The address for a role with few connections, and how to change how many."""
    name = next(ROLES)
    administrator.execute(f"create role {name} login connection limit 4")

    def allow(connections: int) -> None:
        administrator.execute(f"alter role {name} connection limit {connections}")

    yield database.replace("postgres@", f"{name}@"), allow
    administrator.execute(f"drop role {name}")


ROLES = (f"limited_{threading.get_native_id()}_{number}" for number in count(1))


async def test_a_pool_without_connections_is_not_ready_until_it_answers_again(
    limited: tuple[str, Callable[[int], None]],
    eyes: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "POOL_BACK_WITHIN", 0.2)
    monkeypatch.setattr(pool_module, "AGAIN_AFTER", 0.05)
    dsn, allow = limited
    role = dsn.partition("://")[2].partition("@")[0]
    await eyes.execute(f"grant usage on schema asyncjobs to {role}")
    await eyes.execute(f"grant all on all tables in schema asyncjobs to {role}")
    await eyes.execute(f"grant execute on all functions in schema asyncjobs to {role}")
    jobs = Jobs(dsn)

    async with jobs.running():
        await until_ready(jobs)
        await asyncio.to_thread(allow, 1)
        await cut(eyes, jobs.database.application)
        for _ in range(2):  # the first may be told that its connection is gone
            with pytest.raises(Unavailable):
                await jobs.database.fetch("select 1")

        health = await until_wrong(jobs, "pool")
        assert (health.is_alive, health.link_is_up) == (True, True)
        assert "too many connections" in (check(health, "pool").cause or "")

        await asyncio.to_thread(allow, 4)
        await until_ready(jobs)
    await eyes.execute(f"drop owned by {role}")


async def test_a_statement_that_postgres_refuses_says_nothing_against_the_pool(jobs: Jobs) -> None:
    async with jobs.connected():
        with pytest.raises(Unavailable):
            await jobs.database.fetch("select nonsense")

        assert verdicts(jobs.health()) == {}


async def test_a_schema_that_somebody_migrated_too_far_is_not_ready(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.engine.fit.AGAIN_AFTER", 0.1)
    async with jobs.running():
        await until_ready(jobs)
        await eyes.execute(
            "insert into asyncjobs.migration (number, name, oldest_code) values (900, '0900_far', '900.0')"
        )
        inside(jobs)._poller.poll_now()

        health = await until_wrong(jobs, "schema")
        assert health.is_alive
        assert "0900_far needs asyncjobs 900.0" in (health.last_error or "")

        await eyes.execute("delete from asyncjobs.migration where number = 900")
        inside(jobs)._poller.poll_now()
        await until_ready(jobs)


async def test_a_newer_schema_that_carries_this_code_is_fine_and_named(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        await until_ready(jobs)
        await eyes.execute(
            "insert into asyncjobs.migration (number, name, oldest_code) values (900, '0900_far', '0.0.1')"
        )
        inside(jobs)._poller.poll_now()

        await until_true(lambda: jobs.health().migration == "0900_far")
        assert jobs.health().is_ready


async def test_a_flood_of_questions_does_not_reach_postgres(
    jobs: Jobs, ask: httpx2.AsyncClient
) -> None:
    async with jobs.running():
        await until_at_rest(jobs)
        sent = [Count(inside(jobs).link, "fetch"), Count(jobs.database, "fetch")]

        statuses = {(await ask.get(path)).status_code for path in ("/live", "/ready") * 500}

        # Where the machine stands still for a moment it is not ready: that is told without asking, too.
        assert 200 in statuses <= {200, 503}
        assert [each.calls for each in sent] == [0, 0]


async def test_any_thread_may_ask_while_everything_changes(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None:
        await asyncio.sleep(0)

    def ask_on() -> int:
        asked = 0
        while not enough.is_set():
            jobs.health()
            asked += 1
        return asked

    enough = threading.Event()
    async with jobs.running():
        asking = asyncio.create_task(asyncio.to_thread(ask_on))
        for _ in range(5):
            await jobs.enqueue_many([work.job() for _ in range(50)])
            await inside(jobs).recorded()
        enough.set()

        assert await asking > 10


@pytest.mark.parametrize("path", ["/live", "/ready"])
async def test_an_answer_names_every_check_and_is_kept_by_nobody(
    jobs: Jobs, ask: httpx2.AsyncClient, path: str
) -> None:
    async with jobs.running():
        await until_ready(jobs)
        answer, head = await ask.get(path), await ask.head(path)

    told = answer.json()
    assert told[path[1:]] is True
    assert told["wrong"] == []
    assert told["checks"].keys() == NAMES
    assert all(each.keys() == {"status", "value", "words"} for each in told["checks"].values())
    for each in (answer, head):
        assert each.status_code == 200
        assert each.headers["cache-control"] == "no-store"
    assert (await ask.post(path)).status_code == 405


async def test_an_answer_says_what_is_wrong_in_our_words_only(
    jobs: Jobs, ask: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with jobs.running():
        await until_ready(jobs)
        rescuer = inside(jobs)._rescuer
        monkeypatch.setattr(rescuer._ledger, "look", broken)
        rescuer.look_for_a_while()
        health = await until_wrong(jobs, "services")

        answer = await ask.get("/ready")

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert "services: rescue fails again and again" in answer.json()["wrong"][0]
    assert "hunter2" not in answer.text
    assert "hunter2" in (health.last_error or "")


async def never_answered(*_: Any) -> Any:
    await asyncio.Event().wait()


async def refused(*_: Any) -> Any:
    raise NotNow("ask", "not now")


async def broken(*_: Any) -> Any:
    raise KeyError("hunter2")
