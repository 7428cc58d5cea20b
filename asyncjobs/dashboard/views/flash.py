"""What was done, told once on the next page: a word in its address, never a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flash:
    """A line about what was just done; `tone` is done or missed."""

    tone: str
    text: str


FLASHES: Mapping[str, Flash] = {
    "retried": Flash("done", "It is ready and will run again."),
    "not-retried": Flash(
        "missed", "It could not be retried: it is not waiting for a retry any more."
    ),
    "cancelled": Flash("done", "The job is cancelled."),
    "asked": Flash(
        "done", "The job runs and has been asked to stop. It ends as cancelled when it obeys."
    ),
    "not-cancelled": Flash("missed", "It could not be cancelled: it had finished already."),
    "deleted": Flash("done", "The job is deleted."),
    "not-deleted": Flash("missed", "It could not be deleted: there is no such job any more."),
    "no-id": Flash(
        "missed",
        "No job's id was found in that. It looks like 0193a3c4-7f1e-7abc-9def-0123456789ab.",
    ),
}


def flash_of(query: Mapping[str, str]) -> Flash | None:
    """Tell what the address says was done; None for anything else."""
    return FLASHES.get(query.get("did", ""))
