"""Arithmetic and language of credit: contract, expressions, bins, scorecard. No file, network, clock or chance."""
