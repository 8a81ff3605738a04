"""Makes the card and the policy that a new decision service begins with: those of ``obligor demo``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from obligor.bootstrap import run_demo
from obligor.progress import Bars

DEMO = Path(__file__).resolve().parents[1] / "src" / "obligor" / "serving" / "demo"
APPLICATIONS, SEED = 40_000, 7


def main() -> None:
    """Write both files beside the service."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        run_demo(out, applications=APPLICATIONS, seed=SEED, progress=Bars(Console(stderr=True)))
        for name in ("scorecard.json", "policy.json"):
            shutil.copy(out / name, DEMO / name)


if __name__ == "__main__":
    main()
