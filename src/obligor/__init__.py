"""Obligor: credit scorecards a regulator can read, with their evidence."""

__version__ = "0.1.0"
