"""
Migrations: plain SQL files, applied once each, in order.

Nobody waits in `pg_advisory_lock()`: a waiting migrator's snapshot deadlocks CREATE INDEX CONCURRENTLY.
Whoever does not get the lock sleeps and looks again; eight processes that start together apply each file
once. Every file runs in a transaction of its own, together with the note that it was applied, under a
short lock timeout: an ALTER that queues behind one open request would stop every claim behind it.

A file names, in its first line, the oldest version of this code that may run on its tables.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg

from asyncjobs.errors import NotPermitted, PoolerInBetween, SchemaMismatch, Unavailable
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import Dial, IsStandby, dial
from asyncjobs.postgres.failures import Refused, told_of_connecting
from asyncjobs.postgres.pooler import Between, find_between
from asyncjobs.postgres.session import check_version
from asyncjobs.postgres.statements import Statements, in_schema

PATIENCE = 60.0  # seconds for all of it, waiting for others included
ANSWER_WITHIN = 10.0  # seconds
_PAUSE = 0.1  # seconds between two tries for the lock

_BOOT = """
create schema if not exists asyncjobs;
create table if not exists asyncjobs.migration (
  number      integer primary key,
  name        text not null,
  oldest_code text not null,
  applied_at  timestamptz not null default statement_timestamp()
);
"""
_SETTINGS = (
    "set statement_timeout = 0",
    "set default_transaction_read_only = off",
    "set default_transaction_isolation = 'read committed'",
)
_FIND = "select number, name, oldest_code from asyncjobs.migration order by number"
_NOTE = "insert into asyncjobs.migration (number, name, oldest_code) values ($1, $2, $3)"
_NOT_THERE = ("42P01", "3F000")  # the table, the schema
_NOT_PERMITTED = "42501"
_OLDEST = re.compile(r"\A-- oldest code: ([0-9.]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`, in the schema that was asked for."""

    number: int
    name: str
    oldest_code: str
    sql: str


def migrations(schema: str) -> list[Migration]:
    """Read the files, in order."""
    found: list[Migration] = []
    for entry in files("asyncjobs.postgres").joinpath("migrations").iterdir():
        if entry.name.endswith(".sql"):
            sql = entry.read_text(encoding="utf-8")
            oldest = _OLDEST.search(sql)
            assert oldest is not None, f"{entry.name} does not name the oldest code"
            name = entry.name.removesuffix(".sql")
            found.append(Migration(int(name[:4]), name, oldest[1], in_schema(sql, schema)))
    return sorted(found, key=lambda migration: migration.number)


def script(schema: str) -> str:
    """Give all migrations as one script for psql, or for another tool's migration."""
    parts = ["begin;", in_schema(_BOOT, schema).strip()]
    note = in_schema(_NOTE, schema)
    for each in migrations(schema):
        values = (str(each.number), f"'{each.name}'", f"'{each.oldest_code}'")
        parts.append(each.sql.strip())
        parts.append(note.replace("$1, $2, $3", ", ".join(values)) + ";")
    return "\n\n".join([*parts, "commit;\n"])


async def migrate(connection: asyncpg.Connection, schema: str) -> list[str]:
    """
    Bring the schema up to date; gives the names of the migrations that were applied here.

    Raises ServerTooOld, NotPermitted, SchemaMismatch (for a schema newer than this code), Unavailable.
    """
    check_version(connection)
    try:
        async with asyncio.timeout(PATIENCE):
            for ours in _SETTINGS:
                await connection.execute(ours)
            if not _missing(schema, await _applied(connection, schema)):
                return []
            await _take_turn(connection, schema)
            try:
                return await _apply_missing(connection, schema)
            finally:
                await connection.execute("select pg_advisory_unlock(hashtext($1))", _turn(schema))
    except asyncpg.exceptions.InsufficientPrivilegeError as error:
        role = await connection.fetchval("select current_user")
        raise NotPermitted(schema, role, str(error)) from error
    except TimeoutError as error:
        raise Unavailable(
            f"migrate schema {schema!r}", f"somebody held its lock or its tables for {PATIENCE:g} s"
        ) from error
    except asyncpg.PostgresError as error:
        raise Refused(f"migrate schema {schema!r}", error) from error
    except OSError as error:
        raise told_of_connecting("migrate", error) from error


