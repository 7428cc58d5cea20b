"""
Real processes that start in milliseconds: forked from one that has imported everything.

`python -m tests.faults.histories.nursery` reads a line of JSON for each process that is wanted, forks it,
and tells of its birth and of its end, a line each. Whoever is still there when its own input ends is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from tests.faults.histories import hand


class Nursery:
    """The other end: asks for processes, and hears of their ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._tokens = count()
        self._births: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, Callable[[int], None]] = {}
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls) -> Nursery:
        command = (sys.executable, "-m", __name__)
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def bear(self, ended: Callable[[int], None], **wanted: Any) -> int:
        """Start one, and give its pid; `ended` is called with its exit code, negative for a signal."""
        assert self._process.stdin is not None
        token = next(self._tokens)
        birth = self._births[token] = asyncio.get_running_loop().create_future()
        self._ended[token] = ended
        self._process.stdin.write(json.dumps({"token": token, **wanted}).encode() + b"\n")
        pid: int = await birth
        return pid

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reading
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "pid" in told:
                self._births.pop(told["token"]).set_result(told["pid"])
            else:
                self._ended.pop(told["token"])(told["code"])


def serve() -> None:
    """Fork for as long as somebody asks."""
    tokens: dict[int, int] = {}

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                tell(token=tokens.pop(ended[0]), code=os.waitstatus_to_exitcode(ended[1]))

    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        # No end is told before its birth.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        wanted = json.loads(line)
        token = wanted.pop("token")
        pid = os.fork()
        if not pid:
            be(wanted)
        tokens[pid] = token
        tell(token=token, pid=pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for pid in list(tokens):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tell(**words: int) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def be(wanted: dict[str, Any]) -> None:
    """Live as the process that was wanted, and never come back."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        words = os.open(wanted.pop("words"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, own in enumerate((nothing, words, words)):
            os.dup2(own, number)
        hand.live(**wanted)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
