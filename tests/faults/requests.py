"""Requests to the web app under harm, and what its answers say of the jobs that they stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.field import Field, Web


@asynccontextmanager
async def requests(field: Field, web: Web, task: str) -> AsyncIterator[None]:
    """Let the web app store jobs of this task, one after the other, for as long as the block lasts."""
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            await store(field, web, task)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        over.set()
        await asking


async def store(field: Field, web: Web, task: str) -> str | None:
    """Let the web app store one job; gives it, or None when the app could not say whether it did."""
    answer = await web.post(f"/enqueue/{task}", [])
    if answer.status_code != 200:
        field.in_doubt += 1
        return None
    job: str = answer.json()["id"]
    field.note_stored(job)
    return job
