"""Functions for processes of their own: they must be found by their names there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from asyncjobs import Cancel, Secret, Snooze, current_job


@dataclass
class Parcel:
    number: int
    on: date


class Spoiled(Exception):
    """Cannot be read by pickle: what it is made of is not what it says."""

    def __init__(self, what: str, degrees: int) -> None:
        super().__init__(f"{what} at {degrees} degrees")
        self.degrees = degrees


def send(parcel: Parcel, *notes: str) -> Parcel:
    return Parcel(parcel.number + len(notes), parcel.on + timedelta(days=1))


def where() -> tuple[int, bool]:
    return os.getpid(), threading.current_thread() is threading.main_thread()


def compute(seconds: float) -> int:
    end = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < end:
        turns += 1
    return turns


def spin(told: str) -> None:
    """Computes for ever, once it has said its process number."""
    say(told)
    while True:
        pass


def sleep_in_c(told: str) -> None:
    """Keeps the interpreter's lock for ever: no other thread of its process runs again."""
    say(told)
    ctypes.PyDLL(None).sleep(3600)


def wait_to_be_told(told: str) -> str:
    say(told)
    while not current_job().cancelled:
        time.sleep(0.001)
    return "obeyed"


def obey(told: str) -> None:
    say(told)
    while True:
        current_job().raise_if_cancelled()


def say(told: str) -> None:
    part = Path(f"{told}.part")
    part.write_text(str(os.getpid()))
    part.rename(told)


def die(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "crash":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_first() -> int:
    if current_job().attempt == 1:
        os._exit(9)
    return os.getpid()


def leave() -> None:
    sys.exit("enough")


def spoil() -> None:
    milk = "milk"
    raise Spoiled(milk, 30)


def spoil_unseen() -> None:
    class Local(Exception): ...

    raise Local("nobody knows me")


def betray(pin: Annotated[str, Secret]) -> None:
    raise ValueError(f"wrong: {pin}")


def whisper(pin: Annotated[str, Secret]) -> None:
    current_job().report(0.5, f"trying {pin}")
    while not current_job().cancelled:
        time.sleep(0.001)


def who_am_i() -> list[str]:
    job = current_job()
    deadline = "some" if job.deadline else "none"
    return [str(job.id), job.task, job.queue, str(job.attempt), str(job.cancelled), deadline]


async def waits_for_progress() -> None:
    await current_job().progress(0.5)


def progress() -> None:
    with contextlib.suppress(StopIteration):
        waits_for_progress().send(None)


def doze() -> Snooze:
    return Snooze(timedelta(hours=1))


def give_up() -> Cancel:
    return Cancel("no use")


def give_what_json_has_not() -> object:
    return object()


def print_much() -> str:
    """Whatever it writes to standard output does not disturb what it says to its process."""
    os.write(1, b"RETURN 3\n" * 10)
    subprocess.run([sys.executable, "-c", "print('from a grandchild')"], check=True)
    return "said"


def big(size: int) -> str:
    return "x" * size


def sum_of(numbers: list[int]) -> int:
    return sum(numbers)
