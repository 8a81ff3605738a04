"""Statistics of credit risk on plain arrays."""
