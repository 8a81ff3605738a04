"""Runs one benchmark: prints a table, and as the last line one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("accuracy", "short", "training", "single", "scoring", "engines", "policy", "thresholds", "rejects")


def main() -> None:
    """Run the benchmark that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    chosen = parser.parse_args()
    print(json.dumps(importlib.import_module(f"benchmarks.{chosen.name}").run(quick=chosen.quick)))


if __name__ == "__main__":
    main()
