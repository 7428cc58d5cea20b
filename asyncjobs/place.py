"""Where a function is found again by another process: in its module, by its name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from asyncjobs.errors import BadSignature

_WANTED = "run='process' needs a function that another process finds by its name in its module"


@dataclass(frozen=True, slots=True)
class Place:
    """
    The `name` of a function in `module`.

    `script`: the file to be run as that module, where it is the program that Python was started with.
    """

    module: str
    name: str
    script: str | None = None

    def check(self, task: str, function: Callable[..., Any]) -> None:
        """Raise BadSignature where something else, or nothing, is to be found there."""
        it: Any = sys.modules.get("__main__" if self.script else self.module)
        for part in self.name.split("."):
            it = getattr(it, part, None)
        if it is not function and getattr(it, "function", None) is not function:
            raise BadSignature(
                task, f"{_WANTED}, and {self.name} in {self.module} is not this function"
            )


def place_of(task: str, function: Callable[..., Any]) -> Place:
    """Tell where a function is found; raises BadSignature for one that is nowhere."""
    inner = inspect.unwrap(function)
    name: str | None = getattr(inner, "__qualname__", None)
    if name is None:
        raise BadSignature(task, f"{_WANTED}, not {type(inner).__name__} objects")
    if "<lambda>" in name:
        raise BadSignature(task, f"{_WANTED}, and a lambda has none")
    if "<locals>" in name:
        raise BadSignature(task, f"{_WANTED}, and this one is made inside another function")
    if inner.__module__ != "__main__":
        return Place(inner.__module__, name)
    return _in_main(task, name, sys.modules["__main__"])


def _in_main(task: str, name: str, main: ModuleType) -> Place:
    if main.__spec__ is not None:  # python -m app.tasks
        return Place(main.__spec__.name, name)
    if not getattr(main, "__file__", None):
        raise BadSignature(task, f"{_WANTED}, and an interactive session is no module")
    return Place("__main__", name, str(main.__file__))
