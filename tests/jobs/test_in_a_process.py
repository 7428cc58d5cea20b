"""`run="process"`: a function in a process of its own, under all promises of the others."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Enqueued, Jobs, JobState, fixed, never
from asyncjobs.engine import process_pool
from asyncjobs.errors import JobCancelled, JobFailed
from asyncjobs.extension import CallNext
from tests.engine.harm import inside
from tests.jobs import workshop
from tests.moments import until, until_history, until_stands, until_state, until_true

AT_ONCE_TWICE = fixed(timedelta(0), 2)


def pool_of(jobs: Jobs) -> process_pool.ProcessPool:
    pool: process_pool.ProcessPool = inside(jobs).runs._places.processes
    return pool


async def told(path: Path) -> int:
    """Wait until somebody has said its process number there."""
    await until_true(path.exists)
    return int(path.read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_arguments_and_results_travel_as_they_are_stored(jobs: Jobs) -> None:
    send = jobs.task(run="process")(workshop.send)

    async with jobs.running():
        job = await send.enqueue(workshop.Parcel(1, date(2026, 12, 23)), "fragile", "cold")

        assert await job.result(20) == workshop.Parcel(3, date(2026, 12, 24))


async def test_it_runs_in_the_main_thread_of_another_process_which_is_used_again(
    jobs: Jobs,
) -> None:
    where = jobs.task(run="process")(workshop.where)

    async with jobs.running():
        pids = set()
        for _ in range(3):
            pid, in_main_thread = await (await where.enqueue()).result(20)
            pids.add(pid)

            assert in_main_thread
        assert len(pids) == 1
        assert os.getpid() not in pids
        assert lives(pid)
    assert not lives(pid)  # it ends with the executor, and leaves no zombie


async def test_the_loop_goes_on_while_functions_compute(jobs: Jobs) -> None:
    compute = jobs.task(run="process")(workshop.compute)
    turns = 0

    async with jobs.running():
        await (await compute.enqueue(0.0)).result(20)
        job = await compute.enqueue(0.5)
        while not (await job.status()).is_final:
            turns += 1

    assert turns > 5


async def test_as_many_run_at_once_as_there_are_slots_and_no_more_processes_are_made(
    database: str, tmp_path: Path
) -> None:
    jobs = Jobs(database, slots=2)
    wait = jobs.task(run="process")(workshop.wait_to_be_told)

    async with jobs.running():
        first = [await wait.enqueue(str(tmp_path / name)) for name in "abc"]
        pids = {await told(tmp_path / name) for name in "ab"}
        assert len(pids) == len(pool_of(jobs)) == 2
        for job in first:
            await jobs.cancel(job.id)
        await until_true(lambda: not inside(jobs).running)


async def test_one_that_does_not_look_is_killed_at_its_timeout(jobs: Jobs, tmp_path: Path) -> None:
    spin = jobs.task(run="process", timeout=timedelta(seconds=2), retry=never())(workshop.spin)
    where = jobs.task(run="process")(workshop.where)

    async with jobs.running():
        await (await where.enqueue()).result(20)  # so that the process is there
        job = await spin.enqueue(str(tmp_path / "spins"))
        with pytest.raises(JobFailed, match="JobTimedOut: ran longer than its timeout of 2 s"):
            await job.result(20)

        assert not lives(await told(tmp_path / "spins"))


async def test_one_that_keeps_its_lock_in_c_is_killed_all_the_same(
    jobs: Jobs, tmp_path: Path
) -> None:
    sleep = jobs.task(run="process")(workshop.sleep_in_c)

    async with jobs.running():
        job = await sleep.enqueue(str(tmp_path / "sleeps"))
        pid = await told(tmp_path / "sleeps")
        assert await jobs.cancel(job.id)
        with pytest.raises(JobCancelled, match="somebody asked to cancel it"):
            await job.result(20)

        assert not lives(pid)


async def test_one_that_looks_ends_by_itself_and_its_process_lives_on(
    jobs: Jobs, tmp_path: Path
) -> None:
    obey = jobs.task(run="process")(workshop.obey)
    where = jobs.task(run="process")(workshop.where)

    async with jobs.running():
        job = await obey.enqueue(str(tmp_path / "looks"))
        pid = await told(tmp_path / "looks")
        assert await jobs.cancel(job.id)
        with pytest.raises(JobCancelled):
            await job.result(20)

        assert (await (await where.enqueue()).result(20))[0] == pid


async def test_one_that_is_told_and_returns_has_succeeded(jobs: Jobs, tmp_path: Path) -> None:
    wait = jobs.task(run="process")(workshop.wait_to_be_told)

    async with jobs.running():
        job = await wait.enqueue(str(tmp_path / "waits"))
        await told(tmp_path / "waits")
        await jobs.cancel(job.id)

        assert await job.result(20) == "obeyed"


async def test_at_a_shutdown_what_computes_on_is_killed_and_given_back_unharmed(
    database: str, tmp_path: Path
) -> None:
    jobs = Jobs(database, drain=timedelta(0))
    spin = jobs.task(run="process")(workshop.spin)

    async with jobs.running():
        job = await spin.enqueue(str(tmp_path / "spins"))
        pid = await told(tmp_path / "spins")
    assert not lives(pid)
    async with jobs.connected():
        snapshot = await jobs.get(job.id)

    assert (snapshot.state, snapshot.attempt) == (JobState.READY, 0)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "ended with exit code 3 in the midst of it"),
        ("crash", "was killed by SIGSEGV"),
        ("kill", "was killed by SIGKILL; where nobody did that, there was no memory left"),
    ],
)
async def test_a_process_that_dies_fails_that_attempt_and_nothing_else(
    jobs: Jobs, how: str, words: str
) -> None:
    die = jobs.task(run="process", retry=never())(workshop.die)
    where = jobs.task(run="process")(workshop.where)

    async with jobs.running():
        job = await die.enqueue(how)
        with pytest.raises(JobFailed, match=rf"PoolProcessDied: the process .* {words}"):
            await job.result(20)
        assert (await jobs.get(job.id)).crashes == 0

        await (await where.enqueue()).result(20)


async def test_a_death_is_tried_again_as_any_failure_is(jobs: Jobs) -> None:
    die = jobs.task(run="process", retry=AT_ONCE_TWICE)(workshop.die_at_first)

    async with jobs.running():
        job = await die.enqueue()
        assert await job.result(20) != os.getpid()
        [first] = (await jobs.get(job.id)).history

    assert "PoolProcessDied" in str(first.error)


async def test_who_died_while_it_was_idle_costs_no_attempt(jobs: Jobs) -> None:
    where = jobs.task(run="process", retry=never())(workshop.where)

    async with jobs.running():
        pid, _ = await (await where.enqueue()).result(20)
        os.kill(pid, signal.SIGSTOP)  # it cannot be seen that it is dead before the call is sent
        job = await where.enqueue()
        await until_true(lambda: inside(jobs).running)
        os.kill(pid, signal.SIGKILL)

        assert (await job.result(20))[0] != pid


async def test_leaving_the_interpreter_fails_the_attempt_as_in_a_thread(jobs: Jobs) -> None:
    leave = jobs.task(run="process", retry=never())(workshop.leave)

    async with jobs.running():
        with pytest.raises(JobFailed, match="SystemExit: enough"):
            await (await leave.enqueue()).result(20)


async def test_the_traceback_tells_where_it_was_raised_there(jobs: Jobs) -> None:
    spoil = jobs.task(run="process", retry=never())(workshop.spoil)

    async with jobs.running():
        with pytest.raises(JobFailed, match="Spoiled: milk at 30 degrees") as failed:
            await (await spoil.enqueue()).result(20)

    traceback = str(failed.value.traceback)
    assert 'workshop.py", line' in traceback
    assert "in spoil" in traceback
    assert "engine/pool_process" not in traceback


async def test_its_class_decides_about_the_next_attempt_whatever_pickle_thinks_of_it(
    jobs: Jobs,
) -> None:
    policy = fixed(timedelta(0), 2, retry_on=workshop.Spoiled)
    spoil = jobs.task(run="process", retry=policy)(workshop.spoil)

    async with jobs.running():
        job = await spoil.enqueue()
        with pytest.raises(JobFailed):
            await job.result(20)

        assert (await jobs.get(job.id)).attempt == 2


async def test_middleware_sees_what_the_function_raised_and_what_it_returned(
    database: str,
) -> None:
    seen: list[Any] = []

    class Eye:
        async def around(self, job: Any, call_next: CallNext) -> object:
            try:
                result = await call_next()
            except Exception as error:
                seen.append((type(error), getattr(error, "degrees", None), str(error.__cause__)))
                raise
            seen.append(result)
            return result

    jobs = Jobs(database, extensions=[Eye()])
    spoil = jobs.task(run="process", retry=never())(workshop.spoil)
    send = jobs.task(run="process")(workshop.send)
    parcel = workshop.Parcel(1, date(2026, 12, 23))

    async with jobs.running():
        await (await send.enqueue(parcel)).result(20)
        with pytest.raises(JobFailed):
            await (await spoil.enqueue()).result(20)

    sent, (kind, degrees, cause) = seen
    assert sent == workshop.Parcel(1, date(2026, 12, 24))
    assert (kind, degrees) == (workshop.Spoiled, 30)
    assert "in spoil" in cause


async def test_an_exception_that_nobody_here_can_know_is_told_by_its_name(jobs: Jobs) -> None:
    spoil = jobs.task(run="process", retry=never())(workshop.spoil_unseen)

    async with jobs.running():
        with pytest.raises(JobFailed, match="Local: nobody knows me"):
            await (await spoil.enqueue()).result(20)


async def progress_note(jobs: Jobs, job: Enqueued[None]) -> str:
    """Wait until the job has told something while it runs, and end it."""

    async def told() -> str | None:
        return (await jobs.get(job.id)).progress_note

    note = await until(told)
    assert note is not None
    await jobs.cancel(job.id)
    await job.result(20)
    return note


async def test_secrets_are_taken_out_of_what_it_says(
    database: str, eyes: asyncpg.Connection
) -> None:
    said: list[str] = []

    class Eye:
        async def around(self, job: Any, call_next: CallNext) -> object:
            try:
                return await call_next()
            except ValueError as error:
                said.append(str(error))
                raise RuntimeError(f"it said {error}") from error

    jobs = Jobs(database)
    betray = jobs.task(name="betray", run="process", retry=never())(workshop.betray)
    whisper = jobs.task(run="process")(workshop.whisper)
    watched = Jobs(database, extensions=[Eye()])
    watched.task(name="betray", run="process", retry=never())(workshop.betray)

    async with jobs.running():
        with pytest.raises(JobFailed, match="ValueError: wrong: ") as failed:
            await (await betray.enqueue("open sesame")).result(20)
        assert "open sesame" not in f"{failed.value} {failed.value.traceback}"
        note = await progress_note(jobs, await whisper.enqueue("open sesame"))
        assert note.startswith("trying")
        assert "sesame" not in note
        second = await betray.options(delay=timedelta(hours=1)).enqueue("open sesame")
    async with watched.running():
        await watched.retry(second.id)
        await until_stands(watched, second.id, JobState.FAILED)
        snapshot = await watched.get(second.id)
    assert said == ["wrong: open sesame"]
    assert "it said wrong" in str(snapshot.error)
    assert "sesame" not in f"{snapshot.error} {snapshot.traceback}"


async def test_a_sealed_task_stores_nothing_of_what_it_said(database: str) -> None:
    jobs = Jobs(database, encryption_keys=[urlsafe_b64encode(bytes(32))])
    spoil = jobs.task(run="process", retry=never(), encrypt=True)(workshop.spoil)
    big = jobs.task(run="process", encrypt=True)(workshop.big)

    async with jobs.running():
        with pytest.raises(JobFailed, match="Spoiled") as failed:
            await (await spoil.enqueue()).result(20)
        assert "30 degrees" not in f"{failed.value} {failed.value.traceback}"
        assert await (await big.enqueue(3)).result(20) == "xxx"


async def test_it_knows_which_job_it_runs(jobs: Jobs) -> None:
    who = jobs.task(name="who", queue="mine", run="process", timeout=timedelta(hours=1))(
        workshop.who_am_i
    )

    async with jobs.running():
        job = await who.enqueue()

        told = [str(job.id), "who", "mine", "1", "False", "some"]
        assert await job.result(20) == told


async def test_waiting_for_progress_is_refused_with_what_to_do(jobs: Jobs) -> None:
    progress = jobs.task(run="process", retry=never())(workshop.progress)

    async with jobs.running():
        with pytest.raises(JobFailed, match=r"NotConnected: .* say current_job\(\)\.report\("):
            await (await progress.enqueue()).result(20)


async def test_outcomes_are_outcomes_there_too(jobs: Jobs) -> None:
    doze = jobs.task(run="process")(workshop.doze)
    give_up = jobs.task(run="process")(workshop.give_up)

    async with jobs.running():
        dozes = await doze.enqueue()
        with pytest.raises(JobCancelled, match="no use"):
            await (await give_up.enqueue()).result(20)
        await until_state(dozes, JobState.SCHEDULED)
        await until_history(jobs, dozes.id, 1)


async def test_a_result_that_json_cannot_hold_fails_the_job_without_another_try(
    jobs: Jobs,
) -> None:
    give = jobs.task(run="process")(workshop.give_what_json_has_not)

    async with jobs.running():
        job = await give.enqueue()
        with pytest.raises(JobFailed, match="ResultNotStorable"):
            await job.result(20)

        assert (await jobs.get(job.id)).attempt == 1


async def test_arguments_that_do_not_fit_any_more_fail_the_job_without_another_try(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    sum_of = jobs.task(run="process")(workshop.sum_of)

    async with jobs.running():
        job = await sum_of.options(delay=timedelta(hours=1)).enqueue([1])
        await eyes.execute("""update asyncjobs.job set arguments = '{"numbers": "many"}'""")
        await jobs.retry(job.id)
        with pytest.raises(JobFailed, match="ArgumentsDoNotFit: the arguments do not fit"):
            await job.result(20)

        assert (await jobs.get(job.id)).attempt == 1


async def test_what_it_prints_does_not_disturb_what_it_says(jobs: Jobs) -> None:
    print_much = jobs.task(run="process")(workshop.print_much)

    async with jobs.running():
        assert await (await print_much.enqueue()).result(20) == "said"


async def test_a_megabyte_goes_both_ways(jobs: Jobs) -> None:
    big = jobs.task(run="process")(workshop.big)
    sum_of = jobs.task(run="process")(workshop.sum_of)

    async with jobs.running():
        assert len(await (await big.enqueue(1_000_000)).result(20)) == 1_000_000
        assert await (await sum_of.enqueue(list(range(100_000)))).result(20) == 4999950000


async def test_one_that_was_idle_for_long_ends(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "IDLE", 0.05)
    where = jobs.task(run="process")(workshop.where)

    async with jobs.running():
        pid, _ = await (await where.enqueue()).result(20)
        await until_true(lambda: len(pool_of(jobs)) == 0)

        assert not lives(pid)


SCRIPT = """
import asyncio, os, sys, time
from asyncjobs import Jobs

