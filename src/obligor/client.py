"""Calls the decision service from Python."""
