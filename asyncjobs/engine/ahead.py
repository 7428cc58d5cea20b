"""
Claiming ahead: where jobs are short, more are claimed than there are free slots.

A claim takes milliseconds, however few jobs it brings. Jobs that are shorter than that leave their slots empty while
the next claim is on its way, and a process of ten slots lives on claims of ten jobs. So a process claims ahead
as many as it will be through with in the next moment, judged by the last: as many as have ended in the last
HORIZON. They wait here, in the order in which they came, and start as slots become free; more are asked for when
less than half of them are left, so that a claim is on its way while jobs run.

What it trades away: for a moment a waiting job is nobody else's to run, and one that is more urgent comes
after it. The moment is bounded. If the jobs turn out to be long, what has waited for PATIENCE goes back unharmed,
its attempt too, and nothing is claimed ahead until jobs end quickly again. Nor is anything while a job is here whose
process has died before: the next death would be charged to all that are ours. A process that drains, or has lost its
link, keeps nobody waiting.

A waiting job is ours like one that runs: it is known to the beat, and can be cancelled. It holds no slot.

The idea is Graphile Worker's local queue, which holds a fixed number for a fixed time; here jobs say how many, by how
long they take. TCP sizes its window in the same way, by what comes through in a round trip.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from asyncjobs.engine.slots import Slots
from asyncjobs.job import Claimed

HORIZON = 0.05  # seconds
PATIENCE = 0.2  # seconds
MOST = 400  # jobs


class Ahead:
    """The jobs that are ours and wait for a slot."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._waiting: deque[tuple[Claimed, float]] = deque()
        self._waiting_in: Counter[str] = Counter()
        self._most = 0
        self._most_in: Mapping[str, int] = {}
        self._ended_in: Counter[str] = Counter()
        self._since = time.monotonic()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Claimed]:
        return (job for job, _ in self._waiting)

    def ended(self, queue: str) -> None:
        """One more of this queue has ended here."""
        self._ended_in[queue] += 1

    def room(self) -> int:
        """How many more may be claimed ahead now."""
        now = time.monotonic()
        elapsed = now - self._since
        if elapsed >= HORIZON:
            ended = self._ended_in
            self._most_in = {name: int(ended[name] * HORIZON / elapsed) for name in ended}
            self._most = min(MOST, sum(self._most_in.values()))
            self._ended_in, self._since = Counter(), now
        return self._most - len(self._waiting) if self.is_low else 0

    def rooms(self, queues: Iterable[str], room: int) -> dict[str, int]:
        """Of each queue, where there is so much room: one with a share of the slots by its own pace."""
        return {
            queue: max(0, min(room, self._most_in.get(queue, 0) - self._waiting_in[queue]))
            if self._slots.has_share(queue)
            else room
            for queue in queues
        }

    @property
    def is_low(self) -> bool:
        """Whether so few are left that more should be asked for."""
        return len(self._waiting) <= self._most // 2

    def put(self, job: Claimed) -> None:
        """Let it wait."""
        self._waiting.append((job, time.monotonic()))
        self._waiting_in[job.queue] += 1

    def next(self) -> Claimed | None:
        """Give the first for which there is a slot now; it has it then."""
        if self._waiting and self._slots.has_room:
            for job, _ in self._waiting:
                if self._slots.enter(job.queue):
                    return self.pop(job.id)
        return None

    def pop(self, id: UUID) -> Claimed | None:
        """Give this one, which waits no more; None: it does not wait here."""
        for number, (job, _) in enumerate(self._waiting):
            if job.id == id:
                del self._waiting[number]
                self._waiting_in[job.queue] -= 1
                return job
        return None

    @property
    def patience_left(self) -> float:
        """For how many seconds more the first of them may wait."""
        return self._waiting[0][1] + PATIENCE - time.monotonic() if self._waiting else PATIENCE

    def give_up(self) -> None:
        """Ask for nothing ahead until jobs end quickly again."""
        self._most, self._most_in, self._ended_in = 0, {}, Counter()
        self._since = time.monotonic()
