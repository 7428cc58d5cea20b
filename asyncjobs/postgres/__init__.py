"""The only floor that imports asyncpg."""
