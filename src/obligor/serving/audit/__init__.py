"""The audit log of a running service: anchored, proved, gone on with after it was set back, and its decisions made again."""
