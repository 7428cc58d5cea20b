"""From one process to many machines: what grows with each process, and where Postgres ends."""
