"""Virtual environments for the peers, made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PEERS = Path(__file__).parent / "peers" / "peers.toml"
WITHIN = 300.0  # seconds for one installation
LAST_WORDS = 3  # lines of what a tool said


class NotHereError(Exception):
    """It cannot be measured here; the words say why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of `peers.toml`."""

    name: str
    requires: tuple[str, ...]
    module: str
    server: str
    setup: str
    reads: str
    table: str | None = None
    python: str | None = None
    share: float = 1.0

    @property
    def version(self) -> str:
        """What is pinned, without its extras."""
        return self.requires[0].partition("==")[2]


def peers() -> dict[str, Peer]:
    """All of them, by name."""
    told = tomllib.loads(PEERS.read_text(encoding="utf-8"))
    return {
        name: Peer(name, **{**given, "requires": tuple(given["requires"])})
        for name, given in told.items()
    }


def chosen(said: str, known: Mapping[str, Peer]) -> list[Peer]:
    """Take "all", "none" or names with commas between; raises ValueError for an unknown one."""
    if said in ("all", "none"):
        return list(known.values()) if said == "all" else []
    names = [name.strip() for name in said.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names]


def python_of(peer: Peer, where: Path) -> Path:
    """Give the interpreter that has this peer, installed where it is not; raises NotHereError."""
    marks = "\n".join((*peer.requires, peer.python or sys.version))
    home = where / f"{peer.name.replace(' ', '-')}-{sha256(marks.encode()).hexdigest()[:8]}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    whole = home / "whole"
    if not whole.exists():
        shutil.rmtree(home, ignore_errors=True)
        _make(peer, home, python)
        whole.touch()
    return python


def _make(peer: Peer, home: Path, python: Path) -> None:
    uv = shutil.which("uv")
    wanted = _interpreter(peer.python)
    if uv and _works(uv):
        _run([uv, "venv", "--quiet", "--python", wanted, str(home)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *peer.requires])
    else:
        _run([wanted, "-m", "venv", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", *peer.requires])


def _interpreter(version: str | None) -> str:
    if version is None or sys.version.startswith(f"{version}."):
        return sys.executable
    named = f"python{version}"
    for found in filter(None, (shutil.which(named), *_of_pyenv(version))):
        if _works(found):
            return found
    raise NotHereError(f"there is no Python {version}")


def _of_pyenv(version: str) -> list[str]:
    root = Path("~/.pyenv/versions").expanduser()
    try:
        return [str(found) for found in sorted(root.glob(f"{version}.*/bin/python"))]
    except OSError:
        return []


def _works(program: str) -> bool:
    """A shim may be there whose program is not."""
    try:
        return (
            subprocess.run(
                [program, "--version"], capture_output=True, check=False, timeout=20
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=WITHIN)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()[-LAST_WORDS:]
        raise NotHereError(f"cannot be installed: {' '.join(said)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHereError(f"cannot be installed: {error}") from error
