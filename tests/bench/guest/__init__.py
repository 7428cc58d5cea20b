"""The guest test: what a web app feels of the jobs that run in its own process, and what they cost when idle."""
