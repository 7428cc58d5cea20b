"""
Where the bytes of the write-ahead log go: `pg_waldump`, read record by record.

A statement of ours is a transaction of its own, so that a transaction's records tell which one it was: the one
that inserts into the hot table enqueues, the one that deletes from it finishes, the one that only updates it
claims. What belongs to no transaction (vacuum, pruning ahead of a write) is upkeep.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import asyncpg

from tests.bench.tables.load import SAY

UPKEEP = "upkeep"

_RECORD = re.compile(
    r"rmgr: (?P<manager>\w+) +len \(rec/tot\): +(?P<bare>\d+)/ *(?P<total>\d+), tx: +(?P<xid>\d+), "
    r".*?desc: (?P<deed>\w+).*?(?:blkref #0: rel \d+/(?P<database>\d+)/(?P<file>\d+).*)?$"
)
_DAY = re.compile(r"archive_\d{8}")


class Record(NamedTuple):
    """One record: what was done, by which transaction, to which relation."""

    deed: str  # "Heap INSERT"
    xid: int
    relation: str  # "" where it is about none
    size: int  # bytes, without images of pages
    image: int  # bytes of images of whole pages


@dataclass(slots=True)
class Log:
    """What was written between two places of the log."""

    records: list[Record]
    written: int  # bytes from place to place: records, their alignment, and headers of pages
    by_statement: dict[str, Counter[str]] = field(init=False)
    """Bytes by statement, and within by cause: "job: Heap INSERT", "images of pages"."""
    commits: int = field(init=False)

    def __post_init__(self) -> None:
        kinds = statements(self.records)
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for record in self.records:
            causes = found[kinds.get(record.xid, UPKEEP)]
            causes[f"{record.relation or '-'}: {record.deed}"] += record.size
            if record.image:
                causes["images of pages"] += record.image
        self.by_statement = dict(found)
        self.commits = sum(record.deed == "Transaction COMMIT" for record in self.records)


def statements(records: Iterable[Record]) -> dict[int, str]:
    """Tell for each transaction that wrote to the hot table which statement it was."""
    deeds: defaultdict[int, set[str]] = defaultdict(set)
    for record in records:
        if record.relation == "job" and record.xid:
            deeds[record.xid].add(record.deed.split()[1])
    return {xid: _statement(done) for xid, done in deeds.items()}


def _statement(done: set[str]) -> str:
    if done & {"INSERT", "MULTI_INSERT"}:
        return "enqueue"
    if "DELETE" in done:
        return "finish"
    return "claim" if done & {"UPDATE", "HOT_UPDATE"} else UPKEEP


async def place(connection: asyncpg.Connection) -> str:
    """Give the place at which the log ends now."""
    found: str = await connection.fetchval(SAY["wal_place"])
    return found


async def read(connection: asyncpg.Connection, waldump: Path, start: str, end: str) -> Log:
    """Read the log from place to place; nothing else may write to this server meanwhile."""
    directory = Path(await connection.fetchval("show data_directory")) / "pg_wal"
    files = {row["file"]: row["name"] for row in await connection.fetch(SAY["wal_files"])}
    said = subprocess.run(
        [waldump, "--path", directory, "--start", start, "--end", end],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode:
        raise RuntimeError(f"pg_waldump cannot read from {start} to {end}: {said.stderr.strip()}")
    written = await connection.fetchval(SAY["wal_between"], end, start)
    return Log(list(records(said.stdout.splitlines(), files)), int(written))


def records(lines: Iterable[str], files: Mapping[int, str]) -> Iterator[Record]:
    for line in lines:
        found = _RECORD.match(line)
        if found is None:
            raise ValueError(f"not a record of pg_waldump: {line!r}")
        bare, total = int(found["bare"]), int(found["total"])
        relation = files.get(int(found["file"]), "others") if found["file"] else ""
        yield Record(
            f"{found['manager']} {found['deed']}",
            int(found["xid"]),
            _DAY.sub("archive", relation),
            bare,
            total - bare,
        )
