"""Scoring with a finished card; nothing here fits."""
