"""
A network of one's own between a process and Postgres: it relays, until it is told to do harm.

    silence    a black hole, in one direction or in both, for all connections or for the link's alone. What is
               said into it waits, as what is not acknowledged waits in a kernel: after `heal` it arrives. Nor
               does an end of one side reach the other
    hang_up    every connection is reset; given a side, that one alone sees it, and the other believes on
    refuse     new callers are hung up on; `close` and `open`: nobody listens at all
    delay      each answer comes late
    trap       the connection is reset in the very moment in which a certain statement passes: before Postgres
               has seen it, or when Postgres has done it, with nothing of the answer or with half of it let through

It runs in the test's own process and loop. Both directions are cut into messages (wire.py), so that it knows
what passes; it alters nothing.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs, quote, urlsplit

from tests.faults.trap import Moment, Trap
from tests.faults.wire import Answered, Asked


class Way(Enum):
    """A direction."""

    ASKED = "from the process to Postgres"
    ANSWERED = "from Postgres to the process"


class Side(Enum):
    """One end of a connection."""

    PROCESS = "the process"
    POSTGRES = "Postgres"


BOTH = (Way.ASKED, Way.ANSWERED)


@dataclass(eq=False)
class _Wire:
    """One connection: two writers, and what was asked on it and is not answered."""

    to_process: asyncio.StreamWriter
    to_postgres: asyncio.StreamWriter
    asked: Asked = field(default_factory=Asked)
    answered: Answered = field(default_factory=Answered)
    trapped: Trap | None = None
    held: bytearray = field(default_factory=bytearray)
    asked_at: float = 0.0
    answered_at: float = 0.0  # when that had been asked which was last answered
    believes: Side | None = None  # the one that has not heard that the other is gone

    def reset(self, *sides: Side) -> None:
        """Let these sides see their connection reset."""
        if Side.PROCESS in sides:
            _reset(self.to_process)
        if Side.POSTGRES in sides:
            _reset(self.to_postgres)

    def hears_the_end_of(self, way: Way) -> bool:
        """Whether the end of what is read this way is to be handed on."""
        return self.believes is not (Side.POSTGRES if way is Way.ASKED else Side.PROCESS)


class Proxy:
    """See the module's text."""

    def __init__(self, database: str) -> None:
        parts = urlsplit(database)
        self.lead_to(database)
        self._name = quote(parts.path.lstrip("/"))
        self._user = parts.username or "postgres"
        self._own = 0
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: dict[Way, str | None] = {}
        self._changed = asyncio.Event()
        self._refusing = False
        self._late: tuple[float, float] | None = None
        self._random = random.Random(0)
        self._traps: list[Trap] = []

    @property
    def dsn(self) -> str:
        """The address under which Postgres seems to be."""
        return f"postgresql://{self._user}@127.0.0.1:{self._own}/{self._name}?sslmode=disable"

    # What it can be told.

    def lead_to(self, database: str) -> None:
        """Lead new callers to the server of this address; connections that are there stay."""
        parts = urlsplit(database)
        asked = parse_qs(parts.query)
        self._target = asked.get("host", [parts.hostname or "127.0.0.1"])[0]
        self._port = int(asked.get("port", [parts.port or 5432])[0])

    def silence(self, *ways: Way, only: str | None = None) -> None:
        """Let nothing through any more; `only`: 'link' or 'pool', the other connections go on."""
        self._silent = dict.fromkeys(ways or BOTH, only)

    async def heal(self) -> None:
        """Listen, and let everything through again, on time; also what waited."""
        if self._server is None:
            await self.open()
        self._silent = {}
        self._late = None
        self._refusing = False
        self._changed.set()
        self._changed = asyncio.Event()

    def delay(self, least: float, most: float, chance: random.Random) -> None:
        """Let each piece of an answer come so many seconds late."""
        self._late = (least, most)
        self._random = chance

    def hang_up(self, *sides: Side, only: str | None = None) -> None:
        """Reset every connection (`only`: those of 'link' or 'pool'); given a side, that one alone sees it."""
        for wire in list(self._wires):
            if only is not None and wire.asked.application != only:
                continue
            wire.believes = next((side for side in Side if sides and side not in sides), None)
            wire.reset(*(sides or Side))

    def refuse(self, *, on: bool = True) -> None:
        """Hang up on new callers."""
        self._refusing = on

    def trap(self, statement: str, moment: Moment, times: int = 1) -> Trap:
        """Reset a connection when this statement (the name of its file, or its text) passes on it."""
        trap = Trap(statement, moment, times)
        self._traps.append(trap)
        return trap

    def disarm(self) -> None:
        """Set no traps any more."""
        for trap in self._traps:
            trap.left = 0

    def asked_at(self, application: str) -> float:
        """Tell when what was last answered on a connection of this kind had been asked (`time.monotonic()`)."""
        wires = [wire for wire in self._wires if wire.asked.application == application]
        return max((wire.answered_at for wire in wires), default=0.0)

    # Its own life.

    async def open(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._own)
        self._own = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Do not listen: callers are refused by the kernel. Connections that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def end(self) -> None:
        """Be gone, with all connections."""
        self.close()
        self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._may_pass(Way.ASKED, None)
        postgres_reader, postgres_writer = await self._dial()
        wire = _Wire(writer, postgres_writer)
        self._wires.add(wire)
        pumps = [
            asyncio.ensure_future(self._pump(wire, Way.ASKED, reader, postgres_writer)),
            asyncio.ensure_future(self._pump(wire, Way.ANSWERED, postgres_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            wire.reset(*Side)
            self._wires.discard(wire)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._target}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._target, self._port)

    async def _pump(
        self, wire: _Wire, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        """Relay one direction until its source ends; in a black hole not even that is heard of."""
        going = True
        while going:
            data = b""
            with suppress(OSError):
                data = await source.read(65536)
            if way is Way.ANSWERED and self._late is not None:
                await asyncio.sleep(self._random.uniform(*self._late))
            await self._may_pass(way, wire)
            going = bool(data) and self._lets_pass(wire, way, data, sink)
            if going:
                with suppress(OSError):
                    await sink.drain()
        if not wire.hears_the_end_of(way):
            await asyncio.Event().wait()

    def _lets_pass(self, wire: _Wire, way: Way, data: bytes, sink: asyncio.StreamWriter) -> bool:
        """Hand on what came, unless a trap springs; False: this connection is over."""
        if way is Way.ASKED:
            names = wire.asked.read(data)
            wire.asked_at = time.monotonic()
            trap = self._sprung_by(names)
            if trap is not None and trap.moment is Moment.BEFORE:
                return False
            wire.trapped = trap or wire.trapped
        else:
            answers = wire.answered.read(data)
            wire.answered_at = wire.asked_at if answers else wire.answered_at
            if wire.trapped is not None:
                wire.held += data
                if not answers:
                    return True
                if wire.trapped.moment is Moment.HALF:
                    sink.write(bytes(wire.held[: len(wire.held) // 2]))
                return False
        sink.write(data)
        return True

    def _sprung_by(self, names: Iterable[str]) -> Trap | None:
        for name in names:
            for trap in self._traps:
                if trap.statement == name and trap.springs():
                    return trap
        return None

    async def _may_pass(self, way: Way, wire: _Wire | None) -> None:
        """Wait for as long as this direction is a black hole."""
        while self._is_silent(way, wire):
            await self._changed.wait()

    def _is_silent(self, way: Way, wire: _Wire | None) -> bool:
        only = self._silent.get(way, "nobody")
        return only is None or (wire is not None and wire.asked.application == only)


@asynccontextmanager
async def proxied(database: str) -> AsyncIterator[Proxy]:
    """Put a proxy before the server of this address."""
    proxy = Proxy(database)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.end()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, not with a farewell."""
    own = writer.get_extra_info("socket")
    if own is not None and own.family != socket.AF_UNIX and own.fileno() >= 0:
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
