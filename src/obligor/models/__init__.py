"""Fitters: binning, selection, logistic regression, points, calibration, evaluation."""
