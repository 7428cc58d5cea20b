"""How a check-up asks Postgres: one statement after the other, each within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from asyncjobs.engine.executor import Executor
from asyncjobs.errors import Unavailable
from asyncjobs.jobs import Jobs
from asyncjobs.postgres.aside import Aside, aside
from asyncjobs.postgres.failures import InDoubt
from asyncjobs.postgres.statements import Statements

ANSWER_WITHIN = 3.0  # seconds for one statement

Row = Mapping[str, Any]


class Look:
    """
    One check-up: the statements, and the way that they go.

    That is a connection of its own, where one can be had and sessions are not shared; else the pool, and
    `refusal` says why.
    """

    def __init__(self, jobs: Jobs, own: Aside | None = None, refusal: str | None = None) -> None:
        self.jobs: Jobs = jobs
        self.refusal: str | None = refusal
        self._own = own
        self._statements = Statements("asyncjobs.checkup", jobs.schema)

    @property
    def executor(self) -> Executor | None:
        """The executor of this process, if it has one."""
        return self.jobs.executor

    async def rows(self, name: str, *arguments: object) -> Sequence[Row]:
        """Send a statement. Raises Unavailable."""
        return await self.fetch(self._statements[name], *arguments)

    async def row(self, name: str, *arguments: object) -> Row:
        """Send one that answers with one row."""
        [row] = await self.rows(name, *arguments)
        return row

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Row]:
        """Send any statement. Raises Unavailable."""
        if self._own is not None:
            return await self._own.fetch(sql, *arguments, timeout=ANSWER_WITHIN)
        fetch = self.jobs.database.fetch
        try:
            return await _in_time(fetch(sql, *arguments))
        except InDoubt:
            # A pooled connection may not have heard yet that it is closed; the next one is new.
            return await _in_time(fetch(sql, *arguments))

    async def row_of_link(self, name: str) -> Row:
        """Send one on the link; there has to be one. Raises Unavailable."""
        assert self.executor is not None
        [row] = await _in_time(self.executor.link.fetch(self._statements[name]))
        return row


@asynccontextmanager
async def looking(jobs: Jobs) -> AsyncGenerator[Look]:
    """Begin a check-up. Raises NotConnected."""
    database = jobs.database
    async with AsyncExitStack() as stack:
        own: Aside | None = None
        refusal: str | None = None
        if not database.is_shared:
            try:
                own = await stack.enter_async_context(aside(database))
            except Unavailable as error:
                refusal = error.reason
        yield Look(jobs, own, refusal)


async def _in_time(answer: Awaitable[Sequence[Row]]) -> Sequence[Row]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await answer
    except TimeoutError as error:
        raise TooSlow from error


class TooSlow(Unavailable):
    """Postgres is there, perhaps, and this statement was not answered."""

    def __init__(self) -> None:
        super().__init__("look at Postgres", f"no answer within {ANSWER_WITHIN:g} s")