jobs = Jobs(os.environ["DSN"])

class Odd(Exception): ...

@jobs.task(run="process", name="spin")
def spin(words: str) -> None:
    with open(words + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(words + ".part", words)
    while True:
        pass

@jobs.task(run="process", name="odd")
def odd() -> str:
    raise Odd(__name__)

async def main() -> None:
    async with jobs.running():
        if sys.argv[1] == "odd":
            try:
                await (await odd.options().enqueue()).result(20)
            except Exception as error:
                print(error)
        else:
            await spin.enqueue(sys.argv[1])
            print("up", flush=True)
            await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


@asynccontextmanager
async def script(
    database: str, tmp_path: Path, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    (tmp_path / "program.py").write_text(
        SCRIPT.replace('name="odd"', 'name="odd", retry=never()').replace(
            "import Jobs", "import Jobs, never"
        )
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "program.py", *words,
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DSN": database, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def test_functions_of_the_program_itself_are_found(database: str, tmp_path: Path) -> None:
    async with script(database, tmp_path, "odd") as process:
        assert process.stdout is not None
        said = (await process.stdout.read()).decode()

    assert "failed: Odd: __mp_main__" in said


async def test_it_never_outlives_its_process_however_that_ends(
    database: str, tmp_path: Path
) -> None:
    async with script(database, tmp_path, str(tmp_path / "spins")) as process:
        pid = await told(tmp_path / "spins")
        assert lives(pid)
        process.kill()

        await until_true(lambda: not lives(pid))


async def test_signals_for_everybody_let_it_finish(jobs: Jobs, tmp_path: Path) -> None:
    wait = jobs.task(run="process")(workshop.wait_to_be_told)

    async with jobs.running():
        job = await wait.enqueue(str(tmp_path / "waits"))
        pid = await told(tmp_path / "waits")
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        await jobs.cancel(job.id)

        assert await job.result(20) == "obeyed"
