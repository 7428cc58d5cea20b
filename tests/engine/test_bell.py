"""A bell is heard once for all its rings, and no ring is lost."""

from __future__ import annotations

import asyncio
import time

from asyncjobs.engine.bell import Bell


async def test_a_ring_wakes_the_hearer() -> None:
    bell = Bell()
    hearing = asyncio.ensure_future(bell.heard())
    await asyncio.sleep(0)

    bell.ring()

    assert await hearing


async def test_a_ring_before_anybody_listens_is_kept() -> None:
    bell = Bell()

    bell.ring()

    assert await bell.heard(0.001)


async def test_many_rings_are_heard_once() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()

    assert await bell.heard(0.001)
    assert not await bell.heard(0.001)


async def test_a_ring_while_the_hearer_acts_is_heard_next_time() -> None:
    bell = Bell()
    bell.ring()
    await bell.heard()

    bell.ring()

    assert await bell.heard(0.001)


async def test_silence_ends_after_its_time() -> None:
    assert not await Bell().heard(0.001)


async def test_a_ring_is_kept_when_its_hearer_is_cancelled() -> None:
    bell = Bell()
    hearing = asyncio.ensure_future(bell.heard())
    await asyncio.sleep(0)

    bell.ring()
    hearing.cancel()
    await asyncio.wait([hearing])

    assert await bell.heard(0.001)


async def test_a_ring_is_heard_though_there_is_no_time_to_wait() -> None:
    bell = Bell()
    bell.ring()

    assert await bell.heard(0)


async def test_it_is_known_since_when_its_hearer_acts() -> None:
    bell = Bell()
    assert bell.left_at is None
    bell.ring()

    await bell.heard()

    assert bell.left_at is not None
    left = bell.left_at
    hearing = asyncio.ensure_future(bell.heard())
    await asyncio.sleep(0)
    assert bell.left_at is None
    bell.ring()
    await hearing
    assert left < bell.left_at <= time.monotonic()


async def test_who_still_acts_did_so_just_now_and_who_listens_does_not_act() -> None:
    bell = Bell()
    bell.still_acts()
    assert bell.left_at is None
    bell.ring()
    await bell.heard()
    left = bell.left_at

    bell.still_acts()

    assert left is not None
    assert bell.left_at is not None
    assert bell.left_at > left
