"""
The executor: one to a process, a task of its own, whose services turn stored jobs into runs.

It lives beside the app, never around it: nothing that fails in here ends the app's lifespan. The link
never outlives it, so that a lock never speaks for an executor that is gone.

What it says of itself to enqueues is in direct.py, how it leaves in drain.py.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import anyio

from asyncjobs.engine.arguments import LargeArguments
from asyncjobs.engine.beside import beside
from asyncjobs.engine.blocks import Blocks
from asyncjobs.engine.claim import Claimer
from asyncjobs.engine.direct import DirectStarts
from asyncjobs.engine.drain import OBEY_WITHIN, Drain
from asyncjobs.engine.due import Promoter
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.echo import Echoes
from asyncjobs.engine.finish import Finisher
from asyncjobs.engine.lag import Lag
from asyncjobs.engine.opening import Opening
from asyncjobs.engine.pace import Pace
from asyncjobs.engine.poll import Poller
from asyncjobs.engine.presence import Presence
from asyncjobs.engine.progress import Reporter
from asyncjobs.engine.prune import Pruner
from asyncjobs.engine.rescue import Rescuer
from asyncjobs.engine.run import Stop
from asyncjobs.engine.runs import Runs
from asyncjobs.engine.service import Troubles, keep
from asyncjobs.engine.sight import Eye
from asyncjobs.engine.slots import Slots
from asyncjobs.engine.terms import Terms
from asyncjobs.engine.vitals import Vitals
from asyncjobs.engine.wake import Local, Waker
from asyncjobs.engine.watch import Watch, watched
from asyncjobs.errors import PoolerInBetween, Unavailable
from asyncjobs.extension import Around, Serves
from asyncjobs.job import JobState
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Poll
from asyncjobs.task import Task

log: logging.Logger = logging.getLogger("asyncjobs.executor")


class Executor(Local):
    """Wires the services and owns their life."""

    def __init__(
        self,
        terms: Terms,
        make_ledger: Callable[[Executor], tuple[Bond, Ledger]],
        waker: Waker,
        tasks: Callable[[], Mapping[str, Task[..., Any]]],
        arounds: Sequence[Around],
        serving: Sequence[Serves],
        ears: Ears,
        ended: Callable[[UUID], None],
        seen_schema: Callable[[str | None], None],
    ) -> None:
        self.terms = terms
        self.troubles: Troubles = Troubles()
        self.is_up: asyncio.Event = asyncio.Event()
        self._has_untold = False  # what a lost link did last may not have been told
        self.refusal: Unavailable | None = None
        self.is_refused_for_good: asyncio.Event = asyncio.Event()
        self.linked: Answers = Answers()
        self.echoes: Echoes = Echoes()
        self.lag: Lag = Lag()
        self._stopping = asyncio.Event()
        self._waker = waker
        self._ears = ears
        self.extensions: Mapping[str, Callable[[], Awaitable[None]]] = {
            f"{type(each).__name__} (extension {number})": each.serve
            for number, each in enumerate(serving, 1)
        }
        self._seen_schema = seen_schema
        self._tasks = tasks
        self.link: Bond
        self.link, self._ledger = make_ledger(self)
        self._reporter = Reporter(self._ledger, self._process, self.doubt)
        self.runs: Runs = Runs(
            Slots(terms.slots, terms.shares), tasks, arounds, self._reporter, ears
        )
        self._finisher = Finisher(
            self._ledger, self.runs, self._process, ears, ended, self._went_back
        )
        self.runs.settle = self._finisher.settle
        self.runs.alone_from = terms.alone_from
        self.runs.keys = terms.keys
        self.runs.fetch = LargeArguments(self._ledger, self._process).fetch
        self.blocks: Blocks = Blocks(self._ledger, self._process, ears)
        self._watch: Watch | None = None
        self._presence = Presence(self.link, self._ledger, self.runs, waker.say)
        self.runs.first_started = self._first_started
        self._opening = Opening(self.link, self._ledger, self._presence, self._open, self.is_up.set)
        self.runs.ended_late = self.link.let_go
        self._claimer = self._make_claimer()
        self.runs.slot_freed = self._claimer.slot_freed
        self._pace = self._make_pace()
        self._promoter = Promoter(self._ledger, waker.ready)
        self._rescuer = Rescuer(self._ledger, terms.max_crashes, waker.ready, ears)
        self._poller = Poller(self._ledger, self._found, hears=self.link.keeps_session)
        self._pruner = Pruner(self._ledger, tasks)
        self.direct_starts: DirectStarts = DirectStarts(
            self._ledger, self.link, self.runs, self._claimer, ears, self.doubt
        )
        self._drain = Drain(
            terms.drain.total_seconds(), self.runs, self.link, self._presence, self._claimer, self._finisher, waker
        )  # fmt: skip

    def _first_started(self) -> None:
        self._presence.look_up()
        if self._watch is not None:
            self._watch.begin()
        if self._pace is not None:
            self._pace.jobs_run()

    def _make_pace(self) -> Pace | None:
        if self.terms.gives_way_to is None:
            return None
        pace = self.runs.pace = Pace(self.runs.slots, self.terms.gives_way_to)
        pace.slot_freed = self._more_slots
        return pace

    def _more_slots(self) -> None:
        self.runs.fill()
        self._claimer.slot_freed()

    def _make_claimer(self) -> Claimer:
        return Claimer(
            self._ledger,
            self.runs,
            self._first_queues(),
            all_queues=self.terms.queues is None,
            ears=self._ears,
            doubt=self.doubt,
            backlog=lambda: len(self._finisher),
            full=lambda queues: self._waker.ready(dict.fromkeys(queues, 1), everywhere=True),
        )

    @property
    def process_id(self) -> int | None:
        """Our row in `process`; None before the link is up for the first time."""
        return self.link.process_id

    @property
    def is_copy(self) -> bool:
        """Whether the jobs stored here belong to another database, so that none is run; see opening.py."""
        return self._opening.is_copy

    @property
    def slots(self) -> int:
        """How many jobs may run here at a time."""
        return self.terms.slots

    @property
    def running(self) -> list[UUID]:
        """The jobs whose bodies have not ended."""
        return [run.job.id for run in self.runs.live]

    async def recorded(self) -> None:
        """Wait until every run that has ended is recorded."""
        await self._finisher.flush()

    @property
    def is_draining(self) -> bool:
        """Whether it starts nothing more."""
        return self._drain.has_begun

    def begin_draining(self) -> None:
        """Start nothing more; called at the first signal, before the lifespan ends."""
        self._drain.begin()

    def stop(self) -> None:
        """Drain and end."""
        self.begin_draining()
        self._stopping.set()

    async def prepare(self) -> None:
        """See to the archive once, before the first job can end."""
        await self._pruner.tend()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stopping.is_set()

    @property
    def vitals(self) -> Vitals:
        """What tells how it is."""
        return Vitals(
            lag=self.lag, pace=self._pace, linked=self.linked, link=self.link, runs=self.runs,
            claims=self._claimer, polls=self._poller, beats=self._presence, outcomes=self._finisher,
            acting={
                "claim": self._claimer, "poll": self._poller, "presence": self._presence,
                "finish": self._finisher, "rescue": self._rescuer, "due": self._promoter,
                "progress": self._reporter,
            },
        )  # fmt: skip

    async def live(self) -> None:
        """Run every service until `stop()`, then drain; to be awaited as a task of its own."""
        services = {
            "lag": self.lag.serve,
            "link": self.link.run,
            "claim": self._claimer.serve,
            "opening": self._opening.serve,
            "finish": self._finisher.serve,
            "presence": self._presence.serve,
            "rescue": self._rescuer.serve,
            "due": self._promoter.serve,
            "poll": self._poller.serve,
            "prune": self._pruner.serve,
            "progress": self._reporter.serve,
            "blocks": self.blocks.serve,
        }
        if self._pace is not None:
            services["pace"] = self._pace.serve
        async with (
            beside(self.extensions, self.troubles, OBEY_WITHIN),
            anyio.create_task_group() as group,
        ):
            for name, serve in services.items():
                group.start_soon(keep, name, serve, self.troubles, name=f"asyncjobs {name}")
            try:
                with self._watched() as self._watch:
                    await self._stopping.wait()
                    await self._drain.to_the_end()
            except Exception:
                # Not for `keep` to start again: there is nothing to come back to.
                log.exception("the drain failed, and ends here")
            finally:
                self._drain.cut_short()
            group.cancel_scope.cancel()

    def _watched(self) -> AbstractContextManager[Watch | None]:
        terms = self.terms
        eye = Eye(self.runs.job_of, threading.get_ident())
        return watched(
            terms.blocked_limit, terms.blocked_after, eye, self.blocks.note, self.runs.names
        )

    # What the link tells, and asks.

    def holds_bodies(self) -> bool:
        """Whether the lock still speaks for somebody."""
        return bool(self.runs.live)

    async def on_up(self, *, reborn: bool) -> None:
        """The link is up; what comes before the first claim is told in opening.py."""
        self.linked.came()
        if reborn:
            self.runs.stop_all(Stop.LOST)
        self._rescuer.forget()
        self._presence.doubt()
        self._opening.begin()

    def _open(self) -> None:
        """The generation may take jobs: look at the others, poll, claim."""
        self._rescuer.look_for_a_while()
        self._poller.poll_now()
        if not self.is_draining:
            self.runs.keep_waiting(None)
            self._claimer.open()
        self._waker.say(hello=self.process_id)
        self.is_up.set()

    async def on_lost(self, error: Unavailable) -> None:
        """The link is gone: no claims, and a lease for what runs."""
        self._has_untold = True
        self.linked.failed(error)
        self._claimer.close()
        self.runs.keep_waiting(Stop.CUT_OFF)
        self._presence.link_lost()

    async def on_refused(self, error: Unavailable) -> None:
        """The link could not be made again, this time; a pooler in between is there the next time too."""
        self.linked.failed(error)
        self.refusal = error
        if isinstance(error, PoolerInBetween):
            self.is_refused_for_good.set()
        self._presence.link_refused(error)

    def on_message(self, payload: str) -> None:
        """Another process said something."""
        for words in self._waker.hear(payload):
            try:
                self._understand(words)
            except (ValueError, TypeError) as error:
                log.warning("another process said what makes no sense: %s", error)

    def _understand(self, words: Mapping[str, Any]) -> None:
        if "home" in words:
            self.adopted()
        if "busy" in words and not self.is_copy:
            self._rescuer.is_busy(int(words["busy"]))
        if "calm" in words:
            self._rescuer.is_calm(int(words["calm"]))
        if "echo" in words:
            self.echoes.heard(str(words["echo"]))
        if "hello" in words:
            self._presence.announce()
        if "stop" in words and words.get("process") == self.process_id:
            self.stop_job(UUID(str(words["stop"])))

    # What a wake does here (Local).

    def serves(self, queue: str, jobs: int) -> bool:
        """Whether we would surely take so many jobs of this queue right now, whatever they are."""
        if (
            not self.direct_starts.are_open
            or not self._claimer.serves(queue)
            or self.runs.left_alone()
        ):
            return False
        return self.runs.slots.free >= jobs

    def ready(self, queues: Iterable[str]) -> None:
        """Jobs of these queues are ready."""
        self._claimer.heard_of(queues)

    def others_may_run(self) -> None:
        """Jobs were ready for everybody: another process may be running them."""
        if self._claimer.is_open:
            self._rescuer.look_for_a_moment()

    def due(self, seconds: float) -> None:
        """A job will be due then."""
        if not self.is_copy:
            self._promoter.due(seconds)

    def stop_job(self, id: UUID) -> None:
        """Somebody asked to cancel this job of ours."""
        self.runs.stop([id], Stop.ASKED)

    def adopted(self) -> None:
        """Somebody has said that this database is the one that its jobs belong to."""
        self._opening.begin()

    def doubt(self) -> None:
        """Something may be ours that we do not know of."""
        self._presence.doubt()

    def _process(self) -> int:
        process = self.link.process_id
        assert process is not None, "nothing runs before the link was up"
        return process

    def _first_queues(self) -> list[str]:
        if self.terms.queues is not None:
            return list(self.terms.queues)
        return list({"default": None, **{task.queue: None for task in self._tasks().values()}})

    def _went_back(self, queue: str, state: JobState, delay: float) -> None:
        """A job of ours waits again."""
        if state is JobState.SCHEDULED:
            self._waker.due(delay)
        else:
            queues = [queue] if queue else self._claimer.queues
            self._waker.ready(dict.fromkeys(queues, 1), everywhere=True)

    def _found(self, poll: Poll) -> None:
        """What the safety poll found."""
        self._seen_schema(poll.migration)
        if self.is_copy:
            return
        self._claimer.found(poll.ready_in)
        if poll.ready_in:
            self.ready(poll.ready_in)
            if self._has_untold:
                # A rescue or a promotion may have been done whose answer went with the link: then these jobs
                # are ready, perhaps for others alone, and nobody has told them.
                self._waker.ready(dict.fromkeys(poll.ready_in, 1), everywhere=True)
        self._has_untold = False
        if poll.due_in is not None:
            self.due(poll.due_in)
        if poll.others_run:
            self._rescuer.look_for_a_while()
        else:
            self._rescuer.all_calm()
        if poll.we_run and not len(self.runs):
            self.doubt()
