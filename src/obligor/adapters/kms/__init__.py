"""Key management services: what holds the master key of personal data."""
