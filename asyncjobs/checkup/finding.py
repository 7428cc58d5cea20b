"""What a check-up found: values, in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is, the worst first."""

    WRONG = "wrong"
    """Something is not done, is lost, or soon will be: `asyncjobs status` ends with 1."""
    ADVICE = "advice"
    """It works; it would work better, or be safer."""
    UNSEEN = "unseen"
    """It could not be looked at, or this role may not see it."""
    WELL = "well"


ORDER = list(Grade)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is about, how it stands, and what to do."""

    about: str
    grade: Grade
    words: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.words} {self.advice}".strip()


def well(about: str, words: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Grade.WELL, words)


def advice(about: str, words: str, what_to_do: str) -> Finding:
    """It could be better."""
    return Finding(about, Grade.ADVICE, words, what_to_do)


def wrong(about: str, words: str, what_to_do: str) -> Finding:
    """It is not as it should be."""
    return Finding(about, Grade.WRONG, words, what_to_do)


def unseen(about: str, words: str, what_to_do: str = "") -> Finding:
    """Nobody knows."""
    return Finding(about, Grade.UNSEEN, words, what_to_do)
