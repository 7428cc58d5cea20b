"""The disk under Postgres is full, and some time later there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from asyncjobs.errors import Unavailable
from tests.faults.field import Field
from tests.faults.plugin import Fields
from tests.faults.server import Server
from tests.moments import until

CHAPTER = "15 The disk is full"
SIZE = 150  # megabytes

# A cluster that writes small segments, and gives back what it need not keep.
SETTINGS = {
    "min_wal_size": "8MB",
    "max_wal_size": "16MB",
    "wal_recycle": "off",
    "autovacuum": "off",
}


class Disk:
    """A small disk, to be filled and emptied."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(directory)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield Disk(directory)
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture
async def server(disk: Disk) -> AsyncIterator[Server]:
    server = Server(disk.directory / "postgres", **SETTINGS)
    try:
        await server.make("--wal-segsize=1")
        yield server
    finally:
        await server.end()


async def until_it_hurts(field: Field) -> str:
    """Store jobs until Postgres refuses them; give what was said."""
    said: list[str] = []

    async def refused() -> bool:
        try:
            await field.enqueue("heavy", "x" * 20_000, n=10)
        except Unavailable as error:
            field.in_doubt += 10
            said.append(str(error))
        return bool(said)

    await until(refused, within=60)
    return said[0]


async def test_the_disk_is_full_for_a_while_under_load(
    fields: Fields, server: Server, disk: Disk
) -> None:
    async with fields(server.dsn) as field:
        worker = await field.worker(slots=10)
        gate = field.directory / "gate"
        lasting = await field.enqueue("held_by", str(gate), n=6)
        await field.until_began(lasting)
        await field.until_finished(await field.enqueue("steady", n=20))

        disk.fill()
        said = await until_it_hurts(field)
        assert any(
            words in said
            for words in ("No space left", "could not extend", "recovery", "refused", "closed")
        ), said
        gate.touch()  # these end now, and cannot be recorded
        await field.until_noted("ended", lasting)
        assert worker.returncode is None
        disk.empty()
        if not _is_up(server):  # a full disk under the log of Postgres ends it
            await server.start()
        await server.until_ready()

        await field.enqueue("steady", n=50)
        await field.until_finished()
        runs = [run for run in field.runs() if run.job in set(map(str, lasting))]
        assert [run.how for run in runs] == ["returned"] * len(lasting)


def _is_up(server: Server) -> bool:
    try:
        return server.is_up
    except (OSError, ValueError):
        return False
