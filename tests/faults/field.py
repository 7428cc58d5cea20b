"""
The field: one database, real processes on it, harm, and in the end the oracle.

A scenario asks for the fixture `field`, starts processes, stores jobs, does its harm and waits until what it
wants to see is so. It need not check that nothing is lost: when it returns, the field waits until every
job is finished, ends every process as a platform would, and puts all the evidence before the oracle.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx2 as httpx

from asyncjobs import Jobs
from asyncjobs.errors import Unavailable
from tests.faults import crew
from tests.faults.diary import Diary, Entry, Reader
from tests.faults.figures import Figures, measure
from tests.faults.oracle import Evidence, Kept, Run, complaints, runs_of
from tests.faults.process import Process, kill_all, processes_with, python
from tests.moments import until, until_true

UP_WITHIN = 30.0  # seconds
FINISHED_WITHIN = 60.0  # seconds

FINISHED = """
select id::text, state, attempt, crashes, fence, claimed_by, coalesce(history, '[]')::text as history
from asyncjobs.finished
"""
OURS = "the field"  # the application name of the field's own looks, which end a moment after the next has begun
SESSIONS = """
select pid, application_name, state, query from pg_stat_activity
where datname = current_database() and application_name <> 'the field' and backend_type = 'client backend'
"""
LOCKS = """
select pid, objid from pg_locks
where locktype = 'advisory'
and database = (select oid from pg_database where datname = current_database())
"""
NOT_ENDED = "select pid from asyncjobs.process where ended_at is null"


class Field:
    """See the module's text."""

    def __init__(
        self, dsn: str, directory: Path, figures: Figures, *, seed: str, full: bool
    ) -> None:
        self.dsn = dsn
        self.directory = directory
        self.figures = figures
        self.full = full
        self.random = random.Random(seed)
        self.mark = f"FAULTS_FIELD={secrets.token_hex(8)}"
        self.diary = Diary(directory / "diary")
        self.reader = Reader(self.diary.path)
        self.processes: list[Process] = []
        self.expected: dict[str, str] = {}
        self.left: set[str] = set()
        self.deleted: set[str] = set()
        self.edited: set[str] = set()
        self.in_doubt = 0
        self.lasting: list[UUID] = []  # what runs through all of it, where a scenario has such
        self.may_overlap = ""
        self.finished_within = FINISHED_WITHIN
        self.desk_dsn = dsn  # where the test's own enqueues go
        self.began_at = time.monotonic()
        self._harms: list[tuple[float, frozenset[int]]] = []
        self._gone: dict[int, float] = {}
        self._desk: Jobs | None = None
        self._closers: list[Callable[[], Awaitable[object]]] = []

    @property
    def database(self) -> str:
        """The name of its database."""
        return urlsplit(self.dsn).path.lstrip("/")

    def seconds(self, full: float, short: float) -> float:
        """Choose how long something lasts: in the full form, and in the short one."""
        return full if self.full else short

    async def lasts(self, full: float, short: float | None = None) -> None:
        """Let time pass in which a harm goes on: so many seconds in the full form, and in the short one."""
        await asyncio.sleep(full if short is None else self.seconds(full, short))

    # Processes.

    async def worker(self, name: str = "worker", *, dsn: str | None = None, processes: int = 0, wait: bool = True,
                     environment: Mapping[str, str] | None = None, **options: Any) -> Process:  # fmt: skip
        """Start `asyncjobs work`, `wait` until it is up; `processes`: under a supervisor, so many."""
        command = python("-m", "asyncjobs", "work", "tests.faults.crew:jobs")
        command += ["--processes", str(processes)] if processes else []
        process = await self.start(name, command, dsn=dsn, environment=environment, **options)
        if wait:
            await self.until_up(process, processes or 1)
        return process

    async def web(self, name: str = "web", *, dsn: str | None = None, workers: int = 1, port: int | None = None,
                  server: Sequence[str] = (), environment: Mapping[str, str] | None = None, **options: Any) -> Web:  # fmt: skip
        """Start the web app under uvicorn (or `server`, the words of another command), wait until it is up."""
        port = port or free_port()
        command = list(server) or python(
            "-m", "uvicorn", "tests.faults.web:app", "--port", str(port),
            *(("--workers", str(workers)) if workers > 1 else ()),
        )  # fmt: skip
        command = [word.replace("PORT", str(port)) for word in command]
        web = Web(name, self.directory / f"{len(self.processes)} {name}.log", port)
        await self.start(name, command, process=web, dsn=dsn, environment=environment, **options)
        await self.until_up(web, workers)
        return web

    async def start(self, name: str, command: Sequence[str], *, process: Process | None = None,
                    dsn: str | None = None, environment: Mapping[str, str] | None = None, **options: Any) -> Process:  # fmt: skip
        """Start any command on this field's database and diary; `options` are those of `Jobs`, as JSON."""
        if process is None:
            process = Process(name, self.directory / f"{len(self.processes)} {name}.log")
        key, _, value = self.mark.partition("=")
        await process.start(
            command,
            {
                key: value,
                "ASYNCJOBS_DATABASE_URL": dsn or self.dsn,
                "FAULTS_DIARY": str(self.diary.path),
                "FAULTS_OPTIONS": json.dumps(options),
                "PYTHONUNBUFFERED": "1",
                **(environment or {}),
            },
        )
        self.processes.append(process)
        return process

    async def until_up(self, process: Process, number: int = 1, within: float = UP_WITHIN) -> None:
        """Wait until it, or so many of its children, have their link."""

        def are_up() -> bool:
            return len(self.pids_of(process)) >= number or process.returncode is not None

        try:
            await until_true(are_up, within)
        except TimeoutError:
            raise AssertionError(
                f"{process.name} did not come up:\n{process.said[-3000:]}"
            ) from None
        assert process.returncode is None, f"{process.name} ended early:\n{process.said[-3000:]}"

    def pids_of(self, process: Process) -> list[int]:
        """Give the pids under which it has come up: its own, or its children's."""
        ups = [entry for entry in self.reader.read() if entry.what == "up"]
        return [entry.pid for entry in ups if process.pid in (entry.pid, entry.more["parent"])]

    # Jobs.

    async def desk(self) -> Jobs:
        """Give a connected Jobs of the test's own: it enqueues and asks, and runs nothing."""
        if self._desk is None:
            desk = crew.make(self.desk_dsn)
            connected = desk.connected()
            await connected.__aenter__()
            self._closers.append(lambda: connected.__aexit__(None, None, None))
            self._desk = desk
        return self._desk

    async def enqueue(self, task: str, *arguments: Any, n: int = 1, **options: Any) -> list[UUID]:
        """Store `n` jobs of that task, and note in the diary that they are stored."""
        desk = await self.desk()
        wanted = desk.tasks[crew.named(task)]
        wanted = wanted.options(**options) if options else wanted
        stored = await desk.enqueue_many([wanted.job(*arguments) for _ in range(n)])
        for each in stored:
            self.note_stored(each.id)
        return [each.id for each in stored]

    async def enqueue_named(self, name: str, *, n: int = 1) -> list[UUID]:
        """Store `n` jobs, without arguments, of a task that this process does not know."""
        rows = await self.look(
            "select asyncjobs.enqueue($1) as id from generate_series(1, $2)", name, n
        )
        for row in rows:
            self.note_stored(row["id"])
        return [row["id"] for row in rows]

    def note_stored(self, job: object) -> None:
        """A job was acknowledged: from now on it may not be lost."""
        self.diary.note("stored", job)

    def expect(self, jobs: Iterable[object], state: str) -> None:
        """Say that these end otherwise than by success."""
        self.expected.update({str(job): state for job in jobs})

    def leave(self, jobs: Iterable[object]) -> None:
        """Say that these stay unfinished."""
        self.left |= {str(job) for job in jobs}

    def forget(self, jobs: Iterable[object]) -> None:
        """Say that these must be nowhere: deleted, or rolled back."""
        self.deleted |= {str(job) for job in jobs}

    @asynccontextmanager
    async def load(
        self, task: str = "steady", *arguments: Any, every: float = 0.02
    ) -> AsyncIterator[None]:
        """Store jobs one by one, for as long as the block lasts, whatever happens to Postgres meanwhile."""
        stop = asyncio.Event()

        async def store() -> None:
            while not stop.is_set():
                try:
                    await self.enqueue(task, *arguments)
                except Unavailable:
                    self.in_doubt += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await stop.wait()

        storing = asyncio.create_task(store())
        try:
            yield
        finally:
            stop.set()
            await storing

    # Looking.

    def entries(self, what: str, *, pid: int | None = None) -> list[Entry]:
        """Give what the diary has of a kind."""
        return [
            entry
            for entry in self.reader.read()
            if entry.what == what and (pid is None or entry.pid == pid)
        ]

    async def until_noted(self, what: str, jobs: Iterable[object], within: float = 30.0) -> None:
        """Wait until the diary has it of each of these jobs."""
        wanted = {str(job) for job in jobs}
        await until_true(lambda: wanted <= {entry.job for entry in self.entries(what)}, within)

    async def until_began(self, jobs: Iterable[object], within: float = 30.0) -> None:
        """Wait until each of these jobs has begun at least once."""
        await self.until_noted("began", jobs, within)

    async def until_began_again(
        self, jobs: Iterable[object], *, since: float = 0.0, within: float = 30.0
    ) -> float:
        """Wait until each of these has begun, later than at `since` or else twice; gives the last of the begins."""
        wanted = {str(job) for job in jobs}

        def latest() -> list[float]:
            begins: dict[str, list[float]] = {job: [] for job in wanted}
            for entry in self.entries("began"):
                if entry.job in wanted and entry.at > since:
                    begins[entry.job].append(entry.at)
            few = 1 if since else 2
            return [times[-1] for times in begins.values() if len(times) >= few]

        await until_true(lambda: len(latest()) == len(wanted), within)
        return max(latest())

    async def until_in_mid_job(self, process: Process) -> None:
        """Wait until a job has just begun there: whoever is killed now has one in its hands."""

        def has_begun() -> bool:
            just_now = time.monotonic() - 0.05
            return any(
                run.began > just_now and run.ended is None
                for run in self.runs()
                if run.pid == process.pid
            )

        await until_true(has_begun)

    async def until_runs(self, number: int, within: float = 60.0) -> None:
        """Wait until so many runs have ended since the beginning."""
        await until_true(lambda: len(self.entries("ended")) >= number, within)

    def runs(self) -> list[Run]:
        """Give the runs so far."""
        return runs_of(self._evidence([], {}))

    def runs_of(self, job: object) -> list[Run]:
        """Give the runs of this one so far."""
        return [run for run in self.runs() if run.job == str(job)]

    async def until_finished(
        self, jobs: Iterable[object] | None = None, within: float | None = None
    ) -> None:
        """Wait until these jobs, or all that should, are finished in Postgres."""
        wanted = None if jobs is None else [UUID(str(job)) for job in jobs]

        async def is_so() -> bool:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                hot = await self.look("select id::text from asyncjobs.job")
                waiting = {row["id"] for row in hot} - self.left
                return not (waiting if wanted is None else waiting & set(map(str, wanted)))
            return False

        try:
            await until(is_so, within or self.finished_within)
        except TimeoutError:
            hot = await self.look(
                "select id, task, state, claimed_by, run_at from asyncjobs.job limit 5"
            )
            words = "\n".join(f"--- {each.name}\n{each.said[-2500:]}" for each in self.processes)
            raise AssertionError(
                f"not finished in time: {[dict(row) for row in hot]}\n{words}"
            ) from None

    async def look(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask Postgres, on a connection of its own for each question; patiently, where it has none left."""
        connection = await self._dial()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments, timeout=20)
        finally:
            connection.terminate()
        return rows

    async def _dial(self) -> asyncpg.Connection:
        async with asyncio.timeout(FINISHED_WITHIN):
            while True:
                try:
                    return await asyncpg.connect(
                        self.dsn, timeout=5, server_settings={"application_name": OURS}
                    )
                except asyncpg.exceptions.TooManyConnectionsError:
                    await asyncio.sleep(0.1)

    # Harm.

    def harm(self, *pids: int) -> None:
        """Note that harm is done now, to these: from here the time to run again is measured."""
        self._harms.append((time.monotonic(), frozenset(pids)))

    async def kill(self, *processes: Process) -> None:
        """Kill -9, and wait until they are gone."""
        pids = [pid for process in processes for pid in {process.pid, *self.pids_of(process)}]
        for process in processes:
            process.was_killed = True
        self.harm(*pids)
        for process in processes:
            process.tell(signal.SIGKILL)
            self.note_gone(
                process.pid
            )  # nothing runs in it any more, though we hear of its end later
        for process in processes:
            await process.ended()

    async def kill_pid(self, pid: int) -> None:
        """Kill -9 one that somebody else started (a supervisor's child, a worker of uvicorn)."""
        self.harm(pid)
        os.kill(pid, signal.SIGKILL)
        self.note_gone(pid)
        await self.until_gone(pid)

    async def until_gone(self, *pids: int, within: float = 20.0) -> None:
        """Wait until these have ended, whoever started them."""
        for pid in pids:
            await until_true(lambda pid=pid: not is_alive(pid), within)  # type: ignore[misc]
            self.note_gone(pid)

    async def until_dead(self, process: Process, within: float = 30.0) -> int:
        """Wait until it has died as it was arranged to (see death.py); gives how it ended."""
        code = await process.ended(within)
        assert self.entries("dies", pid=process.pid), (
            f"{process.name} ended otherwise:\n{process.said[-3000:]}"
        )
        process.was_killed = True
        return code

    def note_gone(self, pid: int) -> None:
        """It is dead: what ran in it has ended."""
        self._gone.setdefault(pid, time.monotonic())

    async def stop(
        self, process: Process, number: signal.Signals = signal.SIGTERM, within: float = 30.0
    ) -> int:
        """End it as a platform would; gives the exit code."""
        pids = self.pids_of(process)
        process.tell(number)
        code = await process.ended(within)
        for pid in {process.pid, *pids}:
            self.note_gone(pid)
        return code

    # The end.

    def at_the_end(self, close: Callable[[], Awaitable[object]]) -> None:
        """Do this when every process has ended."""
        self._closers.append(close)

    async def close(self) -> None:
        """Wait until all is finished, end every process, and ask the oracle."""
        words: list[str] = []
        try:
            await self.until_finished()
            words += self._still_healthy()
            words += await self._end_all()
            for closer in reversed(self._closers):
                await closer()
            self._closers.clear()
            words += await self._nothing_left()
            evidence = await self._final_evidence()
            words += complaints(evidence)
            measure(self.figures, evidence, self._harms)
        finally:
            await self.abandon()
        self.figures.took = time.monotonic() - self.began_at
        assert not words, self._told(words)

    async def abandon(self) -> None:
        """Kill whatever is there; for a scenario that has failed already."""
        for closer in reversed(self._closers):
            with suppress(Exception):
                await closer()
        self._closers.clear()
        kill_all(processes_with(self.mark))
        for process in self.processes:
            await process.ended()
            process.release()
        self.diary.close()

    def _still_healthy(self) -> list[str]:
        return [
            f"{process.name} has ended by itself, with {process.returncode}:\n{process.said[-2000:]}"
            for process in self.processes
            if process.returncode not in (None, 0) and not (process.was_killed or process.was_told)
        ]

    async def _end_all(self) -> list[str]:
        words = []
        for process in self.processes:
            if process.returncode is None:
                code = await self.stop(process)
                if code not in (0, -signal.SIGTERM):
                    words.append(f"{process.name} ended with {code}:\n{process.said[-2000:]}")
            words += [f"{process.name} said: {line}" for line in process.alarms]
        for pid in self.entries("up"):
            self.note_gone(pid.pid)
        await self._until_none(lambda: processes_with(self.mark))
        words += [f"process {pid} was left behind" for pid in processes_with(self.mark)]
        return words

    async def _nothing_left(self) -> list[str]:
        async def sessions() -> list[asyncpg.Record]:
            return await self.look(SESSIONS) + await self.look(LOCKS)

        with suppress(TimeoutError):
            await until(_negated(sessions), within=10)
        words = [f"left behind in Postgres: {dict(row)}" for row in await sessions()]
        killed = {
            pid for process in self.processes if process.was_killed for pid in self.pids_of(process)
        }
        killed |= {pid for _, pids in self._harms for pid in pids}
        killed |= {entry.pid for entry in self.entries("dies")}
        words += [
            f"process {row['pid']} ended in good order and its row does not say so"
            for row in await self.look(NOT_ENDED)
            if row["pid"] not in killed
        ]
        return words

    async def _until_none(self, look: Callable[[], Sequence[object]]) -> None:
        with suppress(TimeoutError):
            await until_true(lambda: not look(), within=10)

    async def _final_evidence(self) -> Evidence:
        finished = [
            Kept(
                row["id"], row["state"], row["attempt"], row["crashes"], row["fence"],
                row["claimed_by"], json.loads(row["history"]),
            )
            for row in await self.look(FINISHED)
        ]  # fmt: skip
        hot = await self.look("select id::text, state from asyncjobs.job")
        return self._evidence(finished, {row["id"]: row["state"] for row in hot})

    def _evidence(self, finished: Sequence[Kept], unfinished: Mapping[str, str]) -> Evidence:
        return Evidence(
            entries=self.reader.read(),
            finished=finished,
            unfinished=unfinished,
            expected=self.expected,
            left=frozenset(self.left),
            deleted=frozenset(self.deleted),
            edited=frozenset(self.edited),
            in_doubt=self.in_doubt,
            may_overlap=self.may_overlap,
            gone={**self._gone, **{entry.pid: entry.at for entry in self.entries("dies")}},
        )

    def _told(self, words: Sequence[str]) -> str:
        more = f"\n… and {len(words) - 30} more" if len(words) > 30 else ""
        return f"{self.figures.story} ({self.figures.seed}):\n" + "\n".join(words[:30]) + more


class Web(Process):
    """A process that serves the web app."""

    def __init__(self, name: str, words: Path, port: int) -> None:
        super().__init__(name, words)
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, timeout: float = 20.0) -> httpx.Response:
        """Ask it for a page."""
        async with httpx.AsyncClient(base_url=self.url, timeout=timeout) as client:
            return await client.get(path)

    async def post(self, path: str, body: object) -> httpx.Response:
        """Send it JSON."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20.0) as client:
            return await client.post(path, json=body)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port: int = own.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    """Whether that process still is, other than as a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _negated(look: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[bool]]:
    async def is_not() -> bool:
        return not await look()

    return is_not
