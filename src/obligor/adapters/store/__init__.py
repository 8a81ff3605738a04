"""The store of the decision service in PostgreSQL: its tables, its one writer, and those who read."""
