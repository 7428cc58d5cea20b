"""
Background jobs for Starlette and FastAPI, inside the web process, on the Postgres you already have.

Importing this runs nothing: no environment is read, nothing is connected, nothing is registered.
"""

from asyncjobs import errors, events
from asyncjobs.current import CurrentJob, current_job
from asyncjobs.extension import Extension
from asyncjobs.health import Health
from asyncjobs.job import Attempt, Cancel, JobState, Snapshot, Snooze
from asyncjobs.jobs import Jobs
from asyncjobs.registry import Tasks
from asyncjobs.retry import Retry, exponential, fixed, never
from asyncjobs.secret import Secret
from asyncjobs.task import Enqueued, Job, Task

__all__ = [
    "Attempt",
    "Cancel",
    "CurrentJob",
    "Enqueued",
    "Extension",
    "Health",
    "Job",
    "JobState",
    "Jobs",
    "Retry",
    "Secret",
    "Snapshot",
    "Snooze",
    "Task",
    "Tasks",
    "current_job",
    "errors",
    "events",
    "exponential",
    "fixed",
    "never",
]
