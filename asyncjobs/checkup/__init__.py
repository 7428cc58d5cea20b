"""
The check-up: what is wrong with Postgres and with what is between, in words, and what to do.

The dashboard's page and `asyncjobs status` show the same findings. Unlike `jobs.health()` it asks: a dozen
statements, one NOTIFY, each within a deadline. What a role may not see is said, and is no error.
"""

from asyncjobs.checkup.checkup import Checkup, check_up
from asyncjobs.checkup.finding import Finding, Grade

__all__ = ["Checkup", "Finding", "Grade", "check_up"]
