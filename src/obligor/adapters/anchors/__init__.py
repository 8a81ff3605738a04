"""Anchors: places outside the database that keep signed checkpoints of the audit log."""
