"""Processes that only run jobs, what looks after them, and what else the command line starts."""
