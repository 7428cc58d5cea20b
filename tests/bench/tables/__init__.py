"""What do large tables, long transactions and each job's own rows cost? Ours alone, on one Postgres."""
