"""Finding the Jobs that a command line names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asyncjobs.standalone.errors import JobsNotFound
from asyncjobs.standalone.find import find_jobs
from tests.standalone import yard

YARD = "tests.standalone.yard"


@pytest.mark.parametrize("target", [YARD, f"{YARD}:jobs", f"{YARD}:Desk.jobs"])
def test_jobs_are_found_where_the_command_line_says(target: str) -> None:
    assert find_jobs(target) is yard.jobs


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere:jobs", "there is no module 'nowhere'"),
        ("tests.nowhere:jobs", "there is no module 'tests.nowhere'"),
        (f"{YARD}.deeper:jobs", f"there is no module '{YARD}.deeper'"),
        (f"{YARD}:works", f"{YARD} has no 'works'; there is {YARD}:jobs"),
        (f"{YARD}:Desk.works", f"{YARD}.Desk has no 'works'"),
        (f"{YARD}:note", "is of type AsyncTask"),
        ("tests/standalone/yard.py", f"say it as Python imports it: {YARD}:jobs"),
        ("./app.py:jobs", "say it as Python imports it: app:jobs"),
        ("", "say it as Python imports it: module:jobs"),
        (":jobs", "say it as Python imports it: module:jobs"),
    ],
)
def test_where_there_are_none_the_error_says_why(target: str, reason: str) -> None:
    with pytest.raises(JobsNotFound) as caught:
        find_jobs(target)

    assert reason in str(caught.value)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that Python does not know yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_the_working_directory_is_looked_at(here: Path) -> None:
    (here / "app_of_test_find.py").write_text("from asyncjobs import Jobs\njobs = Jobs()\n")

    assert find_jobs("app_of_test_find").tasks == {}


def test_a_registry_is_not_enough(here: Path) -> None:
    (here / "registry_of_test_find.py").write_text("from asyncjobs import Tasks\njobs = Tasks()\n")

    with pytest.raises(JobsNotFound, match="a registry; name the Jobs that includes it"):
        find_jobs("registry_of_test_find")


def test_a_module_that_lacks_another_is_told_apart_from_one_that_is_not_there(here: Path) -> None:
    (here / "lacking_of_test_find.py").write_text("import not_installed_anywhere\n")

    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        find_jobs("lacking_of_test_find")
