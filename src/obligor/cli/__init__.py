"""The command line: ``obligor``.

Exit codes: 0 done; 1 a gate was not passed, or something outside did not answer; 2 the input is wrong; 130 interrupted.
Nothing heavy is imported at the top, so that ``--help`` answers at once.
"""

from obligor.cli.main import cli, main

__all__ = ["cli", "main"]
