"""The verifier that goes with every bundle: one file, which needs Python and the package ``cryptography`` alone."""
