"""
The options of the fault suite, and its fixture. Loaded for all tests: the short form is part of them.

--faults-full      the whole lengths (a loop blocked for 60 s, not for a few), and the scenarios that only make
                   sense in them
--faults-seed S    repeats the random choices of a run
--faults-times N   repeats every scenario
--faults-figures D where each scenario leaves its figures
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.field import Field
from tests.faults.figures import Figures

Fields = Callable[[str], AbstractAsyncContextManager[Field]]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--faults-full", action="store_true")
    group.addoption("--faults-seed")
    group.addoption("--faults-times", type=int, default=1)
    group.addoption("--faults-figures", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: a scenario of the full form of the fault suite only")
    if config.option.faults_seed is None:
        config.option.faults_seed = secrets.token_hex(3)


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: --seed {config.option.faults_seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    times = metafunc.config.option.faults_times
    if "repetition" in metafunc.fixturenames:
        ids = [pytest.HIDDEN_PARAM] if times == 1 else [str(each) for each in range(times)]
        metafunc.parametrize("repetition", range(times), ids=ids)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("full") and not item.config.option.faults_full:
        pytest.skip("only in the full form: nox -s faults")


@pytest.fixture
async def field(fields: Fields, database: str) -> AsyncIterator[Field]:
    """A database, processes to hurt, and the oracle when the scenario has come to its end."""
    async with fields(database) as field:
        yield field


@pytest.fixture
def fields(request: pytest.FixtureRequest, repetition: int, tmp_path: Path) -> Fields:
    """Make a field on any server, for scenarios that harm the server too: `async with fields(dsn) as field`."""
    options = request.config.option
    seed = f"{options.faults_seed} {repetition}"
    story = _story(request)
    chapter = getattr(request.module, "CHAPTER", "99 others")

    @asynccontextmanager
    async def make(dsn: str) -> AsyncIterator[Field]:
        figures = Figures(story, chapter, seed)
        field = Field(dsn, tmp_path, figures, seed=f"{seed} {story}", full=options.faults_full)
        try:
            yield field
        except BaseException:
            await field.abandon()
            raise
        report = getattr(request.node, "called", None)
        if report is not None and report.failed:
            await field.abandon()
            return
        await field.close()
        print(figures.in_words())  # noqa: T201
        if options.faults_figures is not None:
            figures.write(options.faults_figures)

    return make


def _story(request: pytest.FixtureRequest) -> str:
    """Tell it by the test's name; where the module says EACH_BY_ITSELF, by the words of its parameters too."""
    story: str = request.node.originalname.removeprefix("test_").replace("_", " ")
    if not getattr(request.module, "EACH_BY_ITSELF", False):
        return story
    words = [value for value in request.node.callspec.params.values() if isinstance(value, str)]
    return ", ".join([story, *words])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.called = report  # type: ignore[attr-defined]
    return report
