"""Finding the `Jobs` object that a command line names: `module`, `module:jobs`, `package.module:desk.jobs`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from asyncjobs.jobs import Jobs
from asyncjobs.registry import Tasks
from asyncjobs.standalone.errors import JobsNotFound


def find_jobs(target: str) -> Jobs:
    """
    Import the module, from the working directory too, and give its `Jobs`.

    Raises JobsNotFound; an error inside the module itself is passed on as it is.
    """
    name, _, path = target.partition(":")
    module = _import(name, target)
    found: object = module
    seen = name
    for attribute in (path or "jobs").split("."):
        if not hasattr(found, attribute):
            raise JobsNotFound(target, f"{seen} has no {attribute!r}{_hint(name, module)}")
        found = getattr(found, attribute)
        seen = f"{seen}.{attribute}"
    if isinstance(found, Jobs):
        return found
    what = f"{seen} is of type {type(found).__name__}"
    if isinstance(found, Tasks):
        what += ", a registry; name the Jobs that includes it"
    raise JobsNotFound(target, what + _hint(name, module))


def _import(name: str, target: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise JobsNotFound(target, f"say it as Python imports it: {_as_module(name)}:jobs")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The module is there, and imports another that is not: that is for its author to see.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise JobsNotFound(
            target,
            f"there is no module {error.name!r} in {here}, nor where Python looks for modules",
        ) from None


def _as_module(name: str) -> str:
    parts = [part for part in name.removesuffix(".py").replace("\\", "/").split("/") if part != "."]
    module = ".".join(parts).strip(".")
    return module if module and all(part.isidentifier() for part in module.split(".")) else "module"


def _hint(name: str, module: ModuleType) -> str:
    there = [key for key, value in vars(module).items() if isinstance(value, Jobs)]
    return f"; there is {' and '.join(f'{name}:{key}' for key in there)}" if there else ""
