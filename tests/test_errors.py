"""One tree, as drawn; each message says what was expected, what was found, and what to do."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from uuid import UUID

import pytest

from asyncjobs import errors
from asyncjobs.errors import AsyncJobsError

ID = UUID("0192d5a8-0000-7000-8000-000000000001")
LINE = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: \((?P<other>\w+)\))?(?:\s|$)")


def drawn() -> dict[str, tuple[str, ...]]:
    """Read the tree at the top of errors.py: each name, and the names of its parents."""
    above: list[str] = []
    parents: dict[str, tuple[str, ...]] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        depth = len(found["branch"]) // 4
        above[depth:] = [found["name"]]
        parent = above[depth - 1] if depth else "Exception"
        parents[found["name"]] = (parent, *filter(None, [found["other"]]))
    return parents


def written() -> dict[str, tuple[str, ...]]:
    """List the classes of errors.py likewise."""
    return {
        name: tuple(base.__name__ for base in found.__bases__)
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == errors.__name__
    }


def test_the_drawn_tree_is_the_tree() -> None:
    assert drawn() == written()


def test_every_error_has_a_docstring_of_one_sentence() -> None:
    for name in written():
        words = inspect.getdoc(getattr(errors, name)) or ""

        assert words.endswith("."), name
        assert "\n\n" not in words, name


SAID = [
    (
        errors.BadOption("slots", "a whole number from 1", 0),
        ["slots", "a whole number from 1", "not 0"],
        {"option": "slots", "expected": "a whole number from 1", "found": 0},
    ),
    (
        errors.BadSignature("a.task", "its hints are odd"),
        ["'a.task'", "cannot be registered", "its hints are odd"],
        {"task": "a.task", "reason": "its hints are odd"},
    ),
    (errors.DuplicateTask("a.task"), ["two tasks named 'a.task'", "name="], {"task": "a.task"}),
    (
        errors.ArgumentsDoNotFit("a.task", "x is missing"),
        ["'a.task'", "x is missing"],
        {"task": "a.task", "reason": "x is missing"},
    ),
    (
        errors.ArgumentsNotStorable("a.task", "a number is NaN"),
        ["'a.task'", "cannot be stored", "a number is NaN"],
        {"task": "a.task", "reason": "a number is NaN"},
    ),
    (
        errors.BadKeys("key 2 is not 32 bytes"),
        ["encryption keys", "key 2 is not 32 bytes"],
        {"reason": "key 2 is not 32 bytes"},
    ),
    (
        errors.NoKey("result", ID, "3f9a1c22"),
        ["the result of job", str(ID), "'3f9a1c22'", "encryption_keys"],
        {"id": ID, "key": "3f9a1c22"},
    ),
    (
        errors.BrokenSeal("arguments", ID),
        ["the arguments of job", str(ID), "changed since it was sealed"],
        {"id": ID},
    ),
    (
        errors.WrongConnection("it is closed"),
        ["connection=", "an open asyncpg connection to the database of the jobs", "it is closed"],
        {"reason": "it is closed"},
    ),
    (
        errors.NotConnected("enqueue"),
        ["cannot enqueue", "lifespan=jobs.lifespan", "jobs.running()", "jobs.connected()"],
        {"wanted": "enqueue"},
    ),
    (
        errors.NotConnected("enqueue", "another loop"),
        ["cannot enqueue", "another loop"],
        {"wanted": "enqueue"},
    ),
    (
        errors.Unavailable("connect", OSError("no route")),
        ["could not connect", "OSError: no route"],
        {"wanted": "connect", "reason": "OSError: no route"},
    ),
    (
        errors.NoAddress(),
        [
            "ASYNCJOBS_DATABASE_URL",
            "DATABASE_URL",
            "Jobs('postgresql://…')",
            "ASYNCJOBS_DEV=1",
            "pip install",
        ],
        {},
    ),
    (
        errors.PoolerInBetween("link to Postgres", "ours changed hands"),
        [
            "link to Postgres",
            "ours changed hands",
            "direct address",
            "link_dsn=",
            "presence='lease'",
        ],
        {"wanted": "link to Postgres", "found": "ours changed hands"},
    ),
    (
        errors.UnsafePool(["synchronous_commit is 'off', and must be on"]),
        ["pool", "synchronous_commit is 'off', and must be on"],
        {"findings": ("synchronous_commit is 'off', and must be on",)},
    ),
    (
        errors.SchemaMismatch("app_jobs", "it is not there; run `asyncjobs migrate`"),
        ["'app_jobs'", "run `asyncjobs migrate`"],
        {"schema": "app_jobs"},
    ),
    (
        errors.NotPermitted("app_jobs", "web", "permission denied"),
        ["'web'", "'app_jobs'", "permission denied", "asyncjobs migrate", "--sql"],
        {"schema": "app_jobs", "role": "web", "reason": "permission denied"},
    ),
    (errors.ServerTooOld("12.4"), ["Postgres 13 or later", "12.4"], {"found": "12.4"}),
    (errors.JobNotFound(ID), [str(ID), "keep="], {"id": ID}),
    (
        errors.JobFailed(ID, "a.task", "ValueError: no", "Traceback …"),
        [str(ID), "a.task", "ValueError: no"],
        {"id": ID, "task": "a.task", "error": "ValueError: no", "traceback": "Traceback …"},
    ),
    (
        errors.JobCancelled(ID, "a.task", "no longer needed"),
        [str(ID), "a.task", "no longer needed"],
        {"id": ID, "task": "a.task", "reason": "no longer needed"},
    ),
    (
        errors.ResultTimeout(ID, timedelta(seconds=1.5)),
        [str(ID), "1.5 s", "it goes on"],
        {"id": ID, "timeout": timedelta(seconds=1.5)},
    ),
    (
        errors.ResultNotReadable("a.task", "the whole: not a date"),
        ["'a.task'", "is not what it returns today", "not a date"],
        {"task": "a.task", "reason": "the whole: not a date"},
    ),
    (errors.NotInAJob(), ["current_job()", "inside a running job"], {}),
    (errors.Stopped(), ["asked to stop"], {}),
    (errors.JobTimedOut(timedelta(minutes=1)), ["60 s"], {"timeout": timedelta(minutes=1)}),
    (
        errors.ResultNotStorable("a.task", "it is NaN"),
        ["'a.task'", "it is NaN", "-> None"],
        {"task": "a.task", "reason": "it is NaN"},
    ),
    (errors.PoolProcessDied(7, 3), ["pid 7", "exit code 3"], {"pid": 7, "code": 3}),
    (errors.PoolProcessDied(7, -9), ["killed by SIGKILL", "no memory left"], {"code": -9}),
    (errors.PoolProcessDied(7, -11), ["killed by SIGSEGV"], {"code": -11}),
    (errors.PoolProcessDied(7, -200), ["killed by signal 200"], {"code": -200}),
    (errors.PoolProcessDied(7, None), ["is gone"], {"code": None}),
    (
        errors.RaisedElsewhere("shop.Local", "Local: no"),
        ["it raised Local: no"],
        {"kind": "shop.Local", "line": "Local: no"},
    ),
]


@pytest.mark.parametrize(("error", "words", "facts"), SAID, ids=lambda part: type(part).__name__)
def test_an_error_says_it_all_and_carries_its_facts(
    error: AsyncJobsError, words: list[str], facts: dict[str, object]
) -> None:
    said = str(error)

    assert all(word in said for word in words), said
    assert {name: getattr(error, name) for name in facts} == facts


def test_every_error_with_words_of_its_own_is_tried_here() -> None:
    own = {name for name in written() if "__init__" in vars(getattr(errors, name))}

    assert own <= {type(error).__name__ for error, *_ in SAID} | {"SchemaMismatch"}


def test_an_error_without_a_reason_ends_in_a_sentence_all_the_same() -> None:
    assert str(errors.JobCancelled(ID, "a.task", None)).endswith("was cancelled")


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.BadInput, ValueError),
        (errors.JobNotFound, LookupError),
        (errors.ResultTimeout, TimeoutError),
    ],
)
def test_who_expects_the_builtin_error_catches_ours(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)


def test_what_is_unavailable_is_told_apart_by_what_may_have_happened() -> None:
    from asyncjobs.postgres.failures import InDoubt, Refused, Unreachable

    for error in (InDoubt, Refused, Unreachable):
        assert error.__bases__ == (errors.Unavailable,)
