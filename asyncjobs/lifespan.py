"""
The lifespan of a Starlette or FastAPI app, with jobs in it.

The app's own lifespan is entered first and left last, so that what it opens is there for the jobs, to their end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar, cast

from starlette.applications import Starlette

AppT = TypeVar("AppT")
Lifespan = Callable[[AppT], AbstractAsyncContextManager[Any]]
Counted = Callable[[Any], Any]


def lifespan(
    app_or_own: object,
    running: Callable[[], AbstractAsyncContextManager[object]],
    counted: Counted | None,
) -> Any:
    """
    Give an app's lifespan, or one around its own.

    `running`: runs the jobs. `counted`: wraps what the app answers with, so that its requests are known; None: nobody
    asks for them.
    """
    if isinstance(app_or_own, Starlette):
        return _alone(app_or_own, running, counted)
    own = cast("Lifespan[Any]", app_or_own)

    @asynccontextmanager
    async def both(app: Any) -> AsyncGenerator[Any]:
        async with own(app) as state:
            with _counting(app, counted):
                async with running():
                    yield state

    return both


@asynccontextmanager
async def _alone(
    app: Starlette,
    running: Callable[[], AbstractAsyncContextManager[object]],
    counted: Counted | None,
) -> AsyncGenerator[None]:
    with _counting(app, counted):
        async with running():
            yield  # what a lifespan yields becomes the app's state: nothing of ours


@contextmanager
def _counting(app: object, counted: Counted | None) -> Generator[None]:
    """Count the requests of an app that has built what it answers with: Starlette does, before its lifespan."""
    answering = app.middleware_stack if isinstance(app, Starlette) else None
    if answering is None or counted is None:
        yield
        return
    assert isinstance(app, Starlette)
    app.middleware_stack = counted(answering)
    try:
        yield
    finally:
        app.middleware_stack = answering
