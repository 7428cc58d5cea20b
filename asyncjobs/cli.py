"""The command line: `asyncjobs demo`, `migrate`, `adopt`, `work`, `status`."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import click

from asyncjobs.errors import AsyncJobsError

DSN_HELP = "Address of Postgres; else ASYNCJOBS_DATABASE_URL or DATABASE_URL."


def main() -> None:
    """Follow the command line; what asyncjobs has to say about it comes in words, without a traceback."""
    try:
        commands(prog_name="asyncjobs")
    except AsyncJobsError as error:
        click.echo(f"asyncjobs: {error}", err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="asyncjobs-pg", prog_name="asyncjobs")
def commands() -> None:
    """Background jobs inside your web process, on one Postgres."""


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port; without it 8000, or the next free one."
)
def demo(host: str, port: int | None) -> None:
    """Run the example application of this checkout, on an embedded Postgres."""
    from asyncjobs.standalone.demo import run_demo

    if not run_demo(host, port, click.echo):
        sys.exit(1)


@commands.command()
@click.option("--sql", is_flag=True, help="Print the statements, for psql or another tool.")
@click.option("--schema", default="asyncjobs", show_default=True, help="Where the tables are.")
@click.option("--dsn", help=DSN_HELP)
def migrate(sql: bool, schema: str, dsn: str | None) -> None:
    """Make the tables, or bring them up to date."""
    from asyncjobs.jobs import Jobs
    from asyncjobs.postgres.migrate import migrate_at, script

    jobs = Jobs(dsn, schema=schema)
    if sql:
        click.echo(script(schema))
        return

    async def apply() -> list[str]:
        return await migrate_at(await jobs.address(), schema)

    for name in asyncio.run(apply()):
        click.echo(f"schema {schema}: applied {name}")
    click.echo(f"schema {schema} is up to date")


@commands.command()
@click.option("--schema", default="asyncjobs", show_default=True, help="Where the tables are.")
@click.option("--dsn", help=DSN_HELP)
def adopt(schema: str, dsn: str | None) -> None:
    """
    Say that this database is the one that its jobs belong to.

    Of a copy of a database (dumped and restored, or made from a template) no job is run until this is said.
    """
    from asyncjobs.jobs import Jobs

    async def say() -> None:
        async with Jobs(dsn, schema=schema, migrate=False).connected() as jobs:
            await jobs.adopt()

    asyncio.run(say())
    click.echo(f"schema {schema}: its jobs are run here from now on")


@commands.command()
@click.argument("target", metavar="MODULE:JOBS")
@click.option(
    "--queues", help="What to serve: mail,default; with slots for each: mail=2,default=8."
)
@click.option("--slots", type=click.IntRange(1), help="How many jobs to run at a time.")
@click.option(
    "--processes", type=click.IntRange(1), help="So many processes, restarted when they die."
)
@click.option(
    "--blocked-limit",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="End when the event loop has not turned for so long, so that its jobs start elsewhere; 0: never.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Answer /live and /ready on this port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of that port.")
@click.option("--leash", type=int, hidden=True, help="What ties this process to its supervisor.")
@click.option("--reports", is_flag=True, hidden=True, help="Tell the supervisor how it is.")
def work(
    target: str,
    queues: str | None,
    slots: int | None,
    processes: int | None,
    blocked_limit: int,
    port: int | None,
    host: str,
    leash: int | None,
    reports: bool,
) -> None:
    """
    Run jobs in a process of their own, until SIGTERM or Ctrl-C.

    MODULE:JOBS is where the Jobs object is: app.main:jobs. The working directory is looked at, too.
    """
    from asyncjobs.standalone.find import find_jobs
    from asyncjobs.standalone.leash import Leash
    from asyncjobs.standalone.worker import parse_queues, run_worker

    served = None if queues is None else parse_queues(queues)
    with _listening(host, port) as listener:
        if processes is not None:
            _supervise(target, queues, slots, blocked_limit, processes, listener)
            return
        jobs = find_jobs(target)
        _tell_what_happens()
        run_worker(
            jobs,
            slots=slots,
            queues=served,
            leash=None if leash is None else Leash(leash),
            reports=reports,
            blocked_limit=timedelta(seconds=blocked_limit) if blocked_limit else None,
            listener=listener,
        )


@commands.command()
@click.option("--schema", default="asyncjobs", show_default=True, help="Where the tables are.")
@click.option("--dsn", help=DSN_HELP)
def status(schema: str, dsn: str | None) -> None:
    """
    Tell how the jobs stand, and what is wrong.

    The exit code is 1 when something is; advice does not count.
    """
    from asyncjobs.standalone.report import report
    from asyncjobs.standalone.status import look

    seen = asyncio.run(look(dsn, schema))
    for line in report(seen):
        click.echo(line)
    if seen.checkup.wrong:
        sys.exit(1)


def _listening(
    host: str, port: int | None
) -> AbstractContextManager[socket.socket] | AbstractContextManager[None]:
    from asyncjobs.standalone.listening import listening

    return nullcontext() if port is None else listening(host, port)


def _supervise(
    target: str,
    queues: str | None,
    slots: int | None,
    blocked_limit: int,
    processes: int,
    listener: socket.socket | None,
) -> None:
    from asyncjobs.standalone.supervisor import supervise

    command = [sys.executable, "-m", "asyncjobs", "work", target]
    command += [] if queues is None else ["--queues", queues]
    command += [] if slots is None else ["--slots", str(slots)]
    command += ["--blocked-limit", str(blocked_limit)]
    _tell_what_happens()
    if not asyncio.run(supervise(command, processes, listener)):
        sys.exit(1)


def _tell_what_happens() -> None:
    """Log to the terminal, unless the application has its own logging."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"
    )
