"""Providers of evidence of identity."""
