"""Runs one benchmark: prints a table, and as the last line one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json

from benchmarks.tables import RESULTS

NAMES = ("accuracy", "short", "training", "single", "scoring", "engines", "policy", "thresholds", "rejects",
         "serving", "overload", "telling", "torture", "screening", "lists", "rotation")  # fmt: skip
_OF = {"rounds": "torture", "seed": "torture", "points": "torture", "rows": "rotation", "rate": "rotation"}
"""The benchmark that an option is of."""


def main() -> None:
    """Run the benchmark that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    parser.add_argument(
        "--keep", action="store_true", help="keep the result, from which benchmarks.tables writes the docs"
    )
    parser.add_argument("--rounds", type=int, help="of torture")
    parser.add_argument("--seed", type=int, help="of torture")
    parser.add_argument(
        "--points", type=int, help="of torture: kills at each named point around a commit, and no rounds"
    )
    parser.add_argument("--rows", type=int, help="of rotation: how many keys there are before")
    parser.add_argument("--rate", type=int, help="of rotation: decisions in a second")
    chosen = parser.parse_args()
    told = {name: getattr(chosen, name) for name in _OF if getattr(chosen, name) is not None}
    for name in told:
        if chosen.name != _OF[name]:
            parser.error(f"--{name} is for {_OF[name]}")
    if chosen.keep and chosen.points:
        parser.error("--keep is for the rounds of torture")
    if chosen.keep and chosen.quick:
        parser.error("--keep is for full runs")
    result = importlib.import_module(f"benchmarks.{chosen.name}").run(quick=chosen.quick, **told)
    if chosen.keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{chosen.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
