"""Clocks that are wrong, that step, that change with the season. Postgres's time is the truth everywhere."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tests.faults.field import Field

CHAPTER = "11 Clocks"
HOUR = 3600
LATE = 2.0  # seconds after its time that a job may begin, on a machine that is busy
NEW_YORK = ZoneInfo("America/New_York")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("libfaketime") is None,
    reason="clocks are set by libfaketime, on Linux",
)


class Clock:
    """A clock of a process's own, to be set from outside while the process runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, ahead: int) -> None:
        """So many seconds ahead of this machine's, or behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+d}\n")
        new.rename(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to live by it."""
        found = importlib.util.find_spec("libfaketime")
        assert found is not None
        assert found.origin is not None
        library = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


async def lateness(field: Field, jobs: list[UUID]) -> list[float]:
    """How long after their times did they begin, on Postgres's clock?"""
    rows = await field.look(
        "select extract(epoch from claimed_at - run_at)::float8 as late from asyncjobs.finished"
        " where id = any ($1)",
        jobs,
    )
    assert len(rows) == len(jobs)
    return [row["late"] for row in rows]


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_process_whose_clock_is_an_hour_off(field: Field, clock: Clock, ahead: int) -> None:
    clock.set(ahead)
    web = await field.web("wrong", slots=5, environment=clock.environment)
    assert abs((await web.get("/clock")).json()["now"] - datetime.now(UTC).timestamp() - ahead) < 60
    await field.worker("right", slots=5)

    delayed = await field.enqueue("steady", n=20, delay=timedelta(seconds=2))
    for _ in range(10):
        field.note_stored((await web.post("/enqueue/steady", [0.01])).json()["id"])
    snoozing = field.directory / "gate"
    await field.enqueue("snoozes", str(snoozing), n=3)
    await field.until_finished(delayed)
    snoozing.touch()
    await field.until_finished()

    assert all(0 <= late < LATE for late in await lateness(field, delayed))
    # The first 48 bits of an id are its time: it is Postgres's, whoever made it.
    rows = await field.look(
        "select id, extract(epoch from created_at)::float8 * 1000 as at from asyncjobs.finished"
    )
    assert all(abs((row["id"].int >> 80) - row["at"]) < 5_000 for row in rows)


async def test_a_clock_that_steps_while_jobs_wait(field: Field, clock: Clock) -> None:
    web = await field.web(slots=5, environment=clock.environment)
    delayed = await field.enqueue("steady", n=20, delay=timedelta(seconds=4))
    gate = field.directory / "gate"
    held = await field.enqueue("held_by", str(gate), n=2)
    await field.until_began(held)

    for ahead in (HOUR, -HOUR, 0, 40 * 365 * 24 * HOUR, 0):
        clock.set(ahead)
        now = (await web.get("/clock")).json()["now"]
        assert abs(now - datetime.now(UTC).timestamp() - ahead) < 60
        field.note_stored((await web.post("/enqueue/steady", [0.01])).json()["id"])
    await field.until_finished(delayed)
    gate.touch()
    await field.until_finished()

    assert all(0 <= late < LATE for late in await lateness(field, delayed))


async def test_a_change_to_winter_time_in_between(field: Field, clock: Clock) -> None:
    """The hour from one to two comes twice, and a job is due in the second of them."""
    first = datetime(2026, 11, 1, 1, 59, 58, tzinfo=NEW_YORK)
    second = first.replace(fold=1)
    assert second.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=1)
    clock.set(round(first.timestamp() - datetime.now(UTC).timestamp()))
    await field.look("alter database " + field.database + " set timezone to 'America/New_York'")
    await field.worker(environment={**clock.environment, "TZ": "America/New_York"})

    soon = datetime.now(NEW_YORK) + timedelta(seconds=3)
    jobs = await field.enqueue("steady", n=10, run_at=soon)
    far = await field.enqueue("steady", run_at=second.replace(year=2037))
    field.leave(far)
    await field.until_finished()

    assert all(0 <= late < LATE for late in await lateness(field, jobs))
    [row] = await field.look("select run_at from asyncjobs.job where id = $1", far[0])
    assert row["run_at"] == second.replace(year=2037).astimezone(UTC)
