"""What a card buys against LendingClub's own rate, on the loans of 2011: the share that turns bad at the same approval rate."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import yaml

from benchmarks.data import ROOT, folder

RATES = (0.5, 0.6, 0.7, 0.8, 0.9)
QUICK_RATES = (0.7,)


def run(*, quick: bool) -> dict[str, object]:
    """Run the main job with each recipe; ``quick`` compares at one approval rate."""
    found: dict[str, object] = {}
    print(
        f"{'recipe':<12}{'approved':>9}{'old NPL':>9}{'new NPL':>9}   change, 95% interval, in points     more approvals"
    )
    for recipe in ("classical", "smooth"):
        for rate in QUICK_RATES if quick else RATES:
            found[f"{recipe}_{rate:g}"] = swap = _swap(recipe, rate)
            npl, more = (
                [round(100 * swap[name][key], 2) for key in ("value", "lower", "upper")]
                for name in ("npl_change", "approval_change")
            )
            shares = "".join(f"{100 * swap[name]:>8.1f}%" for name in ("approval_rate", "old_npl_rate", "new_npl_rate"))
            print(
                f"{recipe:<12}{shares}   {npl[0]:+} ({npl[1]:+} to {npl[2]:+})   {more[0]:+} ({more[1]:+} to {more[2]:+})"
            )
    return found


def _swap(recipe: str, rate: float) -> dict:
    from obligor.bootstrap import run_tape
    from obligor.progress import Silence

    said = yaml.safe_load((ROOT / "configs" / "contracts" / "lendingclub-2007-2011.yaml").read_text())
    said["model"] = {**said.get("model", {}), "recipe": recipe}
    said["cutoff"] = {**said.get("cutoff", {}), "incumbent_approval_rate": rate}
    with tempfile.TemporaryDirectory() as work:
        os.environ |= {"OBLIGOR_DATA": f"{work}/data", "OBLIGOR_MLFLOW_URI": "off"}
        contract = Path(work) / "contract.yaml"
        contract.write_text(yaml.safe_dump(said, sort_keys=False))
        tape = folder() / "lendingclub_2007_2011" / "LoanStats3a_2007_2011.csv.gz"
        run_tape(str(tape), contract=contract, out=Path(work) / "out", progress=Silence())
        return json.loads((Path(work) / "out" / "evaluation.json").read_text())["test"]["incumbent"]["swap"]
