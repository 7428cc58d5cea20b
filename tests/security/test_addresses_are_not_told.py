"""The password in an address of Postgres is in no error and no log, whatever is wrong with the address."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

import pytest

from asyncjobs import Jobs
from asyncjobs.errors import AsyncJobsError, BadOption, Unavailable
from asyncjobs.postgres.migrate import migrate_at
from tests.command import run

WRONG = [
    "postgresql://ada:hunter2#x@127.0.0.1:1/shop",
    "postgresql://ada:hunter2/x@127.0.0.1:1/shop",
    "postgresql://ada:hunter2?x@127.0.0.1:1/shop",
    "postgresql://ada:hunter2?x=y&z@127.0.0.1:1/shop",
    "postgresql://ada:[hunter2@127.0.0.1:1/shop",
    "postgresql://ada:hunter2@127.0.0.1:port/shop",
    "postgresql://ada:hunter2@127.0.0.1:99999/shop",
    "postgresql://ada:hunter2@127.0.0.1:1/shop?sslmode=hunter2",
    "postgresql://ada:hunter2@127.0.0.1:1,127.0.0.1:2/shop",
    "postgresql://ada:hunter2@127.0.0.1:1/shop",
    "mysql://ada:hunter2@127.0.0.1/shop",
    "ada:hunter2@127.0.0.1/shop",
    "hunter2",
    "",
]


def told(error: BaseException) -> str:
    """All that a log with tracebacks would have."""
    return repr(error) + "".join(traceback.format_exception(error))


@pytest.fixture(autouse=True)
def finest_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("ASYNCJOBS_DATABASE_URL", "DATABASE_URL", "ASYNCJOBS_DEV"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("address", WRONG)
async def test_an_address_that_cannot_be_used_is_not_told(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = Jobs(address, migrate=False)

    with pytest.raises(Unavailable) as caught:
        async with asyncio.timeout(20), jobs.connected():
            pass

    assert "hunter2" not in told(caught.value).replace(address, "the line of this test")
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("address", WRONG[:3])
async def test_a_password_with_odd_characters_is_answered_with_how_to_write_it(
    address: str,
) -> None:
    with pytest.raises(Unavailable, match="%23 %2F %3F and %40"):
        async with Jobs(address).connected():
            pass


@pytest.mark.parametrize("address", WRONG[:6])
async def test_migrating_does_not_tell_it_either(address: str) -> None:
    with pytest.raises(AsyncJobsError) as caught:
        await migrate_at(address, "asyncjobs")

    assert "hunter2" not in told(caught.value)


@pytest.mark.parametrize("command", ["status", "migrate"])
async def test_the_command_line_does_not_tell_it(command: str) -> None:
    code, said = await run(command, environment={"ASYNCJOBS_DATABASE_URL": WRONG[0]})

    assert code == 1
    assert "cannot be understood" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("option", ["dsn", "link_dsn"])
def test_an_address_that_is_no_text_is_not_told(option: str) -> None:
    wrong: Any = {option: b"postgresql://ada:hunter2@127.0.0.1/shop"}

    with pytest.raises(BadOption) as caught:
        Jobs(**wrong)

    assert "hunter2" not in told(caught.value)


async def test_what_is_open_does_not_print_the_address(database: str) -> None:
    jobs = Jobs(database)

    async with jobs.running():
        shown = repr(jobs.connection._plan) + repr(jobs) + repr(jobs.connection)

    assert database not in shown
