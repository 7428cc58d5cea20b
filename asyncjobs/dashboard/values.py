"""
What a page may show of a job's arguments and result.

A row that was stored through `enqueue` says by itself what of its arguments may be shown, and the
statements give nothing else. One that was stored with SQL, or before a parameter became secret, says
nothing; where this process knows that its task takes secrets, such arguments are not shown at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asyncjobs.dashboard.reader import Row
from asyncjobs.job import JobState
from asyncjobs.task import Task

NAME = re.compile(r'"(\w+)": ')
SEALED = re.compile(r'\{\s*"\$sealed": "')

Tasks = Mapping[str, Task[..., Any]]


@dataclass(frozen=True, slots=True)
class Value:
    """Arguments or a result: a text, or why there is none to show."""

    name: str
    text: str | None
    size: int  # bytes that are stored
    reason: str | None = None


def values(row: Row, tasks: Tasks) -> Iterator[Value]:
    """Tell the values of the row of `job.sql`."""
    text, size = row["arguments"], row["arguments_size"]
    if text is not None and is_sealed(text):
        yield Value("Arguments", None, size, "Sealed: the database and this page cannot read them.")
    elif is_hidden(row, tasks):
        yield Value(
            "Arguments", None, size,
            "Hidden: the task takes secrets, and what stored this job did not say which of these they are.",
        )  # fmt: skip
    else:
        yield Value("Arguments", text, size)
    text, size = row["result"], row["result_size"]
    if size and JobState(row["state"]) is JobState.SUCCEEDED:
        if text is not None and is_sealed(text):
            yield Value("Result", None, size, "Sealed: the database and this page cannot read it.")
        else:
            yield Value("Result", text, size)


def preview(row: Row, tasks: Tasks) -> str:
    """Tell the arguments of the row of a page statement in a few words."""
    text: str = row["preview"] or ""
    if is_sealed(text):
        return "sealed"
    if is_hidden(row, tasks):
        return "hidden"
    return as_called(text)


def as_called(arguments: str) -> str:
    """Tell JSON arguments as one reads a call: without the outer braces, and names without quotes."""
    return NAME.sub(r"\1: ", arguments.removeprefix("{").removesuffix("}"))


def is_sealed(text: str) -> bool:
    """Tell whether JSON, perhaps cut off, is a sealed value."""
    return SEALED.match(text) is not None


def is_hidden(row: Row, tasks: Tasks) -> bool:
    """Tell whether the row does not say what may be shown of it, and its task has something to hide."""
    task = None if row["is_masked"] else tasks.get(row["task"])
    return task is not None and bool(task.codec.secretive)
