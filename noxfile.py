"""The one entry: `nox -s demo`, `nox -s tests`; `nox` alone runs what must be green to merge."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13"]
POSTGRES = ["15", "16", "18"]  # 15 is the machine's own, the others come with the embedded wheel

nox.needs_version = ">=2025.10.16"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
# Without this nox skips what it cannot find and calls the run a success.
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "tests", "docs"]

# pyenv's shims answer for one version only: look where the others live.
pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
with suppress(PermissionError):  # somebody else's, after `su` with their environment
    for interpreter in sorted(pyenv.glob("versions/3.1[1-9]*/bin")):
        os.environ["PATH"] += os.pathsep + str(interpreter)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the example application with its own Postgres; Ctrl-C stops both."""
    session.install("-e", ".[demo]")
    # nox kills after half a second if not told otherwise: jobs need time to drain.
    session.run("asyncjobs", "demo", *session.posargs, interrupt_timeout=20, terminate_timeout=10)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on this Python and the newest embedded Postgres."""
    install(session, "test")
    run_tests(session)


@nox.session(name="tests-all", python=PYTHONS)
@nox.parametrize("postgres", POSTGRES)
def tests_all(session: nox.Session, postgres: str) -> None:
    """Run the tests on every Python with every Postgres."""
    install(session, "test")
    run_tests(session, postgres=postgres)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, cut, starve and fill what can be, in full; `-n` repeats, `--seed` repeats what was random."""
    install(session, "test")
    session.run("python", "-m", "tests.faults", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style, the format and the floors."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with both checkers, and that the public ones are complete."""
    install(session, "types")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "asyncjobs", "--ignoreexternal")
    session.run("pytest", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs")
    session.run("zensical", "build", "--strict", "--config-file", "docs/zensical.toml")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure ours beside others, and print the tables; `--quick` is what CI runs."""
    install(session, "bench")
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def guest(session: nox.Session) -> None:
    """Measure what a web app feels of the jobs in its own process."""
    install(session, "bench")
    session.run("python", "-m", "tests.bench.guest", *session.posargs)


def install(session: nox.Session, name: str) -> None:
    session.install("-e", ".", *group(name))


def group(name: str) -> list[str]:
    """List the requirements of a dependency group, its included groups with it."""
    project = nox.project.load_toml("pyproject.toml")
    return list(nox.project.dependency_groups(project, name))


def run_tests(session: nox.Session, *, postgres: str | None = None) -> None:
    # More than processors, often: most of them wait, for leases and the like.
    everything = ["--numprocesses=4", "--dist=worksteal"]
    env = {"ASYNCJOBS_TEST_POSTGRES": postgres} if postgres else {}
    session.run("pytest", *(session.posargs or everything), env=env)
