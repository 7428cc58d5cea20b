"""
A process of the pool, from within: the program that runs plain functions for another process, its parent.

It has no connection to Postgres, no row and no lock. What it knows comes in messages on one socket, and all
that it knows of the job goes back there. The function runs in its main thread, as if nothing else were here.
A second thread reads: it hears that the job is to stop, and that the socket has closed, because the process
let go or was killed. Then this one ends at once, whatever it does: others run that job now.

C code that keeps the interpreter's lock keeps that thread from hearing it; on Linux the kernel kills this
process together with its parent all the same.

A signal that is sent to all processes of a terminal or a service says nothing here: the parent drains,
and needs us for that.
"""

from __future__ import annotations

import contextvars
import importlib
import os
import queue
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

from asyncjobs import current
from asyncjobs.codec import Codec
from asyncjobs.current import CurrentJob
from asyncjobs.engine import messages
from asyncjobs.engine.messages import LENGTH, Call
from asyncjobs.engine.raised import packed
from asyncjobs.engine.story import LINE, Story
from asyncjobs.errors import ArgumentsDoNotFit, NotConnected, ResultNotStorable
from asyncjobs.job import Cancel, JobState, Outcome, Snooze
from asyncjobs.place import Place
from asyncjobs.secret import Scrub
from asyncjobs.task import Task

LOOK_EVERY = 1000  # milliseconds between two looks whether our process is still our parent
MAIN = "__mp_main__"  # as multiprocessing calls it: guarded by `if __name__ == "__main__"`, a script does nothing
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def work(descriptor: int, parent: int) -> None:
    """Run what comes on the socket that was inherited, until it closes."""
    for each in _SIGNALS:
        # Not SIG_IGN: what the function starts would inherit it.
        signal.signal(each, _not_for_us)
    _die_with(parent)
    os.set_inheritable(descriptor, False)
    wire = Wire(socket.socket(fileno=descriptor), parent)
    threading.Thread(target=wire.read, name="asyncjobs wire", daemon=True).start()
    while True:
        call = wire.calls.get()
        contextvars.copy_context().run(Work(call, wire).do)


class Wire:
    """The socket: one thread reads, any thread writes."""

    def __init__(self, ours: socket.socket, parent: int) -> None:
        self.calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.stop: Callable[[], None] = lambda: None
        self._socket = ours
        self._parent = parent
        self._writing = threading.Lock()

    def write(self, message: messages.Message) -> None:
        """Send a message; without anybody to read it there is nothing left to do here."""
        try:
            with self._writing:
                self._socket.sendall(messages.sealed(message))
        except OSError:
            os._exit(0)

    def read(self) -> None:
        """Read messages for as long as there is a process that writes them."""
        while True:
            message = messages.opened(self._exactly(LENGTH.unpack(self._exactly(LENGTH.size))[0]))
            if isinstance(message, Call):
                self.calls.put(message)
            else:
                self.stop()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while len(data) < size:
            # A fork of our process may hold its end open when it is gone.
            while not poll.poll(LOOK_EVERY):
                if os.getppid() != self._parent:
                    os._exit(0)
            part = b""
            with suppress(OSError):
                part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                os._exit(0)
            data += part
        return bytes(data)


class Work:
    """One call: from the stored arguments to a message that says how it ended."""

    def __init__(self, call: Call, wire: Wire) -> None:
        self._call = call
        self._wire = wire
        self._scrub = Scrub()
        self._story = Story(self._scrub, sealed=call.is_sealed)
        ends = None if call.ends_in is None else time.monotonic() + call.ends_in
        self._job = CurrentJob(
            call.id, call.task, call.queue, call.attempt, call.fence, self, ends, self._scrub
        )

    def do(self) -> None:
        """Run it, and tell how it ended."""
        current.enter(self._job)
        self._wire.stop = self._stop
        try:
            message = self._ended()
        except BaseException as error:
            message = self._raised(error)
        self._wire.write(message)

    def report(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Pass it on; our process stores it (Teller)."""
        self._wire.write(messages.Reported(fraction, note))

    async def progress(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Refuse: nobody here could say when it is stored (Teller)."""
        raise NotConnected(
            "wait until progress is stored",
            "this function runs in a process of its own; say current_job().report(…), which does not wait",
        )

    def _stop(self) -> None:
        self._job.cancelled = True

    def _ended(self) -> messages.Message:
        call = self._call
        function, codec = found(call.place, call.task, call.secret, call.is_sealed)
        try:
            args, kwargs = codec.load(call.arguments, self._scrub)
        except ArgumentsDoNotFit as error:
            return self._given_up(error, with_traceback=False)
        except Exception as error:  # a validator of the user's own
            return self._given_up(error)
        self._wire.write(messages.Begun())
        result = function(*args, **kwargs)
        if isinstance(result, (Snooze, Cancel)):
            return messages.Ended(result)
        try:
            return messages.Returned(codec.dump_result(result))
        except ResultNotStorable as error:
            return self._given_up(error, with_traceback=False)
        except Exception as error:  # a serializer of the user's own
            return self._given_up(error)

    def _given_up(self, error: Exception, *, with_traceback: bool = True) -> messages.Ended:
        whole = self._story.whole(error) if with_traceback else None
        line = self._story.one_line(error)
        return messages.Ended(Outcome(JobState.FAILED, "failed", error=line, traceback=whole))

    def _raised(self, error: BaseException) -> messages.Raised:
        line, whole = self._story.one_line(error), self._story.whole(error)
        return messages.Raised(packed(error, line), type(error).__qualname__[:LINE], line, whole)


@cache
def found(
    place: Place, task: str, secret: frozenset[str], is_sealed: bool
) -> tuple[Callable[..., Any], Codec]:
    """Find a function where it was declared, and what knows its arguments; raises whatever importing it does."""
    it: Any = _main(place.script) if place.script else importlib.import_module(place.module)
    for part in place.name.split("."):
        it = getattr(it, part)
    function: Callable[..., Any] = it.function if isinstance(it, Task) else it
    return function, Codec(task, function, secret=secret, secret_result=is_sealed)


@cache
def _main(script: str) -> ModuleType:
    """Run the program that our process was started with, as a module that is not the main one."""
    main = ModuleType(MAIN)
    # Known by its name before it runs, for the classes that are declared in it.
    sys.modules[MAIN] = sys.modules["__main__"] = main
    vars(main).update(runpy.run_path(script, run_name=MAIN))
    return main


def _not_for_us(number: int, frame: object) -> None:
    """Do nothing: see the top."""


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes  # only here, and not everywhere there

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
