"""Reading the diary that the crew keeps."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from tests.moments import until


async def diary(eyes: asyncpg.Connection, job: UUID, what: str) -> int:
    """Count what is written of a job."""
    count: int = await eyes.fetchval(
        "select count(*) from public.diary where job = $1 and what = $2", job, what
    )
    return count


async def until_began(eyes: asyncpg.Connection, job: UUID, times: int = 1) -> None:
    """Wait until it has begun, so many times."""

    async def began() -> bool:
        return await diary(eyes, job, "began") >= times

    await until(began, 60)
