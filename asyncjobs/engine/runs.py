"""The runs of this process: what is ours, from claim (or direct start) to record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from asyncjobs import events
from asyncjobs.current import CurrentJob, Teller
from asyncjobs.engine.ahead import Ahead
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.in_process import Places
from asyncjobs.engine.pace import Pace
from asyncjobs.engine.run import Fetch, Run, Stop, given_up
from asyncjobs.engine.slots import Slots
from asyncjobs.engine.starts import Starts
from asyncjobs.engine.steps import Steps
from asyncjobs.extension import Around
from asyncjobs.job import Claimed, JobState, Outcome, Settled
from asyncjobs.seal import Keys
from asyncjobs.task import Task

log: logging.Logger = logging.getLogger("asyncjobs.run")

ALONE_FROM = 2  # crashes
LATE = 0.05  # seconds that a timer comes late, where the loop was blocked

Settle = Callable[[Settled], None]


class Runs:
    """
    Every run of this process, until Postgres has recorded its outcome.

    A direct start is *expected* before its INSERT is sent, so that a beat which finds the row knows that
    it is no stranger. The slot is free when the body has ended; the run stays, under its fence, until its
    outcome is recorded, so that a beat does not take an ended run for a lost one, and so that the same
    job, come back and claimed again meanwhile, is not mistaken for it. What was claimed ahead waits for a slot, and
    is ours already (`ahead.py`).
    """

    def __init__(
        self,
        slots: Slots,
        tasks: Callable[[], Mapping[str, Task[..., Any]]],
        arounds: Sequence[Around],
        teller: Teller,
        ears: Ears,
    ) -> None:
        self.slots = slots
        self.ahead: Ahead = Ahead(slots)
        self.unknown: set[str] = set()  # tasks that were claimed here and that nobody here knows
        self.is_idle: asyncio.Event = asyncio.Event()
        self.is_idle.set()
        self._tasks = tasks
        self._known: Mapping[str, Task[..., Any]] = {}
        self._arounds = arounds
        self._teller = teller
        self._ears = ears
        self._loop = asyncio.get_running_loop()
        self._starts = Starts(self._live)
        self._places = Places(slots.total)
        self._live_by_id: dict[UUID, Run] = {}
        self._unrecorded: dict[tuple[UUID, int], Run] = {}
        self._expected: set[UUID] = set()
        self._notes: list[set[tuple[UUID, int]]] = []
        self._going_back: set[tuple[UUID, int]] = set()
        self._closing: Stop | None = None
        self._no_waiting: Stop | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._was_late = False
        self._is_filling = False
        self._is_over = False
        self.alone_from: int = ALONE_FROM
        self.keys: Keys = Keys()
        self.fetch: Fetch = _nothing
        self.pace: Pace | None = None
        self.settle: Settle = lambda settled: None
        self.first_started: Callable[[], None] = lambda: None
        self.slot_freed: Callable[[], None] = lambda: None
        self.ended_late: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._live_by_id) + len(self._unrecorded) + len(self.ahead)

    def knows(self, id: UUID, fence: int) -> bool:
        """Whether that row is no surprise: it runs here, has just ended here, waits, or is about to start."""
        run = self._live_by_id.get(id)
        runs = run is not None and run.job.fence == fence
        leaves = (id, fence) in self._unrecorded or (id, fence) in self._going_back
        if runs or leaves or id in self._expected:
            return True
        return any(job.id == id and job.fence == fence for job in self.ahead)

    def give_back(self, id: UUID, fence: int, reason: str) -> None:
        """Release a row that Postgres thinks is ours and that nobody here runs."""
        self._going_back.add((id, fence))
        outcome = Outcome(JobState.READY, "released", counts=False, error=reason)
        self.settle(Settled(id, fence, outcome, None, 1))

    def _task(self, name: str) -> Task[..., Any] | None:
        """Find a task by name; one that was declared since the last look is found too."""
        if name not in self._known:
            self._known = dict(self._tasks())
        return self._known.get(name)

    def unknown_tasks(self) -> list[str]:
        """Give the names of tasks whose jobs are left where they are; one that was declared since is not among them."""
        if self.unknown:
            self.unknown -= self._tasks().keys()
        return sorted(self.unknown)

    def left_alone(self) -> list[str]:
        """Give what the claim leaves where it is: tasks that nobody here knows, and keys that are not here."""
        return [*self.unknown_tasks(), *sorted(self.keys.missing)]

    def get(self, id: UUID) -> Run | None:
        """Give the run of this job whose body has not ended."""
        return self._live_by_id.get(id)

    @property
    def live(self) -> list[Run]:
        """Those whose body has not ended."""
        return list(self._live_by_id.values())

    def job_of(self, task: asyncio.Task[Any]) -> CurrentJob | None:
        """Give the job whose body this is; any thread may ask."""
        return next((run.current for run in self.live if run.own is task), None)

    def names(self) -> list[str]:
        """Name the tasks of those; any thread may ask."""
        return sorted({run.job.task for run in self.live})

    @property
    def room_for_suspects(self) -> tuple[int, int]:
        """
        From so many crashes on, so many more suspects may run here.

        One death proves little, mostly it was no job's fault: whatever ran there goes on at once. Who has
        seen more of them runs with no other suspect beside it, so that the next death names the guilty. One
        that has ended and is not recorded counts too: a death would find its row running.
        """
        runs = (*self._live_by_id.values(), *self._unrecorded.values())
        ours = (*(run.job for run in runs), *self.ahead)
        most = max((job.crashes for job in ours), default=0)
        return (1, 0) if most >= self.alone_from else (self.alone_from, int(most == 0))

    @property
    def oldest(self) -> float:
        """How long the oldest body has been running, in seconds."""
        now = time.monotonic()
        return max((now - run.began for run in self.live), default=0.0)

    @property
    def lost_slots(self) -> int:
        """How many slots are taken for nothing: none, at any turn of the loop."""
        return self.slots.busy - len(self._live_by_id) - len(self._expected)

    def overdue(self, seconds: float, now: float) -> int:
        """How many were told to stop so long ago, and have not."""
        return sum(
            1 for run in self.live if run.told_at is not None and now - run.told_at > seconds
        )

    def expect(self, id: UUID, task: str, queue: str) -> bool:
        """Reserve a slot for a direct start; False when there is none, or the task is not known here."""
        if self._task(task) is None or not self.slots.take(queue):
            return False
        self._expected.add(id)
        self.is_idle.clear()
        return True

    def unexpect(self, id: UUID, queue: str) -> None:
        """It was not born running, or nobody knows: give its slot back."""
        if id in self._expected:
            self._expected.discard(id)
            self.slots.give(queue)
            self._pass_on()
            self._tell_idle()

    def start_expected(self, job: Claimed) -> None:
        """It was born running: start it in the slot that it has."""
        self._expected.discard(job.id)
        self._start(job)

    def start_claimed(self, job: Claimed, *, reserved: bool) -> None:
        """Start a job that was claimed; one that was claimed ahead waits where there is no slot for it yet."""
        if self._no_waiting is not None and not reserved:
            self._send_back(job, self._no_waiting)
        elif self.slots.enter(job.queue, reserved=reserved):
            self._start(job)
        elif job.crashes:
            # A death would be charged to this one alone, which has not begun.
            self.ahead.give_up()
            self._send_back(job, Stop.WAITED)
        else:
            self.is_idle.clear()
            self.ahead.put(job)
            self._mind_patience()

    def fill(self) -> None:
        """Start what waits, as far as there are slots."""
        if self._is_filling:  # where tasks are eager, a body may end in here
            return
        self._is_filling = True
        try:
            while (job := self.ahead.next()) is not None:
                self._start(job)
        finally:
            self._is_filling = False

    def keep_waiting(self, why: Stop | None) -> None:
        """Let jobs wait for a slot, from now on (None); or send those back that do, and all that come."""
        self._no_waiting = why
        if why is not None:
            for job in list(self.ahead):
                self._send_back(job, why)

    def _mind_patience(self, at_least: float = 0.0) -> None:
        if self._patience is None:
            seconds = max(at_least, self.ahead.patience_left)
            self._patience = self._loop.call_later(seconds, self._look_who_waits)

    def _look_who_waits(self) -> None:
        """Send back who has been waiting for too long; something else than was expected takes the slots."""
        assert self._patience is not None
        is_late = self._loop.time() - self._patience.when() > LATE
        self._patience = None
        if is_late and not self._was_late and len(self.ahead):
            # The loop was blocked: slots may become free in a moment.
            self._was_late = True
            self._mind_patience(LATE)
            return
        self._was_late = False
        while len(self.ahead) and self.ahead.patience_left <= 0:
            self.ahead.give_up()
            self._send_back(next(iter(self.ahead)), Stop.WAITED)
        if len(self.ahead):
            self._mind_patience()

    def _send_back(self, job: Claimed, why: Stop) -> None:
        """End a job that waits, or was to, before it has begun."""
        self.ahead.pop(job.id)
        task = self._task(job.task)
        if task is None:
            self.give_back(job.id, job.fence, why.value)
        else:
            run = Run(job, task, self._teller, self.keys)
            self._settle(run, run.unrun(why), None)
        self._tell_idle()

    def _start(self, job: Claimed) -> None:
        task = self._task(job.task)
        if task is None:
            self._turn_away(job)
            return
        if self._is_over:
            log.warning("job %s came too late to be run here; others will take it", job.id)
            self.slots.give(job.queue)
            return
        run = self._live_by_id[job.id] = Run(job, task, self._teller, self.keys)
        if self._closing is not None:
            run.ask_to_stop(self._closing)  # it goes back without having run
        if len(self._live_by_id) == 1:
            self.is_idle.clear()
            self.first_started()
        self._starts.start(run)

    async def _live(self, run: Run) -> None:
        job = run.job
        if run.own is None:  # an eager task factory runs this before it gives us the task
            run.own = asyncio.current_task()
        if self._ears:
            self._ears(events.Started(job.id, job.task, job.queue, job.attempt))
        began = time.perf_counter()
        try:
            steps = run.perform(self._arounds, self._places, self.fetch)
            outcome = await (steps if self.pace is None else Steps(steps, self.pace))
        except Exception as error:  # a bug of ours must not keep the slot and the row for ever
            log.exception("job %s was not run properly", job.id)
            outcome = given_up(error)
        self._end(run, outcome, time.perf_counter() - began)

    def _end(self, run: Run, outcome: Outcome, ran: float) -> None:
        job = run.job
        run.ended = True
        self._starts.ended(run)
        if self._live_by_id.get(job.id) is run:
            del self._live_by_id[job.id]
        self.slots.give(job.queue)
        self.ahead.ended(job.queue)
        self._settle(run, outcome, ran)
        self._pass_on()
        self._tell_idle()

    def _settle(self, run: Run, outcome: Outcome, ran: float | None) -> None:
        job = run.job
        if run.stop is Stop.LOST:
            self._ears(events.Lost(job.id, job.task, job.queue, job.attempt))
        else:
            self._unrecorded[job.id, job.fence] = run
            keep_days = run.task.keep_days(outcome.state)
            self.settle(Settled(job.id, job.fence, outcome, ran, keep_days))

    def _turn_away(self, job: Claimed) -> None:
        """Nobody here knows this task: give the job back unharmed, and ask for no more of them."""
        if job.task not in self.unknown:
            log.warning(
                "job %s is of task %r, which this process does not know; it waits for one that does",
                job.id,
                job.task,
            )
        self.unknown.add(job.task)
        self.slots.give(job.queue)
        self.give_back(job.id, job.fence, f"task {job.task!r} is not known to this process")
        self._pass_on()
        self._tell_idle()

    def forget(self, id: UUID, fence: int) -> Run | None:
        """The outcome of that run is recorded, or refused; a later run of the same job stays."""
        self._going_back.discard((id, fence))
        for noted in self._notes:
            noted.add((id, fence))
        return self._unrecorded.pop((id, fence), None)

    def close(self) -> None:
        """From now on whatever is started goes back unrun: the process is leaving."""
        self._closing = Stop.SHUTDOWN
        self.keep_waiting(Stop.SHUTDOWN)

    def end(self) -> None:
        """From now on nothing can be started: the process has left."""
        self._is_over = True
        if self._patience is not None:
            self._patience.cancel()
        self._places.end()

    def stop(self, ids: Iterable[UUID], why: Stop) -> None:
        """Stop these, as far as they can be stopped."""
        for id in ids:
            run = self._live_by_id.get(id)
            if run is not None:
                run.ask_to_stop(why)
            elif (job := self.ahead.pop(id)) is not None:
                self._send_back(job, why)

    def stop_all(self, why: Stop) -> None:
        """Stop all."""
        self.stop([*(job.id for job in self.ahead), *self._live_by_id], why)

    def confirmed(self) -> dict[UUID, int]:
        """Give the fences of the runs whose bodies have not ended, and of what waits."""
        fences = {id: run.job.fence for id, run in self._live_by_id.items()}
        fences.update((job.id, job.fence) for job in self.ahead)
        return fences

    @contextmanager
    def noting_ends(self) -> Generator[set[tuple[UUID, int]]]:
        """Note, by id and fence, what is recorded meanwhile, and so is known here no more."""
        noted: set[tuple[UUID, int]] = set()
        self._notes.append(noted)
        try:
            yield noted
        finally:
            # By identity: two empty ones are equal.
            self._notes = [each for each in self._notes if each is not noted]

    def _tell_idle(self) -> None:
        if not self._live_by_id and not self._expected and not self.ahead:
            self.is_idle.set()
            if self._is_over:
                self.ended_late()

    def _pass_on(self) -> None:
        """A slot was given back: to who waits for one, and if nobody does, to the next claim."""
        self.fill()
        self.slot_freed()


async def _nothing(job: Claimed) -> str | None:
    return None
