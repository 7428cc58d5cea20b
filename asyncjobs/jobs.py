"""Jobs: the object that users hold. It wires the floors together and owns their life."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args, overload
from uuid import UUID

import anyio.to_thread
from starlette.applications import Starlette

from asyncjobs.address import LINGER, find_address, is_development
from asyncjobs.engine.connection import Connection, Plan, Presence
from asyncjobs.engine.executor import Executor
from asyncjobs.engine.health import unconnected
from asyncjobs.engine.requests import Requests
from asyncjobs.engine.terms import Terms
from asyncjobs.engine.watch import LEAST, LEAST_NAMED
from asyncjobs.errors import BadOption, NotConnected
from asyncjobs.extension import Extension, checked
from asyncjobs.health import Health
from asyncjobs.job import Snapshot
from asyncjobs.lifespan import Lifespan, lifespan
from asyncjobs.options import (
    Queues,
    check_address,
    check_blocked_after,
    check_blocked_limit,
    check_number,
    check_one_of,
    check_queues,
    check_schema,
    check_wait,
    check_yes_no_or_none,
)
from asyncjobs.postgres.database import Database, Pool
from asyncjobs.postgres.dial import dial
from asyncjobs.probes import probes
from asyncjobs.registry import Tasks
from asyncjobs.seal import Keys
from asyncjobs.task import Enqueued, Job, Road

if TYPE_CHECKING:
    from asyncjobs.embedded import Server

AppT = TypeVar("AppT")


class Jobs(Tasks):
    """
    Background jobs in this process, on one Postgres.

        jobs = Jobs()

        @jobs.task(queue="mail")
        async def welcome(user_id: int) -> None: ...

        app = FastAPI(lifespan=jobs.lifespan)

    `dsn`: the address of Postgres; without it ASYNCJOBS_DATABASE_URL or DATABASE_URL, and with
    ASYNCJOBS_DEV=1 an embedded server. `pool`: an asyncpg pool to use instead of two connections of our
    own; the link is still a connection of its own, made as the pool makes its. `link_dsn`: another address
    for the link, where the first leads to a pooler in transaction mode. `slots`: how many jobs run
    here at a time. `queues`: what this process serves, None for all; a mapping gives each a share of the
    slots. `schema`: where the tables are. `migrate`: bring them up to date at start, by default in
    development only. `drain`: how long running jobs may go on at shutdown. `max_crashes`: a job that
    this many processes died of has failed. `presence`: how others know that this process lives, by the "lock"
    of a session that it keeps, or by a "lease" that it renews, for those who have none but a pooler in
    transaction mode: a weaker promise (docs/database.md). `extensions`: see `asyncjobs.extension`.
    `encryption_keys`: for tasks with `encrypt=True`, the newest first; without them those of
    ASYNCJOBS_ENCRYPTION_KEYS. `blocked_after`: a job that keeps the event loop for longer is named, in the log and on
    the dashboard; None: none is. `gives_way`: whether jobs give way to the rest of the event loop (docs/pace.md); None:
    where they run beside an app, not in a worker.

    Importing and constructing runs nothing. Raises BadOption, BadKeys.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        pool: Pool | None = None,
        link_dsn: str | None = None,
        slots: int = 10,
        queues: Queues | None = None,
        schema: str = "asyncjobs",
        migrate: bool | None = None,
        drain: timedelta = timedelta(seconds=4),
        max_crashes: int = 3,
        presence: Presence = "lock",
        extensions: Iterable[Extension] = (),
        encryption_keys: Iterable[str | bytes] | None = None,
        blocked_after: timedelta | None = timedelta(milliseconds=200),
        gives_way: bool | None = None,
    ) -> None:
        super().__init__()
        if presence == "lease" and link_dsn:
            raise BadOption("link_dsn", "left out with presence='lease', which has no link", "one")
        if pool is not None and not isinstance(pool, Pool):
            raise BadOption("pool", "an asyncpg pool", pool)
        self._dsn = check_address("dsn", dsn)
        self._pool = pool
        self._link_dsn = check_address("link_dsn", link_dsn) or None
        self._schema = check_schema(schema)
        self._migrate = check_yes_no_or_none("migrate", migrate)
        self._presence: Presence = check_one_of("presence", presence, get_args(Presence))
        self._gives_way = check_yes_no_or_none("gives_way", gives_way)
        self._keys = None if encryption_keys is None else Keys(encryption_keys)
        self._requests = Requests()
        self._terms = Terms(
            check_number("slots", slots),
            check_queues(queues),
            check_wait("drain", drain),
            check_number("max_crashes", max_crashes),
            blocked_after=check_blocked_after(blocked_after, LEAST_NAMED),
        )
        self._extensions = checked(extensions)
        self._embedded: Server | None = None
        self._connection: Connection | None = None
        self._is_open = False

    @property
    def development(self) -> bool:
        """Whether ASYNCJOBS_DEV says that this is development."""
        return is_development()

    @property
    def schema(self) -> str:
        """Where the tables are."""
        return self._schema

    async def address(self) -> str:
        """
        Give the address of Postgres, and start the embedded server if that is the one.

        Raises NoAddress, and EmbeddedPostgresError where that one does not start.
        """
        said = find_address(self._dsn)
        if said is not None:
            return said
        if self._embedded is None:
            # Optional and heavy, so imported where it is known to be wanted.
            from asyncjobs import embedded

            def start() -> Server:
                return embedded.start(embedded.default_home(), linger=LINGER)

            self._embedded = await anyio.to_thread.run_sync(start)
        return self._embedded.dsn

    async def enqueue_many(
        self, jobs: Iterable[Job[Any]], *, connection: Any = None
    ) -> list[Enqueued[Any]]:
        """
        Store many jobs, of any tasks, in one statement and one commit; all or none.

        `connection`: in its open transaction, as with `options(connection=…)`.

        Raises as `Task.enqueue` does, and BadOption where the jobs name different connections.
        """
        jobs = list(jobs)
        named = {id(job.options.connection): job.options.connection for job in jobs}
        if connection is None and len(named) == 1:
            connection = next(iter(named.values()))
        if any(one is not None and one is not connection for one in named.values()):
            raise BadOption("connection", "one for all of the jobs", "several")
        if not jobs:
            return []
        ids = await self.connection.road.enqueue(jobs, connection)
        return [Enqueued(id, job.task) for id, job in zip(ids, jobs, strict=True)]

    async def get(self, id: UUID) -> Snapshot:
        """Give a job as it is now; raises JobNotFound, NotConnected, Unavailable."""
        return await self.connection.road.get(id)

    async def cancel(self, id: UUID) -> bool:
        """
        Cancel a job: one that waits at once, one that runs is asked to stop.

        False for a job that has finished or is unknown. Raises NotConnected, Unavailable.
        """
        return await self.connection.road.cancel(id)

    async def retry(self, id: UUID) -> bool:
        """
        Run a failed or cancelled job again, or a waiting one now, with all its attempts before it.

        False for one that is ready, running, succeeded or unknown. Raises NotConnected, Unavailable.
        """
        return await self.connection.road.retry(id)

    async def delete(self, id: UUID) -> bool:
        """
        Forget a job, finished or not; one that runs is asked to stop, and ends as cancelled.

        False for an unknown one. Raises NotConnected, Unavailable.
        """
        return await self.connection.road.delete(id)

    async def adopt(self) -> None:
        """
        Say that this database is the one that its jobs belong to: what waits in a copy is run from now on.

        A copy of production runs nothing until this is said, or until nothing unfinished is stored in it.
        Raises NotConnected, Unavailable.
        """
        await self.connection.road.adopt()

    @overload
    def lifespan(self, app: Starlette, /) -> AbstractAsyncContextManager[None]: ...
    @overload
    def lifespan(self, own: Lifespan[AppT], /) -> Lifespan[AppT]: ...

    def lifespan(self, app_or_own: Any, /) -> Any:
        """
        Run jobs for as long as a Starlette or FastAPI app runs: `FastAPI(lifespan=jobs.lifespan)`.

        With a lifespan of your own: `FastAPI(lifespan=jobs.lifespan(own))`. Yours is entered first and
        left last, so that what it opens is there for the jobs, to their end.
        """
        counted = None if self._gives_way is False else self.requests_of
        return lifespan(app_or_own, lambda: self.running(kind="web"), counted)

    def requests_of(self, app: AppT) -> AppT:
        """
        Wrap an ASGI app so that jobs give way to its requests: `app.add_middleware(jobs.requests_of)`.

        The lifespans of Starlette and FastAPI and `jobs.asgi()` do it by themselves; here it is for those who use
        `jobs.running()` in a lifespan of their own.
        """
        counted: AppT = self._requests.counted(app)
        return counted

    def asgi(self, app: ASGIApp) -> ASGIApp:
        """
        Wrap any ASGI app so that jobs run while it does: for frameworks without a lifespan argument.

        An app with a lifespan of its own has it, around the jobs; one that knows no lifespan needs none.
        """
        from asyncjobs.asgi import WithJobs

        return WithJobs(self.requests_of(app), lambda: self.running(kind="web"))

    @asynccontextmanager
    async def running(
        self,
        *,
        kind: str = "script",
        slots: int | None = None,
        queues: Queues | None = None,
        blocked_limit: timedelta | None = None,
    ) -> AsyncGenerator[Jobs]:
        """
        Run the executor: in your own lifespan, in a script, in a test.

        On the way out running jobs get `drain` to end. `kind` is how the process calls itself on the
        dashboard. `slots` and `queues`: others, in this process, than those `Jobs` was made with.
        `blocked_limit`: when the event loop has not turned for so long, the process ends, so that its jobs
        start elsewhere; None: it stays, and keeps them. At least five seconds.

        Raises Unavailable, SchemaMismatch, ServerTooOld, UnsafePool, BadSignature, BadOption, BadKeys, and
        NotConnected when it is running already.
        """
        terms = self._terms
        if slots is not None:
            terms = replace(terms, slots=check_number("slots", slots))
        if queues is not None:
            terms = replace(terms, queues=check_queues(queues))
        if blocked_limit is not None:
            terms = replace(terms, blocked_limit=check_blocked_limit(blocked_limit, LEAST))
        async with self._connected(kind, terms):
            yield self

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Jobs]:
        """Connect to enqueue, ask, cancel and retry only; nothing runs here. Raises as `running`."""
        async with self._connected(None, self._terms):
            yield self

    def dashboard(self, allow: Allow | None = None) -> Starlette:
        """
        Give the dashboard, a Starlette app to mount: `app.mount("/jobs", jobs.dashboard(allow=is_admin))`.

        `allow(request)`, plain or async, says who gets in. Without it nobody does, except in development
        from this machine.
        """
        # The one door that leads up: the dashboard knows Jobs, Jobs only knows where it is.
        from asyncjobs.dashboard import build

        return build(self, allow)

    def health(self) -> Health:
        """
        Tell how this process is, from memory: nothing is asked, so it may be called at any rate, from any thread.

            if not jobs.health().is_ready: ...
        """
        if self._connection is None:
            return unconnected(is_open=self._is_open)
        return self._connection.health()

    def probes(self) -> Starlette:
        """
        Give an app that answers `/live` and `/ready`, to mount: `app.mount("/health", jobs.probes())`.

        200, or 503 with what is wrong. `/live` fails only where a restart helps, never because Postgres is down;
        `/ready` tells whether this process can do its work now.
        """
        return probes(lambda: self.health().checks)

    @property
    def road(self) -> Road:
        """Where jobs are enqueued; raises NotConnected."""
        if self._road is None:
            raise NotConnected("enqueue")
        return self._road

    @property
    def connection(self) -> Connection:
        """What is open while jobs is connected; raises NotConnected."""
        if self._connection is None:
            raise NotConnected("use jobs")
        return self._connection

    @property
    def database(self) -> Database:
        """The pool, for pages that ask Postgres; raises NotConnected."""
        return self.connection.database

    @property
    def executor(self) -> Executor | None:
        """The executor, while jobs is running."""
        return None if self._connection is None else self._connection.executor

    @asynccontextmanager
    async def _connected(self, kind: str | None, terms: Terms) -> AsyncGenerator[None]:
        if self._is_open:
            raise NotConnected(
                "connect", "jobs is connected already, and one process has one executor"
            )
        self._is_open = True
        try:
            for task in self.tasks.values():
                task.prepare()
            guest = kind == "web" or (kind == "script" and self._requests.are_known)
            if guest if self._gives_way is None else self._gives_way:
                terms = replace(terms, gives_way_to=self._requests)
            terms = replace(terms, keys=self._keys_to_use())
            address = None if self._pool is not None and self._dsn is None else await self.address()
            plan = Plan(
                address=address,
                pool=self._pool,
                dial=dial(
                    address if self._link_dsn is None else find_address(self._link_dsn),
                    self._pool,
                    for_sharing=self._presence == "lease",
                ),
                presence=self._presence,
                has_link_dsn=self._link_dsn is not None,
                schema=self._schema,
                migrate=self.development if self._migrate is None else self._migrate,
                kind=kind,
                version=_version(),
                terms=terms,
                tasks=lambda: self.tasks,
                extensions=self._extensions,
            )
            async with Connection(plan) as connection:
                self._connection, self._road = connection, connection.road
                try:
                    yield
                finally:
                    await connection.drain()
                    self._connection, self._road = None, None
        finally:
            self._is_open = False
            server, self._embedded = self._embedded, None
            if server is not None:
                server.close()

    def _keys_to_use(self) -> Keys:
        keys = Keys.of_environment() if self._keys is None else self._keys
        if keys or any(task.is_sealed for task in self.tasks.values()):
            keys.prepare()
        return keys


class ASGIApp(Protocol):
    """Any ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


Allow = Callable[[Any], Any]


def _version() -> str:
    from importlib import metadata  # a tenth of our time to import, and only who connects needs it

    try:
        return metadata.version("asyncjobs-pg")
    except metadata.PackageNotFoundError:
        return "0"
