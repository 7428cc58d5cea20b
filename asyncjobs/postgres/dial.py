"""
Making a connection: by address, or the way a pool that was handed in makes its own.

Where an address names several hosts, they are servers of which one may write at a time, and it is found:
one after the other in the order named, each with its share of the time, so that a host that swallows
everything does not use up all of it. asyncpg would take the first that answers, a standby too. Whoever
says `target_session_attrs` is left to asyncpg.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.failures import Unreachable, told_of_connecting
from asyncjobs.postgres.session import session_of
from asyncjobs.postgres.statements import Statements

CONNECT_WITHIN = 10.0  # seconds

Dial = Callable[[], Awaitable[asyncpg.Connection]]


class Host(NamedTuple):
    """One of those that an address names; `port` None: what the environment says, else 5432."""

    name: str
    port: int | None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


class IsStandby(Unreachable):
    """A standby answered; it can be used once it is promoted."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted, "the server is a standby, and takes nothing until it is promoted")


def dial(address: str | None, pool: Any, *, for_sharing: bool = False) -> Dial:
    """
    Give the function that makes one connection which belongs to no pool.

    `for_sharing`: it is to travel through a pooler that shares sessions, and keeps no prepared statements.
    The function raises what asyncpg does, and Unreachable for all of several hosts.
    """
    options: dict[str, Any] = {"statement_cache_size": 0} if for_sharing else {}

    async def by_address() -> asyncpg.Connection:
        return await asyncpg.connect(address, timeout=CONNECT_WITHIN, **options)

    async def by_hosts() -> asyncpg.Connection:
        return await _first_that_may_write(address, hosts, options)

    async def as_the_pool_does() -> asyncpg.Connection:
        # asyncpg keeps what its pool was made with, and offers no other way to it.
        connection: asyncpg.Connection = await pool._connect(
            *pool._connect_args, **{**pool._connect_kwargs, **options}
        )
        return connection

    if address is None:
        return as_the_pool_does
    hosts = hosts_of(address)
    return by_hosts if len(hosts) > 1 else by_address


def hosts_of(address: str) -> list[Host]:
    """List the hosts of an address of several; none where it leaves the choice to asyncpg."""
    try:
        parts = urlsplit(address)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if "target_session_attrs" in query or "PGTARGETSESSIONATTRS" in os.environ:
            return []
        named = parts.netloc.rpartition("@")[2] or query.get("host") or os.environ.get("PGHOST", "")
        hosts = [_host(each) for each in named.split(",")]
        ports = [int(port) for port in query["port"].split(",")] if "port" in query else []
    except ValueError:
        return []  # whatever it is, asyncpg will say so
    if ports:
        ports *= len(hosts) if len(ports) == 1 else 1
        return [Host(host.name, port) for host, port in zip(hosts, ports, strict=False)]
    return hosts


def _host(said: str) -> Host:
    if said.startswith("/"):
        return Host(said, None)
    bracketed, bracket, rest = said.partition("]")
    name, _, port = (rest if bracket else said).partition(":")
    return Host(unquote(bracketed[1:] if bracket else name), int(port) if port else None)


async def _first_that_may_write(
    address: str | None, hosts: Sequence[Host], options: dict[str, Any]
) -> asyncpg.Connection:
    refusals: list[tuple[Host, Unavailable]] = []
    for host in hosts:
        try:
            async with asyncio.timeout(CONNECT_WITHIN / len(hosts)):
                return await _one_that_may_write(address, host, options)
        except Exception as error:
            refusals.append((host, told_of_connecting("connect", error)))
    refused = [error for _, error in refusals if isinstance(error, Unreachable)]
    others = [error for error in refused if not isinstance(error, IsStandby)]
    raise Unreachable(
        "find a server that may write",
        "; ".join(f"{host}: {error.reason}" for host, error in refusals),
        # While the former primary says that it is down, a standby's answer means: not yet.
        is_stopping=len(refused) == len(refusals)
        and bool(others)
        and all(error.is_stopping for error in others),
        lacks_slots=any(error.lacks_slots for error in refused),
    )


async def _one_that_may_write(
    address: str | None, host: Host, options: dict[str, Any]
) -> asyncpg.Connection:
    connection: asyncpg.Connection = await asyncpg.connect(
        address, host=host.name, port=host.port, **options
    )
    try:
        is_standby = await _is_standby(connection)
    except BaseException:
        connection.terminate()
        raise
    if is_standby:
        connection.terminate()
        raise IsStandby("connect")
    return connection


async def _is_standby(connection: asyncpg.Connection) -> bool:
    """
    Postgres says so by itself, from 14 on.

    A pooler says what its first server said, so a yes is asked about; a false no is found later, when the
    connection is settled in.
    """
    if getattr(connection.get_settings(), "in_hot_standby", None) == "off":
        return False
    return (await session_of(connection, Statements("asyncjobs.postgres", "asyncjobs"))).is_standby