async def migrate_at(address: str, schema: str) -> list[str]:
    """Do that on a connection of its own; raises as `migrate` does, and as `migrate_by`."""
    return await migrate_by(dial(address, None), schema)


async def migrate_by(connect: Dial, schema: str) -> list[str]:
    """
    Do that on a connection made for it.

    It must have a session to itself, because turns are taken by a lock: raises PoolerInBetween. Raises
    Unreachable for a standby too.
    """
    try:
        connection = await connect()
    except Exception as error:
        raise told_of_connecting("connect to Postgres", error) from error
    try:
        session, between = await find_between(
            connection, Statements("asyncjobs.postgres", schema), connect
        )
        if between is Between.SHARED:
            raise PoolerInBetween(
                f"migrate schema {schema!r}", "ours changed hands between two transactions"
            )
        if session.is_standby:
            raise IsStandby(f"migrate schema {schema!r}")
        return await migrate(connection, schema)
    finally:
        connection.terminate()


async def check_schema(database: Database, version: str) -> str:
    """
    Give the name of the newest migration.

    Raises SchemaMismatch where the schema is missing, older, or too new for this code, and Unavailable.
    """
    schema = database.schema
    applied = await _applied_in(database)
    if not applied:
        raise SchemaMismatch(
            schema, "it is not there; run `asyncjobs migrate`, or pass Jobs(migrate=True)"
        )
    missing = _missing(schema, applied)
    if missing:
        names = ", ".join(migration.name for migration in missing)
        raise SchemaMismatch(schema, f"it is older and lacks {names}; run `asyncjobs migrate`")
    newest = migrations(schema)[-1].number
    for row in applied:
        if row["number"] > newest and _parts(row["oldest_code"]) > _parts(version):
            raise SchemaMismatch(
                schema,
                f"it is newer: {row['name']} needs asyncjobs {row['oldest_code']}, this is {version}; upgrade it here",
            )
    return str(applied[-1]["name"])


async def _applied(connection: Any, schema: str) -> Sequence[Any]:
    try:
        rows: Sequence[Any] = await connection.fetch(in_schema(_FIND, schema))
    except (asyncpg.exceptions.UndefinedTableError, asyncpg.exceptions.InvalidSchemaNameError):
        return []
    except asyncpg.exceptions.InsufficientPrivilegeError as error:
        role = await connection.fetchval("select current_user")
        raise NotPermitted(schema, role, str(error)) from error
    return rows


async def _applied_in(database: Database) -> Sequence[Any]:
    """Ask the same through the pool, by whatever road that goes."""
    try:
        return await database.fetch(in_schema(_FIND, database.schema), timeout=ANSWER_WITHIN)
    except Refused as error:
        if error.sqlstate in _NOT_THERE:
            return []
        if error.sqlstate == _NOT_PERMITTED:
            role = await database.fetchval("select current_user")
            raise NotPermitted(database.schema, role, str(error.__cause__)) from error
        raise


def _missing(schema: str, applied: Sequence[Any]) -> list[Migration]:
    numbers = {row["number"] for row in applied}
    return [migration for migration in migrations(schema) if migration.number not in numbers]


async def _take_turn(connection: asyncpg.Connection, schema: str) -> None:
    while not await connection.fetchval(  # noqa: ASYNC110
        "select pg_try_advisory_lock(hashtext($1))", _turn(schema)
    ):
        await asyncio.sleep(_PAUSE)


async def _apply_missing(connection: asyncpg.Connection, schema: str) -> list[str]:
    if not await connection.fetchval("select to_regclass($1)", f"{_quoted(schema)}.migration"):
        async with connection.transaction():
            await connection.execute(in_schema(_BOOT, schema))
    done: list[str] = []
    for migration in _missing(schema, await _applied(connection, schema)):
        await _apply(connection, migration, schema)
        done.append(migration.name)
    return done


async def _apply(connection: asyncpg.Connection, migration: Migration, schema: str) -> None:
    while True:
        try:
            async with connection.transaction():
                await connection.execute("set local lock_timeout = '200ms'")
                await connection.execute(migration.sql)
                await connection.execute(
                    in_schema(_NOTE, schema),
                    migration.number,
                    migration.name,
                    migration.oldest_code,
                )
        except asyncpg.exceptions.LockNotAvailableError:
            await asyncio.sleep(_PAUSE)
        else:
            return


def _turn(schema: str) -> str:
    return f"asyncjobs migrate {schema}"


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
