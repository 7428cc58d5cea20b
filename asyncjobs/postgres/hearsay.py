"""LISTEN on a connection of one's own, for a moment: for those who keep no link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from asyncjobs.postgres.dial import Dial
from asyncjobs.postgres.failures import told, told_of_connecting


async def heard_after(
    dial: Dial, channel: str, message: str, say: Callable[[str], Awaitable[None]], within: float
) -> float | None:
    """
    Listen, let `say` send the message, and give the seconds until it was heard; None: it was not.

    `within`: seconds for connecting, and again for the rest. Raises Unavailable.
    """
    try:
        async with asyncio.timeout(within):
            connection = await dial()
    except Exception as error:
        raise told_of_connecting("listen for a moment", error) from error
    heard = asyncio.Event()

    def hear(_: object, pid: int, channel: str, payload: object) -> None:
        if payload == message:
            heard.set()

    try:
        try:
            async with asyncio.timeout(within):
                await connection.add_listener(channel, hear)
        except Exception as error:
            raise told("listen for a moment", error) from error
        began = time.monotonic()
        await say(message)
        try:
            async with asyncio.timeout(within):
                await heard.wait()
        except TimeoutError:
            return None
        return time.monotonic() - began
    finally:
        connection.terminate()
